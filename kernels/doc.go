// Package kernels is the parent of the SIMD primitives that everything else
// computes with; it has no code itself.
//
//	cpu         which tier runs: generic, neon, avx2, avx512, avx512vnni
//	f32         dot, squared L2, cosine, normalize, rows of a slab; softmax, GELU, SiLU, layer norm
//	i8          dot of quantized vectors, rows of a slab
//	beam        the nearest items that a walk of a graph has met, in order
//	codes       signed queries against rows of 8-bit and of 4-bit codes
//	gemm        products of packed matrices, float32 and int8
//	kerneltest  what their tests share
//	_gen        the programs that write the assembly; a module of its own
//
// A family of kernels is laid out as
//
//	dot.go            the exported functions, their checks, and the reference in plain Go
//	dot_amd64.go      the choice of the tier
//	dot_amd64.s       generated, with dot_stubs_amd64.go
//	dot_arm64.go .s   the same for NEON
//	dot_noasm.go      for the build tag noasm and for other architectures
//
// How they are generated, checked and tested:
//
//	go generate ./kernels/...                writes the assembly
//	go -C kernels/_gen run . -check          exits 1 when it isn't what the generator writes
//	go test ./kernels/...                    every tier of this machine against the references
//	go test -tags noasm ./kernels/...        plain Go alone
//	GOARCH=arm64 go test -exec qemu-aarch64-static ./kernels/...
//	                                         NEON, with Debian's qemu-user-static
//	go test -run - -bench . ./kernels/...    each tier in one table, beside other libraries
//
// On amd64 an emulated processor proves that the tier avx2 uses no instruction
// beyond it. The emulator reads masked lanes too, which processors don't (Intel
// SDM, VMASKMOV: faults come from chosen lanes only), so the tests with guard pages
// are left to real ones:
//
//	go test -exec 'qemu-x86_64-static -cpu Haswell' -skip Guarded ./kernels/...
package kernels

//go:generate go -C _gen run .

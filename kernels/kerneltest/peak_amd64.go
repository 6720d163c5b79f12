//go:build !noasm

package kerneltest

import "github.com/vecino-db/vecino/kernels/cpu"

// Peak runs n rounds of multiply-adds between registers in tier t and returns the
// floating-point operations (of VNNI: of bytes, with integer) that they were, or 0
// where there is nothing to measure with.
func Peak(t cpu.Tier, n int, integer bool) int {
	switch {
	case integer && t == cpu.AVX512VNNI:
		dotBytesVNNI(n)
		return n * 12 * 64 * 2
	case integer:
		return 0
	case t == cpu.AVX512 || t == cpu.AVX512VNNI:
		fmaAVX512(n)
		return n * 12 * 16 * 2
	case t == cpu.AVX2:
		fmaAVX2(n)
		return n * 12 * 8 * 2
	}
	return 0
}

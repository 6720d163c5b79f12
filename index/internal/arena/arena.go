// Package arena hands out large zeroed arrays of numbers that live as long as
// their Region.
//
// Where the system can promise address space without memory behind it (Linux,
// macOS), a Region is such a promise: room for a graph to grow in place, outside
// of Go's heap, of which only what is written costs memory; on Linux in huge
// pages once AdviseHuge asks for them. Elsewhere, and under the race
// detector, which sees only Go's heap, a Region is ordinary memory of exactly
// the size asked for, and its owner grows by making a larger one.
package arena

import (
	"fmt"
	"runtime"
	"unsafe"
)

// align of every array of a Region, in bytes: a cache line.
const align = 64

// Region is memory of its own. Slices of it do not keep it alive: whoever reads
// them holds the Region (runtime.KeepAlive) until it is done. The memory goes
// back to the system when the Region is collected.
type Region struct {
	mem  []byte
	used int // bytes handed out by Slice
}

// New makes a region of size bytes, all zero.
func New(size int) (*Region, error) {
	if size < 0 {
		return nil, fmt.Errorf("arena: %d bytes asked for", size)
	}
	mem, release, err := reserve(size)
	if err != nil {
		return nil, fmt.Errorf("arena: reserving %d bytes: %w; free memory or raise the limit of address space (ulimit -v)", size, err)
	}
	r := &Region{mem: mem}
	if release != nil {
		runtime.AddCleanup(r, release, mem)
	}
	return r, nil
}

// Number is what arrays are made of.
type Number interface{ ~uint8 | ~uint32 | ~float32 }

// Size is the bytes that an array of n elements takes in a region.
func Size[T Number](n int) int {
	var zero T
	return (n*int(unsafe.Sizeof(zero)) + align - 1) / align * align
}

// Slice takes the next n elements of the region. The owner has asked for a
// region that holds the Size of all its arrays together.
func Slice[T Number](r *Region, n int) []T {
	size := Size[T](n)
	mem := r.mem[r.used : r.used+size]
	r.used += size
	if n == 0 {
		return nil
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(mem))), n)
}

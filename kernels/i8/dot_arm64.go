//go:build !noasm

package i8

import (
	"unsafe"

	"github.com/vecino-db/vecino/kernels/cpu"
)

// dot: the NEON kernel wants at least one element.
func dot(a, b []int8) int32 {
	if cpu.Active() == cpu.NEON && len(a) > 0 {
		return dotNEON(unsafe.SliceData(a), unsafe.SliceData(b), len(a))
	}
	return dotGeneric(a, b)
}

// dotRows has no kernel of its own here: the out-of-order cores that this runs on
// overlap one call's loads with the next one's by themselves.
func dotRows(dst []int32, q, slab []int8, rows []uint32) {
	for i, r := range rows {
		dst[i] = dot(q, row(slab, len(q), r))
	}
}

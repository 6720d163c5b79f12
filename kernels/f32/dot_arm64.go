//go:build !noasm

package f32

import (
	"unsafe"

	"github.com/vecino-db/vecino/kernels/cpu"
)

// The NEON kernels want at least one element.

func dot(a, b []float32) float32 {
	if cpu.Active() == cpu.NEON && len(a) > 0 {
		return dotNEON(unsafe.SliceData(a), unsafe.SliceData(b), len(a))
	}
	return dotGeneric(a, b)
}

func squaredL2(a, b []float32) float32 {
	if cpu.Active() == cpu.NEON && len(a) > 0 {
		return squaredL2NEON(unsafe.SliceData(a), unsafe.SliceData(b), len(a))
	}
	return squaredL2Generic(a, b)
}

func dotNorms(a, b []float32) (ab, aa, bb float32) {
	if cpu.Active() == cpu.NEON && len(a) > 0 {
		return dotNormsNEON(unsafe.SliceData(a), unsafe.SliceData(b), len(a))
	}
	return dotNormsGeneric(a, b)
}

func scale(v []float32, s float32) {
	if cpu.Active() == cpu.NEON && len(v) > 0 {
		scaleNEON(unsafe.SliceData(v), len(v), s)
		return
	}
	scaleGeneric(v, s)
}

// dotRows has no kernel of its own here: the out-of-order cores that this runs on
// overlap one call's loads with the next one's by themselves.
func dotRows(dst, q, slab []float32, rows []uint32) {
	for i, r := range rows {
		dst[i] = dot(q, row(slab, len(q), r))
	}
}

// squaredL2Rows is as dotRows.
func squaredL2Rows(dst, q, slab []float32, rows []uint32) {
	for i, r := range rows {
		dst[i] = squaredL2(q, row(slab, len(q), r))
	}
}

//go:build !noasm

package i8

import (
	"unsafe"

	"github.com/vecino-db/vecino/kernels/cpu"
)

// avx2Min is the shortest vector that the AVX2 kernels take: they go back over
// the last 16 elements for a tail.
const avx2Min = 16

func dot(a, b []int8) int32 {
	switch cpu.Active() {
	case cpu.AVX512VNNI:
		return dotVNNI(unsafe.SliceData(a), unsafe.SliceData(b), len(a))
	case cpu.AVX512:
		return dotAVX512(unsafe.SliceData(a), unsafe.SliceData(b), len(a))
	case cpu.AVX2:
		if len(a) >= avx2Min {
			return dotAVX2(unsafe.SliceData(a), unsafe.SliceData(b), len(a))
		}
	}
	return dotGeneric(a, b)
}

// dotRows takes fours of rows in assembly and the rest one by one. Its arguments
// have been checked: q and rows aren't empty, and every row lies in the slab.
func dotRows(dst []int32, q, slab []int8, rows []uint32) {
	fours := len(rows) &^ 3
	if fours > 0 {
		switch t := cpu.Active(); {
		case t == cpu.AVX512VNNI:
			dotRowsVNNI(&dst[0], &q[0], &slab[0], &rows[0], len(q), fours)
		case t == cpu.AVX512:
			dotRowsAVX512(&dst[0], &q[0], &slab[0], &rows[0], len(q), fours)
		case t == cpu.AVX2 && len(q) >= avx2Min:
			dotRowsAVX2(&dst[0], &q[0], &slab[0], &rows[0], len(q), fours)
		default:
			fours = 0
		}
	}
	for i := fours; i < len(rows); i++ {
		dst[i] = dot(q, row(slab, len(q), rows[i]))
	}
}

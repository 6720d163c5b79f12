//go:build !noasm

package f32

import (
	"unsafe"

	"github.com/vecino-db/vecino/kernels/cpu"
)

// A switch on one variable is always predicted; a call through a function pointer
// measured the same.

func dot(a, b []float32) float32 {
	switch cpu.Active() {
	case cpu.AVX512, cpu.AVX512VNNI:
		return dotAVX512(unsafe.SliceData(a), unsafe.SliceData(b), len(a))
	case cpu.AVX2:
		return dotAVX2(unsafe.SliceData(a), unsafe.SliceData(b), len(a))
	}
	return dotGeneric(a, b)
}

func squaredL2(a, b []float32) float32 {
	switch cpu.Active() {
	case cpu.AVX512, cpu.AVX512VNNI:
		return squaredL2AVX512(unsafe.SliceData(a), unsafe.SliceData(b), len(a))
	case cpu.AVX2:
		return squaredL2AVX2(unsafe.SliceData(a), unsafe.SliceData(b), len(a))
	}
	return squaredL2Generic(a, b)
}

func dotNorms(a, b []float32) (ab, aa, bb float32) {
	switch cpu.Active() {
	case cpu.AVX512, cpu.AVX512VNNI:
		return dotNormsAVX512(unsafe.SliceData(a), unsafe.SliceData(b), len(a))
	case cpu.AVX2:
		return dotNormsAVX2(unsafe.SliceData(a), unsafe.SliceData(b), len(a))
	}
	return dotNormsGeneric(a, b)
}

func scale(v []float32, s float32) {
	switch cpu.Active() {
	case cpu.AVX512, cpu.AVX512VNNI:
		scaleAVX512(unsafe.SliceData(v), len(v), s)
	case cpu.AVX2:
		scaleAVX2(unsafe.SliceData(v), len(v), s)
	default:
		scaleGeneric(v, s)
	}
}

// dotRows takes fours of rows in assembly and the rest one by one. Its arguments
// have been checked: q and rows aren't empty, and every row lies in the slab.
func dotRows(dst, q, slab []float32, rows []uint32) {
	fours := len(rows) &^ 3
	if fours > 0 {
		switch cpu.Active() {
		case cpu.AVX512, cpu.AVX512VNNI:
			dotRowsAVX512(&dst[0], &q[0], &slab[0], &rows[0], len(q), fours)
		case cpu.AVX2:
			dotRowsAVX2(&dst[0], &q[0], &slab[0], &rows[0], len(q), fours)
		default:
			fours = 0
		}
	}
	for i := fours; i < len(rows); i++ {
		dst[i] = dot(q, row(slab, len(q), rows[i]))
	}
}

// squaredL2Rows is as dotRows.
func squaredL2Rows(dst, q, slab []float32, rows []uint32) {
	fours := len(rows) &^ 3
	if fours > 0 {
		switch cpu.Active() {
		case cpu.AVX512, cpu.AVX512VNNI:
			squaredL2RowsAVX512(&dst[0], &q[0], &slab[0], &rows[0], len(q), fours)
		case cpu.AVX2:
			squaredL2RowsAVX2(&dst[0], &q[0], &slab[0], &rows[0], len(q), fours)
		default:
			fours = 0
		}
	}
	for i := fours; i < len(rows); i++ {
		dst[i] = squaredL2(q, row(slab, len(q), rows[i]))
	}
}

package f32

import "fmt"

// DotRows sets dst[i] to the inner product of q and row rows[i] of slab, for
// every i below len(rows). The slab is row-major, n x len(q). Rows are taken four
// at a time while the coming four are prefetched, so the order of rows may be
// anything. It panics, before anything is written, when dst is shorter than rows
// or when a row lies outside of the slab. With an empty q every result is 0.
func DotRows(dst, q, slab []float32, rows []uint32) {
	if !checkRows("DotRows", dst, q, slab, rows) {
		return
	}
	dotRows(dst[:len(rows)], q, slab, rows)
}

// SquaredL2Rows sets dst[i] to the squared Euclidean distance of q and row
// rows[i] of slab; everything else is as with DotRows.
func SquaredL2Rows(dst, q, slab []float32, rows []uint32) {
	if !checkRows("SquaredL2Rows", dst, q, slab, rows) {
		return
	}
	squaredL2Rows(dst[:len(rows)], q, slab, rows)
}

// checkRows panics on arguments that would reach outside of the slices, and
// reports whether there is anything to compute. The kernels rely on it.
func checkRows(op string, dst, q, slab []float32, rows []uint32) bool {
	if len(dst) < len(rows) {
		panic(fmt.Sprintf("f32: %s of %d rows into a destination of %d", op, len(rows), len(dst)))
	}
	if len(rows) == 0 {
		return false
	}
	if len(q) == 0 {
		clear(dst[:len(rows)])
		return false
	}
	// One comparison for all: the greatest row decides.
	var top uint32
	for _, r := range rows {
		top = max(top, r)
	}
	if n := len(slab) / len(q); uint64(top) >= uint64(n) {
		panic(fmt.Sprintf("f32: %s: row index out of range [%d] with %d rows of %d", op, top, n, len(q)))
	}
	return true
}

// row returns row r of a slab.
func row(slab []float32, dim int, r uint32) []float32 {
	at := int(r) * dim
	return slab[at : at+dim : at+dim]
}

func dotRowsGeneric(dst, q, slab []float32, rows []uint32) {
	for i, r := range rows {
		dst[i] = dotGeneric(q, row(slab, len(q), r))
	}
}

func squaredL2RowsGeneric(dst, q, slab []float32, rows []uint32) {
	for i, r := range rows {
		dst[i] = squaredL2Generic(q, row(slab, len(q), r))
	}
}

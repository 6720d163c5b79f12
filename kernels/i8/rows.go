package i8

import "fmt"

// DotRows sets dst[i] to the inner product of q and row rows[i] of slab, for
// every i below len(rows). The slab is row-major, n x len(q). Rows are taken four
// at a time while the coming four are prefetched, so the order of rows may be
// anything. It panics, before anything is written, when dst is shorter than rows
// or when a row lies outside of the slab. With an empty q every result is 0.
func DotRows(dst []int32, q, slab []int8, rows []uint32) {
	if len(dst) < len(rows) {
		panic(fmt.Sprintf("i8: DotRows of %d rows into a destination of %d", len(rows), len(dst)))
	}
	if len(rows) == 0 {
		return
	}
	if len(q) == 0 {
		clear(dst[:len(rows)])
		return
	}
	// One comparison for all: the greatest row decides. The kernels rely on it.
	var top uint32
	for _, r := range rows {
		top = max(top, r)
	}
	if n := len(slab) / len(q); uint64(top) >= uint64(n) {
		panic(fmt.Sprintf("i8: DotRows: row index out of range [%d] with %d rows of %d", top, n, len(q)))
	}
	dotRows(dst[:len(rows)], q, slab, rows)
}

// row returns row r of a slab.
func row(slab []int8, dim int, r uint32) []int8 {
	at := int(r) * dim
	return slab[at : at+dim : at+dim]
}

func dotRowsGeneric(dst []int32, q, slab []int8, rows []uint32) {
	for i, r := range rows {
		dst[i] = dotGeneric(q, row(slab, len(q), r))
	}
}

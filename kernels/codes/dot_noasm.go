//go:build noasm || !(amd64 || arm64)

package codes

func u8Rows(dst []int32, q []int8, slab []uint8, stride int, rows []uint32, flip uint32) {
	u8RowsGeneric(dst, q, slab, stride, rows, flip)
}

func nibbleRows(dst []int32, q []int8, slab []uint8, stride int, rows []uint32) {
	nibbleRowsGeneric(dst, q, slab, stride, rows)
}

// decodeBlocks has no kernel here.
func decodeBlocks(_, _, _ []uint8, _ []float32, _, _, _ float32) int { return 0 }

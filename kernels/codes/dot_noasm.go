//go:build noasm || !(amd64 || arm64)

package codes

func u8Rows(dst []int32, q []int8, slab []uint8, stride int, rows []uint32, flip uint32) {
	u8RowsGeneric(dst, q, slab, stride, rows, flip)
}

// u8Near has no kernel here.
func u8Near(dst []int32, q []int8, slab []uint8, stride int, rows []uint32, flip uint32) {
	u8Rows(dst, q, slab, stride, rows, flip)
}

func nibbleRows(dst []int32, q []int8, slab []uint8, stride int, rows []uint32) {
	nibbleRowsGeneric(dst, q, slab, stride, rows)
}

func u8Keys(dst []uint32, q []int8, slab []uint8, stride int, rows []uint32, shift int32, factor float32) {
	u8KeysGeneric(dst, q, slab, stride, rows, shift, factor)
}

func nibbleKeys(dst []uint32, q []int8, slab []uint8, stride int, rows []uint32, offset, sum, factor float32) {
	nibbleKeysGeneric(dst, q, slab, stride, rows, offset, sum, factor)
}

func fetch(_ []uint8, _, _ int, _ []uint32) {}

// decodeBlocks has no kernel here.
func decodeBlocks(_, _, _ []uint8, _ []float32, _, _, _ float32) int { return 0 }

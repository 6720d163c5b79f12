//go:build !noasm

package codes

import (
	"unsafe"

	"github.com/vecino-db/vecino/kernels/cpu"
)

func u8Rows(dst []int32, q []int8, slab []uint8, stride int, rows []uint32, flip uint32) {
	if cpu.Active() != cpu.NEON || len(q) == 0 {
		u8RowsGeneric(dst, q, slab, stride, rows, flip)
		return
	}
	for i, r := range rows {
		dst[i] = u8NEON(unsafe.SliceData(q), &slab[int(r)*stride], len(q), flip)
	}
}

func nibbleRows(dst []int32, q []int8, slab []uint8, stride int, rows []uint32) {
	if cpu.Active() != cpu.NEON || len(q) == 0 {
		nibbleRowsGeneric(dst, q, slab, stride, rows)
		return
	}
	for i, r := range rows {
		dst[i] = nibbleNEON(unsafe.SliceData(q), &slab[int(r)*stride], len(q)/2)
	}
}

// decodeBlocks has no kernel here.
func decodeBlocks(_, _, _ []uint8, _ []float32, _, _, _ float32) int { return 0 }

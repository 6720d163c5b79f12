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

// u8Near has no kernel here.
func u8Near(dst []int32, q []int8, slab []uint8, stride int, rows []uint32, flip uint32) {
	u8Rows(dst, q, slab, stride, rows, flip)
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

func u8Keys(dst []uint32, q []int8, slab []uint8, stride int, rows []uint32, shift int32, factor float32) {
	if cpu.Active() != cpu.NEON || len(q) == 0 {
		u8KeysGeneric(dst, q, slab, stride, rows, shift, factor)
		return
	}
	for i, r := range rows {
		dst[i] = u8Key(u8NEON(unsafe.SliceData(q), &slab[int(r)*stride], len(q), 0), shift, factor)
	}
}

func nibbleKeys(dst []uint32, q []int8, slab []uint8, stride int, rows []uint32, offset, sum, factor float32) {
	if cpu.Active() != cpu.NEON || len(q) == 0 {
		nibbleKeysGeneric(dst, q, slab, stride, rows, offset, sum, factor)
		return
	}
	for i, r := range rows {
		code := row(slab, stride, len(q)/2+Trailer, r)
		dst[i] = nibbleKey(nibbleNEON(unsafe.SliceData(q), &code[0], len(q)/2), code[len(q)/2:], offset, sum, factor)
	}
}

func fetch(slab []uint8, stride, size int, rows []uint32) {
	if cpu.Active() != cpu.Generic {
		fetchRows(&slab[0], &rows[0], size, stride, len(rows))
	}
}

// decodeBlocks has no kernel here.
func decodeBlocks(_, _, _ []uint8, _ []float32, _, _, _ float32) int { return 0 }

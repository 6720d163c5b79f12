//go:build !noasm

package codes

import "github.com/vecino-db/vecino/kernels/cpu"

// avx2Min is the shortest row of bytes that the AVX2 kernel takes: it goes back
// over the last 16 for a tail.
const avx2Min = 16

// u8Rows takes fours of rows in assembly; the last one to three are a four that
// names the last of them more than once. Its arguments have been checked.
func u8Rows(dst []int32, q []int8, slab []uint8, stride int, rows []uint32, flip uint32) {
	tier := cpu.Active()
	if len(q) == 0 || tier == cpu.Generic || tier == cpu.AVX2 && len(q) < avx2Min {
		u8RowsGeneric(dst, q, slab, stride, rows, flip)
		return
	}
	call := func(dst *int32, rows *uint32, n int) {
		switch tier {
		case cpu.AVX512VNNI:
			u8RowsVNNI(dst, &q[0], &slab[0], rows, len(q), stride, n, flip)
		case cpu.AVX512:
			u8RowsAVX512(dst, &q[0], &slab[0], rows, len(q), stride, n, flip)
		default:
			u8RowsAVX2(dst, &q[0], &slab[0], rows, len(q), stride, n, flip)
		}
	}
	fours := len(rows) &^ 3
	if fours > 0 {
		call(&dst[0], &rows[0], fours)
	}
	if fours < len(rows) {
		var last [4]int32
		four := pad(rows[fours:])
		call(&last[0], &four[0], 4)
		copy(dst[fours:], last[:])
	}
}

// u8Near is u8Rows of rows in the cache, where there is a kernel for these.
func u8Near(dst []int32, q []int8, slab []uint8, stride int, rows []uint32, flip uint32) {
	fours := 0
	if cpu.Active() == cpu.AVX512VNNI {
		if fours = len(rows) &^ 3; fours > 0 {
			u8NearVNNI(&dst[0], &q[0], &slab[0], &rows[0], len(q), stride, fours, flip)
		}
	}
	if fours < len(rows) {
		u8Rows(dst[fours:], q, slab, stride, rows[fours:], flip)
	}
}

// nibbleRows is u8Rows of 4-bit codes.
func nibbleRows(dst []int32, q []int8, slab []uint8, stride int, rows []uint32) {
	tier := cpu.Active()
	if len(q) == 0 || tier == cpu.Generic {
		nibbleRowsGeneric(dst, q, slab, stride, rows)
		return
	}
	call := func(dst *int32, rows *uint32, n int) {
		switch tier {
		case cpu.AVX512VNNI:
			nibbleRowsVNNI(dst, &q[0], &slab[0], rows, len(q)/2, stride, n)
		case cpu.AVX512:
			nibbleRowsAVX512(dst, &q[0], &slab[0], rows, len(q)/2, stride, n)
		default:
			nibbleRowsAVX2(dst, &q[0], &slab[0], rows, len(q)/2, stride, n)
		}
	}
	fours := len(rows) &^ 3
	if fours > 0 {
		call(&dst[0], &rows[0], fours)
	}
	if fours < len(rows) {
		var last [4]int32
		four := pad(rows[fours:])
		call(&last[0], &four[0], 4)
		copy(dst[fours:], last[:])
	}
}

// u8Keys is u8Rows with keys for results.
func u8Keys(dst []uint32, q []int8, slab []uint8, stride int, rows []uint32, shift int32, factor float32) {
	tier := cpu.Active()
	if len(q) == 0 || tier == cpu.Generic || tier == cpu.AVX2 && len(q) < avx2Min {
		u8KeysGeneric(dst, q, slab, stride, rows, shift, factor)
		return
	}
	call := func(dst *uint32, rows *uint32, n int) {
		switch tier {
		case cpu.AVX512VNNI:
			u8KeysVNNI(dst, &q[0], &slab[0], rows, len(q), stride, n, shift, factor)
		case cpu.AVX512:
			u8KeysAVX512(dst, &q[0], &slab[0], rows, len(q), stride, n, shift, factor)
		default:
			u8KeysAVX2(dst, &q[0], &slab[0], rows, len(q), stride, n, shift, factor)
		}
	}
	fours := len(rows) &^ 3
	if fours > 0 {
		call(&dst[0], &rows[0], fours)
	}
	if fours < len(rows) {
		var last [4]uint32
		four := pad(rows[fours:])
		call(&last[0], &four[0], 4)
		copy(dst[fours:], last[:])
	}
}

// nibbleKeys is nibbleRows with keys for results.
func nibbleKeys(dst []uint32, q []int8, slab []uint8, stride int, rows []uint32, offset, sum, factor float32) {
	tier := cpu.Active()
	if len(q) == 0 || tier == cpu.Generic {
		nibbleKeysGeneric(dst, q, slab, stride, rows, offset, sum, factor)
		return
	}
	call := func(dst *uint32, rows *uint32, n int) {
		switch tier {
		case cpu.AVX512VNNI:
			nibbleKeysVNNI(dst, &q[0], &slab[0], rows, len(q)/2, stride, n, offset, sum, factor)
		case cpu.AVX512:
			nibbleKeysAVX512(dst, &q[0], &slab[0], rows, len(q)/2, stride, n, offset, sum, factor)
		default:
			nibbleKeysAVX2(dst, &q[0], &slab[0], rows, len(q)/2, stride, n, offset, sum, factor)
		}
	}
	fours := len(rows) &^ 3
	if fours > 0 {
		call(&dst[0], &rows[0], fours)
	}
	if fours < len(rows) {
		var last [4]uint32
		four := pad(rows[fours:])
		call(&last[0], &four[0], 4)
		copy(dst[fours:], last[:])
	}
}

func fetch(slab []uint8, stride, size int, rows []uint32) {
	if cpu.Active() != cpu.Generic {
		fetchRows(&slab[0], &rows[0], size, stride, len(rows))
	}
}

// decodeBlocks decodes whole blocks and gives their number.
func decodeBlocks(dst, code, fine []uint8, origin []float32, bound, step, fineStep float32) int {
	blocks := len(dst) / Block
	if blocks == 0 {
		return 0
	}
	switch cpu.Active() {
	case cpu.AVX512VNNI, cpu.AVX512:
		decodeAVX512(&dst[0], &code[0], &fine[0], &origin[0], blocks, bound, step, fineStep)
	case cpu.AVX2:
		decodeAVX2(&dst[0], &code[0], &fine[0], &origin[0], blocks, bound, step, fineStep)
	default:
		return 0
	}
	return blocks
}

// pad makes four rows of one to three.
func pad(rows []uint32) (four [4]uint32) {
	n := copy(four[:], rows)
	for i := n; i < 4; i++ {
		four[i] = four[n-1]
	}
	return four
}

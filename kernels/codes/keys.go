package codes

import (
	"encoding/binary"
	"math"
)

// Trailer is the bytes behind a row of 4-bit codes that NibbleKeys reads: bound
// and step, float32, little-endian.
const Trailer = 8

// Key is that of a score: ascending as scores descend. Not for NaN.
func Key(score float32) uint32 {
	b := math.Float32bits(score)
	return b ^ ^uint32(int32(b)>>31)&(1<<31-1)
}

// DotKeys is DotRows whose results are keys of scores:
//
//	dst[i] = Key(factor * (q.row - shift))
//
// The difference is an int32, which is rounded to float32 before it is
// multiplied.
func DotKeys(dst []uint32, q []int8, slab []uint8, stride int, rows []uint32, shift int32, factor float32) {
	if check("DotKeys", len(dst), len(q), len(slab), stride, rows) {
		u8Keys(dst[:len(rows)], q, slab, stride, rows, shift, factor)
		return
	}
	for i := range rows {
		dst[i] = u8Key(0, shift, factor)
	}
}

// NibbleKeys is NibbleRows whose results are keys of scores, by the bound and the
// step behind the codes of each row:
//
//	dst[i] = Key(offset + (bound*sum + step*(factor*q.row)))
//
// Every product and sum is rounded to float32. With an empty q every score is
// offset + bound*sum.
func NibbleKeys(dst []uint32, q []int8, slab []uint8, stride int, rows []uint32, offset, sum, factor float32) {
	checkBlocks("NibbleKeys", q)
	if check("NibbleKeys", len(dst), len(q)/2+Trailer, len(slab), stride, rows) {
		nibbleKeys(dst[:len(rows)], q, slab, stride, rows, offset, sum, factor)
	}
}

func u8Key(dot, shift int32, factor float32) uint32 {
	return Key(float32(factor * float32(dot-shift)))
}

func nibbleKey(dot int32, trailer []uint8, offset, sum, factor float32) uint32 {
	bound := math.Float32frombits(binary.LittleEndian.Uint32(trailer))
	step := math.Float32frombits(binary.LittleEndian.Uint32(trailer[4:]))
	// Each conversion rounds: no sum may be fused with its product.
	x := float32(step * float32(factor*float32(dot)))
	return Key(float32(offset + float32(float32(bound*sum)+x)))
}

// u8KeysGeneric is the reference.
func u8KeysGeneric(dst []uint32, q []int8, slab []uint8, stride int, rows []uint32, shift int32, factor float32) {
	for i, r := range rows {
		dst[i] = u8Key(u8Generic(q, row(slab, stride, len(q), r), 0), shift, factor)
	}
}

// nibbleKeysGeneric is the reference.
func nibbleKeysGeneric(dst []uint32, q []int8, slab []uint8, stride int, rows []uint32, offset, sum, factor float32) {
	for i, r := range rows {
		code := row(slab, stride, len(q)/2+Trailer, r)
		dst[i] = nibbleKey(nibbleGeneric(q, code), code[len(q)/2:], offset, sum, factor)
	}
}

package codes

import (
	"fmt"
	"math"
)

// DecodeNibbles makes a row of 8-bit codes of one of 4-bit codes and its fine
// layer: dst[i] is 128 + the integer nearest to
//
//	origin[i] + bound + step*code[i] + fineStep*fine[i]
//
// kept within 1..255. dst, fine and origin have one length; code holds the
// blocks of so many dimensions. Numbers are finite.
func DecodeNibbles(dst, code, fine []uint8, origin []float32, bound, step, fineStep float32) {
	if n := (len(dst) + Block - 1) / Block * Block / 2; len(fine) != len(dst) || len(origin) != len(dst) || len(code) < n {
		panic(fmt.Sprintf("codes: DecodeNibbles of %d bytes, %d of the fine layer and an origin of %d into %d", len(code), len(fine), len(origin), len(dst)))
	}
	decodeGeneric(dst, code, fine, origin, bound, step, fineStep, decodeBlocks(dst, code, fine, origin, bound, step, fineStep)*Block)
}

// decodeGeneric is the reference, from dimension from on, the first of a block.
func decodeGeneric(dst, code, fine []uint8, origin []float32, bound, step, fineStep float32, from int) {
	for i := from; i < len(dst); i++ {
		nibble := code[i>>7<<6|i&63] >> (i >> 4 & 4) & 15
		// Each conversion rounds: no sum may be fused with its product.
		x := float32(float32(origin[i]+bound) + float32(step*float32(nibble)))
		x = float32(x + float32(fineStep*float32(fine[i])))
		x = max(min(x, 127), -127)
		// Adding 3 * 2^22 leaves the nearest integer, ties to even, in the low bits.
		dst[i] = uint8(math.Float32bits(float32(x+(3<<22)))) ^ 0x80
	}
}

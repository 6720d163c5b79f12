package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// gemmPack writes gemm/pack_amd64.s: the transposition of 8 x 8 blocks, which
// packs rows of a matrix as columns of a panel.
func gemmPack(g *amd64) {
	g.bits = 256
	g.fn("transposeAVX2", "func(dst *float32, width int, src *float32, stride int, blocks int)",
		"sets 8 columns at dst, of row stride width, to 8 rows of 8*blocks floats at src, of row stride stride.")
	dst, width, src, stride, blocks := g.load("dst"), g.load("width"), g.load("src"), g.load("stride"), g.load("blocks")
	g.SHLQ(operand.Imm(2), width)
	g.SHLQ(operand.Imm(2), stride)
	from, to := g.matrixRows(src, stride, 8), g.matrixRows(dst, width, 8)
	g.Label("loop")
	pair := func(f func(a, b operand.Op, d operand.Op), a, b operand.Op) reg.VecVirtual {
		d := g.vec()
		f(b, a, d)
		return d
	}
	low := func(m, a, d operand.Op) { g.VUNPCKLPS(m, a, d) }
	high := func(m, a, d operand.Op) { g.VUNPCKHPS(m, a, d) }
	low2 := func(m, a, d operand.Op) { g.VUNPCKLPD(m, a, d) }
	high2 := func(m, a, d operand.Op) { g.VUNPCKHPD(m, a, d) }
	// Elements 0..3 and 4..7 of four rows each, by lanes.
	var fours [2][4]reg.VecVirtual
	for half := range fours {
		var t [4]reg.VecVirtual
		for i := range 2 {
			row := g.vec()
			g.VMOVUPS(from.at(4*half+2*i, 0), row)
			t[2*i] = pair(low, row, from.at(4*half+2*i+1, 0))
			t[2*i+1] = pair(high, row, from.at(4*half+2*i+1, 0))
		}
		fours[half] = [4]reg.VecVirtual{pair(low2, t[0], t[2]), pair(high2, t[0], t[2]), pair(low2, t[1], t[3]), pair(high2, t[1], t[3])}
	}
	for i := range 4 {
		for lane, choice := range []uint64{0x20, 0x31} {
			d := g.vec()
			g.VPERM2F128(operand.Imm(choice), fours[1][i], fours[0][i], d)
			g.VMOVUPS(d, to.at(4*lane+i, 0))
		}
	}
	for _, base := range from.base {
		g.ADDQ(operand.Imm(32), base)
	}
	for _, base := range to.base {
		g.LEAQ(operand.Mem{Base: base, Index: width, Scale: 8}, base)
	}
	g.DECQ(blocks)
	g.JNZ(operand.LabelRef("loop"))
	g.ret()
}

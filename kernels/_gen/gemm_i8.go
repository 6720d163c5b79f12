package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// gemmI8 writes gemm/igemm_amd64.s: the tiles of integers, and what comes before
// and after them.
func gemmI8(g *amd64) {
	g.maskTable()
	m := &mapper{amd64: g, constants: map[uint32]operand.Mem{}}
	g.bits = 256
	for _, rows := range []int{6, 4, 2, 1} {
		integerTile(g, rows)
	}
	m.absMax()
	m.quantizeWords()
	g.bits = 512
	for _, rows := range []int{12, 8, 4, 2, 1} {
		integerTile(g, rows)
	}
	m.absMax()
	m.quantizeBytes()
}

// integerTile is gemmTile for integers that become floats in the end, in steps of four bytes of a row of a: four
// unsigned bytes with VNNI, and two 16-bit numbers with AVX2, whose panels are
// sign-extended on the way (exact, where VPMADDUBSW would saturate).
func integerTile(g *amd64, rows int) {
	w := g.width()
	name, what := fmt.Sprintf("integerTile%dx%dAVX2", rows, w/2), "2 int16"
	panel := w // bytes of a panel that a step takes
	if g.bits == 512 {
		name, what = fmt.Sprintf("integerTile%dx%dVNNI", rows, w/2), "4 uint8"
		panel = 2 * w
	}
	g.fn(name, "func(a *byte, lda int, b *int8, c *float32, ldc int, steps int, s *float32, offsets *int32, scales *float32, d *float32, ldd int)",
		fmt.Sprintf("sets a %d x %d tile at c, of row stride ldc, to (offsets + p) * s * scales, p being the product of %d rows of steps times %s at a, lda bytes apart, and a panel at b; s is by row, offsets and scales are by column. The tile at d, of row stride ldd, is added unless d is nil.", rows, w/2, rows, what))
	a, lda, b, steps := g.load("a"), g.load("lda"), g.load("b"), g.load("steps")
	am := g.matrixRows(a, lda, rows)
	offsets := g.load("offsets")
	acc := make([]reg.VecVirtual, 2*rows)
	for i := range acc {
		acc[i] = g.vec()
		if i < 2 {
			g.VMOVUPS(mem(offsets, i*w), acc[i])
		} else {
			g.VMOVAPS(acc[i%2], acc[i])
		}
	}
	const unroll = 4
	for _, l := range []struct {
		label string
		steps int
	}{{"blocks", unroll}, {"singles", 1}} {
		g.SUBQ(operand.Imm(uint64(l.steps)), steps)
		g.JLT(operand.LabelRef("after_" + l.label))
		g.Label(l.label)
		for u := range l.steps {
			b0, b1 := g.vec(), g.vec()
			if g.bits == 512 {
				g.VMOVDQU32(mem(b, panel*u), b0)
				g.VMOVDQU32(mem(b, panel*u+panel/2), b1)
				g.prefetchPanel(b, panel*u)
			} else {
				g.VPMOVSXBW(mem(b, panel*u), b0)
				g.VPMOVSXBW(mem(b, panel*u+panel/2), b1)
			}
			for r := range rows {
				x := g.vec()
				g.VPBROADCASTD(am.at(r, 4*u), x)
				if g.bits == 512 {
					g.VPDPBUSD(b0, x, acc[2*r])
					g.VPDPBUSD(b1, x, acc[2*r+1])
					continue
				}
				t := g.vec()
				g.VPMADDWD(b0, x, t)
				g.VPADDD(t, acc[2*r], acc[2*r])
				g.VPMADDWD(b1, x, x)
				g.VPADDD(x, acc[2*r+1], acc[2*r+1])
			}
		}
		for _, base := range am.base {
			g.ADDQ(operand.Imm(uint64(4*l.steps)), base)
		}
		g.ADDQ(operand.U32(uint64(panel*l.steps)), b)
		g.SUBQ(operand.Imm(uint64(l.steps)), steps)
		g.JGE(operand.LabelRef(l.label))
		g.Label("after_" + l.label)
		g.ADDQ(operand.Imm(uint64(l.steps)), steps)
	}
	s, scales := g.load("s"), g.load("scales")
	for r := range rows {
		scale := g.vec()
		g.VBROADCASTSS(mem(s, 4*r), scale)
		for half := range 2 {
			x := acc[2*r+half]
			g.VCVTDQ2PS(x, x)
			g.VMULPS(scale, x, x)
			g.VMULPS(mem(scales, half*w), x, x)
		}
	}
	g.finishTile(acc, rows)
}

// absMax compares magnitudes as integers, where NaN is above infinity and that
// above every number.
func (g *mapper) absMax() {
	g.fn("absMax"+g.tier(), "func(v *float32, n int) (ret uint32)", "returns the bits of the greatest magnitude of n floats at v; any NaN is the greatest.")
	v, n := g.load("v"), g.load("n")
	top := g.zeros(1)[0]

	g.over([]reg.GPVirtual{v}, n, func(load func(int) reg.VecVirtual, _ func(int, reg.VecVirtual), _ *laneMask) {
		x := load(0)
		if g.bits == 512 {
			g.VPANDD_BCST(g.constantBits(0x7fffffff), x, x)
		} else {
			g.VPAND(g.constantBits(0x7fffffff), x, x)
		}
		g.VPMAXSD(x, top, top)
	})
	y := reg.VecVirtual(top)
	if g.bits == 512 {
		hi := g.YMM()
		g.VEXTRACTI64X4(operand.Imm(1), top, hi)
		g.VPMAXSD(hi, top.AsY(), hi)
		y = hi
	}
	x, t := g.XMM(), g.XMM()
	g.VEXTRACTI128(operand.Imm(1), y, x)
	g.VPMAXSD(y.AsX(), x, x)
	g.VPSHUFD(operand.U8(0b01001110), x, t)
	g.VPMAXSD(t, x, x)
	g.VPSHUFD(operand.U8(0b10110001), x, t)
	g.VPMAXSD(t, x, x)
	g.result(0, x)
	g.ret()
}

// quantizeWords is for AVX2, quantizeBytes for AVX-512: whole vectors only.
func (g *mapper) quantizeWords() {
	g.fn("quantizeWordsAVX2", "func(dst *int16, v *float32, n int, s float32)", "sets dst to n floats at v times s, rounded to even; n is a multiple of 8.")
	dst, v, n, s := g.load("dst"), g.load("v"), g.load("n"), g.param("s")
	g.Label("loop")
	g.SUBQ(operand.Imm(8), n)
	g.JLT(operand.LabelRef("done"))
	x, hi := g.YMM(), g.XMM()
	g.VMULPS(mem(v, 0), s, x)
	g.VCVTPS2DQ(x, x)
	g.VEXTRACTI128(operand.Imm(1), x, hi)
	g.VPACKSSDW(hi, x.AsX(), hi)
	g.VMOVDQU(hi, mem(dst, 0))
	g.ADDQ(operand.Imm(16), dst)
	g.ADDQ(operand.Imm(32), v)
	g.JMP(operand.LabelRef("loop"))
	g.Label("done")
	g.ret()
}

func (g *mapper) quantizeBytes() {
	g.fn("quantizeBytesAVX512", "func(dst *uint8, v *float32, n int, s float32)", "sets dst to 128 plus n floats at v times s, rounded to even; n is a multiple of 16.")
	dst, v, n, s := g.load("dst"), g.load("v"), g.load("n"), g.param("s")
	g.Label("loop")
	g.SUBQ(operand.Imm(16), n)
	g.JLT(operand.LabelRef("done"))
	x := g.ZMM()
	g.VMULPS(mem(v, 0), s, x)
	g.VCVTPS2DQ(x, x)
	g.VPADDD_BCST(g.constantBits(128), x, x)
	g.VPMOVDB(x, mem(dst, 0))
	g.ADDQ(operand.Imm(16), dst)
	g.ADDQ(operand.Imm(64), v)
	g.JMP(operand.LabelRef("loop"))
	g.Label("done")
	g.ret()
}

package main

import (
	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// i8Dots writes i8/dot_amd64.s.
func i8Dots(g *amd64) {
	words := g.wordTable()
	g.bits = 256
	i8Dot(g, widening{words: words})
	i8Rows(g, widening{words: words})
	g.bits = 512
	i8Dot(g, widening{})
	i8Rows(g, widening{})
	i8DotVNNI(g)
	i8RowsVNNI(g)
}

// wordTable is 16 zeros and 16 ones of 16-bit lanes.
func (g *amd64) wordTable() operand.Mem {
	m := g.StaticGlobal("wordMasks")
	g.DataAttributes(attr.RODATA | attr.NOPTR)
	for i := range 16 {
		v := uint32(0)
		if i >= 8 {
			v = 0xffffffff
		}
		g.AddDatum(4*i, operand.U32(v))
	}
	return m
}

// widening is the arithmetic of the tiers without VNNI: bytes are sign-extended
// to 16 bits, VPMADDWD multiplies them and adds neighbours in 32 bits. That is
// exact: the greatest sum is 2 * 128 * 128.
type widening struct {
	words operand.Mem // of AVX2: wordTable
}

// extend loads a step's bytes, half a vector, as 16-bit lanes.
func (widening) extend(g *amd64, m operand.Mem) reg.VecVirtual {
	v := g.vec()
	g.VPMOVSXBW(m, v)
	return v
}

func (widening) madd(g *amd64, x, y, acc reg.VecVirtual) {
	t := g.vec()
	g.VPMADDWD(x, y, t)
	g.VPADDD(t, acc, acc)
}

// byteMask returns a mask register of n ones, n below 64.
func (g *amd64) byteMask(n reg.GPVirtual) reg.OpmaskVirtual {
	g.MOVQ(n, reg.RCX)
	one := g.GP64()
	g.MOVQ(operand.U32(1), one)
	g.SHLQ(reg.CL, one)
	g.DECQ(one)
	k := g.K()
	g.KMOVQ(one, k)
	return k
}

// extendTail gives functions that load the last n elements at base+at, fewer
// than a step. AVX-512 masks the bytes. AVX2 can't, so it goes back and takes the
// last 16 elements, of which those that were taken already are cleared on one
// side; callers have at least 16.
func (w widening) extendTail(g *amd64, at, n reg.GPVirtual) (q, row func(base reg.Register) reg.VecVirtual) {
	if g.bits == 512 {
		k := g.byteMask(n)
		load := func(base reg.Register) reg.VecVirtual {
			y, v := g.YMM(), g.ZMM()
			g.VMOVDQU8_Z(indexed(base, at, 0), k, y)
			g.VPMOVSXBW(y, v)
			return v
		}
		return load, load
	}
	table, mask := g.GP64(), g.YMM()
	g.LEAQ(w.words, table)
	g.VMOVDQU(operand.Mem{Base: table, Index: n, Scale: 2}, mask)
	g.ADDQ(n, at)
	row = func(base reg.Register) reg.VecVirtual { return w.extend(g, indexed(base, at, -16)) }
	q = func(base reg.Register) reg.VecVirtual {
		v := row(base)
		g.VPAND(mask, v, v)
		return v
	}
	return q, row
}

const i8Signature = "func(a, b *int8, n int) (ret int32)"

func i8Dot(g *amd64, w widening) {
	doc := "returns the inner product of n bytes at a and b."
	if g.bits == 256 {
		doc = "returns the inner product of n bytes at a and b; n is at least 16."
	}
	g.fn("dot"+g.tier(), i8Signature, doc)
	a, b, n := g.load("a"), g.load("b"), g.load("n")
	const unroll = 4
	acc := g.zeros(unroll)
	bytes := g.width() / 2
	at := g.GP64()
	g.XORQ(at, at)
	for _, l := range []struct {
		label string
		steps int
	}{{"blocks", unroll}, {"singles", 1}} {
		g.Label(l.label)
		g.CMPQ(n, operand.U32(uint64(bytes*l.steps)))
		g.JL(operand.LabelRef("after_" + l.label))
		for u := range l.steps {
			x := w.extend(g, indexed(a, at, u*bytes))
			w.madd(g, x, w.extend(g, indexed(b, at, u*bytes)), acc[u])
		}
		g.ADDQ(operand.U32(uint64(bytes*l.steps)), at)
		g.SUBQ(operand.U32(uint64(bytes*l.steps)), n)
		g.JMP(operand.LabelRef(l.label))
		g.Label("after_" + l.label)
	}
	g.TESTQ(n, n)
	g.JZ(operand.LabelRef("reduce"))
	left, right := w.extendTail(g, at, n)
	x := left(a)
	w.madd(g, x, right(b), acc[0])
	g.Label("reduce")
	g.VPADDD(acc[1], acc[0], acc[0])
	g.VPADDD(acc[3], acc[2], acc[2])
	g.VPADDD(acc[2], acc[0], acc[0])
	g.result(0, g.sumLanes(acc[0], true))
	g.ret()
}

const (
	i8RowsSignature = "func(dst *int32, q, slab *int8, rows *uint32, dim, n int)"
	i8RowsDoc       = "sets dst[i] to q.row(rows[i]) for i < n; n is a positive multiple of 4, dim is positive."
)

func i8Rows(g *amd64, w widening) {
	doc := i8RowsDoc
	if g.bits == 256 {
		doc = "sets dst[i] to q.row(rows[i]) for i < n; n is a positive multiple of 4, dim is at least 16."
	}
	rows{
		name:      "dotRows" + g.tier(),
		signature: i8RowsSignature,
		doc:       doc,
		elem:      1,
		width:     g.width() / 2,
		unroll:    2,
		load:      func(m operand.Mem) reg.VecVirtual { return w.extend(g, m) },
		step: func(x reg.VecVirtual, m operand.Mem, acc reg.VecVirtual) {
			w.madd(g, x, w.extend(g, m), acc)
		},
		tail: func(q reg.Register, row [4]reg.GPVirtual, at, left reg.GPVirtual, acc []reg.VecVirtual) {
			fromQ, fromRow := w.extendTail(g, at, left)
			x := fromQ(q)
			for r := range row {
				w.madd(g, x, fromRow(row[r]), acc[r])
			}
		},
		finish: func(acc []reg.VecVirtual) reg.VecVirtual {
			for r := range 4 {
				g.VPADDD(acc[4+r], acc[r], acc[r])
			}
			return g.sumFour(acc[:4], true)
		},
	}.write(g)
}

// offset returns a register of bytes 0x80.
func (g *amd64) offset() reg.VecVirtual {
	r, v := g.GP32(), g.ZMM()
	g.MOVL(operand.U32(0x80808080), r)
	g.VPBROADCASTD(r, v)
	return v
}

// i8DotVNNI writes the VNNI form. VPDPBUSD multiplies unsigned by signed bytes,
// so a goes in with 128 added (its top bit flipped), and what that adds,
// 128 * sum(b), is summed beside it and taken away at the end. All sums wrap
// alike, so the result is exact modulo 2^32.
func i8DotVNNI(g *amd64) {
	g.fn("dotVNNI", i8Signature, "returns the inner product of n bytes at a and b.")
	a, b, n := g.load("a"), g.load("b"), g.load("n")
	flip := g.offset()
	acc := g.zeros(4) // products and corrections, of two steps
	step := func(x reg.VecVirtual, y operand.Op, u int) {
		g.VPXORD(flip, x, x)
		g.VPDPBUSD(y, x, acc[2*u])
		g.VPDPBUSD(y, flip, acc[2*u+1])
	}
	for _, l := range []struct {
		label string
		steps int
	}{{"blocks", 2}, {"singles", 1}} {
		g.Label(l.label)
		g.CMPQ(n, operand.U32(uint64(64*l.steps)))
		g.JL(operand.LabelRef("after_" + l.label))
		for u := range l.steps {
			x, y := g.ZMM(), g.ZMM()
			g.VMOVDQU32(mem(a, 64*u), x)
			g.VMOVDQU32(mem(b, 64*u), y)
			step(x, y, u)
		}
		g.ADDQ(operand.U32(uint64(64*l.steps)), a)
		g.ADDQ(operand.U32(uint64(64*l.steps)), b)
		g.SUBQ(operand.U32(uint64(64*l.steps)), n)
		g.JMP(operand.LabelRef(l.label))
		g.Label("after_" + l.label)
	}
	g.TESTQ(n, n)
	g.JZ(operand.LabelRef("reduce"))
	k := g.byteMask(n)
	x, y := g.ZMM(), g.ZMM()
	g.VMOVDQU8_Z(mem(a, 0), k, x)
	g.VMOVDQU8_Z(mem(b, 0), k, y)
	step(x, y, 0)
	g.Label("reduce")
	g.VPADDD(acc[2], acc[0], acc[0])
	g.VPADDD(acc[3], acc[1], acc[1])
	g.VPSUBD(acc[1], acc[0], acc[0])
	g.result(0, g.sumLanes(acc[0], true))
	g.ret()
}

// i8RowsVNNI has the offset on the side of the rows, so that the correction,
// 128 * sum(q), is one number for all of them.
func i8RowsVNNI(g *amd64) {
	var flip, correction reg.VecVirtual
	rows{
		name:      "dotRowsVNNI",
		signature: i8RowsSignature,
		doc:       i8RowsDoc,
		elem:      1,
		width:     64,
		unroll:    2,
		prologue: func(dim reg.GPVirtual) {
			flip = g.offset()
			sum := g.zeros(1)[0]
			q, n := g.load("q"), g.GP64()
			g.MOVQ(dim, n)
			g.Label("sum")
			g.SUBQ(operand.Imm(64), n)
			g.JLT(operand.LabelRef("after_sum"))
			g.VPDPBUSD(mem(q, 0), flip, sum)
			g.ADDQ(operand.Imm(64), q)
			g.JMP(operand.LabelRef("sum"))
			g.Label("after_sum")
			g.ADDQ(operand.Imm(64), n)
			k := g.byteMask(n)
			y := g.ZMM()
			g.VMOVDQU8_Z(mem(q, 0), k, y)
			g.VPDPBUSD(y, flip, sum)
			correction = g.XMM()
			g.VPBROADCASTD(g.sumLanes(sum, true), correction)
		},
		load: func(m operand.Mem) reg.VecVirtual {
			x := g.ZMM()
			g.VMOVDQU32(m, x)
			return x
		},
		step: func(x reg.VecVirtual, m operand.Mem, acc reg.VecVirtual) {
			t := g.ZMM()
			g.VPXORD(m, flip, t)
			g.VPDPBUSD(x, t, acc)
		},
		tail: func(q reg.Register, row [4]reg.GPVirtual, at, left reg.GPVirtual, acc []reg.VecVirtual) {
			k := g.byteMask(left)
			x := g.ZMM()
			g.VMOVDQU8_Z(indexed(q, at, 0), k, x)
			for r := range row {
				t := g.ZMM()
				g.VMOVDQU8_Z(indexed(row[r], at, 0), k, t)
				g.VPXORD(flip, t, t)
				g.VPDPBUSD(x, t, acc[r])
			}
		},
		finish: func(acc []reg.VecVirtual) reg.VecVirtual {
			for r := range 4 {
				g.VPADDD(acc[4+r], acc[r], acc[r])
			}
			x := g.sumFour(acc[:4], true)
			g.VPSUBD(correction, x, x)
			return x
		},
	}.write(g)
}

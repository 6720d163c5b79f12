package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const gemmSignature = "func(a *float32, lda int, b *float32, c *float32, ldc int, k int, d *float32, ldd int)"

func gemmDoc(rows, cols int) string {
	return fmt.Sprintf("sets a %d x %d tile at c, of row stride ldc, to the product of %d rows of k floats at a, of row stride lda, and a panel of k x %d at b, plus the tile at d, of row stride ldd, unless d is nil.", rows, cols, rows, cols)
}

// gemmF32 writes gemm/sgemm_amd64.s: tiles as large as the registers allow, and
// the smaller ones for what is left of the rows.
func gemmF32(g *amd64) {
	g.bits = 256
	for _, rows := range []int{6, 4, 2, 1} {
		gemmTile(g, rows)
	}
	g.bits = 512
	for _, rows := range []int{12, 8, 4, 2, 1} {
		gemmTile(g, rows)
	}
}

// matrixRows addresses up to 12 rows with a base register for every four: the
// rows of a group lie 0, 1, 2 and 3 strides from its base.
type matrixRows struct {
	base            []reg.GPVirtual
	stride, stride3 reg.GPVirtual
}

// matrixRows takes over first and stride, which is in bytes.
func (g *amd64) matrixRows(first, stride reg.GPVirtual, rows int) matrixRows {
	m := matrixRows{stride: stride, base: []reg.GPVirtual{first}}
	if rows > 3 {
		m.stride3 = g.GP64()
		g.LEAQ(operand.Mem{Base: stride, Index: stride, Scale: 2}, m.stride3)
	}
	for r := 4; r < rows; r += 4 {
		next := g.GP64()
		g.LEAQ(operand.Mem{Base: m.base[len(m.base)-1], Index: stride, Scale: 4}, next)
		m.base = append(m.base, next)
	}
	return m
}

func (m matrixRows) at(r, disp int) operand.Mem {
	a := operand.Mem{Base: m.base[r/4], Disp: disp}
	switch r % 4 {
	case 1, 2:
		a.Index, a.Scale = m.stride, uint8(r%4)
	case 3:
		a.Index, a.Scale = m.stride3, 1
	}
	return a
}

// gemmTile writes one micro-kernel, two vectors wide. All of the tile stays in
// registers; of each step two loads bring the panel's row and one broadcast for
// every row brings its element of a.
func gemmTile(g *amd64, rows int) {
	w := g.width()
	cols := w / 2 // floats of two vectors
	g.fn(fmt.Sprintf("tile%dx%d%s", rows, cols, g.tier()), gemmSignature, gemmDoc(rows, cols))
	a, lda, b, k := g.load("a"), g.load("lda"), g.load("b"), g.load("k")
	g.SHLQ(operand.Imm(2), lda)
	am := g.matrixRows(a, lda, rows)
	acc := g.zeros(2 * rows)

	const unroll = 4
	for _, l := range []struct {
		label string
		steps int
	}{{"blocks", unroll}, {"singles", 1}} {
		g.SUBQ(operand.Imm(uint64(l.steps)), k)
		g.JLT(operand.LabelRef("after_" + l.label))
		g.Label(l.label)
		for u := range l.steps {
			b0, b1 := g.vec(), g.vec()
			g.VMOVUPS(mem(b, 2*w*u), b0)
			g.VMOVUPS(mem(b, 2*w*u+w), b1)
			g.prefetchPanel(b, 2*w*u)
			for r := range rows {
				x := g.vec()
				g.VBROADCASTSS(am.at(r, 4*u), x)
				g.VFMADD231PS(b0, x, acc[2*r])
				g.VFMADD231PS(b1, x, acc[2*r+1])
			}
		}
		for _, base := range am.base {
			g.ADDQ(operand.Imm(uint64(4*l.steps)), base)
		}
		g.ADDQ(operand.U32(uint64(2*w*l.steps)), b)
		g.SUBQ(operand.Imm(uint64(l.steps)), k)
		g.JGE(operand.LabelRef(l.label))
		g.Label("after_" + l.label)
		g.ADDQ(operand.Imm(uint64(l.steps)), k)
	}

	g.finishTile(acc, rows)
}

// prefetchPanel asks for the two cache lines of a panel that come four steps
// later, where a step takes two: panels come from the second-level cache, and the
// processor's own prefetcher is late at the begin of each.
func (g *amd64) prefetchPanel(b reg.GPVirtual, disp int) {
	if g.bits == 512 {
		g.PREFETCHT0(mem(b, disp+512))
		g.PREFETCHT0(mem(b, disp+512+64))
	}
}

// finishTile adds the tile at d to that in the registers, stores it at c and
// returns.
func (g *amd64) finishTile(acc []reg.VecVirtual, rows int) {
	w := g.width()
	d, ldd := g.load("d"), g.load("ldd")
	g.TESTQ(d, d)
	g.JZ(operand.LabelRef("store"))
	g.SHLQ(operand.Imm(2), ldd)
	dm := g.matrixRows(d, ldd, rows)
	for r := range rows {
		g.VADDPS(dm.at(r, 0), acc[2*r], acc[2*r])
		g.VADDPS(dm.at(r, w), acc[2*r+1], acc[2*r+1])
	}
	g.Label("store")
	c, ldc := g.load("c"), g.load("ldc")
	g.SHLQ(operand.Imm(2), ldc)
	cm := g.matrixRows(c, ldc, rows)
	for r := range rows {
		g.VMOVUPS(acc[2*r], cm.at(r, 0))
		g.VMOVUPS(acc[2*r+1], cm.at(r, w))
	}
	g.ret()
}

// peak writes kerneltest/peak_amd64.s: multiply-adds between registers alone, in
// as many chains as hide their latency, which is the ceiling of any kernel.
func peak(g *amd64) {
	for _, g.bits = range []int{256, 512} {
		g.fn("fma"+g.tier(), "func(n int)", fmt.Sprintf("runs n times 12 multiply-adds of %d floats.", g.bits/32))
		n := g.load("n")
		acc := g.zeros(12)
		x := g.vec()
		g.clear(x)
		g.Label("loop")
		for _, a := range acc {
			g.VFMADD231PS(x, x, a)
		}
		g.DECQ(n)
		g.JNZ(operand.LabelRef("loop"))
		g.ret()
	}
	g.fn("dotBytesVNNI", "func(n int)", "runs n times 12 VPDPBUSD of 64 bytes.")
	n := g.load("n")
	acc := g.zeros(12)
	x := g.vec()
	g.clear(x)
	g.Label("loop")
	for _, a := range acc {
		g.VPDPBUSD(x, x, a)
	}
	g.DECQ(n)
	g.JNZ(operand.LabelRef("loop"))
	g.ret()
}

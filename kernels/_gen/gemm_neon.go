package main

import "fmt"

// fmaElement is d += n * m[i] for the 32-bit element i of m.
func (g *neon) fmaElement(m, i, n, d int) {
	g.word(0x4f801000|uint32(i&1)<<21|uint32(i>>1)<<11, m, n, d, fmt.Sprintf("FMLA V%d.4S, V%d.4S, V%d.S[%d]", d, n, m, i))
}

// gemmNEON writes gemm/sgemm_arm64.s: tiles of 8 x 8 and, for what is left of the
// rows, of 4, 2 and 1. Registers: R4..R11 the rows of a, R1 the panel, R2 the
// count, V0..V15 the tile, V16..V23 four elements of each row, V24 and V25 a row
// of the panel.
func gemmNEON(g *neon) {
	for _, rows := range []int{8, 4, 2, 1} {
		gemmTileNEON(g, rows)
	}
}

func gemmTileNEON(g *neon, rows int) {
	g.fn(fmt.Sprintf("tile%dx8NEON", rows), gemmSignature[len("func"):], 64, gemmDoc(rows, 8))
	g.op("MOVD a+0(FP), R4")
	g.op("MOVD lda+8(FP), R3")
	g.op("MOVD b+16(FP), R1")
	g.op("MOVD k+40(FP), R2")
	g.op("LSL $2, R3, R3")
	for r := 1; r < rows; r++ {
		g.op("ADD R3, R%d, R%d", 3+r, 4+r)
	}
	for v := range 2 * rows {
		g.zero(v)
	}
	for _, l := range []struct {
		label string
		steps int
	}{{"blocks", 4}, {"singles", 1}} {
		g.op("SUBS $%d, R2, R2", l.steps)
		g.op("BLT after_%s", l.label)
		g.label(l.label)
		for r := range rows {
			if l.steps == 4 {
				g.ld1(4+r, 16+r, 1)
			} else {
				g.op("FMOVS.P 4(R%d), F%d", 4+r, 16+r)
			}
		}
		for u := range l.steps {
			g.ld1(1, 24, 2)
			for r := range rows {
				g.fmaElement(16+r, u, 24, 2*r)
				g.fmaElement(16+r, u, 25, 2*r+1)
			}
		}
		g.op("SUBS $%d, R2, R2", l.steps)
		g.op("BGE %s", l.label)
		g.label("after_" + l.label)
		g.op("ADD $%d, R2, R2", l.steps)
	}
	g.op("MOVD c+24(FP), R0")
	g.op("MOVD ldc+32(FP), R3")
	g.op("MOVD d+48(FP), R6")
	g.op("MOVD ldd+56(FP), R7")
	g.op("LSL $2, R3, R3")
	g.op("CBZ R6, store")
	g.op("LSL $2, R7, R7")
	for r := range rows {
		g.op("VLD1 (R6), [V24.B16, V25.B16]")
		g.fadd4(24, 2*r, 2*r)
		g.fadd4(25, 2*r+1, 2*r+1)
		g.op("ADD R7, R6, R6")
	}
	g.label("store")
	for r := range rows {
		g.op("VST1 [V%d.B16, V%d.B16], (R0)", 2*r, 2*r+1)
		g.op("ADD R3, R0, R0")
	}
	g.op("RET")
}

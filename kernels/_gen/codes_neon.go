package main

import "fmt"

// codesNEON writes codes/dot_arm64.s. R0 is the query, R1 the row, R2 the bytes
// of the row that are left; V16..V19 are accumulators.
func codesNEON(g *neon) {
	u8NEON(g)
	nibbleNEON(g)
	fetchNEON(g)
}

// fetchNEON only prefetches: from the last byte of a row back in steps of a line,
// then its first byte.
func fetchNEON(g *neon) {
	g.fn("fetchRows", "(slab *uint8, rows *uint32, size, stride, n int)", 40, "prefetches size bytes of each of n rows of slab; size and n are positive.")
	g.op("MOVD slab+0(FP), R0")
	g.op("MOVD rows+8(FP), R1")
	g.op("MOVD size+16(FP), R2")
	g.op("MOVD stride+24(FP), R3")
	g.op("MOVD n+32(FP), R4")
	g.op("SUB $1, R2, R2")
	g.label("row")
	g.op("MOVWU.P 4(R1), R5")
	g.op("MADD R5, R0, R3, R6")
	g.op("MOVD R2, R7")
	g.label("line")
	g.op("ADD R6, R7, R8")
	g.op("PRFM (R8), PLDL1KEEP")
	g.op("SUBS $64, R7, R7")
	g.op("BGT line")
	g.op("PRFM (R6), PLDL1KEEP")
	g.op("SUBS $1, R4, R4")
	g.op("BNE row")
	g.op("RET")
}

// extend widens the lower (or upper) 8 bytes to 16-bit lanes.
func (g *neon) extend(signed, upper bool, n, d int) {
	base, name := uint32(0x2f08a400), "UXTL"
	if signed {
		base, name = 0x0f08a400, "SXTL"
	}
	from := "8B"
	if upper {
		base |= 1 << 30
		name += "2"
		from = "16B"
	}
	g.word(base, 0, n, d, fmt.Sprintf("%s V%d.8H, V%d.%s", name, d, n, from))
}

// smlal adds the products of the lower (or upper) four 16-bit lanes, signed, to
// 32-bit accumulators.
func (g *neon) smlal(upper bool, m, n, d int) {
	if upper {
		g.word(0x4e608000, m, n, d, fmt.Sprintf("SMLAL2 V%d.4S, V%d.8H, V%d.8H", d, n, m))
		return
	}
	g.word(0x0e608000, m, n, d, fmt.Sprintf("SMLAL V%d.4S, V%d.4H, V%d.4H", d, n, m))
}

// sumAccumulators stores V16 + V17 + V18 + V19, and R5, as the result.
func (g *neon) sumAccumulators(ret string) {
	g.op("VADD V17.S4, V16.S4, V16.S4")
	g.op("VADD V19.S4, V18.S4, V18.S4")
	g.op("VADD V18.S4, V16.S4, V16.S4")
	g.op("VADDV V16.S4, V16")
	g.op("VMOV V16.S[0], R3")
	g.op("ADDW R3, R5, R5")
	g.op("MOVW R5, %s", ret)
	g.op("RET")
}

func u8NEON(g *neon) {
	g.fn("u8NEON", "(q *int8, row *uint8, n int, flip uint32) (ret int32)", 36, "returns (q ^ flip).row over n bytes.")
	g.op("MOVD q+0(FP), R0")
	g.op("MOVD row+8(FP), R1")
	g.op("MOVD n+16(FP), R2")
	g.op("MOVWU flip+24(FP), R6")
	g.op("VDUP R6, V31.S4")
	g.op("MOVD ZR, R5")
	for i := range 4 {
		g.zero(16 + i)
	}
	g.op("SUBS $16, R2, R2")
	g.op("BLT after")
	g.label("blocks")
	g.ld1(0, 0, 1)
	g.ld1(1, 1, 1)
	g.op("VEOR V31.B16, V0.B16, V0.B16")
	g.extend(true, false, 0, 2)
	g.extend(true, true, 0, 3)
	g.extend(false, false, 1, 4)
	g.extend(false, true, 1, 5)
	g.smlal(false, 4, 2, 16)
	g.smlal(true, 4, 2, 17)
	g.smlal(false, 5, 3, 18)
	g.smlal(true, 5, 3, 19)
	g.op("SUBS $16, R2, R2")
	g.op("BGE blocks")
	g.label("after")
	g.op("ADDS $16, R2, R2")
	g.op("BEQ reduce")
	g.label("tail")
	g.op("MOVBU.P 1(R0), R3")
	g.op("EORW R6, R3, R3")
	g.op("SXTB R3, R3")
	g.op("MOVBU.P 1(R1), R4")
	g.op("MADDW R3, R5, R4, R5")
	g.op("SUBS $1, R2, R2")
	g.op("BNE tail")
	g.label("reduce")
	g.sumAccumulators("ret+32(FP)")
}

func nibbleNEON(g *neon) {
	g.fn("nibbleNEON", "(q *int8, row *uint8, n int) (ret int32)", 28, "returns q.row over the n bytes of a row, a positive multiple of 64.")
	g.op("MOVD q+0(FP), R0")
	g.op("MOVD row+8(FP), R1")
	g.op("MOVD n+16(FP), R2")
	g.op("MOVD ZR, R5")
	g.op("VMOVI $15, V31.B16")
	for i := range 4 {
		g.zero(16 + i)
	}
	g.label("blocks")
	g.ld1(1, 0, 4)
	// The lower nibbles, then the upper ones: products of a nibble and a byte
	// fit 16 bits, and SADALP adds neighbours in 32.
	for part := range 2 {
		g.ld1(0, 4, 4)
		for i := range 4 {
			if part == 0 {
				g.op("VAND V31.B16, V%d.B16, V%d.B16", i, 8+i)
			} else {
				g.op("VUSHR $4, V%d.B16, V%d.B16", i, 8+i)
			}
			g.smull(false, 4+i, 8+i, 24)
			g.smull(true, 4+i, 8+i, 25)
			g.sadalp(24, 16+i)
			g.sadalp(25, 16+i)
		}
	}
	g.op("SUBS $64, R2, R2")
	g.op("BNE blocks")
	g.sumAccumulators("ret+24(FP)")
}

package main

// The registers of the arm64 reductions: R0 and R1 the pointers, R2 the count,
// V0..V7 a step's vectors of a, V8..V15 those of b, V16 and up the accumulators.

// f32NEON writes f32/dot_arm64.s.
func f32NEON(g *neon) {
	const ret = "(ret float32)"
	f32PairNEON(g, "dotNEON", ret, "returns the inner product of n floats at a and b.", 1, dotLanes)
	f32PairNEON(g, "squaredL2NEON", ret, "returns the squared distance of n floats at a and b.", 1, squaredL2Lanes)
	f32PairNEON(g, "dotNormsNEON", "(ab, aa, bb float32)", "returns a.b, a.a and b.b of n floats at a and b.", 3, dotNormsLanes)
	f32ScaleNEON(g)
}

// lanes adds what the vectors x and y give to the accumulators from acc on.
// Scalars are lane 0 of registers whose other lanes are 0, so that the same
// instructions serve the tail.
type lanes func(g *neon, x, y, acc int)

func dotLanes(g *neon, x, y, acc int) { g.fma(y, x, acc) }

func squaredL2Lanes(g *neon, x, y, acc int) {
	g.fsub4(y, x, x)
	g.fma(x, x, acc)
}

func dotNormsLanes(g *neon, x, y, acc int) {
	g.fma(y, x, acc)
	g.fma(x, x, acc+1)
	g.fma(y, y, acc+2)
}

// f32PairNEON writes a kernel that reduces two vectors to a few sums: 16 floats
// at a time, then four, then one.
func f32PairNEON(g *neon, name, results, doc string, sums int, do lanes) {
	g.fn(name, "(a, b *float32, n int) "+results, 24+4*sums, doc)
	g.op("MOVD a+0(FP), R0")
	g.op("MOVD b+8(FP), R1")
	g.op("MOVD n+16(FP), R2")
	const acc, unroll = 16, 4
	for i := range sums * unroll {
		g.zero(acc + i)
	}
	for _, l := range []struct {
		label string
		count int // vectors a step
	}{{"blocks", unroll}, {"singles", 1}} {
		g.op("SUBS $%d, R2, R2", 4*l.count)
		g.op("BLT after_%s", l.label)
		g.label(l.label)
		g.ld1(0, 0, l.count)
		g.ld1(1, 8, l.count)
		for u := range l.count {
			do(g, u, 8+u, acc+u*sums)
		}
		g.op("SUBS $%d, R2, R2", 4*l.count)
		g.op("BGE %s", l.label)
		g.label("after_" + l.label)
		g.op("ADDS $%d, R2, R2", 4*l.count)
		g.op("BEQ reduce")
	}
	g.label("tail")
	// A scalar load clears the rest of its register.
	g.op("FMOVS.P 4(R0), F0")
	g.op("FMOVS.P 4(R1), F8")
	do(g, 0, 8, acc)
	g.op("SUBS $1, R2, R2")
	g.op("BNE tail")
	g.label("reduce")
	results3 := []string{"ab+24(FP)", "aa+28(FP)", "bb+32(FP)"}
	for s := range sums {
		a, b := acc+s, acc+2*sums+s
		g.fadd4(acc+sums+s, a, a)
		g.fadd4(acc+3*sums+s, b, b)
		g.fadd4(b, a, a)
		g.faddp4(a, a, a)
		g.faddp4(a, a, a)
		if sums == 1 {
			g.op("FMOVS F%d, ret+24(FP)", a)
		} else {
			g.op("FMOVS F%d, %s", a, results3[s])
		}
	}
	g.op("RET")
}

// f32ScaleNEON writes v *= s.
func f32ScaleNEON(g *neon) {
	g.fn("scaleNEON", "(v *float32, n int, s float32)", 20, "multiplies n floats at v by s.")
	g.op("MOVD v+0(FP), R0")
	g.op("MOVD n+8(FP), R2")
	g.op("FMOVS s+16(FP), F16")
	g.op("VDUP V16.S[0], V16.S4")
	g.op("SUBS $4, R2, R2")
	g.op("BLT after")
	g.label("loop")
	g.op("VLD1 (R0), [V0.B16]")
	g.fmul4(16, 0, 0)
	g.op("VST1.P [V0.B16], 16(R0)")
	g.op("SUBS $4, R2, R2")
	g.op("BGE loop")
	g.label("after")
	g.op("ADDS $4, R2, R2")
	g.op("BEQ done")
	g.label("tail")
	g.op("FMOVS (R0), F0")
	g.op("FMULS F16, F0, F0")
	g.op("FMOVS.P F0, 4(R0)")
	g.op("SUBS $1, R2, R2")
	g.op("BNE tail")
	g.label("done")
	g.op("RET")
}

// i8NEON writes i8/dot_arm64.s. Products of bytes fit 16 bits (128*128 = 2^14),
// and SADALP adds neighbours in 32 bits, so nothing can overflow on the way.
func i8NEON(g *neon) {
	g.fn("dotNEON", "(a, b *int8, n int) (ret int32)", 28, "returns the inner product of n bytes at a and b.")
	g.op("MOVD a+0(FP), R0")
	g.op("MOVD b+8(FP), R1")
	g.op("MOVD n+16(FP), R2")
	g.op("MOVD ZR, R5")
	const acc = 16
	for i := range 4 {
		g.zero(acc + i)
	}
	for _, l := range []struct {
		label string
		count int
	}{{"blocks", 2}, {"singles", 1}} {
		g.op("SUBS $%d, R2, R2", 16*l.count)
		g.op("BLT after_%s", l.label)
		g.label(l.label)
		g.ld1(0, 0, l.count)
		g.ld1(1, 8, l.count)
		for u := range l.count {
			g.smull(false, 8+u, u, 24+2*u)
			g.smull(true, 8+u, u, 25+2*u)
			g.sadalp(24+2*u, acc+2*u)
			g.sadalp(25+2*u, acc+2*u+1)
		}
		g.op("SUBS $%d, R2, R2", 16*l.count)
		g.op("BGE %s", l.label)
		g.label("after_" + l.label)
		g.op("ADDS $%d, R2, R2", 16*l.count)
		g.op("BEQ reduce")
	}
	g.label("tail")
	g.op("MOVB.P 1(R0), R3")
	g.op("MOVB.P 1(R1), R4")
	g.op("MADDW R3, R5, R4, R5")
	g.op("SUBS $1, R2, R2")
	g.op("BNE tail")
	g.label("reduce")
	g.op("VADD V17.S4, V16.S4, V16.S4")
	g.op("VADD V19.S4, V18.S4, V18.S4")
	g.op("VADD V18.S4, V16.S4, V16.S4")
	g.op("VADDV V16.S4, V16")
	g.op("VMOV V16.S[0], R3")
	g.op("ADDW R3, R5, R5")
	g.op("MOVW R5, ret+24(FP)")
	g.op("RET")
}

package main

import (
	"fmt"
	"math"
)

// mapNEON writes f32/map_arm64.s. Every kernel takes n, a positive multiple of 4;
// the callers do the rest. R0, R1 and R6 are the slices, R2 the count, R3 walks
// over the constants of a step, which are loaded when they are needed, for there
// are more of them than registers.
type mapNEON struct {
	*neon
	table []uint32
}

func f32MapsNEON(g *neon) {
	m := &mapNEON{neon: g}
	m.add("addNEON", false)
	m.add("axpyNEON", true)
	m.mulBy()
	m.gelu()
	m.sigmoidProduct("siluNEON", false)
	m.sigmoidProduct("geluTanhNEON", true)
	m.maximum()
	m.expSum()
	m.sum()
	m.deviations()
	m.affine()
}

// Three-operand instructions on four floats, d = n op m.
func (g *mapNEON) fmax4(m, n, d int) {
	g.word(0x4e20f400, m, n, d, fmt.Sprintf("FMAX V%d.4S, V%d.4S, V%d.4S", d, n, m))
}

func (g *mapNEON) fmin4(m, n, d int) {
	g.word(0x4ea0f400, m, n, d, fmt.Sprintf("FMIN V%d.4S, V%d.4S, V%d.4S", d, n, m))
}

func (g *mapNEON) fdiv4(m, n, d int) {
	g.word(0x6e20fc00, m, n, d, fmt.Sprintf("FDIV V%d.4S, V%d.4S, V%d.4S", d, n, m))
}

// fms is d -= n*m.
func (g *mapNEON) fms(m, n, d int) { g.op("VFMLS V%d.S4, V%d.S4, V%d.S4", m, n, d) }

func (g *mapNEON) move(from, to int) { g.op("VMOV V%d.B16, V%d.B16", from, to) }

// next loads a constant into all lanes.
func (g *mapNEON) next(c float32, v int) { g.nextBits(math.Float32bits(c), v) }

func (g *mapNEON) nextBits(c uint32, v int) {
	g.table = append(g.table, c)
	g.op("VLD1R.P 4(R3), [V%d.S4]", v)
}

// begin opens a kernel over count slices; end closes its loop, and after it the
// constants are written.
func (g *mapNEON) begin(name, signature string, args int, doc string, slices ...string) {
	g.fn(name, signature, args, doc+" n is a positive multiple of 4.")
	at := 0
	for i, s := range slices {
		g.op("MOVD %s+%d(FP), R%d", s, at, []int{0, 1, 6}[i])
		at += 8
	}
	g.op("MOVD n+%d(FP), R2", at)
	g.table = nil
}

// loop opens the loop over vectors.
func (g *mapNEON) loop(name string, constants bool) {
	g.label("loop")
	if constants {
		g.op("MOVD $%sTable<>(SB), R3", name)
	}
}

func (g *mapNEON) end() {
	g.op("SUBS $4, R2, R2")
	g.op("BNE loop")
}

func (g *mapNEON) data(name string) {
	for i, c := range g.table {
		fmt.Fprintf(&g.asm, "\nDATA %sTable<>+%d(SB)/4, $0x%08x", name, 4*i, c)
	}
	fmt.Fprintf(&g.asm, "\nGLOBL %sTable<>(SB), RODATA|NOPTR, $%d\n", name, 4*len(g.table))
}

func (g *mapNEON) add(name string, scaled bool) {
	if scaled {
		g.begin(name, "(dst, b *float32, n int, s float32)", 28, "adds s times n floats at b to those at dst;", "dst", "b")
		g.op("FMOVS s+24(FP), F16")
		g.op("VDUP V16.S[0], V16.S4")
	} else {
		g.begin(name, "(dst, b *float32, n int)", 24, "adds n floats at b to those at dst;", "dst", "b")
	}
	g.loop(name, false)
	g.op("VLD1 (R0), [V0.B16]")
	g.ld1(1, 1, 1)
	if scaled {
		g.fma(16, 1, 0)
	} else {
		g.fadd4(1, 0, 0)
	}
	g.op("VST1.P [V0.B16], 16(R0)")
	g.end()
	g.op("RET")
}

// horner evaluates a polynomial of x with registers a and b, and returns which of
// them has the value.
func (g *mapNEON) horner(coefficients []float32, x, a, b int) int {
	g.next(coefficients[len(coefficients)-1], a)
	for i := len(coefficients) - 2; i >= 0; i-- {
		g.next(coefficients[i], b)
		g.fma(x, a, b)
		a, b = b, a
	}
	return a
}

// exp replaces y <= 0 by e^y, as mapper.exp does; it uses the seven registers from
// t on.
func (g *mapNEON) exp(y, t int) {
	least, clamped, n, keep, c := t, t+1, t+2, t+3, t+4
	g.next(-87.33654, least)
	g.fmax4(least, y, clamped)
	// least > y is false for NaN, which so comes through.
	g.word(0x6ea0e400, y, least, keep, fmt.Sprintf("FCMGT V%d.4S, V%d.4S, V%d.4S", keep, least, y))
	g.next(math.Log2E, c)
	g.fmul4(c, clamped, n)
	g.word(0x4e218800, 0, n, n, fmt.Sprintf("FRINTN V%d.4S, V%d.4S", n, n))
	const ln2Hi = 0.693359375
	g.next(ln2Hi, c)
	g.fms(c, n, clamped)
	g.next(math.Ln2-ln2Hi, c)
	g.fms(c, n, clamped)
	e := g.horner(expSeries, clamped, t+5, t+6)
	g.word(0x4e21a800, 0, n, n, fmt.Sprintf("FCVTNS V%d.4S, V%d.4S", n, n))
	g.nextBits(127, c)
	g.op("VADD V%d.S4, V%d.S4, V%d.S4", c, n, n)
	g.op("VSHL $23, V%d.S4, V%d.S4", n, n)
	g.fmul4(n, e, e)
	g.word(0x4e601c00, keep, e, y, fmt.Sprintf("BIC V%d.16B, V%d.16B, V%d.16B", y, e, keep))
}

func (g *mapNEON) mulBy() {
	g.begin("mulNEON", "(dst, b *float32, n int)", 24, "multiplies n floats at dst by those at b;", "dst", "b")
	g.loop("mulNEON", false)
	g.op("VLD1 (R0), [V0.B16]")
	g.ld1(1, 1, 1)
	g.fmul4(1, 0, 0)
	g.op("VST1.P [V0.B16], 16(R0)")
	g.end()
	g.op("RET")
}

// sigmoidProduct is mapper.sigmoidProduct.
func (g *mapNEON) sigmoidProduct(name string, cubic bool) {
	g.begin(name, "(v *float32, n int)", 16, "replaces n floats x at v by x/(1+exp(-z(x)));", "v")
	g.loop(name, true)
	const x, z, c, y, one, negative, d = 0, 1, 2, 3, 4, 5, 6
	g.op("VLD1 (R0), [V0.B16]")
	if cubic {
		g.fmul4(x, x, z)
		g.next(geluTanhSlope*0.044715, c)
		g.fmul4(c, z, z)
		g.next(geluTanhSlope, c)
		g.fadd4(c, z, z)
		g.fmul4(x, z, z)
	} else {
		g.move(x, z)
	}
	g.word(0x4ea0f800, 0, z, y, fmt.Sprintf("FABS V%d.4S, V%d.4S", y, z))
	g.word(0x6ea0f800, 0, y, y, fmt.Sprintf("FNEG V%d.4S, V%d.4S", y, y))
	g.exp(y, 16)
	g.next(1, one)
	g.fadd4(one, y, d)
	g.word(0x4ea0e800, 0, z, negative, fmt.Sprintf("FCMLT V%d.4S, V%d.4S, #0.0", negative, z))
	g.word(0x6ea01c00, negative, y, one, fmt.Sprintf("BIT V%d.16B, V%d.16B, V%d.16B", one, y, negative))
	g.fmul4(one, x, x)
	g.fdiv4(d, x, x)
	g.op("VST1.P [V0.B16], 16(R0)")
	g.end()
	g.op("RET")
	g.data(name)
}

func (g *mapNEON) gelu() {
	const name = "geluNEON"
	g.begin(name, "(v *float32, n int)", 16, "replaces n floats at v by their GELU;", "v")
	g.loop(name, true)
	const x, a, h, l, y, c, t, zero = 0, 1, 2, 3, 4, 5, 6, 7
	g.op("VLD1 (R0), [V0.B16]")
	g.word(0x4ea0f800, 0, x, a, fmt.Sprintf("FABS V%d.4S, V%d.4S", a, x))
	g.next(14, c)
	g.fmin4(c, a, a)
	g.fmul4(a, a, h)
	g.move(h, l)
	g.fms(a, a, l) // minus what the square was rounded by
	g.next(-0.5, c)
	g.fmul4(c, h, y)
	g.exp(y, 16)
	g.next(0.5, c)
	g.fmul4(c, l, l)
	g.fma(y, l, y)
	g.next(1, t)
	g.move(t, h)
	g.next(geluP, c)
	g.fma(c, a, h)
	g.fdiv4(h, t, t)
	tail := g.horner(geluTail, t, 16, 17)
	g.fmul4(t, tail, tail)
	g.fmul4(y, tail, tail)
	g.zero(zero)
	g.fmax4(zero, x, x)
	g.fms(a, tail, x)
	g.op("VST1.P [V0.B16], 16(R0)")
	g.end()
	g.op("RET")
	g.data(name)
}

func (g *mapNEON) maximum() {
	g.begin("maximumNEON", "(v *float32, n int) (ret float32)", 20, "returns the greatest of n floats at v, NaN where one is NaN;", "v")
	g.op("VLD1 (R0), [V1.B16]")
	g.loop("maximumNEON", false)
	g.ld1(0, 0, 1)
	g.fmax4(0, 1, 1)
	g.end()
	g.word(0x6e30f800, 0, 1, 1, "FMAXV S1, V1.4S")
	g.op("FMOVS F1, ret+16(FP)")
	g.op("RET")
}

// total stores the sum of V16's lanes.
func (g *mapNEON) total(result string) {
	g.faddp4(16, 16, 16)
	g.faddp4(16, 16, 16)
	g.op("FMOVS F16, %s", result)
	g.op("RET")
}

func (g *mapNEON) expSum() {
	const name = "expSumNEON"
	g.begin(name, "(v *float32, n int, top float32) (ret float32)", 28, "replaces n floats x at v, none above top, by exp(x-top) and returns their sum;", "v")
	g.op("FMOVS top+16(FP), F25")
	g.op("VDUP V25.S[0], V25.S4")
	g.zero(16)
	g.loop(name, true)
	g.op("VLD1 (R0), [V0.B16]")
	g.fsub4(25, 0, 0)
	g.exp(0, 17)
	g.fadd4(0, 16, 16)
	g.op("VST1.P [V0.B16], 16(R0)")
	g.end()
	g.total("ret+24(FP)")
	g.data(name)
}

func (g *mapNEON) sum() {
	g.begin("sumNEON", "(v *float32, n int) (ret float32)", 20, "returns the sum of n floats at v;", "v")
	g.zero(16)
	g.loop("sumNEON", false)
	g.ld1(0, 0, 1)
	g.fadd4(0, 16, 16)
	g.end()
	g.total("ret+16(FP)")
}

func (g *mapNEON) deviations() {
	g.begin("deviationsNEON", "(v *float32, n int, mean float32) (ret float32)", 28, "returns the sum of the squared distances of n floats at v from mean;", "v")
	g.op("FMOVS mean+16(FP), F17")
	g.op("VDUP V17.S[0], V17.S4")
	g.zero(16)
	g.loop("deviationsNEON", false)
	g.ld1(0, 0, 1)
	g.fsub4(17, 0, 0)
	g.fma(0, 0, 16)
	g.end()
	g.total("ret+24(FP)")
}

func (g *mapNEON) affine() {
	g.begin("affineNEON", "(v, gamma, beta *float32, n int, mean, inverse float32)", 40, "replaces n floats x at v by (x-mean)*inverse*gamma + beta;", "v", "gamma", "beta")
	g.op("FMOVS mean+32(FP), F16")
	g.op("VDUP V16.S[0], V16.S4")
	g.op("FMOVS inverse+36(FP), F17")
	g.op("VDUP V17.S[0], V17.S4")
	g.loop("affineNEON", false)
	g.op("VLD1 (R0), [V0.B16]")
	g.ld1(1, 1, 1)
	g.ld1(6, 2, 1)
	g.fsub4(16, 0, 0)
	g.fmul4(17, 0, 0)
	g.fma(1, 0, 2)
	g.op("VST1.P [V2.B16], 16(R0)")
	g.end()
	g.op("RET")
}

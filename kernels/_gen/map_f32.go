package main

import (
	"fmt"
	"math"
	"math/bits"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// geluP and geluTail approximate the tail of the normal distribution:
//
//	Phi(-x) = exp(-x^2/2) * t * (c0 + c1*t + ... + c8*t^8),  t = 1/(1 + P*x)
//
// on 0 <= x <= 14 with a relative error below 5e-8: the interpolation of
// erfcx(x/sqrt 2)/(2t) at the Chebyshev nodes of t's interval, with P chosen for
// the least error. They stand in f32/gelu.go as well.
const geluP = 0.27

var geluTail = []float32{
	0.10772209614515305, 0.10751860588788986, 0.10198036581277847, 0.0714060589671135, 0.10927720367908478,
	-0.07121391594409943, 0.17144468426704407, -0.12724211812019348, 0.029107028618454933,
}

// expSeries is e^r on |r| <= ln(2)/2, relative error 2e-8, by interpolation at the
// Chebyshev nodes.
var expSeries = []float32{1, 1, 0.5, 0.16666415333747864, 0.04166635125875473, 0.00837512593716383, 0.0013941108481958508}

// mapper writes kernels that go over slices element by element.
type mapper struct {
	*amd64
	constants map[uint32]operand.Mem
}

// f32Maps writes f32/map_amd64.s.
func f32Maps(g *amd64) {
	g.maskTable()
	m := &mapper{amd64: g, constants: map[uint32]operand.Mem{}}
	for _, g.bits = range []int{256, 512} {
		m.add()
		m.mulBy()
		m.axpy()
		m.gelu()
		m.sigmoidProduct("silu", false)
		m.sigmoidProduct("geluTanh", true)
		m.softmax()
		m.sum()
		m.deviations()
		m.affine()
	}
}

// constant returns 32 bytes of read-only memory that repeat c.
func (g *mapper) constant(c float32) operand.Mem { return g.constantBits(math.Float32bits(c)) }

func (g *mapper) constantBits(bits uint32) operand.Mem {
	if m, ok := g.constants[bits]; ok {
		return m
	}
	m := g.StaticGlobal(fmt.Sprintf("c%08x", bits))
	g.DataAttributes(attr.RODATA | attr.NOPTR)
	for i := range 8 {
		g.AddDatum(4*i, operand.U32(bits))
	}
	g.constants[bits] = m
	return m
}

// broadcast returns a register that repeats c.
func (g *mapper) broadcast(c float32) reg.VecVirtual {
	v := g.vec()
	g.VBROADCASTSS(g.constant(c), v)
	return v
}

func (g *mapper) param(name string) reg.VecVirtual {
	v := g.vec()
	g.VBROADCASTSS(g.addr(name), v)
	return v
}

// mulAdd is v = v*x + c.
func (g *mapper) mulAdd(v, x reg.VecVirtual, c float32) {
	if g.bits == 512 {
		g.VFMADD213PS_BCST(g.constant(c), x, v)
	} else {
		g.VFMADD213PS(g.constant(c), x, v)
	}
}

// mul is v*c in a new register.
func (g *mapper) mul(v reg.VecVirtual, c float32) reg.VecVirtual {
	d := g.vec()
	if g.bits == 512 {
		g.VMULPS_BCST(g.constant(c), v, d)
	} else {
		g.VMULPS(g.constant(c), v, d)
	}
	return d
}

// horner is the polynomial of x whose coefficients ascend.
func (g *mapper) horner(coefficients []float32, x reg.VecVirtual) reg.VecVirtual {
	last := len(coefficients) - 1
	v := g.broadcast(coefficients[last])
	for i := last - 1; i >= 0; i-- {
		g.mulAdd(v, x, coefficients[i])
	}
	return v
}

// choose is v in the mask's lanes and fill in the others.
func (g *mapper) choose(v, fill reg.VecVirtual, mask *laneMask) reg.VecVirtual {
	if mask == nil {
		return v
	}
	d := g.vec()
	if g.bits == 512 {
		g.VBLENDMPS(v, fill, mask.k, d)
	} else {
		g.VBLENDVPS(mask.v, v, fill, d)
	}
	return d
}

// elements is the work on one vector of each slice.
type elements func(load func(int) reg.VecVirtual, store func(int, reg.VecVirtual), mask *laneMask)

// over goes over n floats, a vector at a time and then the tail under a mask.
// body gets the mask, nil for whole vectors; load and store take slices by number.
func (g *mapper) over(slices []reg.GPVirtual, n reg.GPVirtual, body elements) {
	w := g.width()
	lanes := uint64(w / 4)
	g.SUBQ(operand.Imm(lanes), n)
	g.JLT(operand.LabelRef("tail"))
	g.Label("loop")
	body(
		func(i int) reg.VecVirtual {
			v := g.vec()
			g.VMOVUPS(mem(slices[i], 0), v)
			return v
		},
		func(i int, v reg.VecVirtual) { g.VMOVUPS(v, mem(slices[i], 0)) },
		nil,
	)
	for _, s := range slices {
		g.ADDQ(operand.Imm(uint64(w)), s)
	}
	g.SUBQ(operand.Imm(lanes), n)
	g.JGE(operand.LabelRef("loop"))
	g.Label("tail")
	g.ADDQ(operand.Imm(lanes), n)
	g.JZ(operand.LabelRef("done"))
	mask := g.mask(n)
	body(
		func(i int) reg.VecVirtual { return g.loadMasked(mem(slices[i], 0), mask) },
		func(i int, v reg.VecVirtual) { g.storeMasked(v, mem(slices[i], 0), mask) },
		&mask,
	)
	g.Label("done")
}

func (g *mapper) add() {
	g.fn("add"+g.tier(), "func(dst, b *float32, n int)", "adds n floats at b to those at dst.")
	dst, b, n := g.load("dst"), g.load("b"), g.load("n")
	g.over([]reg.GPVirtual{dst, b}, n, func(load func(int) reg.VecVirtual, store func(int, reg.VecVirtual), _ *laneMask) {
		x := load(0)
		g.VADDPS(load(1), x, x)
		store(0, x)
	})
	g.ret()
}

// mulBy has a name of its own beside mul, which writes one instruction.
func (g *mapper) mulBy() {
	g.fn("mul"+g.tier(), "func(dst, b *float32, n int)", "multiplies n floats at dst by those at b.")
	dst, b, n := g.load("dst"), g.load("b"), g.load("n")
	g.over([]reg.GPVirtual{dst, b}, n, func(load func(int) reg.VecVirtual, store func(int, reg.VecVirtual), _ *laneMask) {
		x := load(0)
		g.VMULPS(load(1), x, x)
		store(0, x)
	})
	g.ret()
}

// geluTanhSlope is 2*sqrt(2/pi): 0.5*x*(1+tanh(y)) is x/(1+exp(-2y)).
const geluTanhSlope = 1.5957691216057308

// sigmoidProduct writes v = v * sigmoid(z), z being v or GELU's cubic of it.
func (g *mapper) sigmoidProduct(name string, cubic bool) {
	g.fn(name+g.tier(), "func(v *float32, n int)", "replaces n floats x at v by x/(1+exp(-z(x))).")
	v, n := g.load("v"), g.load("n")
	g.over([]reg.GPVirtual{v}, n, func(load func(int) reg.VecVirtual, store func(int, reg.VecVirtual), _ *laneMask) {
		x := load(0)
		z := x
		if cubic {
			z = g.vec()
			g.VMULPS(x, x, z)
			z = g.mul(z, geluTanhSlope*0.044715)
			if g.bits == 512 {
				g.VADDPS_BCST(g.constant(geluTanhSlope), z, z)
			} else {
				g.VADDPS(g.constant(geluTanhSlope), z, z)
			}
			g.VMULPS(x, z, z)
		}
		// Of e^-|z|, which can't overflow: 1/(1+e) or, for negative z, e/(1+e).
		y := g.vec()
		if g.bits == 512 {
			g.VPORD_BCST(g.constantBits(0x80000000), z, y)
		} else {
			g.VORPS(g.constantBits(0x80000000), z, y)
		}
		e := g.exp(y)
		d, t := g.vec(), g.vec()
		g.VADDPS(g.broadcast(1), e, d)
		g.VMULPS(e, x, t)
		if g.bits == 512 {
			k := g.K()
			g.VPMOVD2M(z, k) // the signs
			g.VBLENDMPS(t, x, k, t)
		} else {
			g.VBLENDVPS(z, t, x, t)
		}
		g.VDIVPS(d, t, t)
		store(0, t)
	})
	g.ret()
}

func (g *mapper) axpy() {
	g.fn("axpy"+g.tier(), "func(dst, b *float32, n int, s float32)", "adds s times n floats at b to those at dst.")
	dst, b, n, s := g.load("dst"), g.load("b"), g.load("n"), g.param("s")
	g.over([]reg.GPVirtual{dst, b}, n, func(load func(int) reg.VecVirtual, store func(int, reg.VecVirtual), _ *laneMask) {
		x := load(0)
		g.VFMADD231PS(load(1), s, x)
		store(0, x)
	})
	g.ret()
}

// exp returns e^y for y <= 0: 0 below the logarithm of the smallest normal number,
// NaN for NaN.
func (g *mapper) exp(y reg.VecVirtual) reg.VecVirtual {
	const least = -87.33654
	clamped := g.vec()
	// The second source is the one that comes through when it is NaN.
	g.VMAXPS(y, g.broadcast(least), clamped)
	e, n := g.expParts(clamped)
	if g.bits == 512 {
		k := g.K()
		g.VSCALEFPS(n, e, e)
		// Not less than: true for NaN.
		g.VCMPPS(operand.Imm(5), g.broadcast(least), y, k)
		d := g.vec()
		g.VMOVAPS_Z(e, k, d)
		return d
	}
	power, keep := g.vec(), g.vec()
	g.VCVTPS2DQ(n, power)
	g.VPADDD(g.constantBits(127), power, power)
	g.VPSLLD(operand.Imm(23), power, power)
	g.VMULPS(power, e, e)
	g.VCMPPS(operand.Imm(5), g.broadcast(least), y, keep)
	g.VANDPS(keep, e, e)
	return e
}

// expNear is exp for y that are numbers, or NaN, of not more than some hundred:
// with AVX-512 what is below the normal numbers fades to 0 by itself.
func (g *mapper) expNear(y reg.VecVirtual) reg.VecVirtual {
	if g.bits == 256 {
		return g.exp(y)
	}
	e, n := g.expParts(y)
	g.VSCALEFPS(n, e, e)
	return e
}

// expParts returns e and n of e^clamped = e * 2^n.
func (g *mapper) expParts(clamped reg.VecVirtual) (e, n reg.VecVirtual) {
	n = g.vec()
	r := g.vec()
	scaled := g.mul(clamped, math.Log2E)
	if g.bits == 512 {
		g.VRNDSCALEPS(operand.Imm(8), scaled, n)
	} else {
		g.VROUNDPS(operand.Imm(8), scaled, n)
	}
	// Cody and Waite: ln 2 in two parts, the first of few enough bits that its
	// product with n is exact.
	const ln2Hi = 0.693359375
	g.VMOVAPS(clamped, r)
	g.VFNMADD231PS(g.broadcast(ln2Hi), n, r)
	g.VFNMADD231PS(g.broadcast(math.Ln2-ln2Hi), n, r)
	return g.horner(expSeries, r), n
}

// gelu writes v = gelu(v).
func (g *mapper) gelu() {
	g.fn("gelu"+g.tier(), "func(v *float32, n int)", "replaces n floats at v by their GELU.")
	v, n := g.load("v"), g.load("n")
	g.over([]reg.GPVirtual{v}, n, func(load func(int) reg.VecVirtual, store func(int, reg.VecVirtual), _ *laneMask) {
		x := load(0)
		a, h, l := g.vec(), g.vec(), g.vec()
		if g.bits == 512 {
			g.VANDPS_BCST(g.constantBits(0x7fffffff), x, a)
		} else {
			g.VANDPS(g.constantBits(0x7fffffff), x, a)
		}
		// At 15 the exponential is 0, below the least float. NaN comes through.
		g.VMINPS(a, g.broadcast(15), a)
		// The square in two parts: the exponential would enlarge its rounding.
		g.VMULPS(a, a, h)
		g.VMOVAPS(a, l)
		g.VFMSUB213PS(h, a, l)
		e := g.expNear(g.mul(h, -0.5))
		g.VFNMADD231PS(g.mul(l, 0.5), e, e)
		one := g.broadcast(1)
		t := g.vec()
		g.VMOVAPS(a, t)
		g.mulAdd(t, g.broadcast(geluP), 1)
		g.VDIVPS(t, one, t)
		tail := g.horner(geluTail, t)
		g.VMULPS(t, tail, tail)
		g.VMULPS(e, tail, tail)
		// max(x, 0) - |x| * Phi(-|x|), the same for both signs.
		zero := g.zeros(1)[0]
		g.VMAXPS(x, zero, x)
		g.VFNMADD231PS(a, tail, x)
		store(0, x)
	})
	g.ret()
}

// softmax goes over each row three times: for its greatest element, for the
// exponentials and their sum, and to scale them. Everything stays in registers
// between.
func (g *mapper) softmax() {
	g.fn("softmax"+g.tier(), "func(v *float32, rows, n int)", "replaces each of the rows of n floats at v by its softmax; there is one row and one float at least.")
	v, rows, n := g.load("v"), g.load("rows"), g.load("n")
	w := g.width()
	lanes := uint64(w / 4)
	mask := g.mask(n) // of no lane where n is a multiple of the vector's
	tail := g.GP64()
	g.MOVQ(n, tail)
	g.ANDQ(operand.Imm(lanes-1), tail)
	g.SHRQ(operand.Imm(uint64(bits.TrailingZeros64(lanes))), n) // whole vectors
	lowest, one := g.broadcast(float32(math.Inf(-1))), g.broadcast(1)
	top, sum := g.vec(), g.vec()
	at, left := g.GP64(), g.GP64()
	pass := func(name string, body func(load func() reg.VecVirtual, store func(reg.VecVirtual), mask *laneMask)) {
		g.MOVQ(v, at)
		g.MOVQ(n, left)
		g.TESTQ(left, left)
		g.JZ(operand.LabelRef(name + "_tail"))
		g.Label(name)
		body(
			func() reg.VecVirtual {
				x := g.vec()
				g.VMOVUPS(mem(at, 0), x)
				return x
			},
			func(x reg.VecVirtual) { g.VMOVUPS(x, mem(at, 0)) },
			nil,
		)
		g.ADDQ(operand.Imm(uint64(w)), at)
		g.DECQ(left)
		g.JNZ(operand.LabelRef(name))
		g.Label(name + "_tail")
		g.TESTQ(tail, tail)
		g.JZ(operand.LabelRef(name + "_done"))
		body(
			func() reg.VecVirtual { return g.loadMasked(mem(at, 0), mask) },
			func(x reg.VecVirtual) { g.storeMasked(x, mem(at, 0), mask) },
			&mask,
		)
		g.Label(name + "_done")
	}
	g.Label("row")
	g.VMOVAPS(lowest, top)
	pass("greatest", func(load func() reg.VecVirtual, _ func(reg.VecVirtual), mask *laneMask) {
		g.VMAXPS(g.choose(load(), lowest, mask), top, top)
	})
	g.allLanes(top, func(a, b reg.VecVirtual) { g.VMAXPS(a, b, b) })
	g.clear(sum)
	pass("exponentials", func(load func() reg.VecVirtual, store func(reg.VecVirtual), mask *laneMask) {
		y := g.vec()
		g.VSUBPS(top, load(), y)
		e := g.exp(y)
		store(e)
		g.VADDPS(g.choose(e, g.zeros(1)[0], mask), sum, sum)
	})
	g.allLanes(sum, func(a, b reg.VecVirtual) { g.VADDPS(a, b, b) })
	g.VDIVPS(sum, one, sum)
	pass("scaled", func(load func() reg.VecVirtual, store func(reg.VecVirtual), _ *laneMask) {
		x := load()
		g.VMULPS(sum, x, x)
		store(x)
	})
	step := g.GP64()
	g.LEAQ(operand.Mem{Base: at, Index: tail, Scale: 4}, step)
	g.MOVQ(step, v)
	g.DECQ(rows)
	g.JNZ(operand.LabelRef("row"))
	g.ret()
}

// allLanes sets every lane of v to all lanes taken together by f, which sets b to
// a and b taken together.
func (g *mapper) allLanes(v reg.VecVirtual, f func(a, b reg.VecVirtual)) {
	t := g.vec()
	if g.bits == 512 {
		g.VSHUFF32X4(operand.U8(0b01001110), v, v, t)
		f(t, v)
		g.VSHUFF32X4(operand.U8(0b10110001), v, v, t)
	} else {
		g.VPERM2F128(operand.Imm(1), v, v, t)
	}
	f(t, v)
	g.VPERMILPS(operand.U8(0b01001110), v, t)
	f(t, v)
	g.VPERMILPS(operand.U8(0b10110001), v, t)
	f(t, v)
}

func (g *mapper) sum() {
	g.fn("sum"+g.tier(), "func(v *float32, n int) (ret float32)", "returns the sum of n floats at v.")
	v, n := g.load("v"), g.load("n")
	sum := g.zeros(1)[0]
	g.over([]reg.GPVirtual{v}, n, func(load func(int) reg.VecVirtual, _ func(int, reg.VecVirtual), _ *laneMask) {
		g.VADDPS(load(0), sum, sum)
	})
	g.result(0, g.sumLanes(sum, false))
	g.ret()
}

func (g *mapper) deviations() {
	g.fn("deviations"+g.tier(), "func(v *float32, n int, mean float32) (ret float32)", "returns the sum of the squared distances of n floats at v from mean.")
	v, n, mean := g.load("v"), g.load("n"), g.param("mean")
	zero, sum := g.zeros(1)[0], g.zeros(1)[0]
	g.over([]reg.GPVirtual{v}, n, func(load func(int) reg.VecVirtual, _ func(int, reg.VecVirtual), mask *laneMask) {
		d := g.vec()
		g.VSUBPS(mean, load(0), d)
		d = g.choose(d, zero, mask)
		g.VFMADD231PS(d, d, sum)
	})
	g.result(0, g.sumLanes(sum, false))
	g.ret()
}

func (g *mapper) affine() {
	g.fn("affine"+g.tier(), "func(v, gamma, beta *float32, n int, mean, inverse float32)", "replaces n floats x at v by (x-mean)*inverse*gamma + beta.")
	v, gamma, beta, n := g.load("v"), g.load("gamma"), g.load("beta"), g.load("n")
	mean, inverse := g.param("mean"), g.param("inverse")
	g.over([]reg.GPVirtual{v, gamma, beta}, n, func(load func(int) reg.VecVirtual, store func(int, reg.VecVirtual), _ *laneMask) {
		x := load(0)
		g.VSUBPS(mean, x, x)
		g.VMULPS(inverse, x, x)
		y := load(2)
		g.VFMADD231PS(load(1), x, y)
		store(0, y)
	})
	g.ret()
}

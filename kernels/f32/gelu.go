package f32

import "math"

// GELU replaces every x of v by x*Phi(x), Phi being the standard normal
// distribution: the exact form (by erf), not the one with tanh. The relative error
// is below 1e-6 for negative x too, down to where the result is below 2^-120 and
// fades to 0; GELU(-Inf) is 0.
func GELU(v []float32) { gelu(v) }

// geluP and geluTail are the approximation
//
//	Phi(-x) = exp(-x^2/2) * t * (c0 + c1*t + ... + c8*t^8),  t = 1/(1 + P*x)
//
// whose relative error on 0 <= x <= 14 is below 5e-8: the interpolation of
// erfcx(x/sqrt 2)/(2t) at the Chebyshev nodes of t's interval, with P chosen for
// the least error. The generator of the assembly has them too.
const geluP = 0.27

var geluTail = [...]float64{
	0.10772209614515305, 0.10751860588788986, 0.10198036581277847, 0.0714060589671135, 0.10927720367908478,
	-0.07121391594409943, 0.17144468426704407, -0.12724211812019348, 0.029107028618454933,
}

func geluGeneric(v []float32) {
	for i, x := range v {
		v[i] = geluOf(x)
	}
}

// geluOf is max(x, 0) - |x| * Phi(-|x|), the same for both signs.
func geluOf(x float32) float32 {
	if x != x {
		return x
	}
	a := min(math.Abs(float64(x)), 14)
	y := -0.5 * a * a
	if y < leastExponent {
		return max(x, 0)
	}
	t := 1 / (1 + geluP*a)
	tail := 0.0
	for i := len(geluTail) - 1; i >= 0; i-- {
		tail = tail*t + geluTail[i]
	}
	return float32(max(float64(x), 0) - a*tail*t*math.Exp(y))
}

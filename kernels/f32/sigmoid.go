package f32

import "math"

// SiLU replaces every x of v by x/(1+exp(-x)), with a relative error below 1e-6
// down to x of -87, where the result becomes 0. SiLU(-Inf) is NaN, being -Inf*0.
func SiLU(v []float32) { silu(v) }

// GELUTanh replaces every x of v by the form of GELU that approximates Phi:
//
//	0.5*x*(1 + tanh(sqrt(2/pi) * (x + 0.044715*x^3)))  =  x/(1 + exp(-z(x)))
//
// Errors are below 1e-6 of the greater of |result| and exp(-z)*|x*z|: towards the
// negative tail the exponential enlarges the rounding of its argument.
func GELUTanh(v []float32) { geluTanh(v) }

// geluTanhSlope is 2*sqrt(2/pi).
const geluTanhSlope = 1.5957691216057308

func siluGeneric(v []float32) {
	for i, x := range v {
		v[i] = sigmoidProduct(x, float64(x))
	}
}

func geluTanhGeneric(v []float32) {
	for i, x := range v {
		y := float64(x)
		v[i] = sigmoidProduct(x, geluTanhSlope*(y+0.044715*y*y*y))
	}
}

// sigmoidProduct is x/(1+exp(-z)), z having the sign of x.
func sigmoidProduct(x float32, z float64) float32 {
	e := math.Exp(-math.Abs(z))
	if -math.Abs(z) < leastExponent {
		e = 0
	}
	if z < 0 {
		return float32(float64(x) * e / (1 + e))
	}
	return float32(float64(x) / (1 + e))
}

package bert

import "math"

// apply applies what is not part of the product before it (gelu is).
func (f activation) apply(v []float32) {
	switch f {
	case relu:
		for i, x := range v {
			v[i] = max(x, 0)
		}
	case silu:
		for i, x := range v {
			v[i] = float32(float64(x) / (1 + math.Exp(-float64(x))))
		}
	case geluTanh:
		// 0.5*x*(1+tanh(y)) is x/(1+exp(-2y)).
		const slope = 1.5957691216057308 // 2*sqrt(2/pi)
		for i, x := range v {
			y := float64(x)
			v[i] = float32(y / (1 + math.Exp(-slope*(y+0.044715*y*y*y))))
		}
	}
}

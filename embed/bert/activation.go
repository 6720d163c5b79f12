package bert

import "github.com/vecino-db/vecino/kernels/f32"

// apply applies what is not part of the product before it (gelu is).
func (f activation) apply(v []float32) {
	switch f {
	case relu:
		for i, x := range v {
			v[i] = max(x, 0)
		}
	case silu:
		f32.SiLU(v)
	case geluTanh:
		f32.GELUTanh(v)
	}
}

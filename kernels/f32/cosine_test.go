package f32_test

import (
	"math"
	"testing"

	"github.com/vecino-db/vecino/kernels/f32"
	"github.com/vecino-db/vecino/kernels/kerneltest"
)

func cosineReference(a, b []float32) float64 {
	ab, _ := dotReference(a, b)
	aa, _ := dotReference(a, a)
	bb, _ := dotReference(b, b)
	if aa == 0 || bb == 0 {
		return 0
	}
	return ab / (math.Sqrt(aa) * math.Sqrt(bb))
}

func TestCosine(t *testing.T) {
	kerneltest.EachTier(t, func(t *testing.T) {
		r := kerneltest.Rand(t)
		for n := range kerneltest.MaxLen + 1 {
			a, b := make([]float32, n+1)[1:], make([]float32, n)
			kerneltest.Normal(r, a)
			kerneltest.Normal(r, b)
			// From magnitudes whose squares vanish to those whose squares overflow.
			for _, exponent := range []int{0, -140, -70, 63, 120} {
				x := make([]float32, n)
				for i := range x {
					x[i] = float32(math.Ldexp(float64(a[i]), exponent))
				}
				want := cosineReference(x, b)
				got := float64(f32.Cosine(x, b))
				if math.Abs(got-want) > float64(n+8)*0x1p-24 || math.Abs(got) > 1 {
					t.Fatalf("cosine of %d elements at 2^%d: %g, want %g", n, exponent, got, want)
				}
				if got := f32.Cosine(x, x); n > 0 && (got > 1 || got < 1-1e-6) {
					t.Fatalf("cosine of %d elements with themselves at 2^%d: %g", n, exponent, got)
				}
			}
		}
		zero, some := make([]float32, 3), []float32{1, -2, 3}
		nan := []float32{1, float32(math.NaN()), 0}
		inf := []float32{1, float32(math.Inf(1)), 0}
		for _, c := range []struct {
			a, b []float32
			nan  bool
		}{
			{zero, some, false},
			{some, zero, false},
			{zero, zero, false},
			{nil, nil, false},
			{nan, some, true},
			{nan, zero, true},
			{zero, nan, true},
			{inf, some, true},
			{some, inf, true},
		} {
			got := f32.Cosine(c.a, c.b)
			if c.nan && got == got || !c.nan && got != 0 {
				t.Errorf("cosine of %v and %v: %g", c.a, c.b, got)
			}
		}
	})
}

func TestNormalize(t *testing.T) {
	kerneltest.EachTier(t, func(t *testing.T) {
		r := kerneltest.Rand(t)
		for n := 1; n <= kerneltest.MaxLen; n++ {
			v, was := make([]float32, n), make([]float32, n)
			for _, exponent := range []int{0, -148, -100, -60, 60, 100, 126} {
				for i := range v {
					x := r.NormFloat64()
					v[i] = float32(math.Ldexp(max(-1, min(1, x)), exponent))
				}
				copy(was, v)
				sum, _ := dotReference(was, was)
				want := math.Sqrt(sum)
				got := f32.Normalize(v)
				if want == 0 {
					if got != 0 {
						t.Fatalf("norm of zeros: %g", got)
					}
					continue
				}
				if norm := min(want, math.MaxFloat32); math.Abs(float64(got)-norm) > float64(n+8)*0x1p-24*norm+0x1p-149 {
					t.Fatalf("norm of %d elements at 2^%d: %g, want %g", n, exponent, got, want)
				}
				for i := range v {
					if math.Abs(float64(v[i])-float64(was[i])/want) > float64(n+8)*0x1p-24 {
						t.Fatalf("element %d of %d at 2^%d: %g, want %g", i, n, exponent, v[i], float64(was[i])/want)
					}
				}
				if unit, _ := dotReference(v, v); math.Abs(unit-1) > float64(n+8)*0x1p-23 {
					t.Fatalf("%d elements at 2^%d: squared norm %g afterwards", n, exponent, unit)
				}
			}
		}
		for _, c := range []struct {
			v    []float32
			norm float32
		}{
			{nil, 0},
			{[]float32{0, 0, 0}, 0},
			{[]float32{1, float32(math.NaN())}, float32(math.NaN())},
			{[]float32{1, float32(math.Inf(-1))}, float32(math.Inf(1))},
		} {
			was := append([]float32(nil), c.v...)
			got := f32.Normalize(c.v)
			if got != c.norm && (got == got || c.norm == c.norm) {
				t.Errorf("norm of %v: %g, want %g", was, got, c.norm)
			}
			for i := range was {
				if math.Float32bits(was[i]) != math.Float32bits(c.v[i]) {
					t.Errorf("%v was changed into %v", was, c.v)
				}
			}
		}
	})
}

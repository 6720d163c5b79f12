package f32_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/vecino-db/vecino/kernels/f32"
	"github.com/vecino-db/vecino/kernels/kerneltest"
)

func geluReference(x float64) float64 { return 0.5 * x * math.Erfc(-x/math.Sqrt2) }

// near reports whether got is want to a relative tolerance, or both are tiny.
func near(got float32, want, relative float64) bool {
	if math.IsNaN(want) {
		return got != got
	}
	return math.Abs(float64(got)-want) <= relative*math.Abs(want)+0x1p-120 || float64(got) == want
}

// TestGELU steps through the floats of both signs, so that no interval is left out.
func TestGELU(t *testing.T) {
	kerneltest.EachTier(t, func(t *testing.T) {
		var v []float32
		for bits := uint32(0); bits < 0x7f800000; bits += 40_009 {
			v = append(v, math.Float32frombits(bits), -math.Float32frombits(bits))
		}
		for x := float32(-15); x < 15; x += 0.00137 {
			v = append(v, x)
		}
		was := append([]float32(nil), v...)
		f32.GELU(v)
		worst := 0.0
		for i, x := range was {
			want := geluReference(float64(x))
			if !near(v[i], want, 1e-6) {
				t.Fatalf("GELU(%g) = %g, want %g", x, v[i], want)
			}
			if math.Abs(want) > 0x1p-100 {
				worst = max(worst, math.Abs(float64(v[i])/want-1))
			}
		}
		t.Logf("greatest relative error %.2g", worst)
		edge := []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), 0}
		f32.GELU(edge)
		if edge[0] == edge[0] || !math.IsInf(float64(edge[1]), 1) || edge[2] != 0 || edge[3] != 0 {
			t.Errorf("GELU of NaN, Inf, -Inf, 0: %v", edge)
		}
	})
}

// geluTanhReference returns the value and what its error is relative to.
func geluTanhReference(x float64) (value, magnitude float64) {
	z := 2 * math.Sqrt(2/math.Pi) * (x + 0.044715*x*x*x)
	value = x / (1 + math.Exp(-z))
	return value, max(math.Abs(value), math.Abs(x*z)*math.Exp(-math.Abs(z)))
}

// TestSigmoids steps through the floats of both signs.
func TestSigmoids(t *testing.T) {
	kerneltest.EachTier(t, func(t *testing.T) {
		var v []float32
		for bits := uint32(0); bits < 0x7f800000; bits += 80_021 {
			v = append(v, math.Float32frombits(bits), -math.Float32frombits(bits))
		}
		for x := float32(-90); x < 15; x += 0.0073 {
			v = append(v, x)
		}
		s, g := append([]float32(nil), v...), append([]float32(nil), v...)
		f32.SiLU(s)
		f32.GELUTanh(g)
		for i, x := range v {
			want := float64(x) / (1 + math.Exp(-float64(x)))
			if x < -87 {
				want = float64(s[i]) // it fades to 0
				if !(s[i] <= 0 && s[i] > -1e-35) {
					t.Fatalf("SiLU(%g) = %g, want 0 or nearly", x, s[i])
				}
			}
			if !near(s[i], want, 1e-6) {
				t.Fatalf("SiLU(%g) = %g, want %g", x, s[i], want)
			}
			value, magnitude := geluTanhReference(float64(x))
			if math.IsNaN(magnitude) { // an infinite z
				value, magnitude = max(float64(x), 0), math.Abs(float64(x))
			}
			if !(math.Abs(float64(g[i])-value) <= 1e-6*magnitude+1e-35) {
				t.Fatalf("GELUTanh(%g) = %g, want %g", x, g[i], value)
			}
		}
		for _, f := range []func([]float32){f32.SiLU, f32.GELUTanh} {
			edge := []float32{float32(math.NaN()), float32(math.Inf(1)), 0}
			f(edge)
			if edge[0] == edge[0] || !math.IsInf(float64(edge[1]), 1) || edge[2] != 0 {
				t.Errorf("of NaN, Inf, 0: %v", edge)
			}
		}
	})
}

// TestSoftmaxRows: rows are what Softmax gives each, to the bit.
func TestSoftmaxRows(t *testing.T) {
	kerneltest.EachTier(t, func(t *testing.T) {
		r := kerneltest.Rand(t)
		for n := 1; n < 70; n++ {
			for rows := range 4 {
				v := make([]float32, rows*n)
				kerneltest.Normal(r, v)
				want := append([]float32(nil), v...)
				for at := 0; at < len(want); at += n {
					f32.Softmax(want[at : at+n])
				}
				f32.SoftmaxRows(v, n)
				for i := range v {
					if v[i] != want[i] {
						t.Fatalf("%d rows of %d: element %d is %g, and %g alone", rows, n, i, v[i], want[i])
					}
				}
			}
		}
	})
}

// TestMaps holds the others to their definitions in float64, at every length and
// over all alignments, with canaries behind.
func TestMaps(t *testing.T) {
	kerneltest.EachTier(t, func(t *testing.T) {
		r := kerneltest.Rand(t)
		const canary = 777
		for n := range kerneltest.MaxLen + 1 {
			fresh := func(offset int) []float32 {
				s := make([]float32, offset+n+1)[offset:]
				kerneltest.Normal(r, s)
				s[n] = canary
				return s[: n+1 : n+1]
			}
			a, b, c := fresh(n%16), fresh(n*7%16), fresh(n*3%16)
			x, y, z := a[:n], b[:n], c[:n]
			was := append([]float32(nil), x...)
			check := func(name string, relative float64, want func(i int) (value, magnitude float64)) {
				t.Helper()
				for i := range n {
					w, m := want(i)
					if math.Abs(float64(x[i])-w) > relative*m {
						t.Fatalf("%s of %d: element %d is %g, want %g", name, n, i, x[i], w)
					}
				}
				if a[n] != canary || b[n] != canary || c[n] != canary {
					t.Fatalf("%s of %d wrote beyond the end", name, n)
				}
				copy(x, was)
			}
			f := func(s []float32, i int) float64 { return float64(s[i]) }

			f32.Add(x, y)
			check("Add", 0x1p-23, func(i int) (float64, float64) { w := f(was, i) + f(y, i); return w, math.Abs(w) })
			f32.Axpy(x, 1.5, y)
			check("Axpy", 0x1p-22, func(i int) (float64, float64) {
				return f(was, i) + 1.5*f(y, i), math.Abs(f(was, i)) + 1.5*math.Abs(f(y, i))
			})
			f32.Scale(x, -3)
			check("Scale", 0x1p-23, func(i int) (float64, float64) { w := -3 * f(was, i); return w, math.Abs(w) })
			f32.Mul(x, y)
			check("Mul", 0x1p-23, func(i int) (float64, float64) { w := f(was, i) * f(y, i); return w, math.Abs(w) })
			f32.GELU(x)
			check("GELU", 1e-6, func(i int) (float64, float64) { w := geluReference(f(was, i)); return w, math.Abs(w) })
			f32.SiLU(x)
			check("SiLU", 1e-6, func(i int) (float64, float64) { w := f(was, i) / (1 + math.Exp(-f(was, i))); return w, math.Abs(w) })
			f32.GELUTanh(x)
			check("GELUTanh", 1e-6, func(i int) (float64, float64) { return geluTanhReference(f(was, i)) })

			total, mean, variance := 0.0, 0.0, 0.0
			for _, v := range was {
				total += math.Exp(float64(v))
				mean += float64(v) / float64(n)
			}
			for _, v := range was {
				variance += (float64(v) - mean) * (float64(v) - mean) / float64(n)
			}
			f32.Softmax(x)
			check("Softmax", float64(n+8)*0x1p-24, func(i int) (float64, float64) { w := math.Exp(f(was, i)) / total; return w, w })
			f32.LayerNorm(x, y, z, 1e-12)
			check("LayerNorm", float64(n+16)*0x1p-23, func(i int) (float64, float64) {
				if n == 1 {
					return f(z, i), math.Abs(f(z, i)) + 1
				}
				normal := (f(was, i) - mean) / math.Sqrt(variance+1e-12) * f(y, i)
				return normal + f(z, i), math.Abs(normal) + math.Abs(f(z, i)) + 1/math.Sqrt(variance)
			})
		}
	})
}

func TestSoftmaxEdges(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	kerneltest.EachTier(t, func(t *testing.T) {
		for _, n := range []int{1, 3, 8, 16, 21, 40} {
			for at := range n {
				v := make([]float32, n)
				for i := range v {
					v[i] = -inf
				}
				v[at] = 1e30
				f32.Softmax(v)
				for i := range v {
					if want := float32(0); i != at && v[i] != want || i == at && v[i] != 1 {
						t.Fatalf("%d elements, one that is not -Inf at %d: %v", n, at, v)
					}
				}
				for _, bad := range []float32{nan, inf} {
					clear(v)
					v[at] = bad
					f32.Softmax(v)
					for i := range v {
						if v[i] == v[i] {
							t.Fatalf("%d elements, %g at %d: %v", n, bad, at, v)
						}
					}
				}
			}
			// Far apart, and equal huge ones.
			v := make([]float32, n)
			for i := range v {
				v[i] = -3e38
			}
			f32.Softmax(v)
			for i := range v {
				if !near(v[i], 1/float64(n), 1e-6) {
					t.Fatalf("%d equal elements: %v", n, v)
				}
			}
		}
		f32.Softmax(nil)
		f32.LayerNorm(nil, nil, nil, 1)
	})
}

func TestMapsGuarded(t *testing.T) {
	for _, atStart := range []bool{false, true} {
		for _, n := range []int{1, 7, 8, 9, 15, 16, 17, 33} {
			v := kerneltest.Guarded[float32](t, n, atStart)
			w := kerneltest.Guarded[float32](t, n, atStart)
			kerneltest.EachTier(t, func(*testing.T) {
				f32.Add(v, w)
				f32.Axpy(v, 2, w)
				f32.Scale(v, 2)
				f32.GELU(v)
				f32.SiLU(v)
				f32.GELUTanh(v)
				f32.Mul(v, w)
				f32.Softmax(v)
				f32.SoftmaxRows(v, 1)
				f32.LayerNorm(v, w, w, 1e-5)
			})
		}
	}
}

func BenchmarkMaps(b *testing.B) {
	const n = 384
	v, g, z := make([]float32, n), make([]float32, n), make([]float32, n)
	kerneltest.Normal(kerneltest.Rand(b), g)
	for _, f := range []struct {
		name string
		call func()
	}{
		{"Add", func() { f32.Add(v, z) }},
		{"GELU", func() { copy(v, g); f32.GELU(v) }},
		{"SiLU", func() { copy(v, g); f32.SiLU(v) }},
		{"GELUTanh", func() { copy(v, g); f32.GELUTanh(v) }},
		{"Softmax", func() { copy(v, g); f32.Softmax(v) }},
		{"LayerNorm", func() { copy(v, g); f32.LayerNorm(v, g, z, 1e-12) }},
	} {
		b.Run(fmt.Sprintf("%s/%d", f.name, n), func(b *testing.B) {
			kerneltest.EachTierB(b, func(b *testing.B) {
				for b.Loop() {
					f.call()
				}
			})
		})
	}
}

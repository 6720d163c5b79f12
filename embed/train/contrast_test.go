package train

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/vecino-db/vecino/kernels/cpu"
)

// reference computes the loss and its gradients in float64, from the formulas
// in contrast's comment alone: every loss on its own, every softmax with its
// maximum, the gradient by the chain rule of the cosine.
func reference(a, b []float64, n, dim int, nested []int, temperature float64) (loss float64, da, db []float64) {
	da, db = make([]float64, n*dim), make([]float64, n*dim)
	for _, d := range nested {
		length := func(v []float64, i int) float64 {
			s := 0.0
			for _, x := range v[i*dim : i*dim+d] {
				s += x * x
			}
			return math.Sqrt(s)
		}
		cos := make([][]float64, n)
		for i := range cos {
			cos[i] = make([]float64, n)
			for j := range cos[i] {
				for k := range d {
					cos[i][j] += a[i*dim+k] * b[j*dim+k]
				}
				cos[i][j] /= length(a, i) * length(b, j)
			}
		}
		g := make([][]float64, n)
		for i := range g {
			g[i] = make([]float64, n)
		}
		side := func(at func(i, j int) *float64, slope func(i, j int) *float64) {
			for i := range n {
				top := math.Inf(-1)
				for j := range n {
					top = max(top, *at(i, j)/temperature)
				}
				sum := 0.0
				for j := range n {
					sum += math.Exp(*at(i, j)/temperature - top)
				}
				loss += (math.Log(sum) + top - *at(i, i)/temperature) / 2 / float64(len(nested))
				for j := range n {
					p := math.Exp(*at(i, j)/temperature-top) / sum
					if i == j {
						p--
					}
					*slope(i, j) += p / (2 * temperature * float64(len(nested)))
				}
			}
		}
		side(func(i, j int) *float64 { return &cos[i][j] }, func(i, j int) *float64 { return &g[i][j] })
		side(func(i, j int) *float64 { return &cos[j][i] }, func(i, j int) *float64 { return &g[j][i] })
		for i := range n {
			for j := range n {
				la, lb := length(a, i), length(b, j)
				for k := range d {
					x, y := a[i*dim+k]/la, b[j*dim+k]/lb
					da[i*dim+k] += g[i][j] * (y - cos[i][j]*x) / la
					db[j*dim+k] += g[i][j] * (x - cos[i][j]*y) / lb
				}
			}
		}
	}
	return loss / float64(n), da, db
}

func random64(r *rand.Rand, n int) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = float64(float32(r.NormFloat64()))
	}
	return v
}

func to32(v []float64) []float32 {
	out := make([]float32, len(v))
	for i, x := range v {
		out[i] = float32(x)
	}
	return out
}

// TestReferenceGradient holds the reference's own gradient to differences of
// its loss, so that one mistake can't be in both.
func TestReferenceGradient(t *testing.T) {
	const n, dim, seed = 5, 12, 3
	nested := []int{4, 6, 12}
	r := rand.New(rand.NewPCG(seed, 0))
	a, b := random64(r, n*dim), random64(r, n*dim)
	_, da, db := reference(a, b, n, dim, nested, 0.07)
	for _, side := range []struct{ x, g []float64 }{{a, da}, {b, db}} {
		for i := range side.x {
			const h = 1e-5
			was := side.x[i]
			side.x[i] = was + h
			up, _, _ := reference(a, b, n, dim, nested, 0.07)
			side.x[i] = was - h
			down, _, _ := reference(a, b, n, dim, nested, 0.07)
			side.x[i] = was
			// The gradient is that of the sum over pairs, the loss a mean.
			if want := (up - down) / (2 * h) * n; math.Abs(want-side.g[i]) > 1e-6*(1+math.Abs(want)) {
				t.Fatalf("component %d: gradient %g, differences say %g", i, side.g[i], want)
			}
		}
	}
}

// TestContrast holds the kernels' loss and gradients to the reference, for
// batches beside and beyond a block, in every tier and by several threads.
func TestContrast(t *testing.T) {
	for _, tier := range []cpu.Tier{cpu.Active(), cpu.Generic} {
		for _, n := range []int{2, 8, 63, 64, 65, 150} {
			for _, nested := range [][]int{{48}, {16, 48}, {8, 20, 48}} {
				t.Run(fmt.Sprint(tier, n, nested), func(t *testing.T) {
					restore, err := cpu.Force(tier)
					if err != nil {
						t.Fatal(err)
					}
					defer restore()
					checkContrast(t, n, nested, 1+n%3)
				})
			}
		}
	}
}

func checkContrast(t *testing.T, n int, nested []int, threads int) {
	const dim, seed = 48, 11
	r := rand.New(rand.NewPCG(seed, uint64(n)))
	a, b := random64(r, n*dim), random64(r, n*dim)
	for i := range a { // pairs that belong together, more or less
		b[i] = float64(float32(b[i] + 0.5*a[i]))
	}
	c := newContrast(Options{Nested: nested, Temperature: 0.05, Threads: threads}, dim)
	for _, rows := range []int{n, max(2, n/2), n} { // memory of another batch is used again
		c.resize(rows)
		copy(c.a, to32(a))
		copy(c.b, to32(b))
		loss := c.run()
		want, da, db := reference(a, b, rows, dim, nested, 0.05)
		if math.Abs(loss-want) > 1e-5*(1+want) {
			t.Fatalf("%d pairs: loss %.8f, want %.8f (seed %d)", rows, loss, want, seed)
		}
		for side, g := range [][2]any{{c.da, da}, {c.db, db}} {
			got, want := g[0].([]float32), g[1].([]float64)
			top := 0.0
			for _, x := range want[:rows*dim] {
				top = max(top, math.Abs(x))
			}
			for i := range rows * dim {
				if math.Abs(float64(got[i])-want[i]) > 2e-5*top {
					t.Fatalf("%d pairs, side %d, row %d, component %d: gradient %g, want %g (seed %d)", rows, side, i/dim, i%dim, got[i], want[i], seed)
				}
			}
		}
	}
}

// TestContrastEdges looks at what has no direction, and at cosines of one.
func TestContrastEdges(t *testing.T) {
	const n, dim = 9, 32
	for name, fill := range map[string]func(i, k int) (a, b float32){
		"zero rows":  func(i, k int) (float32, float32) { return 0, float32(i - k) },
		"equal rows": func(i, k int) (float32, float32) { return 1, 1 },
		"opposite":   func(i, k int) (float32, float32) { return 1, -1 },
		"huge":       func(i, k int) (float32, float32) { return 1e12 * float32(i+k+1), 1e12 * float32(i-k) },
		"orthonormal": func(i, k int) (float32, float32) {
			return map[bool]float32{true: 1}[i == k], map[bool]float32{true: 1}[i == k]
		},
	} {
		c := newContrast(Options{Nested: []int{8, dim}, Temperature: 0.03, Threads: 1}, dim)
		c.resize(n)
		for i := range n * dim {
			c.a[i], c.b[i] = fill(i/dim, i%dim)
		}
		if loss := c.run(); math.IsNaN(loss) || math.IsInf(loss, 0) || loss < 0 {
			t.Errorf("%s: loss %g", name, loss)
		}
		for i := range c.da {
			if x := float64(c.da[i]) + float64(c.db[i]); math.IsNaN(x) || math.IsInf(x, 0) {
				t.Fatalf("%s: gradient of component %d is %g and %g", name, i, c.da[i], c.db[i])
			}
		}
	}
}

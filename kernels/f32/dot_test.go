package f32_test

import (
	"math"
	"testing"

	"github.com/vecino-db/vecino/kernels/cpu"
	"github.com/vecino-db/vecino/kernels/f32"
	"github.com/vecino-db/vecino/kernels/kerneltest"
)

// reference computes in float64, in the order of the elements: the value and the
// sum of the absolute terms.
func dotReference(a, b []float32) (value, magnitude float64) {
	for i := range a {
		p := float64(a[i]) * float64(b[i])
		value += p
		magnitude += math.Abs(p)
	}
	return value, magnitude
}

func squaredL2Reference(a, b []float32) (value, magnitude float64) {
	for i := range a {
		d := float64(a[i]) - float64(b[i])
		value += d * d
		// The difference is rounded before it is squared.
		magnitude += 2 * d * d
	}
	return value, magnitude
}

// pairs are the kernels of one signature.
var pairs = []struct {
	name      string
	kernel    func(a, b []float32) float32
	rows      func(dst, q, slab []float32, rows []uint32)
	reference func(a, b []float32) (value, magnitude float64)
}{
	{"Dot", f32.Dot, f32.DotRows, dotReference},
	{"SquaredL2", f32.SquaredL2, f32.SquaredL2Rows, squaredL2Reference},
}

// TestEveryLength tries all lengths, with starts that go through all alignments.
func TestEveryLength(t *testing.T) {
	kerneltest.EachTier(t, func(t *testing.T) {
		r := kerneltest.Rand(t)
		as := make([]float32, kerneltest.MaxLen+16)
		bs := make([]float32, kerneltest.MaxLen+16)
		kerneltest.Normal(r, as)
		kerneltest.Normal(r, bs)
		for n := range kerneltest.MaxLen + 1 {
			for k := range 2 {
				i, j := (n+k*7)%16, (n/16+k*3)%16
				a, b := as[i:i+n], bs[j:j+n]
				for _, p := range pairs {
					want, magnitude := p.reference(a, b)
					if got := p.kernel(a, b); !kerneltest.Close(got, want, magnitude, n) {
						t.Fatalf("%s of %d elements at offsets %d and %d: %g, want %g", p.name, n, i, j, got, want)
					}
				}
			}
		}
	})
}

// TestUnaligned goes through all pairs of offsets at a few lengths.
func TestUnaligned(t *testing.T) {
	kerneltest.EachTier(t, func(t *testing.T) {
		r := kerneltest.Rand(t)
		as, bs := make([]float32, 200), make([]float32, 200)
		kerneltest.Normal(r, as)
		kerneltest.Normal(r, bs)
		for _, n := range []int{1, 7, 8, 15, 16, 17, 31, 64, 77, 128, 161} {
			for i := range 16 {
				for j := range 16 {
					a, b := as[i:i+n], bs[j:j+n]
					for _, p := range pairs {
						want, magnitude := p.reference(a, b)
						if got := p.kernel(a, b); !kerneltest.Close(got, want, magnitude, n) {
							t.Fatalf("%s of %d elements at offsets %d and %d: %g, want %g", p.name, n, i, j, got, want)
						}
					}
				}
			}
		}
	})
}

// TestSameBits: within a tier alignment must not change a result.
func TestSameBits(t *testing.T) {
	kerneltest.EachTier(t, func(t *testing.T) {
		r := kerneltest.Rand(t)
		a, b := make([]float32, 387), make([]float32, 387)
		kerneltest.Normal(r, a)
		kerneltest.Normal(r, b)
		for _, p := range pairs {
			want := p.kernel(a, b)
			for off := range 16 {
				moved := append(make([]float32, off, off+len(b)), b...)[off:]
				if got := p.kernel(a, moved); got != want {
					t.Fatalf("%s at offset %d: %v, elsewhere %v", p.name, off, got, want)
				}
			}
		}
	})
}

// TestSpecialValues puts every pair of special values at every place of a short
// vector, so that each lane and each tail sees them.
func TestSpecialValues(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	special := []float32{
		nan, inf, -inf, 0, float32(math.Copysign(0, -1)), math.MaxFloat32, -math.MaxFloat32, 1e20,
		math.SmallestNonzeroFloat32, 0x1p-126, 0x1p-127, 0x1p-100, 1,
	}
	kerneltest.EachTier(t, func(t *testing.T) {
		for _, n := range []int{1, 2, 5, 8, 13, 16, 19, 67, 140} {
			a, b := make([]float32, n), make([]float32, n)
			for at := range n {
				for _, x := range special {
					for _, y := range special {
						for i := range a {
							a[i], b[i] = 0, 0
						}
						a[at], b[at] = x, y
						for _, p := range pairs {
							want, magnitude := p.reference(a, b)
							if p.name == "SquaredL2" {
								// The difference itself may overflow float32.
								d := float64(x - y)
								want = d * d
							}
							if got := p.kernel(a, b); !kerneltest.Close(got, want, magnitude, n) {
								t.Fatalf("%s of (%g, %g) at %d of %d: %g, want %g", p.name, x, y, at, n, got, want)
							}
						}
					}
				}
			}
		}
	})
}

// TestDenormals: sums of denormals are computed, not flushed to zero.
func TestDenormals(t *testing.T) {
	kerneltest.EachTier(t, func(t *testing.T) {
		for _, n := range []int{1, 3, 8, 40, 100} {
			a, ones := make([]float32, n), make([]float32, n)
			for i := range a {
				a[i], ones[i] = math.SmallestNonzeroFloat32*3, 1
			}
			if got, want := f32.Dot(a, ones), float32(n)*3*math.SmallestNonzeroFloat32; got != want {
				t.Fatalf("Dot of %d denormals: %g, want %g", n, got, want)
			}
		}
	})
}

// TestGuarded runs the kernels against pages that fault on either side.
func TestGuarded(t *testing.T) {
	const most = 300
	for _, atStart := range []bool{false, true} {
		as := kerneltest.Guarded[float32](t, most, atStart)
		bs := kerneltest.Guarded[float32](t, most, atStart)
		kerneltest.Normal(kerneltest.Rand(t), as)
		copy(bs, as)
		cut := func(s []float32, n int) []float32 {
			if atStart {
				return s[:n:n]
			}
			return s[most-n:]
		}
		kerneltest.EachTier(t, func(*testing.T) {
			for n := range most + 1 {
				a, b := cut(as, n), cut(bs, n)
				f32.Dot(a, b)
				f32.SquaredL2(a, b)
				f32.Cosine(a, b)
				f32.Normalize(b)
				for _, count := range []int{1, 4, 5, 8} {
					if n == 0 || n*2 > most {
						continue
					}
					rows := []uint32{1, 0, 1, 1, 0, 1, 0, 1}[:count]
					dst := kerneltest.Guarded[float32](t, count, atStart)
					f32.DotRows(dst, a, cut(bs, 2*n), rows)
					f32.SquaredL2Rows(dst, a, cut(bs, 2*n), rows)
				}
				if n%64 == 0 {
					copy(bs, as)
				}
			}
		})
	}
}

// TestRows holds rows to the float64 reference for every dimension.
func TestRows(t *testing.T) {
	kerneltest.EachTier(t, func(t *testing.T) {
		r := kerneltest.Rand(t)
		for dim := 1; dim <= kerneltest.MaxLen; dim += 1 + dim/150 {
			const n = 6
			q, slab := make([]float32, dim), make([]float32, dim*n)
			kerneltest.Normal(r, q)
			kerneltest.Normal(r, slab)
			count := dim % 14
			rows := make([]uint32, count)
			for i := range rows {
				rows[i] = uint32(r.IntN(n))
			}
			dst := make([]float32, count+1)
			for _, p := range pairs {
				dst[count] = 42
				p.rows(dst, q, slab, rows)
				for i, row := range rows {
					want, magnitude := p.reference(q, slab[int(row)*dim:int(row+1)*dim])
					if !kerneltest.Close(dst[i], want, magnitude, dim) {
						t.Fatalf("%sRows %d of %d, dimension %d: %g, want %g", p.name, i, count, dim, dst[i], want)
					}
				}
				if dst[count] != 42 {
					t.Fatalf("%sRows wrote beyond its rows", p.name)
				}
			}
		}
	})
}

// TestProgrammingErrors: wrong shapes panic, before anything is touched.
func TestProgrammingErrors(t *testing.T) {
	three, six := make([]float32, 3), make([]float32, 6)
	cases := map[string]func(){
		"Dot":           func() { f32.Dot(three, six) },
		"SquaredL2":     func() { f32.SquaredL2(six, three) },
		"Cosine":        func() { f32.Cosine(three, six) },
		"row beyond":    func() { f32.DotRows(six, three, six, []uint32{0, 1, 0, 2}) },
		"row huge":      func() { f32.SquaredL2Rows(six, three, six, []uint32{math.MaxUint32}) },
		"partial row":   func() { f32.DotRows(six, three, six[:5], []uint32{1}) },
		"destination":   func() { f32.DotRows(three, three, six, []uint32{0, 1, 0, 1}) },
		"no rows there": func() { f32.DotRows(six, three, nil, []uint32{0}) },
	}
	kerneltest.EachTier(t, func(t *testing.T) {
		for name, f := range cases {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s: no panic", name)
					}
				}()
				f()
			}()
		}
		f32.DotRows(three, nil, six, []uint32{7})
		f32.DotRows(nil, three, six, nil)
	})
}

// FuzzTiers wants results of all tiers that agree with the float64 reference.
func FuzzTiers(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("some bytes to be read as floats, not a multiple of anything in length"))
	f.Add([]byte{0, 0, 0x80, 0x7f, 0, 0, 0xc0, 0x7f, 1, 0, 0, 0, 0xff, 0xff, 0x7f, 0x7f})
	seed := make([]byte, 1600)
	for i := range seed {
		seed[i] = byte(i*37 + i>>3)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, data []byte) {
		n := len(data) / 8
		a, b := make([]float32, n), make([]float32, n)
		for i := range n {
			// Exponents are kept to where no sum overflows, so that all orders of
			// addition agree; TestSpecialValues has the rest.
			a[i], b[i] = tame(data[8*i:]), tame(data[8*i+4:])
		}
		for _, tier := range cpu.Supported() {
			restore, err := cpu.Force(tier)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range pairs {
				want, magnitude := p.reference(a, b)
				if got := p.kernel(a, b); !kerneltest.Close(got, want, magnitude, n) {
					t.Errorf("%s in tier %s: %g, want %g", p.name, tier, got, want)
				}
			}
			restore()
		}
	})
}

func tame(b []byte) float32 {
	v := float64(int32(uint32(b[0])|uint32(b[1])<<8|uint32(b[2])<<16|uint32(b[3])<<24)) * 0x1p-31
	return float32(math.Ldexp(v, int(int8(b[1]))/3))
}

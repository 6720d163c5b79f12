package gemm_test

import (
	"math"
	"testing"

	"github.com/vecino-db/vecino/kernels/cpu"
	"github.com/vecino-db/vecino/kernels/gemm"
	"github.com/vecino-db/vecino/kernels/kerneltest"
)

// product is a*b in float64, and the sum of the absolute terms.
func product(a []float32, lda, m, k int, b []float32, n, ldb int) (value, magnitude []float64) {
	value, magnitude = make([]float64, m*n), make([]float64, m*n)
	for i := range m {
		for p := range k {
			x := float64(a[i*lda+p])
			for j := range n {
				t := x * float64(b[p*ldb+j])
				value[i*n+j] += t
				magnitude[i*n+j] += math.Abs(t)
			}
		}
	}
	return value, magnitude
}

func transpose(b []float32, k, n, ldb int) []float32 {
	t := make([]float32, n*k)
	for i := range k {
		for j := range n {
			t[j*k+i] = b[i*ldb+j]
		}
	}
	return t
}

// shapes have every remainder of rows and columns of every tier, lengths of k
// around the unrolling and beyond one stretch, and columns beyond one block.
func shapes() [][3]int {
	var s [][3]int
	for m := 1; m <= 26; m++ {
		s = append(s, [3]int{m, 1 + m*7%11, 1 + m*13%70})
	}
	for n := 1; n <= 70; n++ {
		s = append(s, [3]int{1 + n%14, n % 9, n})
	}
	return append(s, [3]int{3, 511, 33}, [3]int{5, 512, 31}, [3]int{13, 513, 64}, [3]int{7, 1025, 40}, [3]int{25, 40, 3500}, [3]int{2, 1200, 500})
}

func TestMul(t *testing.T) {
	kerneltest.EachTier(t, func(t *testing.T) {
		r := kerneltest.Rand(t)
		var again gemm.Packed
		for _, s := range shapes() {
			m, k, n := s[0], s[1], s[2]
			lda, ldb, ldc := k+m%3, n+m%2, n+k%3
			a, b := make([]float32, m*lda), make([]float32, k*ldb)
			kerneltest.Normal(r, a)
			kerneltest.Normal(r, b)
			bias, residual := make([]float32, n), make([]float32, m*ldc)
			kerneltest.Normal(r, bias)
			kerneltest.Normal(r, residual)
			want, magnitude := product(a, lda, m, k, b, n, ldb)
			again.RepackT(transpose(b, k, n, ldb), n, k, k)
			for _, packed := range []*gemm.Packed{gemm.PackB(b, k, n, ldb), &again} {
				for form := range 6 {
					const canary = 12345
					dst := make([]float32, m*ldc)
					for i := range dst {
						dst[i] = canary
					}
					var e gemm.Epilogue
					if form == 1 || form == 3 || form == 5 {
						e.Bias = bias
					}
					if form == 2 {
						e.GELU = true
					}
					if form == 3 {
						e.Residual, e.ResidualStride = residual, ldc
					}
					if form >= 4 { // what dst holds
						for i := range m {
							copy(dst[i*ldc:i*ldc+n], residual[i*ldc:])
						}
						e.Residual, e.ResidualStride = dst, ldc
					}
					gemm.Mul(dst, ldc, a, lda, m, packed, e)
					for i := range m {
						for j := range ldc {
							got := dst[i*ldc+j]
							if j >= n {
								if got != canary {
									t.Fatalf("%v: wrote beyond column %d of row %d", s, n, i)
								}
								continue
							}
							w, mag := want[i*n+j], magnitude[i*n+j]
							if e.Bias != nil {
								w, mag = w+float64(bias[j]), mag+math.Abs(w)+1
							}
							if e.GELU {
								w, mag = w*0.5*math.Erfc(-w/math.Sqrt2), 2*mag
							}
							if e.Residual != nil {
								w, mag = w+float64(residual[i*ldc+j]), mag+math.Abs(w)+1
							}
							if !kerneltest.Close(got, w, mag, k+4) {
								t.Fatalf("%v form %d: dst[%d][%d] = %g, want %g", s, form, i, j, got, w)
							}
						}
					}
				}
			}
		}
	})
}

// TestRowsAlone: a row's bits are the same whatever is computed beside it, so that
// a batch gives what its texts give one by one.
func TestRowsAlone(t *testing.T) {
	kerneltest.EachTier(t, func(t *testing.T) {
		const m, k, n = 29, 700, 100
		r := kerneltest.Rand(t)
		a, b := make([]float32, m*k), make([]float32, k*n)
		kerneltest.Normal(r, a)
		kerneltest.Normal(r, b)
		packed := gemm.PackB(b, k, n, n)
		all, one := make([]float32, m*n), make([]float32, n)
		gemm.Mul(all, n, a, k, m, packed, gemm.Epilogue{GELU: true})
		for i := range m {
			gemm.Mul(one, n, a[i*k:], k, 1, packed, gemm.Epilogue{GELU: true})
			for j := range one {
				if one[j] != all[i*n+j] {
					t.Fatalf("row %d alone, column %d: %v, in the batch %v", i, j, one[j], all[i*n+j])
				}
			}
		}
	})
}

// TestGuarded: nothing is touched outside of the matrices.
func TestGuarded(t *testing.T) {
	kerneltest.EachTier(t, func(t *testing.T) {
		for _, s := range [][3]int{{1, 1, 1}, {1, 5, 33}, {7, 9, 16}, {12, 31, 32}, {13, 8, 65}, {23, 64, 50}} {
			m, k, n := s[0], s[1], s[2]
			for _, atStart := range []bool{false, true} {
				a := kerneltest.Guarded[float32](t, m*k, atStart)
				b := kerneltest.Guarded[float32](t, k*n, atStart)
				dst := kerneltest.Guarded[float32](t, m*n, atStart)
				bias := kerneltest.Guarded[float32](t, n, atStart)
				gemm.Mul(dst, n, a, k, m, gemm.PackB(b, k, n, n), gemm.Epilogue{Bias: bias, GELU: true})
				gemm.Mul(dst, n, a, k, m, gemm.PackBT(b, n, k, k), gemm.Epilogue{Residual: dst, ResidualStride: n})
			}
		}
	})
}

func TestEmpty(t *testing.T) {
	kerneltest.EachTier(t, func(t *testing.T) {
		dst := []float32{5, 6, 7, 8}
		gemm.Mul(dst, 2, nil, 0, 2, gemm.PackB(nil, 0, 2, 2), gemm.Epilogue{Bias: []float32{1, 2}})
		if dst[0] != 1 || dst[1] != 2 || dst[2] != 1 || dst[3] != 2 {
			t.Errorf("a product over nothing, with a bias: %v", dst)
		}
		gemm.Mul(nil, 2, nil, 3, 0, gemm.PackB(make([]float32, 6), 3, 2, 2), gemm.Epilogue{})
		gemm.Mul(nil, 0, make([]float32, 6), 3, 2, gemm.PackB(nil, 3, 0, 0), gemm.Epilogue{})
	})
}

func TestNoAllocation(t *testing.T) {
	a, b, dst := make([]float32, 20*30), make([]float32, 30*50), make([]float32, 20*50)
	packed := gemm.PackB(b, 30, 50, 50)
	if n := testing.AllocsPerRun(10, func() {
		gemm.Mul(dst, 50, a, 30, 20, packed, gemm.Epilogue{Bias: b[:50], GELU: true})
		packed.Repack(b, 30, 50, 50)
	}); n != 0 {
		t.Errorf("%g allocations a call", n)
	}
}

func TestProgrammingErrors(t *testing.T) {
	m := make([]float32, 12)
	packed := gemm.PackB(m, 3, 4, 4)
	for name, f := range map[string]func(){
		"short b":      func() { gemm.PackB(m, 4, 4, 4) },
		"short stride": func() { gemm.PackBT(m, 3, 4, 3) },
		"short a":      func() { gemm.Mul(make([]float32, 99), 4, m, 3, 5, packed, gemm.Epilogue{}) },
		"short dst":    func() { gemm.Mul(m, 4, make([]float32, 99), 3, 4, packed, gemm.Epilogue{}) },
		"bias":         func() { gemm.Mul(m, 4, m, 3, 1, packed, gemm.Epilogue{Bias: m[:3]}) },
		"residual": func() {
			gemm.Mul(m, 4, make([]float32, 99), 3, 3, packed, gemm.Epilogue{Residual: m[:11], ResidualStride: 4})
		},
		"gelu in place": func() {
			gemm.Mul(m, 4, make([]float32, 99), 3, 3, packed, gemm.Epilogue{GELU: true, Residual: m, ResidualStride: 4})
		},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

var benchShapes = []struct {
	name    string
	m, k, n int
}{
	{"512x384x1536", 512, 384, 1536},
	{"4096x384x384", 4096, 384, 384},
	{"512x1536x384", 512, 1536, 384},
	{"16x384x1536", 16, 384, 1536},
}

// BenchmarkMul gives GFLOP/s, and the ceiling that multiply-adds between registers
// reach in the same run.
func BenchmarkMul(b *testing.B) {
	kerneltest.EachTierB(b, func(b *testing.B) {
		b.Run("peak", func(b *testing.B) {
			flops := 0
			for b.Loop() {
				flops += kerneltest.Peak(cpu.Active(), 100_000, false)
			}
			b.ReportMetric(float64(flops)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
		for _, s := range benchShapes {
			r := kerneltest.Rand(b)
			x, y, dst := make([]float32, s.m*s.k), make([]float32, s.k*s.n), make([]float32, s.m*s.n)
			kerneltest.Normal(r, x)
			kerneltest.Normal(r, y)
			packed := gemm.PackB(y, s.k, s.n, s.n)
			for _, form := range []struct {
				name string
				e    gemm.Epilogue
			}{{"", gemm.Epilogue{}}, {"-bias-gelu", gemm.Epilogue{Bias: make([]float32, s.n), GELU: true}}} {
				b.Run(s.name+form.name, func(b *testing.B) {
					for b.Loop() {
						gemm.Mul(dst, s.n, x, s.k, s.m, packed, form.e)
					}
					b.ReportMetric(2*float64(s.m*s.k*s.n)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
				})
			}
		}
	})
}

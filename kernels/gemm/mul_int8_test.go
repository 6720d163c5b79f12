package gemm_test

import (
	"math"
	"testing"

	"github.com/vecino-db/vecino/kernels/cpu"
	"github.com/vecino-db/vecino/kernels/gemm"
	"github.com/vecino-db/vecino/kernels/kerneltest"
)

// quantizeReference is the rule of the package's documentation.
func quantizeReference(v []float32) (q []int64, scale float32) {
	q = make([]int64, len(v))
	var top float32
	for _, x := range v {
		if x != x || math.IsInf(float64(x), 0) {
			return q, float32(math.NaN())
		}
		top = max(top, x, -x)
	}
	if top < 0x1p-100 {
		return q, 0
	}
	for i, x := range v {
		q[i] = int64(math.RoundToEven(float64(x * (127 / top))))
	}
	return q, top / 127
}

// TestMulInt8 wants the very bits of the rule, of every tier, with a bias too.
func TestMulInt8(t *testing.T) {
	kerneltest.EachTier(t, func(t *testing.T) {
		r := kerneltest.Rand(t)
		var scratch gemm.Scratch
		for _, s := range shapes() {
			m, k, n := s[0], s[1], s[2]
			if k == 0 {
				continue
			}
			lda, ldb, ldc := k+m%3, k+n%2, n+k%3
			a, bt := make([]float32, m*lda), make([]float32, n*ldb)
			kerneltest.Normal(r, a)
			kerneltest.Normal(r, bt)
			switch m % 5 {
			case 0: // a row of zeros, and one of tiny numbers
				clear(a[:k])
				for i := range k {
					bt[i] *= 0x1p-120
				}
			case 1:
				a[(m-1)*lda+k-1] = float32(math.NaN())
			case 2:
				a[k-1] = float32(math.Inf(-1))
			case 3: // magnitudes of the extremes, of one sign
				for i := range k {
					a[i], bt[i] = 1e30, -1e-30
				}
			}
			const canary = 12345
			dst := make([]float32, m*ldc)
			for i := range dst {
				dst[i] = canary
			}
			packed := gemm.PackInt8T(bt, n, k, ldb)
			var bias []float32
			if m%2 == 0 {
				bias = make([]float32, n)
				kerneltest.Normal(r, bias)
			}
			gemm.MulInt8(dst, ldc, a, lda, m, packed, &scratch, gemm.Epilogue{Bias: bias})
			columns, scales := make([][]int64, n), make([]float32, n)
			for j := range n {
				columns[j], scales[j] = quantizeReference(bt[j*ldb : j*ldb+k])
			}
			for i := range m {
				row, scale := quantizeReference(a[i*lda : i*lda+k])
				for j := range ldc {
					want := float32(canary)
					if j < n {
						var sum int64
						for p := range k {
							sum += row[p] * columns[j][p]
						}
						want = float32(int32(sum)) * scale * scales[j]
						if bias != nil {
							want = float32(want) + bias[j]
						}
					}
					if got := dst[i*ldc+j]; got != want && (got == got || want == want) {
						t.Fatalf("%v: dst[%d][%d] = %v, want %v", s, i, j, got, want)
					}
				}
			}
		}
	})
}

// TestInt8Error: the quantized product is near the real one.
func TestInt8Error(t *testing.T) {
	kerneltest.EachTier(t, func(t *testing.T) {
		const m, k, n = 16, 384, 96
		r := kerneltest.Rand(t)
		a, bt, bias := make([]float32, m*k), make([]float32, n*k), make([]float32, n)
		kerneltest.Normal(r, a)
		kerneltest.Normal(r, bt)
		kerneltest.Normal(r, bias)
		for _, e := range []gemm.Epilogue{{}, {Bias: bias, GELU: true}, {Bias: bias, Residual: a, ResidualStride: k}} {
			got, want := make([]float32, m*n), make([]float32, m*n)
			var s gemm.Scratch
			gemm.Mul(want, n, a, k, m, gemm.PackBT(bt, n, k, k), e)
			gemm.MulInt8(got, n, a, k, m, gemm.PackInt8T(bt, n, k, k), &s, e)
			var difference, norm float64
			for i := range got {
				difference += math.Pow(float64(got[i]-want[i]), 2)
				norm += math.Pow(float64(want[i]), 2)
			}
			if relative := math.Sqrt(difference / norm); relative > 0.02 {
				t.Errorf("relative error %.4f of normally distributed matrices, want below 0.02", relative)
			}
		}
	})
}

func TestInt8GuardedAndEmpty(t *testing.T) {
	kerneltest.EachTier(t, func(t *testing.T) {
		var s gemm.Scratch
		for _, d := range [][3]int{{1, 1, 1}, {2, 7, 33}, {13, 31, 32}, {6, 64, 50}} {
			m, k, n := d[0], d[1], d[2]
			for _, atStart := range []bool{false, true} {
				a := kerneltest.Guarded[float32](t, m*k, atStart)
				bt := kerneltest.Guarded[float32](t, k*n, atStart)
				dst := kerneltest.Guarded[float32](t, m*n, atStart)
				gemm.MulInt8(dst, n, a, k, m, gemm.PackInt8T(bt, n, k, k), &s, gemm.Epilogue{})
			}
		}
		dst := []float32{5, 6}
		gemm.MulInt8(dst, 2, nil, 0, 1, gemm.PackInt8T(nil, 2, 0, 0), &s, gemm.Epilogue{Bias: []float32{1, 2}})
		if dst[0] != 1 || dst[1] != 2 {
			t.Errorf("a product over nothing, with a bias: %v", dst)
		}
	})
}

func TestInt8NoAllocation(t *testing.T) {
	a, dst := make([]float32, 20*30), make([]float32, 20*50)
	packed := gemm.PackInt8T(make([]float32, 50*30), 50, 30, 30)
	var s gemm.Scratch
	if n := testing.AllocsPerRun(10, func() {
		gemm.MulInt8(dst, 50, a, 30, 20, packed, &s, gemm.Epilogue{})
	}); n != 0 {
		t.Errorf("%g allocations a call", n)
	}
}

// BenchmarkMulInt8 gives GOP/s, and the ceiling of VPDPBUSD between registers.
func BenchmarkMulInt8(b *testing.B) {
	kerneltest.EachTierB(b, func(b *testing.B) {
		if kerneltest.Peak(cpu.Active(), 1, true) > 0 {
			b.Run("peak", func(b *testing.B) {
				ops := 0
				for b.Loop() {
					ops += kerneltest.Peak(cpu.Active(), 100_000, true)
				}
				b.ReportMetric(float64(ops)/b.Elapsed().Seconds()/1e9, "GOP/s")
			})
		}
		for _, s := range benchShapes {
			r := kerneltest.Rand(b)
			x, y, dst := make([]float32, s.m*s.k), make([]float32, s.k*s.n), make([]float32, s.m*s.n)
			kerneltest.Normal(r, x)
			kerneltest.Normal(r, y)
			packed := gemm.PackInt8T(y, s.n, s.k, s.k)
			var scratch gemm.Scratch
			b.Run(s.name, func(b *testing.B) {
				for b.Loop() {
					gemm.MulInt8(dst, s.n, x, s.k, s.m, packed, &scratch, gemm.Epilogue{})
				}
				b.ReportMetric(2*float64(s.m*s.k*s.n)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GOP/s")
			})
		}
	})
}

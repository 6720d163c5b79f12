package f32_test

import (
	"fmt"
	"testing"

	"github.com/viterin/vek/vek32"

	"github.com/vecino-db/vecino/kernels/f32"
	"github.com/vecino-db/vecino/kernels/kerneltest"
)

var dims = []int{384, 768, 1024, 1536}

// sink keeps results alive.
var sink float32

// BenchmarkDot and its like set each tier beside github.com/viterin/vek.
func BenchmarkDot(b *testing.B) { benchmarkPair(b, f32.Dot, vek32.Dot) }

func BenchmarkCosine(b *testing.B) { benchmarkPair(b, f32.Cosine, vek32.CosineSimilarity) }

// vek has the distance only with its square root.
func BenchmarkSquaredL2(b *testing.B) { benchmarkPair(b, f32.SquaredL2, vek32.Distance) }

func benchmarkPair(b *testing.B, kernel, vek func(a, b []float32) float32) {
	for _, n := range dims {
		x, y := make([]float32, n), make([]float32, n)
		kerneltest.Normal(kerneltest.Rand(b), x)
		kerneltest.Normal(kerneltest.Rand(b), y)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			kerneltest.EachTierB(b, func(b *testing.B) {
				for b.Loop() {
					sink = kernel(x, y)
				}
			})
			b.Run("vek", func(b *testing.B) {
				for b.Loop() {
					sink = vek(x, y)
				}
			})
		})
	}
}

func BenchmarkNormalize(b *testing.B) {
	for _, n := range dims {
		x := make([]float32, n)
		kerneltest.Normal(kerneltest.Rand(b), x)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			kerneltest.EachTierB(b, func(b *testing.B) {
				for b.Loop() {
					sink = f32.Normalize(x)
				}
			})
		})
	}
}

// BenchmarkDotRows takes 32 rows in random order: of a slab in the cache, and of
// one of 512 MB; ns/row is what counts.
func BenchmarkDotRows(b *testing.B) {
	const dim, count = 384, 32
	for _, n := range []int{16, 512 << 20 / (4 * dim)} {
		r := kerneltest.Rand(b)
		q, slab := make([]float32, dim), make([]float32, n*dim)
		kerneltest.Normal(r, q)
		for i := range slab {
			slab[i] = float32(i & 1023)
		}
		rows := make([]uint32, 1<<16)
		for i := range rows {
			rows[i] = uint32(r.IntN(n))
		}
		dst := make([]float32, count)
		b.Run(fmt.Sprintf("%dx%d", n, dim), func(b *testing.B) {
			kerneltest.EachTierB(b, func(b *testing.B) {
				at := 0
				for b.Loop() {
					f32.DotRows(dst, q, slab, rows[at:at+count])
					at = (at + count) % len(rows)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/count, "ns/row")
			})
			b.Run("one-by-one", func(b *testing.B) {
				at := 0
				for b.Loop() {
					for i, row := range rows[at : at+count] {
						dst[i] = f32.Dot(q, slab[int(row)*dim:][:dim])
					}
					at = (at + count) % len(rows)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/count, "ns/row")
			})
		})
	}
}

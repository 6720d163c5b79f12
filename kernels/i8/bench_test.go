package i8_test

import (
	"fmt"
	"testing"

	"github.com/vecino-db/vecino/kernels/i8"
	"github.com/vecino-db/vecino/kernels/kerneltest"
)

var dims = []int{384, 768, 1024, 1536}

// sink keeps results alive.
var sink int32

func BenchmarkDot(b *testing.B) {
	for _, n := range dims {
		x, y := make([]int8, n), make([]int8, n)
		kerneltest.Bytes(kerneltest.Rand(b), x)
		kerneltest.Bytes(kerneltest.Rand(b), y)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			kerneltest.EachTierB(b, func(b *testing.B) {
				for b.Loop() {
					sink = i8.Dot(x, y)
				}
			})
		})
	}
}

// BenchmarkDotRows takes 32 rows in random order: of a slab in the cache, and of
// one of 256 MB; ns/row is what counts.
func BenchmarkDotRows(b *testing.B) {
	const dim, count = 384, 32
	for _, n := range []int{64, 256 << 20 / dim} {
		r := kerneltest.Rand(b)
		q, slab := make([]int8, dim), make([]int8, n*dim)
		kerneltest.Bytes(r, q)
		for i := range slab {
			slab[i] = int8(i)
		}
		rows := make([]uint32, 1<<16)
		for i := range rows {
			rows[i] = uint32(r.IntN(n))
		}
		dst := make([]int32, count)
		b.Run(fmt.Sprintf("%dx%d", n, dim), func(b *testing.B) {
			kerneltest.EachTierB(b, func(b *testing.B) {
				at := 0
				for b.Loop() {
					i8.DotRows(dst, q, slab, rows[at:at+count])
					at = (at + count) % len(rows)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/count, "ns/row")
			})
		})
	}
}

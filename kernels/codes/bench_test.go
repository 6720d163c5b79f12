package codes_test

import (
	"fmt"
	"testing"

	"github.com/vecino-db/vecino/kernels/kerneltest"
)

// BenchmarkRows: sixteen rows from the cache, as a hop of a graph has them.
func BenchmarkRows(b *testing.B) {
	const n = 16
	for _, k := range kernels() {
		if k.name == "PairRows" {
			continue
		}
		for _, dim := range []int{384, 768} {
			b.Run(fmt.Sprintf("%s/%d", k.name, dim), func(b *testing.B) {
				kerneltest.EachTierB(b, func(b *testing.B) {
					q, slab := make([]int8, dim), make([]uint8, n*dim)
					rows, dst := make([]uint32, n), make([]int32, n)
					for i := range rows {
						rows[i] = uint32(i)
					}
					for b.Loop() {
						k.run(dst, q, slab, k.bytes(dim), rows)
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/row")
				})
			})
		}
	}
}

package exact_test

import (
	"context"
	"flag"
	"testing"
	"time"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/exact"
	"github.com/vecino-db/vecino/index/indextest"
	"github.com/vecino-db/vecino/kernels/f32"
)

var scanVectors = flag.Int("scan.n", 100_000, "vectors of BenchmarkScan")

// BenchmarkScan compares a search with reading as much memory by one kernel that
// does little else, in turns: the least time of each.
func BenchmarkScan(b *testing.B) {
	const dim = 384
	n := *scanVectors
	space := indextest.NewSpace(b, "scan", dim, compat.MetricCosine)
	x, err := exact.New(space.Config)
	if err != nil {
		b.Fatal(err)
	}
	rows := make([]float32, n*dim)
	for i := range rows {
		rows[i] = float32(i*2654435761>>7&1023) - 500
	}
	if err := x.Insert(context.Background(), indextest.Ordinals(0, n), space.Stamp(b, rows)); err != nil {
		b.Fatal(err)
	}
	q := index.Query{Vector: space.Stamp(b, append([]float32(nil), rows[:dim]...)), K: 10}
	weights := make([]float32, 4096)
	read, scan := time.Hour, time.Hour
	var sink float32
	for b.Loop() {
		began := time.Now()
		for i := 0; i+len(weights) <= len(rows); i += len(weights) {
			sink += f32.Dot(rows[i:i+len(weights)], weights)
		}
		read = min(read, time.Since(began))
		began = time.Now()
		if _, err := x.Search(context.Background(), q); err != nil {
			b.Fatal(err)
		}
		scan = min(scan, time.Since(began))
	}
	gigabytes := float64(4*len(rows)) / 1e9
	b.ReportMetric(gigabytes/read.Seconds(), "GB/s-read")
	b.ReportMetric(gigabytes/scan.Seconds(), "GB/s-scan")
	if sink > 1e30 {
		b.Log(sink)
	}
}

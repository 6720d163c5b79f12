package auto_test

import (
	"context"
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/exact"
	"github.com/vecino-db/vecino/index/hnsw"
	"github.com/vecino-db/vecino/index/indextest"
)

var thresholdDim = flag.Int("threshold.dim", 384, "dimension of BenchmarkThreshold")

// BenchmarkThreshold times a scan and walks over collections of growing size:
// the figures of the package comment. It builds graphs of up to 32,000 vectors.
func BenchmarkThreshold(b *testing.B) {
	dim := *thresholdDim
	const queries = 200
	space := indextest.NewSpace(b, "threshold", dim, compat.MetricCosine)
	space.Config.Search.Ef = compat.DefaultEf
	for _, n := range []int{2000, 4000, 8000, 16000, 32000} {
		rows := indextest.Manifold(1, n+queries, dim, 48, n/100, 0.7)
		engines := map[string]index.Index{}
		scan, err := exact.New(space.Config)
		if err != nil {
			b.Fatal(err)
		}
		engines["scan"] = scan
		for _, encoding := range []compat.Encoding{compat.EncodingF32, compat.EncodingLVQ4x8} {
			cfg := space.Config
			cfg.Build.Encoding = encoding
			if engines["walk "+string(encoding)], err = hnsw.New(cfg); err != nil {
				b.Fatal(err)
			}
		}
		line := fmt.Sprintf("%d x %d:", n, dim)
		for _, name := range []string{"scan", "walk f32", "walk lvq4x8"} {
			x := engines[name]
			began := time.Now()
			if err := x.Insert(context.Background(), indextest.Ordinals(0, n), space.Stamp(b, rows[:n*dim:n*dim])); err != nil {
				b.Fatal(err)
			}
			built := time.Since(began)
			v := space.Stamp(b, rows[n*dim:])
			best := time.Hour
			for range 5 {
				began := time.Now()
				for i := range queries {
					if _, err := x.Search(context.Background(), index.Query{Vector: v.Slice(i, i+1), K: 10}); err != nil {
						b.Fatal(err)
					}
				}
				best = min(best, time.Since(began)/queries)
			}
			line += fmt.Sprintf("  %s %v (built in %v)", name, best.Round(time.Microsecond), built.Round(time.Millisecond))
		}
		b.Log(line)
	}
}

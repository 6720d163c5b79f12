package store

import (
	"context"
	"testing"
	"time"

	"github.com/vecino-db/vecino/compat"
)

// BenchmarkBulk puts batches of 256 from one client: how fast they are
// acknowledged, how fast they are in the graph, and what a search takes
// meanwhile.
func BenchmarkBulk(b *testing.B) {
	const dim, n, batch = 384, 8192, 256
	ctx := context.Background()
	for _, encoding := range []compat.Encoding{compat.EncodingF32, compat.EncodingLVQ4x8} {
		b.Run(string(encoding), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				s := open(b, Options{Dir: b.TempDir(), Create: true, CheckpointEvery: -1})
				m := hnswManifest(dim)
				m.Index.Encoding = encoding
				c, err := s.Create(ctx, "one", m)
				if err != nil {
					b.Fatal(err)
				}
				query := stamp(b, m, vectorOf(1, 1, dim))
				stop, searched := make(chan struct{}), make(chan struct{})
				searches, searching := 0, time.Duration(0)
				go func() {
					defer close(searched)
					for {
						select {
						case <-stop:
							return
						case <-time.After(5 * time.Millisecond):
						}
						began := time.Now()
						if _, err := c.Search(ctx, query, SearchQuery{Limit: 10}); err != nil {
							b.Error(err)
							return
						}
						searches, searching = searches+1, searching+time.Since(began)
					}
				}()
				b.StartTimer()
				began := time.Now()
				half := time.Duration(0)
				for id := 0; id < n; id += batch {
					put(b, c, 1, id, id+batch)
					if id == n/2-batch {
						half = time.Since(began)
					}
				}
				acknowledged := time.Since(began)
				if err := c.Settle(ctx); err != nil {
					b.Fatal(err)
				}
				linked := time.Since(began)
				b.StopTimer()
				close(stop)
				<-searched
				b.ReportMetric(n/2/half.Seconds(), "first-half-acked/s")
				b.ReportMetric(n/acknowledged.Seconds(), "acked/s")
				b.ReportMetric(n/linked.Seconds(), "linked/s")
				b.ReportMetric(float64(searching.Microseconds())/float64(max(searches, 1)), "us/search")
				closeStore(b, s)
				b.StartTimer()
			}
		})
	}
}

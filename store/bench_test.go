package store

import (
	"context"
	"flag"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index/indextest"
)

// BenchmarkSyncedPuts measures acknowledged writes of one point each, on the
// disk, by a number of concurrent writers.
func BenchmarkSyncedPuts(b *testing.B) {
	for _, writers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			ctx := context.Background()
			s := open(b, Options{Dir: b.TempDir(), Create: true})
			m := testManifest(64, 1)
			c := create(b, s, "one", m)
			var next atomic.Int64
			var wg sync.WaitGroup
			b.ResetTimer()
			for range writers {
				wg.Add(1)
				go func() {
					defer wg.Done()
					for {
						n := int(next.Add(1))
						if n > b.N {
							return
						}
						_, err := c.Put(ctx, []Document{documentOf(n, 1)}, mustStamp(c.serving().stamper, vectorOf(n, 1, 64)))
						if err != nil {
							b.Error(err)
							return
						}
					}
				}()
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
			closeStore(b, s)
		})
	}
}

var (
	openN        = flag.Int("open.n", 10000, "points of BenchmarkOpen")
	openDim      = flag.Int("open.dim", 128, "their dimension")
	openEncoding = flag.String("open.encoding", "f32", "how the graph keeps them")
)

// BenchmarkOpen measures the start of a store with its checkpoint and without,
// which builds the graph anew, on all processors:
//
//	go test ./store -run '^$' -bench Open -benchtime 3x -open.n 100000 -open.dim 384 -open.encoding lvq4x8
func BenchmarkOpen(b *testing.B) {
	n, dim := *openN, *openDim
	rows := indextest.Manifold(1, n, dim, min(96, dim), 300, 1.2)
	o := Options{Dir: b.TempDir(), Create: true, Logger: testLog(b)}
	s := open(b, o)
	m := hnswManifest(dim)
	m.Index.Encoding = compat.Encoding(*openEncoding)
	c := create(b, s, "one", m)
	for from := 0; from < n; from += 1000 {
		var docs []Document
		to := min(from+1000, n)
		for id := from; id < to; id++ {
			docs = append(docs, documentOf(id, 1))
		}
		if _, err := c.Put(context.Background(), docs, mustStamp(c.serving().stamper, rows[from*dim:to*dim])); err != nil {
			b.Fatal(err)
		}
	}
	closeStore(b, s)
	for _, rebuild := range []bool{true, false} {
		b.Run(fmt.Sprintf("rebuild=%t", rebuild), func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				if rebuild {
					s := open(b, o)
					key := checkpointKey(c.number, 1)
					header, err := decodeCheckpoint(mustGet(b, s.db, key))
					if err != nil {
						b.Fatal(err)
					}
					if err := s.db.Delete(chunkKey(c.number, 1, header.written[0], 0), pebble.Sync); err != nil {
						b.Fatal(err)
					}
					closeStore(b, s)
				}
				b.StartTimer()
				s := open(b, o)
				c := reopen(b, s, "one", m)
				if err := c.Settle(context.Background()); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if c.rebuilt != rebuild {
					b.Fatalf("rebuilt %t, want %t", c.rebuilt, rebuild)
				}
				closeStore(b, s)
				b.StartTimer()
			}
		})
	}
}

func mustGet(b *testing.B, reader pebble.Reader, key []byte) []byte {
	b.Helper()
	value, err := get(reader, key)
	if err != nil {
		b.Fatal(err)
	}
	return value
}

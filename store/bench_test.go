package store

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2"
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

// BenchmarkOpen measures the start of a store of 10,000 points of 128
// components, with its checkpoint and without.
func BenchmarkOpen(b *testing.B) {
	for _, rebuild := range []bool{false, true} {
		b.Run(fmt.Sprintf("rebuild=%t", rebuild), func(b *testing.B) {
			o := Options{Dir: b.TempDir(), Create: true}
			s := open(b, o)
			m := hnswManifest(128)
			c := create(b, s, "one", m)
			for i := range 10 {
				put(b, c, 1, i*1000, i*1000+1000)
			}
			closeStore(b, s)
			b.ResetTimer()
			for range b.N {
				b.StopTimer()
				if rebuild {
					s := open(b, o)
					key := checkpointKey(c.number, 1)
					header, err := decodeCheckpoint(mustGet(b, s.db, key))
					if err != nil {
						b.Fatal(err)
					}
					closeStore(b, s)
					s = open(b, o)
					if err := s.db.Delete(chunkKey(c.number, 1, header.written[0], 0), pebble.Sync); err != nil {
						b.Fatal(err)
					}
					closeStore(b, s)
				}
				b.StartTimer()
				s := open(b, o)
				b.StopTimer()
				if got := reopen(b, s, "one", m).rebuilt; got != rebuild {
					b.Fatalf("rebuilt %t, want %t", got, rebuild)
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

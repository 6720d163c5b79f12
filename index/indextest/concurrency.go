package indextest

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
)

// testConcurrency has writers of ordinals of their own beside readers: ordinals
// that are never touched must be in every exact answer, ordinals that are only
// replaced are there exactly once.
func (e Engine) testConcurrency(t *testing.T) {
	const (
		dim     = 16
		writers = 3
		readers = 3
	)
	n := e.size(1500) // ordinals of a writer
	if raceEnabled && !e.Slow {
		n = 350 // enough for searches to walk a graph
	}
	t.Logf("seed %d", seed)
	rows := Clustered(seed, (writers+1)*n, dim, 20, 0.5)
	b := e.bench(t, dim, compat.MetricL2)
	// The last n ordinals are there from the beginning; they are only replaced.
	b.insert(Ordinals(uint32(writers*n), n), rows[writers*n*dim:])

	var writing, reading sync.WaitGroup
	done := make(chan struct{})
	for w := range writers {
		writing.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(w)))
			for i := 0; i < n; i += 50 {
				from := w*n + i
				v := b.space.Stamp(t, slices.Clone(rows[from*dim:(from+50)*dim]))
				if err := b.index.Insert(context.Background(), Ordinals(uint32(from), 50), v); err != nil {
					t.Errorf("Insert: %v", err)
					return
				}
				b.index.Delete(Ordinals(uint32(from), 10))
				// Replaced by itself: it never goes away.
				again := writers*n + rng.IntN(n/writers)*writers + w
				if err := b.index.Insert(context.Background(), []uint32{uint32(again)}, b.space.Stamp(t, slices.Clone(rows[again*dim:(again+1)*dim]))); err != nil {
					t.Errorf("Insert: %v", err)
					return
				}
			}
		})
	}
	for r := range readers {
		reading.Go(func() {
			rng := rand.New(rand.NewPCG(seed, 100+uint64(r)))
			for stop := false; !stop; {
				select {
				case <-done:
					stop = true
				default:
				}
				at := writers*n + rng.IntN(n)
				exact := r == 0
				answer, err := b.index.Search(context.Background(), index.Query{Vector: b.space.Stamp(t, rows[at*dim:(at+1)*dim]), K: 10, Exact: exact})
				if err != nil {
					t.Errorf("Search: %v", err)
					return
				}
				seen := map[uint32]bool{}
				for i, h := range answer.Hits {
					if seen[h.Ordinal] || i > 0 && h.Score < answer.Hits[i-1].Score {
						t.Errorf("ordinal %d twice or out of order: %v", h.Ordinal, answer.Hits)
					}
					seen[h.Ordinal] = true
				}
				if len(answer.Hits) != 10 || exact && !seen[uint32(at)] {
					t.Errorf("%d hits of 10 beside writers; ordinal %d among them: %v", len(answer.Hits), at, seen[uint32(at)])
					return
				}
				b.index.Stats()
			}
		})
	}
	if c, ok := index.As[index.Compacter](b.index); ok {
		writing.Go(func() {
			for range 3 {
				if err := c.Compact(context.Background()); err != nil {
					t.Errorf("Compact: %v", err)
				}
			}
		})
	}
	writing.Wait()
	close(done)
	reading.Wait()

	for w := range writers {
		for i := 0; i < n; i += 50 {
			from := w*n + i + 10
			b.oracle.Put(Ordinals(uint32(from), 40), rows[from*dim:(from+40)*dim])
		}
	}
	if s := b.index.Stats(); s.Live != b.oracle.Len() {
		t.Errorf("stats after writers: %+v, want %d live", s, b.oracle.Len())
	}
	queries := rows[:100*dim]
	if r := b.recall(queries, 10, index.Query{Exact: true}); r != 1 {
		t.Errorf("exact recall after writers: %.3f", r)
	}
	e.floor(t, "after writers", b.recall(queries, 10, index.Query{}))
}

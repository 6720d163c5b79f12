package hnsw

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/indextest"
)

// TestCompactEndsBesideWriters has as many writers as the machine can take
// replace vectors as the store does: a new ordinal for each new vector, the old
// one deleted after. Compact ends beside them, and nothing gets lost.
func TestCompactEndsBesideWriters(t *testing.T) {
	const dim, writers, seed = 16, 6, 21
	n, rounds := 3000, 3
	if raceEnabled {
		n, rounds = 600, 1
	}
	t.Logf("seed %d", seed)
	g, space := newGraph(t, dim, compat.MetricL2)
	vector := func(ordinal uint32) []float32 { return indextest.Clustered(uint64(ordinal), 1, dim, 1, 1) }
	put := func(ordinal uint32) {
		if err := g.Insert(context.Background(), []uint32{ordinal}, space.Stamp(t, vector(ordinal))); err != nil {
			t.Error(err)
		}
	}
	var next atomic.Uint32
	owned := make([]uint32, n) // the ordinal of each point; point i is writer i % writers's
	for i := range owned {
		owned[i] = next.Add(1)
		put(owned[i])
	}
	var stop atomic.Bool
	var wrote atomic.Int64
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(w)))
			for !stop.Load() {
				i := rng.IntN(n/writers)*writers + w
				ordinal := next.Add(1)
				put(ordinal)
				g.Delete(owned[i : i+1])
				owned[i] = ordinal
				wrote.Add(1)
			}
		})
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	for range rounds {
		began, before, from := time.Now(), g.Stats(), wrote.Load()
		if err := g.Compact(ctx); err != nil {
			t.Fatalf("Compact beside writers: %v; %+v became %+v", err, before, g.Stats())
		}
		t.Logf("compacted in %v beside %d writes: %+v became %+v", time.Since(began), wrote.Load()-from, before, g.Stats())
		if wrote.Load() == from {
			t.Error("no write came through while Compact ran")
		}
		// What had been deleted before is gone; how much came since is up to
		// the machine.
		if s, since := g.Stats(), wrote.Load()-from; s.Deleted > int(since)+writers {
			t.Errorf("%+v: more tombstones than the %d writes since Compact began", s, since)
		}
	}
	stop.Store(true)
	wg.Wait()
	if s := g.Stats(); s.Live != n {
		t.Errorf("%+v, want %d live", s, n)
	}
	if reached := checkInvariants(t, g); reached < 0.999 {
		t.Errorf("level 0 leads to %.4f of the nodes", reached)
	}
	for _, ordinal := range owned {
		answer, err := g.Search(context.Background(), index.Query{Vector: space.Stamp(t, vector(ordinal)), K: 1, Exact: ordinal%2 == 0})
		if err != nil || len(answer.Hits) != 1 || answer.Hits[0].Score > 1e-3 || answer.Hits[0].Ordinal != ordinal {
			t.Fatalf("ordinal %d is not found by its vector: %v, %v", ordinal, answer, err)
		}
	}
}

// TestCompactKeepsWhatWritersDo has one ordinal replaced and deleted over and
// over while it is copied: the last write counts.
func TestCompactKeepsWhatWritersDo(t *testing.T) {
	const dim, seed, ordinals = 4, 22, 300
	t.Logf("seed %d", seed)
	rounds := 20
	if raceEnabled {
		rounds = 3
	}
	for round := range rounds {
		g, space := newGraph(t, dim, compat.MetricL2)
		insert(t, g, space, 0, indextest.Clustered(seed, ordinals, dim, 3, 1))
		rng := rand.New(rand.NewPCG(seed, uint64(round)))
		last := map[uint32][]float32{}
		done := make(chan error)
		go func() { done <- g.Compact(context.Background()) }()
		for range 3 * ordinals {
			ordinal := rng.Uint32N(ordinals)
			if rng.IntN(2) == 0 {
				g.Delete([]uint32{ordinal})
				last[ordinal] = nil
				continue
			}
			last[ordinal] = []float32{rng.Float32(), rng.Float32(), rng.Float32(), rng.Float32()}
			insert(t, g, space, ordinal, append([]float32(nil), last[ordinal]...))
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		c := g.core.Load()
		live := 0
		for ordinal := range uint32(ordinals) {
			link := c.table.Get(ordinal)
			want, written := last[ordinal]
			switch {
			case written && (link == 0) != (want == nil):
				t.Fatalf("round %d: ordinal %d has node %d, want vector %v", round, ordinal, link, want)
			case written && want != nil && !slices.Equal(c.arrays.Load().vector(link-1), want):
				t.Fatalf("round %d: ordinal %d has another vector than its last", round, ordinal)
			case !written && link == 0:
				t.Fatalf("round %d: ordinal %d was not written and is gone", round, ordinal)
			}
			if link != 0 {
				live++
			}
		}
		if s := g.Stats(); s.Live != live {
			t.Fatalf("round %d: %+v, want %d live", round, s, live)
		}
	}
}

// A copied vector never takes the place of one that a writer has written.
func TestCopiesDoNotReplace(t *testing.T) {
	g, space := newGraph(t, 2, compat.MetricL2)
	insert(t, g, space, 7, []float32{1, 2})
	c := g.core.Load()
	other, space := newGraph(t, 2, compat.MetricL2)
	insert(t, other, space, 0, []float32{3, 4})
	from := other.core.Load().arrays.Load()
	if _, ok := c.copyAbsent(from, 0, 7, nil); !ok {
		t.Fatal("no room")
	}
	if link := c.table.Get(7); link == 0 || !slices.Equal(c.arrays.Load().vector(link-1), []float32{1, 2}) || g.Stats().Live != 1 {
		t.Errorf("ordinal 7 is node %d, %+v", link, g.Stats())
	}
	if _, ok := c.copyAbsent(from, 0, 8, nil); !ok || c.table.Get(8) == 0 || g.Stats().Live != 2 {
		t.Errorf("ordinal 8 is node %d, %+v", c.table.Get(8), g.Stats())
	}
}

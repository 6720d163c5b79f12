package hnsw

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/indextest"
)

// TestOptimizeFindsMore: at the same ef no less is found after Optimize than
// before, on data that is easy, hard, inserted cluster by cluster, or full of
// twins and tombstones, and level 0 leads everywhere.
func TestOptimizeFindsMore(t *testing.T) {
	skipRace(t)
	const queries, seed = 150, 61
	t.Logf("seed %d", seed)
	n := 2000
	if testing.Short() {
		n = 1200
	}
	for _, d := range []struct {
		name     string
		encoding compat.Encoding
		metric   compat.Metric
		dim      int
		rows     func(n, dim int) []float32
		orderly  bool // the queries are the last rows; the others are sorted
	}{
		{"manifold", compat.EncodingF32, compat.MetricCosine, 64, func(n, dim int) []float32 { return indextest.Manifold(seed, n, dim, 32, 20, 1.2) }, false},
		{"manifold", compat.EncodingLVQ4x8, compat.MetricCosine, 96, func(n, dim int) []float32 { return indextest.Manifold(seed, n, dim, 48, 20, 1.2) }, false},
		{"noise", compat.EncodingInt8, compat.MetricL2, 48, func(n, dim int) []float32 { return indextest.Clustered(seed, n, dim, 1, 1) }, false},
		{"cluster by cluster", compat.EncodingF32, compat.MetricL2, 32, func(n, dim int) []float32 { return indextest.Clustered(seed, n, dim, 30, 0.2) }, true},
	} {
		g, space := newEncoded(t, d.encoding, d.dim, d.metric)
		all := d.rows(n+queries, d.dim)
		rows, query := all[:n*d.dim], all[n*d.dim:]
		if d.orderly {
			rows = sortedByFirst(rows, d.dim)
		}
		insert(t, g, space, 0, rows)
		insert(t, g, space, uint32(n), slices.Clone(rows[:50*d.dim])) // twins
		g.Delete(indextest.Ordinals(uint32(n), 50))
		least := map[int]float64{}
		for _, ef := range []int{10, 24} {
			least[ef] = truthRecall(t, g, space, rows, query, ef)
		}
		last := 0
		if err := g.Optimize(context.Background(), func(done, total int) {
			if done < last || done > total {
				t.Errorf("progress from %d to %d of %d", last, done, total)
			}
			last = done
		}); err != nil {
			t.Fatal(err)
		}
		if last != n+50 {
			t.Errorf("progress ended at %d of %d", last, n+50)
		}
		if reached := checkInvariants(t, g); reached != 1 {
			t.Errorf("%s, %s: level 0 leads to %.4f of the nodes", d.name, d.encoding, reached)
		}
		for _, ef := range []int{10, 24} {
			recall := truthRecall(t, g, space, rows, query, ef)
			t.Logf("%s, %s: recall@10 at ef %d was %.4f, is %.4f", d.name, d.encoding, ef, least[ef], recall)
			if recall < least[ef]-0.002 {
				t.Errorf("%s, %s: recall@10 at ef %d fell from %.4f to %.4f", d.name, d.encoding, ef, least[ef], recall)
			}
		}
	}
}

// sortedByFirst orders rows by their first component.
func sortedByFirst(rows []float32, dim int) []float32 {
	order := make([]int, len(rows)/dim)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		if rows[i*dim] < rows[j*dim] {
			return -1
		}
		return 1
	})
	var sorted []float32
	for _, i := range order {
		sorted = append(sorted, rows[i*dim:(i+1)*dim]...)
	}
	return sorted
}

// TestOptimizeLinksWhatIsCutOff: nodes that no link leads to are found again.
func TestOptimizeLinksWhatIsCutOff(t *testing.T) {
	const dim, n, seed = 16, 600, 62
	t.Logf("seed %d", seed)
	g, space := newGraph(t, dim, compat.MetricL2)
	insert(t, g, space, 0, indextest.Clustered(seed, n, dim, 10, 0.5))
	c := g.core.Load()
	a := c.arrays.Load()
	rng := rand.New(rand.NewPCG(seed, 0))
	cut := map[uint32]bool{}
	for len(cut) < 40 {
		cut[rng.Uint32N(n)] = true
	}
	for id := range uint32(n) {
		block := a.block(id, 0)
		kept := slices.DeleteFunc(slices.Clone(block), func(link uint32) bool { return link == 0 || cut[link-1] })
		clear(block)
		copy(block, kept)
		a.settled[id] = 0
	}
	if reached := checkInvariants(t, g); reached > 0.95 {
		t.Fatalf("level 0 leads to %.4f of the nodes before", reached)
	}
	if err := g.reachAll(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	if reached := checkInvariants(t, g); reached != 1 {
		t.Errorf("level 0 leads to %.4f of the nodes", reached)
	}
}

// TestOptimizeBesideWriters: searches find what is not touched all the while,
// and what writers do is done.
func TestOptimizeBesideWriters(t *testing.T) {
	const dim, writers, seed = 16, 3, 63
	t.Logf("seed %d", seed)
	n, rounds := 2000, 2
	if raceEnabled {
		n, rounds = 400, 1
	}
	g, space := newEncoded(t, compat.EncodingInt8, dim, compat.MetricL2)
	rows := indextest.Clustered(seed, 2*n, dim, 20, 0.5)
	insert(t, g, space, 0, rows[:n*dim])
	var stop atomic.Bool
	var beside sync.WaitGroup
	for w := range writers {
		beside.Go(func() {
			for i := n + w; i < 2*n && !stop.Load(); i += writers {
				if err := g.Insert(context.Background(), []uint32{uint32(i)}, space.Stamp(t, slices.Clone(rows[i*dim:(i+1)*dim]))); err != nil {
					t.Error(err)
				}
				if i%3 == 0 {
					g.Delete([]uint32{uint32(i)})
				}
			}
		})
	}
	beside.Go(func() {
		for i := 0; !stop.Load(); i = (i + 7) % n {
			answer, err := g.Search(context.Background(), index.Query{Vector: space.Stamp(t, rows[i*dim:(i+1)*dim]), K: 1, Exact: i%2 == 0})
			if err != nil || len(answer.Hits) != 1 || answer.Hits[0].Score > 0.1 {
				t.Errorf("vector %d by itself: %v, %v", i, answer, err)
				return
			}
		}
	})
	for range rounds {
		if err := g.Optimize(context.Background(), nil); err != nil {
			t.Error(err)
		}
		if err := g.Compact(context.Background()); err != nil {
			t.Error(err)
		}
	}
	stop.Store(true)
	beside.Wait()
	if err := g.Optimize(context.Background(), nil); err != nil {
		t.Error(err)
	}
	if reached := checkInvariants(t, g); reached != 1 {
		t.Errorf("level 0 leads to %.4f of the nodes", reached)
	}
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	if err := g.Optimize(cancelled, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	empty, _ := newGraph(t, dim, compat.MetricL2)
	if err := empty.Optimize(context.Background(), nil); err != nil {
		t.Errorf("an empty graph: %v", err)
	}
}

package hnsw

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index/indextest"
)

// TestKnownDiversityChangesNoChoice: what a block remembers of its links saves
// comparisons, and gives the very neighbours that comparing all pairs would.
func TestKnownDiversityChangesNoChoice(t *testing.T) {
	const seed, n, dim = 12, 3000, 24
	t.Logf("seed %d", seed)
	space := indextest.NewSpace(t, "settled", dim, compat.MetricCosine)
	space.Config.Build.M = 6
	g, err := New(space.Config)
	if err != nil {
		t.Fatal(err)
	}
	rows := indextest.Manifold(seed, n, dim, 8, 20, 1)
	if err := g.Insert(context.Background(), indextest.Ordinals(0, n), space.Stamp(t, rows)); err != nil {
		t.Fatal(err)
	}
	c := g.core.Load()
	a, s := c.arrays.Load(), c.scratch.Get().(*scratch)
	rng := rand.New(rand.NewPCG(seed, 0))
	saved := 0
	for id := range uint32(n) {
		if a.levels[id] == twin {
			continue
		}
		var nodes []uint32
		for _, link := range a.block(id, 0) {
			if link != 0 {
				nodes = append(nodes, link-1)
			}
		}
		settled := int(a.settled[id])
		saved += settled
		if settled > len(nodes) {
			t.Fatalf("node %d: %d of %d links are settled", id, settled, len(nodes))
		}
		for range 3 {
			if other := rng.Uint32N(n); other != id && !slices.Contains(nodes, other) {
				nodes = append(nodes, other)
			}
		}
		raw := make([]float32, len(nodes))
		c.pairs(raw, a, s, id, nodes)
		var items []item
		for i, node := range nodes {
			it := newItem(c.measure.Key(raw[i]), node)
			if i < settled {
				it |= 1
			}
			items = append(items, it)
		}
		nearestFirst(items)
		with, _ := c.choose(a, s, id, candidates{items: items, known: true, limit: 12})
		with = slices.Clone(with)
		without, _ := c.choose(a, s, id, candidates{items: items, limit: 12})
		if !slices.Equal(with, without) {
			t.Fatalf("node %d with %d settled links: chose %d, want %d", id, settled, with, without)
		}
	}
	if saved < 3*n {
		t.Errorf("only %d links of %d nodes are settled", saved, n)
	}
}

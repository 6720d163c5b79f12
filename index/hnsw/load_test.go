package hnsw

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/indextest"
)

// TestNothingOfACheckpointIsBelieved changes bytes under a right checksum, in a
// graph that is all structure: of two dimensions, with many levels and twins.
// What Load takes must have links that a search can follow, and work.
func TestNothingOfACheckpointIsBelieved(t *testing.T) {
	t.Run("f32", func(t *testing.T) { believeNothing(t, compat.EncodingF32, 120, 4000) })
	for _, encoding := range coded {
		if raceEnabled {
			break
		}
		t.Run(string(encoding), func(t *testing.T) { believeNothing(t, encoding, sampleSize, 400) })
	}
}

func believeNothing(t *testing.T, encoding compat.Encoding, n, changes int) {
	const dim, seed = 2, 12
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	space := indextest.NewSpace(t, "load", dim, compat.MetricL2)
	space.Config.Build.M = 3
	space.Config.Build.Encoding = encoding
	g, err := New(space.Config)
	if err != nil {
		t.Fatal(err)
	}
	rows := indextest.Clustered(seed, n, dim, 10, 1)
	insert(t, g, space, 0, rows)
	insert(t, g, space, uint32(n), rows[:20*dim]) // twins
	g.Delete(indextest.Ordinals(5, 5))
	var good []index.Chunk
	if err := g.Save(func(c index.Chunk) error { good = append(good, c); return nil }); err != nil {
		t.Fatal(err)
	}

	refused := 0
	for range changes {
		i := rng.IntN(len(good))
		payload := indextest.Payload(good, i)
		for range 1 + rng.IntN(2) {
			payload[rng.IntN(len(payload))] = [...]byte{0, 1, 0xff, byte(rng.Uint32()), byte(rng.Uint32N(uint32(n)))}[rng.IntN(5)]
		}
		loaded, err := Load(space.Config, index.Chunks(indextest.Reseal(good, i, payload)))
		if err != nil {
			if !errors.Is(err, index.ErrCorrupt) {
				t.Fatalf("changed chunk: %v", err)
			}
			refused++
			continue
		}
		checkLinks(t, loaded)
		query := index.Query{Vector: space.Stamp(t, []float32{1, 1}), K: 10, Ef: 2}
		if _, err := loaded.Search(context.Background(), query); err != nil {
			t.Fatal(err)
		}
		insert(t, loaded, space, 5000, []float32{0.5, 0.5})
	}
	t.Logf("%d of %d changes refused", refused, changes)
	if refused < changes/8 {
		t.Errorf("only %d of %d changes were refused", refused, changes)
	}
}

// checkLinks fails when a link leads where a walk of its level can't go on.
func checkLinks(t *testing.T, g *Graph) {
	t.Helper()
	c := g.core.Load()
	a, n := c.arrays.Load(), c.nodes.Load()
	for id := range n {
		for level := range int(a.levels[id]) + 1 {
			if a.levels[id] == twin {
				break
			}
			for _, link := range a.block(id, level) {
				if link != 0 && (link > n || a.levels[link-1] == twin || int(a.levels[link-1]) < level) {
					t.Fatalf("node %d links to node %d at level %d, which it has not", id, link-1, level)
				}
			}
		}
	}
	// A chain that does not end would never let this return.
	for id := range n {
		for next := a.twins[id]; next != 0 && a.levels[id] != twin; next = a.twins[next-1] {
			if a.levels[next-1] != twin {
				t.Fatalf("node %d hangs on node %d and is no twin", next-1, id)
			}
		}
	}
}

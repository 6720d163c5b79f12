package hnsw

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/indextest"
)

// sameGraph fails when two graphs that nobody writes to differ in a node.
func sameGraph(t *testing.T, want, got *Graph) {
	t.Helper()
	w, g := want.core.Load(), got.core.Load()
	a, b := w.arrays.Load(), g.arrays.Load()
	n := w.nodes.Load()
	if g.nodes.Load() != n || g.entry.Load() != w.entry.Load() || g.live.Load() != w.live.Load() || g.drawn.Load() != w.drawn.Load() ||
		g.cfg.Seed != w.cfg.Seed || g.misfits.Load() != w.misfits.Load() || g.encoded.Load() != w.encoded.Load() || g.unfit.Load() != w.unfit.Load() {
		t.Fatalf("%d nodes, entry %x, %d live, %d drawn; want %d, %x, %d, %d, and the counts of the book",
			g.nodes.Load(), g.entry.Load(), g.live.Load(), g.drawn.Load(), n, w.entry.Load(), w.live.Load(), w.drawn.Load())
	}
	x, y := make([]float32, a.dim), make([]float32, a.dim)
	for id := range n {
		a.decode(x, id)
		b.decode(y, id)
		if a.ordinals[id] != b.ordinals[id] || a.levels[id] != b.levels[id] || a.twins[id] != b.twins[id] || w.isLive(a, id) != g.isLive(b, id) || !slices.Equal(x, y) {
			t.Fatalf("node %d: ordinal %d, level %d, twin %d, live %t; want %d, %d, %d, %t, and the same vector", id,
				b.ordinals[id], b.levels[id], b.twins[id], g.isLive(b, id), a.ordinals[id], a.levels[id], a.twins[id], w.isLive(a, id))
		}
		for level := range int(a.levels[id]) + 1 {
			if a.levels[id] == twin {
				break
			}
			if !slices.Equal(a.block(id, level), b.block(id, level)) {
				t.Fatalf("node %d has links %v at level %d, want %v", id, b.block(id, level), level, a.block(id, level))
			}
		}
	}
}

// TestChangedPartsMakeTheGraph: a checkpoint of parts of which each was written
// when it had changed is the graph, node for node.
func TestChangedPartsMakeTheGraph(t *testing.T) {
	skipRace(t)
	for _, encoding := range []compat.Encoding{compat.EncodingF32, compat.EncodingLVQ4x8} {
		dim, n, seed := 1024, 1200, uint64(41)
		if encoding != compat.EncodingF32 {
			n = 2100
		}
		t.Logf("seed %d", seed)
		g, space := newEncoded(t, encoding, dim, compat.MetricCosine)
		rows := indextest.Clustered(seed, n, dim, 20, 0.7)
		insert(t, g, space, 0, rows)
		var saved *index.Saved
		chunks := map[int]index.Chunk{}
		written := 0
		save := func() {
			t.Helper()
			written = 0
			var err error
			saved, err = g.SaveSince(saved, func(number int, chunk index.Chunk) error {
				chunks[number] = chunk
				written++
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			var whole index.Chunks
			for i := range len(saved.Sums) + 1 {
				whole = append(whole, chunks[i])
			}
			loaded, err := Load(space.Config, whole)
			if err != nil {
				t.Fatal(err)
			}
			sameGraph(t, g, loaded)
		}
		save()
		rng := rand.New(rand.NewPCG(seed, 0))
		least := written
		for round := range 40 {
			at := rng.IntN(n) * dim
			v := slices.Clone(rows[at : at+dim])
			if round%4 > 0 { // else a twin
				v[rng.IntN(dim)] += 0.5
			}
			insert(t, g, space, uint32(n+round), v)
			if round%5 == 0 {
				g.Delete([]uint32{rng.Uint32N(uint32(n))})
			}
			save()
			least = min(least, written)
		}
		other, err := Load(space.Config, saveAll(t, g))
		if err != nil {
			t.Fatal(err)
		}
		all := 0
		if _, err := other.SaveSince(saved, func(int, index.Chunk) error { all++; return nil }); err != nil || all != len(saved.Sums)+1 {
			t.Errorf("%s: a graph took the checkpoint of another one for its own: %d chunks written, %v", encoding, all, err)
		}
		t.Logf("%s: %d parts, at least %d written for one insert", encoding, len(saved.Sums), least)
		if least > len(saved.Sums)/2+1 {
			t.Errorf("%s: no insert left half of the parts alone", encoding)
		}
	}
}

// saveAll is a checkpoint of everything.
func saveAll(t *testing.T, g *Graph) (chunks index.Chunks) {
	t.Helper()
	if err := g.Save(func(c index.Chunk) error { chunks = append(chunks, c); return nil }); err != nil {
		t.Fatal(err)
	}
	return chunks
}

// BenchmarkSnapshot is how long writers wait for a checkpoint, beside the end of
// the inserts under way.
func BenchmarkSnapshot(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000, 10_000_000} {
		b.Run(fmt.Sprintf("nodes=%d", n), func(b *testing.B) {
			g, _ := newGraph(b, 8, compat.MetricCosine)
			for range n {
				if _, ok := g.core.Load().allocate(0); !ok {
					b.Fatal("no room")
				}
			}
			for b.Loop() {
				g.snapshot(&index.Saved{Epoch: 1, Owner: g.owner})
			}
		})
	}
}

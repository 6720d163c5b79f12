package hnsw

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/indextest"
)

// living is a graph under deletes beside what must be found in it.
type living struct {
	t     *testing.T
	dim   int
	graph *Graph
	space *indextest.Space
	rows  map[uint32][]float32 // by ordinal
	next  uint32
}

func newLiving(t *testing.T, encoding compat.Encoding, dim int, rows []float32) *living {
	t.Helper()
	l := &living{t: t, dim: dim, rows: map[uint32][]float32{}}
	l.graph, l.space = newEncoded(t, encoding, dim, compat.MetricL2)
	l.insert(rows)
	return l
}

func (l *living) insert(rows []float32) {
	l.t.Helper()
	insert(l.t, l.graph, l.space, l.next, rows)
	for i := 0; i < len(rows); i += l.dim {
		l.rows[l.next] = rows[i : i+l.dim]
		l.next++
	}
}

func (l *living) delete(ordinals []uint32) {
	l.graph.Delete(ordinals)
	for _, o := range ordinals {
		delete(l.rows, o)
	}
}

// ordinals are the live ones, ascending.
func (l *living) ordinals() []uint32 { return slices.Sorted(maps.Keys(l.rows)) }

// lost is how many live vectors a search by themselves does not find.
func (l *living) lost() (lost int) {
	l.t.Helper()
	for _, o := range l.ordinals() {
		answer, err := l.graph.Search(context.Background(), index.Query{Vector: l.space.Stamp(l.t, slices.Clone(l.rows[o])), K: 1})
		if err != nil {
			l.t.Fatal(err)
		}
		if len(answer.Hits) != 1 || answer.Hits[0].Ordinal != o {
			lost++
		}
	}
	return lost
}

// like compares recall@10 with a fresh graph's of what is live, at the same ef,
// and looks for everything.
func (l *living) like(what string, encoding compat.Encoding, queries []float32, ef int) {
	l.t.Helper()
	// Numbered by place: what a recall is taken of.
	var rows []float32
	places := map[uint32]int{}
	for i, o := range l.ordinals() {
		rows = append(rows, l.rows[o]...)
		places[o] = i
	}
	fresh, space := newEncoded(l.t, encoding, l.dim, compat.MetricL2)
	insert(l.t, fresh, space, 0, rows)
	want := truthRecall(l.t, fresh, space, rows, queries, ef)
	// The same of l, whose ordinals are others.
	found, all := 0, 0
	for i := 0; i < len(queries); i += l.dim {
		v := l.space.Stamp(l.t, queries[i:i+l.dim])
		truth, err := fresh.Search(context.Background(), index.Query{Vector: v, K: 10, Exact: true})
		if err != nil {
			l.t.Fatal(err)
		}
		got, err := l.graph.Search(context.Background(), index.Query{Vector: v, K: 10, Ef: ef})
		if err != nil {
			l.t.Fatal(err)
		}
		all += len(truth.Hits)
		for _, h := range got.Hits {
			if slices.ContainsFunc(truth.Hits, func(x index.Hit) bool { return int(x.Ordinal) == places[h.Ordinal] }) {
				found++
			}
		}
	}
	recall, lost, stats := float64(found)/float64(all), l.lost(), l.graph.Stats()
	l.t.Logf("%s, %s: recall@10 at ef %d %.4f, a fresh graph's %.4f; %d of %d not found; %d tombstones", what, encoding, ef, recall, want, lost, len(l.rows), stats.Deleted)
	if recall < want-0.01 || lost > 0 {
		l.t.Errorf("%s, %s: recall@10 at ef %d is %.4f, a fresh graph's %.4f, and %d vectors are not found", what, encoding, ef, recall, want, lost)
	}
}

// TestDeletesHideNothing: twenty times a twentieth goes and as many others come;
// half of a cluster goes, and the entry point with it; half of all goes and as
// many others come. Each time all that is live is found, as well as in a graph
// that never had anything else, before tombstones are let go of and after.
func TestDeletesHideNothing(t *testing.T) {
	skipRace(t)
	const dim, n, clusters, ef, seed = 24, 2000, 20, 12, 71
	t.Logf("seed %d", seed)
	all := indextest.Clustered(seed, 3*n+100, dim, clusters, 0.6)
	queries, all := all[:100*dim], all[100*dim:]
	for _, encoding := range []compat.Encoding{compat.EncodingF32, compat.EncodingLVQ4x8} {
		rng := rand.New(rand.NewPCG(seed, 0))
		l := newLiving(t, encoding, dim, all[:n*dim])
		rest := all[n*dim:]
		exchange := func(share int) {
			gone := l.ordinals()
			rng.Shuffle(len(gone), func(i, j int) { gone[i], gone[j] = gone[j], gone[i] })
			gone = gone[:len(gone)/share]
			l.delete(gone)
			l.insert(rest[:len(gone)*dim])
			rest = rest[len(gone)*dim:]
		}
		for range 20 {
			exchange(20)
		}
		l.like("20 x 5 % exchanged", encoding, queries, ef)

		// The cluster of the entry point, and it first.
		c := l.graph.core.Load()
		entry := make([]float32, dim)
		c.arrays.Load().decode(entry, uint32(c.entry.Load())-1)
		near, err := l.graph.Search(context.Background(), index.Query{Vector: l.space.Stamp(t, entry), K: n / clusters, Exact: true})
		if err != nil {
			t.Fatal(err)
		}
		var gone []uint32
		for i, h := range near.Hits {
			if i%2 == 0 {
				gone = append(gone, h.Ordinal)
			}
		}
		l.delete(gone)
		l.like("half of a cluster deleted", encoding, queries, ef)

		if err := l.graph.Compact(context.Background()); err != nil {
			t.Fatal(err)
		}
		l.like("compacted", encoding, queries, ef)
		exchange(2)
		l.like("50 % exchanged", encoding, queries, ef)
	}
}

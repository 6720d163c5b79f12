package hnsw

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/indextest"
)

// ranked are all ordinals of a graph, the nearest to the query first.
func ranked(t *testing.T, g *Graph, v compat.Vectors) []uint32 {
	t.Helper()
	answer, err := g.Search(context.Background(), index.Query{Vector: v, K: g.Stats().Live, Exact: true})
	if err != nil {
		t.Fatal(err)
	}
	all := make([]uint32, len(answer.Hits))
	for i, h := range answer.Hits {
		all[i] = h.Ordinal
	}
	return all
}

// TestFiltersThatGoWithTheQuery: what is near the query is found by a walk, what
// is far from it by a scan that does not look at everything of every row, and
// both find what an exact scan does.
func TestFiltersThatGoWithTheQuery(t *testing.T) {
	skipRace(t)
	const dim, n, queries, ef, seed = 32, 6000, 12, 20, 51
	t.Logf("seed %d", seed)
	all := indextest.Manifold(seed, n+queries, dim, 16, 40, 1.2)
	rng := rand.New(rand.NewPCG(seed, 0))
	for _, encoding := range append([]compat.Encoding{compat.EncodingF32}, coded...) {
		g, space := newEncoded(t, encoding, dim, compat.MetricCosine)
		insert(t, g, space, 0, all[:n*dim])
		for _, f := range []struct {
			name     string
			admitted func(ranks []uint32) []uint32
		}{
			{"near half", func(ranks []uint32) []uint32 { return ranks[:n/2] }},
			{"far half", func(ranks []uint32) []uint32 { return ranks[n/2:] }},
			{"all but near", func(ranks []uint32) []uint32 { return ranks[n/10:] }},
			{"random half", func(ranks []uint32) []uint32 {
				some := slices.Clone(ranks)
				rng.Shuffle(n, func(i, j int) { some[i], some[j] = some[j], some[i] })
				return some[:n/2]
			}},
			{"few", func(ranks []uint32) []uint32 { return ranks[n/2 : n/2+7] }},
		} {
			name := f.name
			plans := map[index.Plan]int{}
			found, want := 0, 0
			for i := n; i < n+queries; i++ {
				v := space.Stamp(t, all[i*dim:(i+1)*dim])
				list := slices.Clone(f.admitted(ranked(t, g, v)))
				slices.Sort(list)
				q := index.Query{Vector: v, K: 10, Ef: ef, Filter: indextest.NewSet(list)}
				got, err := g.Search(context.Background(), q)
				if err != nil {
					t.Fatal(err)
				}
				plans[got.Plan]++
				q.Exact = true
				truth, err := g.Search(context.Background(), q)
				if err != nil {
					t.Fatal(err)
				}
				if len(got.Hits) != len(truth.Hits) {
					t.Fatalf("%s, %s: %d hits of %d", encoding, name, len(got.Hits), len(truth.Hits))
				}
				for _, h := range truth.Hits {
					want++
					if slices.Contains(got.Hits, h) {
						found++
					}
				}
			}
			recall := float64(found) / float64(want)
			t.Logf("%s, %s: recall@10 %.3f, plans %v", encoding, name, recall, plans)
			least := 0.95
			if plans[index.PlanExact] == queries {
				least = 0.99
			}
			if recall < least {
				t.Errorf("%s, %s: recall@10 %.3f, want %.2f", encoding, name, recall, least)
			}
			switch name {
			case "near half", "random half":
				if plans[index.PlanGraphFiltered] < queries*3/4 {
					t.Errorf("%s, %s: plans %v", encoding, name, plans)
				}
			case "far half", "few":
				if plans[index.PlanExact] != queries {
					t.Errorf("%s, %s: plans %v", encoding, name, plans)
				}
			}
		}
	}
}

// TestFilteredBesideWriters: what nobody touches and the filter admits is found,
// by walks and scans, while all else comes and goes.
func TestFilteredBesideWriters(t *testing.T) {
	const dim, seed, ef = 8, 52, 6 // so narrow that walks are cheaper than scans
	n := 2400
	if raceEnabled {
		n = sampleSize + 100
	}
	t.Logf("seed %d", seed)
	for _, encoding := range []compat.Encoding{compat.EncodingF32, compat.EncodingLVQ4x8} {
		g, space := newEncoded(t, encoding, dim, compat.MetricL2)
		rows := indextest.Clustered(seed, 2*n, dim, 40, 0.5)
		insert(t, g, space, 0, rows[:n*dim])
		// The first half stays; the filter admits it and some of what comes.
		admitted := indextest.NewSet(append(indextest.Ordinals(0, n/2), indextest.Ordinals(uint32(n), n/4)...))
		var stop atomic.Bool
		var writing, reading sync.WaitGroup
		for w := range 2 {
			writing.Go(func() {
				for i := n + w; i < 2*n; i += 2 {
					if err := g.Insert(context.Background(), []uint32{uint32(i)}, space.Stamp(t, slices.Clone(rows[i*dim:(i+1)*dim]))); err != nil {
						t.Error(err)
					}
					g.Delete([]uint32{uint32(i - n/2)})
				}
			})
		}
		var walked, found, asked atomic.Int64
		for r := range 2 {
			reading.Go(func() {
				for i := r; !stop.Load(); i = (i + 7) % (n / 2) {
					answer, err := g.Search(context.Background(), index.Query{Vector: space.Stamp(t, rows[i*dim:(i+1)*dim]), K: 1, Ef: ef, Filter: admitted})
					if err != nil || len(answer.Hits) != 1 {
						t.Errorf("%d hits, %v", len(answer.Hits), err)
						return
					}
					for _, h := range answer.Hits {
						if !admitted.Contains(h.Ordinal) {
							t.Errorf("ordinal %d was not admitted", h.Ordinal)
						}
					}
					asked.Add(1)
					if answer.Hits[0].Score < 0.2 {
						found.Add(1)
					}
					if answer.Plan == index.PlanGraphFiltered {
						walked.Add(1)
					}
				}
			})
		}
		writing.Wait()
		stop.Store(true)
		reading.Wait()
		t.Logf("%s: %d of %d found, %d by walks", encoding, found.Load(), asked.Load(), walked.Load())
		if found.Load()*100 < asked.Load()*95 || walked.Load() == 0 {
			t.Errorf("%s: %d of %d found, %d by walks", encoding, found.Load(), asked.Load(), walked.Load())
		}
	}
}

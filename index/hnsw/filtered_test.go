package hnsw

import (
	"context"
	"math/rand/v2"
	"slices"
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

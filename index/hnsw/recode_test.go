package hnsw

import (
	"context"
	"math"
	"slices"
	"testing"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/indextest"
)

// TestCompactFrom: after a drift codes made of the vectors as they were given
// are nearer to them than codes made of codes; where a vector is not given any
// more, the codes have to do.
func TestCompactFrom(t *testing.T) {
	skipRace(t)
	const dim, n, seed = 32, 1200, 23
	t.Logf("seed %d", seed)
	for _, encoding := range coded {
		near := indextest.Clustered(seed, n, dim, 30, 0.7)
		far := indextest.Clustered(seed+1, 2*n, dim, 30, 0.7)
		for i := range far {
			far[i] = 10*far[i] + 25
		}
		rows := append(slices.Clone(near), far...)
		// The mean error of the distances of all, after compacting in one way.
		loss := func(compact func(g *Graph, space *indextest.Space) error) float64 {
			g, space := newEncoded(t, encoding, dim, compat.MetricL2)
			insert(t, g, space, 0, slices.Clone(near))
			insert(t, g, space, n, slices.Clone(far))
			if !g.Stats().Drifted {
				t.Fatalf("%s: no drift", encoding)
			}
			if err := compact(g, space); err != nil {
				t.Fatal(err)
			}
			if s := g.Stats(); s.Drifted || s.Live != 3*n || s.Deleted != 0 {
				t.Fatalf("%s: %+v", encoding, s)
			}
			query := slices.Clone(rows[5*dim : 6*dim])
			answer, err := g.Search(context.Background(), index.Query{Vector: space.Stamp(t, query), K: 3 * n, Exact: true})
			if err != nil || len(answer.Hits) != 3*n {
				t.Fatalf("%d hits, %v", len(answer.Hits), err)
			}
			sum := 0.0
			for _, h := range answer.Hits {
				square := 0.0
				for j, x := range rows[int(h.Ordinal)*dim : int(h.Ordinal+1)*dim] {
					d := float64(x) - float64(query[j])
					square += d * d
				}
				sum += math.Abs(float64(h.Score) - math.Sqrt(square))
			}
			return sum / float64(3*n)
		}
		codes := loss(func(g *Graph, _ *indextest.Space) error { return g.Compact(context.Background()) })
		given := loss(func(g *Graph, space *indextest.Space) error {
			return g.CompactFrom(context.Background(), func(ordinal uint32) (compat.Vectors, bool) {
				return space.Stamp(t, slices.Clone(rows[int(ordinal)*dim:int(ordinal+1)*dim])), true
			})
		})
		none := loss(func(g *Graph, _ *indextest.Space) error {
			return g.CompactFrom(context.Background(), func(uint32) (compat.Vectors, bool) { return compat.Vectors{}, false })
		})
		t.Logf("%s: mean error of a distance %.2g of codes, %.2g of vectors as given, %.2g where none is", encoding, codes, given, none)
		if given >= codes || math.Abs(none-codes) > codes/10 {
			t.Errorf("%s: the error is %g of codes, %g of vectors as given, %g where none is", encoding, codes, given, none)
		}
	}
}

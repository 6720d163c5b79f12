package hnsw

import (
	"context"
	"slices"
	"testing"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/indextest"
)

// TestSpare: whoever asks for spare hits has those of the query without them
// first, then such that lie within reach of the error, and no more than asked.
// What the codes tell apart has none, nor have exact queries and whole vectors.
func TestSpare(t *testing.T) {
	skipRace(t)
	const dim, n, k, spare, seed = 32, 4000, 10, 30, 52
	ctx := context.Background()
	near := indextest.Clustered(seed, n, dim, 8, 1e-3) // about eight places
	apart := make([]float32, n*dim)                    // on a circle
	for i := range n {
		copy(apart[i*dim:], indextest.Clustered(seed+1, 1, dim, 1, 0))
		apart[i*dim] += float32(i)
	}
	for _, encoding := range append([]compat.Encoding{compat.EncodingF32}, coded...) {
		for _, set := range []struct {
			name  string
			rows  []float32
			doubt bool
		}{{"close", near, encoding != compat.EncodingF32}, {"apart", apart, false}} {
			g, space := newEncoded(t, encoding, dim, compat.MetricL2)
			insert(t, g, space, 0, set.rows)
			var third []uint32
			for o := uint32(0); o < n; o += 3 {
				third = append(third, o)
			}
			for _, q := range []index.Query{{}, {Filter: indextest.NewSet(third)}} {
				q.Vector, q.K, q.Ef = space.Stamp(t, slices.Clone(set.rows[:dim])), k, 100
				plain, err := g.Search(ctx, q)
				if err != nil {
					t.Fatal(err)
				}
				q.Spare = spare
				answer, err := g.Search(ctx, q)
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(answer.Hits[:k], plain.Hits) || plain.Error != 0 {
					t.Errorf("%s %s: spare hits change the others", encoding, set.name)
				}
				if (answer.Error > 0) != (encoding != compat.EncodingF32) {
					t.Errorf("%s %s: error %g", encoding, set.name, answer.Error)
				}
				more := answer.Hits[k:]
				if (len(more) > 0) != set.doubt || len(more) > spare {
					t.Errorf("%s %s: %d spare hits", encoding, set.name, len(more))
				}
				met := map[uint32]bool{}
				last := answer.Hits[k-1].Score
				for i, h := range answer.Hits {
					if met[h.Ordinal] || i > 0 && h.Score < answer.Hits[i-1].Score || h.Score > last+1.001*doubtful*answer.Error || q.Filter != nil && !q.Filter.Contains(h.Ordinal) {
						t.Errorf("%s %s: hit %d is %+v", encoding, set.name, i, h)
					}
					met[h.Ordinal] = true
				}
				q.Exact = true
				if answer, err = g.Search(ctx, q); err != nil || len(answer.Hits) != k || answer.Error != 0 {
					t.Errorf("%s %s: an exact query has %d hits, error %g, %v", encoding, set.name, len(answer.Hits), answer.Error, err)
				}
			}
		}
	}
}

// TestBlindWalks: where hundreds of nodes lie closer together than the coarse
// layer tells, a walk by both layers finds most of the nearest.
func TestBlindWalks(t *testing.T) {
	skipRace(t)
	const dim, n, queries, k, seed = 32, 8000, 40, 10, 53
	all := indextest.Clustered(seed, n+queries, dim, 8, 0.1)
	for _, encoding := range coded {
		g, space := newEncoded(t, encoding, dim, compat.MetricCosine)
		insert(t, g, space, 0, all[:n*dim])
		found := 0
		for i := n; i < n+queries; i++ {
			v := space.Stamp(t, all[i*dim:(i+1)*dim])
			truth := ranked(t, g, v)[:k]
			answer, err := g.Search(context.Background(), index.Query{Vector: v, K: k, Ef: 100})
			if err != nil {
				t.Fatal(err)
			}
			for _, h := range answer.Hits {
				if slices.Contains(truth, h.Ordinal) {
					found++
				}
			}
		}
		recall := float64(found) / (queries * k)
		t.Logf("%s: recall %.3f", encoding, recall)
		if recall < 0.75 {
			t.Errorf("%s: recall %.3f", encoding, recall)
		}
	}
}

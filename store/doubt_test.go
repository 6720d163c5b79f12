package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index/indextest"
)

// TestDoubtFarthest: a filter that admits what is farthest from the query leaves
// many that codes can't tell apart, whose vectors decide.
func TestDoubtFarthest(t *testing.T) {
	if raceEnabled {
		t.Skip("long, and of one goroutine: nothing for the race detector")
	}
	const dim, n, queries, limit, seed = 128, 12000, 8, 10, 61
	t.Logf("seed %d", seed)
	ctx := context.Background()
	all := indextest.Manifold(seed, n+queries, dim, 96, 300, 1.2)
	places := all[n*dim:]
	for _, encoding := range []compat.Encoding{compat.EncodingInt8, compat.EncodingLVQ4x8} {
		s := open(t, testOptionsFor(t, vfs.NewMem()))
		m := hnswManifest(dim)
		m.Metric, m.Index.Encoding = compat.MetricCosine, encoding
		c := create(t, s, "one", m)
		rows := map[int][]float32{}
		payloads := make([]map[string]int, n)
		for i := range n {
			rows[i], payloads[i] = all[i*dim:(i+1)*dim], map[string]int{}
		}
		for q := range queries {
			field := fmt.Sprintf("rank%d", q)
			if err := c.CreatePayloadIndex(ctx, field, PayloadInteger, nil); err != nil {
				t.Fatal(err)
			}
			order := trueNearest(m.Metric, places[q*dim:(q+1)*dim], rows, func(int) bool { return true })
			for rank, at := range order {
				payloads[at.id][field] = rank
			}
		}
		for from := 0; from < n; from += 1000 {
			var docs []Document
			for id := from; id < from+1000; id++ {
				payload, err := json.Marshal(payloads[id])
				if err != nil {
					t.Fatal(err)
				}
				docs = append(docs, Document{ID: NumID(uint64(id)), Payload: payload})
			}
			if _, err := c.Put(ctx, docs, stamp(t, m, slices.Clone(all[from*dim:(from+1000)*dim]))); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Settle(ctx); err != nil {
			t.Fatal(err)
		}
		no := false
		for _, from := range []int{n / 2, n - n/10, n - n/100} {
			count := func(query SearchQuery) (recall float64) {
				query.Limit = limit
				for q := range queries {
					// The ranks from .. are the farthest; their nearest are the first of them.
					query.Filter = parseFilter(t, fmt.Sprintf(`{"must":{"key":"rank%d","range":{"gte":%d}}}`, q, from))
					found, err := c.Search(ctx, stamp(t, m, slices.Clone(places[q*dim:(q+1)*dim])), query)
					if err != nil || len(found.Hits) != limit {
						t.Fatalf("%d hits, %v", len(found.Hits), err)
					}
					place := places[q*dim : (q+1)*dim]
					for i, h := range found.Hits {
						id, _ := h.ID.Number()
						if payloads[id][fmt.Sprintf("rank%d", q)] < from+limit {
							recall += 1. / limit / queries
						}
						if i > 0 && h.Score > found.Hits[i-1].Score {
							t.Errorf("%s: hit %d has a better score than the one before", encoding, i)
						}
						if math.Abs(float64(h.Score)-trueScore(m.Metric, place, rows[int(id)])) > 1e-2 {
							t.Errorf("%s: hit %d, score %g", encoding, i, h.Score)
						}
					}
				}
				return recall
			}
			codes, decided := count(SearchQuery{Rescoring: Rescoring{On: &no}}), count(SearchQuery{})
			t.Logf("%s, ranks from %d: recall %.3f, of codes alone %.3f", encoding, from, decided, codes)
			if decided < 0.95 || decided < codes {
				t.Errorf("%s, ranks from %d: recall %.3f, of codes alone %.3f", encoding, from, decided, codes)
			}
			if from == n/2 && encoding == compat.EncodingLVQ4x8 && codes > 0.97 {
				t.Errorf("codes alone have a recall of %.3f: they are too good for this test", codes)
			}
		}
		closeStore(t, s)
	}
}

// TestNoDoubt: where the codes tell all hits apart no vector is read. So a
// search finds what it should although all vectors are gone, and one among
// points that lie too close together says that they are.
func TestNoDoubt(t *testing.T) {
	const dim, n = 16, 1500
	ctx := context.Background()
	for _, encoding := range []compat.Encoding{compat.EncodingInt8, compat.EncodingLVQ4x8} {
		s := open(t, testOptionsFor(t, vfs.NewMem()))
		m := hnswManifest(dim)
		m.Index.Encoding = encoding
		c := create(t, s, "one", m)
		near := indextest.Clustered(7, n, dim, 1, 1e-4)
		var docs []Document
		var rows []float32
		for id := range n {
			row := make([]float32, dim)
			if id < n/2 { // in a line
				row[0], row[1] = float32(id), 1000
			} else {
				copy(row, near[id*dim:])
			}
			docs = append(docs, Document{ID: NumID(uint64(id))})
			rows = append(rows, row...)
		}
		if _, err := c.Put(ctx, docs, stamp(t, m, rows)); err != nil {
			t.Fatal(err)
		}
		if err := c.Settle(ctx); err != nil {
			t.Fatal(err)
		}
		prefix := vectorPrefix(c.number, c.serving().number)
		if err := s.db.DeleteRange(prefix, prefixEnd(prefix), pebble.NoSync); err != nil {
			t.Fatal(err)
		}
		found, err := c.Search(ctx, stamp(t, m, slices.Clone(rows[:dim])), SearchQuery{Limit: 10, Offset: 2})
		if err != nil || len(found.Hits) != 10 {
			t.Fatalf("%s: %d hits, %v", encoding, len(found.Hits), err)
		}
		for i, h := range found.Hits {
			if id, _ := h.ID.Number(); int(id) != i+2 {
				t.Errorf("%s: hit %d is %d", encoding, i, id)
			}
		}
		if _, err = c.Search(ctx, stamp(t, m, slices.Clone(rows[(n-1)*dim:])), SearchQuery{Limit: 10}); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: close ones: %v", encoding, err)
		}
		no := false
		if _, err = c.Search(ctx, stamp(t, m, slices.Clone(rows[(n-1)*dim:])), SearchQuery{Limit: 10, Rescoring: Rescoring{On: &no}}); err != nil {
			t.Errorf("%s: codes alone: %v", encoding, err)
		}
		closeStore(t, s)
	}
}

package store

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index/filter"
)

// trueScore is what a metric says of two vectors, in float64.
func trueScore(metric compat.Metric, a, b []float32) float64 {
	var dot, aa, bb, l2 float64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		dot, aa, bb, l2 = dot+x*y, aa+x*x, bb+y*y, l2+(x-y)*(x-y)
	}
	switch metric {
	case compat.MetricCosine:
		return dot / math.Sqrt(aa*bb)
	case compat.MetricDot:
		return dot
	}
	return math.Sqrt(l2)
}

// neighbour is what brute force says of a point.
type neighbour struct {
	id    int
	score float64
}

// trueNearest are all points that are admitted, nearest first.
func trueNearest(metric compat.Metric, query []float32, rows map[int][]float32, admits func(id int) bool) []neighbour {
	var all []neighbour
	for id, row := range rows {
		if admits(id) {
			all = append(all, neighbour{id, trueScore(metric, query, row)})
		}
	}
	slices.SortFunc(all, func(a, b neighbour) int {
		if metric == compat.MetricL2 {
			return cmp.Compare(a.score, b.score)
		}
		return cmp.Compare(b.score, a.score)
	})
	return all
}

// sameAsTrue compares hits with the nearest. Points whose true scores are equal
// to the precision of a float32 may change places.
func sameAsTrue(hits []Hit, want []neighbour, rows map[int][]float32, score func(row []float32) float64) error {
	if len(hits) != len(want) {
		return fmt.Errorf("%d hits, want %d", len(hits), len(want))
	}
	for i, h := range hits {
		id, _ := h.ID.Number()
		own := score(rows[int(id)])
		rounding := 3e-7 * max(1, math.Abs(want[i].score))
		if int(id) != want[i].id && math.Abs(own-want[i].score) > rounding {
			return fmt.Errorf("hit %d is %d (%.9g), want %d (%.9g)", i, id, own, want[i].id, want[i].score)
		}
		if math.Abs(float64(h.Score)-own) > rounding {
			return fmt.Errorf("hit %d, point %d: score %.9g, want %.9g", i, id, h.Score, own)
		}
	}
	return nil
}

// closePoint is one of many that codes can hardly tell apart.
func closePoint(rng *rand.Rand, place []float32) []float32 {
	row := make([]float32, len(place))
	for i := range row {
		row[i] = place[i] + 0.01*float32(rng.NormFloat64())
	}
	return row
}

// TestRescoring: under every metric and encoding exact searches and rescored
// ones agree with brute force over the vectors as they were put, whatever else
// is asked, and the scores are those of the vectors.
func TestRescoring(t *testing.T) {
	if raceEnabled {
		t.Skip("long, and of one goroutine: nothing for the race detector")
	}
	const n, dim, limit = 1500, 24, 10
	ctx := context.Background()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	yes, no := true, false
	for _, metric := range []compat.Metric{compat.MetricCosine, compat.MetricDot, compat.MetricL2} {
		for _, encoding := range []compat.Encoding{compat.EncodingF32, compat.EncodingInt8, compat.EncodingLVQ4x8} {
			if encoding == compat.EncodingF32 && metric != compat.MetricDot {
				continue // nothing to rescore under any of them
			}
			t.Run(fmt.Sprintf("%s %s", metric, encoding), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, 1))
				o := testOptionsFor(t, vfs.NewMem())
				o.CacheBytes = 64 << 20
				s := open(t, o)
				defer closeStore(t, s)
				m := hnswManifest(dim)
				m.Metric, m.Index.Encoding = metric, encoding
				c := create(t, s, "one", m)
				if err := c.CreatePayloadIndex(ctx, "n", PayloadInteger, nil); err != nil {
					t.Fatal(err)
				}
				near, far := vectorOf(1, 1, dim), vectorOf(2, 1, dim)
				rows := map[int][]float32{}
				write := func(from, to int) {
					var docs []Document
					var data [][]float32
					for id := from; id < to; id++ {
						place := far
						if id%3 == 0 {
							place = near
						}
						rows[id] = closePoint(rng, place)
						docs = append(docs, Document{ID: NumID(uint64(id)), Payload: json.RawMessage(fmt.Sprintf(`{"n":%d,"m":%d}`, id, id%3))})
						data = append(data, rows[id])
					}
					if _, err := c.Put(ctx, docs, stamp(t, m, data...)); err != nil {
						t.Fatal(err)
					}
				}
				for from := 0; from < n; from += 500 {
					write(from, from+500)
				}
				if err := c.Settle(ctx); err != nil {
					t.Fatal(err)
				}
				// Some are replaced, some go, and the last ones are not linked yet.
				write(300, 500)
				var gone []ID
				for id := 700; id < 800; id++ {
					gone = append(gone, NumID(uint64(id)))
					delete(rows, id)
				}
				if _, _, err := c.Delete(ctx, gone); err != nil {
					t.Fatal(err)
				}
				write(n, n+200)

				coded, different := 0, 0 // answers of codes, and those that are not the true ones
				for _, test := range []struct {
					filter string
					admits func(id int) bool
				}{
					{"", func(int) bool { return true }},
					{`{"must":{"key":"m","range":{"gte":1}}}`, func(id int) bool { return id%3 > 0 }}, // the far ones, without an index
					{`{"must":{"key":"n","range":{"lt":1000}}}`, func(id int) bool { return id < 1000 }},
					{`{"must":[{"key":"n","range":{"gte":250,"lt":350}},{"key":"m","range":{"gte":1}}]}`, func(id int) bool { return id >= 250 && id < 350 && id%3 > 0 }},
				} {
					var f *filter.Filter
					if test.filter != "" {
						f = parseFilter(t, test.filter)
					}
					for round := range 3 {
						query := closePoint(rng, near)
						q := stamp(t, m, query)
						score := func(row []float32) float64 { return trueScore(metric, query, row) }
						all := trueNearest(metric, query, rows, test.admits)
						search := func(what string, query SearchQuery, want []neighbour) {
							t.Helper()
							query.Filter, query.WithVector = f, true
							found, err := c.Search(ctx, q, query)
							if err == nil {
								err = sameAsTrue(found.Hits, want, rows, score)
							}
							if err != nil {
								t.Errorf("%s, filter %s: %v", what, test.filter, err)
							}
							for _, h := range found.Hits {
								id, _ := h.ID.Number()
								if !slices.Equal(h.Vector, rows[int(id)]) {
									t.Errorf("%s: another vector than was put", what)
								}
							}
						}
						search("exact", SearchQuery{Exact: true, Limit: limit}, all[:limit])
						if round == 0 {
							search("exact, all", SearchQuery{Exact: true, Limit: 2 * n}, all)
						}
						search("exact, offset", SearchQuery{Exact: true, Limit: limit, Offset: 7}, all[7:7+limit])
						search("exact, excluded", SearchQuery{Exact: true, Limit: limit, Exclude: []ID{NumID(uint64(all[0].id))}}, all[1:1+limit])
						threshold := float32((all[4].score + all[5].score) / 2)
						if math.Abs(all[4].score-all[5].score) > 1e-5*math.Abs(all[4].score) {
							search("exact, threshold", SearchQuery{Exact: true, Limit: limit, ScoreThreshold: &threshold}, all[:5])
							search("rescored, threshold", SearchQuery{Limit: limit, ScoreThreshold: &threshold, Rescoring: Rescoring{On: &yes, Oversampling: 100}}, all[:5])
						}
						// So many that the codes, which put them in some order, leave none out.
						broad := SearchQuery{Limit: limit, Ef: 2 * n, Rescoring: Rescoring{On: &yes, Oversampling: 100}}
						search("rescored", broad, all[:limit])
						broad.Offset, broad.Exclude = 5, []ID{NumID(uint64(all[2].id))}
						search("rescored, offset, excluded", broad, all[6:6+limit])
						if encoding == compat.EncodingF32 {
							search("nothing to ignore", SearchQuery{Limit: limit, Ef: 2 * n, Rescoring: Rescoring{IgnoreCodes: true}}, all[:limit])
							continue
						}
						search("codes ignored", SearchQuery{Limit: limit, Rescoring: Rescoring{IgnoreCodes: true, On: &no}}, all[:limit])
						for _, oversampling := range []float64{0, 1, math.NaN(), math.Inf(1), -3} {
							found, err := c.Search(ctx, q, SearchQuery{Limit: limit, Filter: f, Rescoring: Rescoring{On: &yes, Oversampling: oversampling}})
							if err != nil || len(found.Hits) != limit {
								t.Fatalf("oversampling %g: %d hits, %v", oversampling, len(found.Hits), err)
							}
							for i, h := range found.Hits {
								id, _ := h.ID.Number()
								if math.Abs(float64(h.Score)-score(rows[int(id)])) > 3e-7*max(1, math.Abs(float64(h.Score))) || i > 0 && h.Score != found.Hits[i-1].Score && metricNearer(metric, h.Score, found.Hits[i-1].Score) {
									t.Errorf("oversampling %g: hit %d has score %.9g, of its vector %.9g", oversampling, i, h.Score, score(rows[int(id)]))
								}
							}
						}
						for _, query := range []SearchQuery{{Limit: limit}, {Limit: limit, Exact: true, Rescoring: Rescoring{On: &no}}} {
							query.Filter = f
							found, err := c.Search(ctx, q, query)
							if err != nil {
								t.Fatal(err)
							}
							if coded++; sameAsTrue(found.Hits, all[:limit], rows, score) != nil {
								different++
							}
						}
					}
				}
				if encoding != compat.EncodingF32 && different < coded/2 {
					t.Errorf("codes differ from the vectors in %d of %d answers: they are too good for this test", different, coded)
				}
			})
		}
	}
}

// TestRescoringBesideWrites: exact and rescored searches find every point once
// while all of them are replaced again and again, with the score of the very
// vector that they give.
func TestRescoringBesideWrites(t *testing.T) {
	const n, dim = 1200, 16
	ctx := context.Background()
	s := open(t, testOptionsFor(t, vfs.NewMem()))
	defer closeStore(t, s)
	m := hnswManifest(dim)
	m.Index.Encoding = compat.EncodingLVQ4x8
	c := create(t, s, "one", m)
	put(t, c, 1, 0, n)
	query := vectorOf(0, 0, dim)
	q := stamp(t, m, query)
	yes := true
	var done atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		defer done.Store(true)
		for version := 2; version < 6; version++ {
			for from := 0; from < n; from += 100 {
				put(t, c, version, from, from+100)
			}
		}
	})
	even := parseFilter(t, `{"must":{"key":"even","match":{"value":true}}}`)
	for _, search := range []SearchQuery{
		{Exact: true, Limit: n},
		{Exact: true, Limit: n, Filter: even},
		{Limit: n, Rescoring: Rescoring{On: &yes, Oversampling: 1}},
	} {
		search.WithVector = true
		wg.Go(func() {
			for first := true; first || !done.Load(); first = false {
				found, err := c.Search(ctx, q, search)
				if err != nil {
					t.Error(err)
					return
				}
				want := n
				if search.Filter != nil {
					want = n / 2
				}
				met := map[ID]bool{}
				for i, h := range found.Hits {
					if s := trueScore(m.Metric, query, h.Vector); math.Abs(s-float64(h.Score)) > 1e-6*s || met[h.ID] || i > 0 && h.Score < found.Hits[i-1].Score {
						t.Errorf("hit %d, point %s: score %g, of its vector %g; there before: %t", i, h.ID, h.Score, s, met[h.ID])
					}
					met[h.ID] = true
				}
				if len(met) != want {
					t.Errorf("%d points, want %d", len(met), want)
				}
			}
		})
	}
	wg.Wait()
}

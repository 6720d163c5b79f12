package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/filter"
)

func parseFilter(t testing.TB, text string) *filter.Filter {
	t.Helper()
	f, err := filter.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// distance is the score of the tests' metric.
func distance(a, b []float32) float64 {
	var sum float64
	for i := range a {
		sum += float64(a[i]-b[i]) * float64(a[i]-b[i])
	}
	return math.Sqrt(sum)
}

// checkHits wants so many hits of distinct points, in order, the document, the
// vector and the score of each of one version, as put stores them.
func checkHits(q []float32, hits []Hit, want int) error {
	if len(hits) != want {
		return fmt.Errorf("%d hits, want %d", len(hits), want)
	}
	seen := map[ID]bool{}
	for i, h := range hits {
		var payload struct{ ID, Version int }
		if err := json.Unmarshal(h.Payload, &payload); err != nil {
			return err
		}
		row := vectorOf(payload.ID, payload.Version, len(q))
		switch score := distance(q, row); {
		case seen[h.ID]:
			return fmt.Errorf("point %s is twice among the hits", h.ID)
		case i > 0 && h.Score < hits[i-1].Score:
			return fmt.Errorf("hit %d is out of order", i)
		case NumID(uint64(payload.ID)) != h.ID || !slices.Equal(row, h.Vector):
			return fmt.Errorf("point %s has document %s and another vector", h.ID, h.Payload)
		case float64(h.Score)-score > 1e-3 || score-float64(h.Score) > 1e-3:
			return fmt.Errorf("version %d of point %s has score %g, want %g", payload.Version, h.ID, h.Score, score)
		}
		seen[h.ID] = true
	}
	return nil
}

// TestSearchBetweenPebbleAndGraph stops a write where Pebble has it and the
// graph has nothing of it, all of it and the old vectors, too, or has it; and a
// search between its filter, the graph and the documents.
func TestSearchBetweenPebbleAndGraph(t *testing.T) {
	ctx := context.Background()
	s := open(t, testOptionsFor(t, vfs.NewMem()))
	defer closeStore(t, s)
	m := hnswManifest(8)
	c := create(t, s, "one", m)
	const n = 40
	put(t, c, 1, 0, n)
	query := vectorOf(7, 99, 8)
	q := stamp(t, m, query)
	threshold := float32(100)
	search := func(moment string, versions ...int) {
		t.Helper()
		for name, test := range map[string]struct {
			query SearchQuery
			want  int
		}{
			"some":      {SearchQuery{Limit: 10}, 10},
			"all":       {SearchQuery{Limit: n + 5}, n},
			"exact":     {SearchQuery{Limit: n, Exact: true}, n},
			"offset":    {SearchQuery{Limit: n, Offset: 15}, n - 15},
			"exclude":   {SearchQuery{Limit: n, Exclude: []ID{NumID(3), NumID(5)}}, n - 2},
			"filter":    {SearchQuery{Limit: n, Filter: parseFilter(t, `{"must":[{"key":"even","match":{"value":true}}]}`)}, n / 2},
			"page":      {SearchQuery{Limit: 5, Offset: 10, Filter: parseFilter(t, `{"must":[{"key":"even","match":{"value":true}}]}`)}, 5},
			"ids":       {SearchQuery{Limit: n, Filter: parseFilter(t, `{"must":[{"has_id":[3,8,9,77,"x"]}]}`)}, 3},
			"threshold": {SearchQuery{Limit: n, ScoreThreshold: &threshold}, n},
		} {
			test.query.WithVector = true
			result, err := c.Search(ctx, q, test.query)
			if err == nil {
				err = checkHits(query, result.Hits, test.want)
			}
			if err != nil {
				t.Errorf("%s, %s: %v", moment, name, err)
			}
			for _, h := range result.Hits {
				var payload struct{ Version int }
				if err := json.Unmarshal(h.Payload, &payload); err != nil || !slices.Contains(versions, payload.Version) {
					t.Errorf("%s, %s: version %d of point %s, want %v; %v", moment, name, payload.Version, h.ID, versions, err)
				}
			}
		}
	}
	search("before", 1)

	// A search that stops before the write, and goes on after it.
	early := c.past.begin()
	run := searchRun{c: c, g: c.serving(), era: early, take: n, query: SearchQuery{WithVector: true, Filter: parseFilter(t, `{"must":[{"key":"id","range":{"gte":0}}]}`)}}
	request := index.Query{Vector: q, K: n}
	if err := run.plan(ctx, &request); err != nil {
		t.Fatal(err)
	}
	found, err := c.serving().graph.Search(ctx, request)
	if err != nil {
		t.Fatal(err)
	}

	var changes []change
	var rows [][]float32
	for id := range n {
		d := documentOf(id, 2)
		rows = append(rows, vectorOf(id, 2, 8))
		changes = append(changes, change{id: d.ID, record: encodeDocument(&d), row: rows[id]})
	}
	if changes, err = c.readOld(c.generations.Load(), changes); err != nil {
		t.Fatal(err)
	}
	before := c.past.keep(s.db, replaced(changes))
	all := c.generations.Load()
	w, err := c.apply(n, func(w *written, next *state) error {
		return c.fill(w, next, all, changes, paired{serving: stamp(t, m, rows...)})
	})
	if err == nil {
		err = c.await(w.batch)
	}
	if err != nil {
		t.Fatal(err)
	}
	search("the graph has nothing", 1)
	half := stamp(t, m, rows[:n/2]...)
	if err := c.serving().graph.Insert(ctx, w.inserts[0].ordinals[:n/2], half); err != nil {
		t.Fatal(err)
	}
	search("the graph has half", 1, 2)
	if err := c.index(ctx, all, w); err != nil {
		t.Fatal(err)
	}
	search("the graph has all", 2)
	if err := c.past.leave(before); err != nil {
		t.Fatal(err)
	}
	search("after", 2)
	if err := c.Settle(ctx); err != nil {
		t.Error(err)
	}
	if d, err := s.Describe(ctx, "one"); err != nil || d.Points != n || d.Indexed != n {
		t.Errorf("%d indexed of %d points, %v", d.Indexed, d.Points, err)
	}

	snapshot := s.db.NewSnapshot()
	hits, _, err := run.resolve(ctx, snapshot, found.Hits)
	err = errors.Join(err, snapshot.Close())
	if err == nil {
		err = checkHits(query, hits, n)
	}
	if err != nil {
		t.Errorf("documents read after the write: %v", err)
	}
	result, err := run.search(ctx, request)
	if err == nil {
		err = checkHits(query, result.Hits, n)
	}
	if err != nil {
		t.Errorf("graph searched after the write: %v", err)
	}
	if c.past.empty() {
		t.Error("the moment is gone before the search that needs it")
	}
	if err := c.past.end(early); err != nil {
		t.Fatal(err)
	}
	if !c.past.empty() || c.past.oldest != c.past.newest {
		t.Error("the moment is kept behind the last search that needs it")
	}
}

// TestSearchBesideUpdates has every point replaced again and again, in large
// and small batches, beside searches of all kinds.
func TestSearchBesideUpdates(t *testing.T) {
	ctx := context.Background()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	o := testOptionsFor(t, vfs.NewMem())
	o.CheckpointEvery = 500
	s := open(t, o)
	defer closeStore(t, s)
	m := hnswManifest(8)
	c := create(t, s, "one", m)
	const hot, writers = 30, 3
	n, rounds := 600, 25
	if raceEnabled {
		n, rounds = 150, 6
	}
	put(t, c, 1, 0, n)
	even := parseFilter(t, `{"must":[{"key":"even","match":{"value":true}}]}`)
	few := parseFilter(t, fmt.Sprintf(`{"must":[{"key":"id","range":{"lt":%d}}]}`, hot))
	var version atomic.Int64
	version.Store(1)
	var writing, reading sync.WaitGroup
	var done atomic.Bool
	for w := range writers {
		writing.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(w)))
			for range rounds {
				from, to := 0, hot
				if w == 0 {
					from, to = rng.IntN(n/2), n/2+rng.IntN(n/2)
				}
				put(t, c, int(version.Add(1)), from, to)
			}
		})
	}
	var searches atomic.Int64
	for r := range 2 {
		reading.Go(func() {
			rng := rand.New(rand.NewPCG(seed, 100+uint64(r)))
			for !done.Load() && !t.Failed() {
				query := vectorOf(rng.IntN(hot), rng.IntN(10), 8)
				sq := SearchQuery{Limit: 10, WithVector: true, Exact: rng.IntN(4) == 0}
				switch rng.IntN(5) {
				case 0:
					sq.Filter = even
				case 1:
					sq.Filter, sq.Limit = few, hot
				case 2:
					sq.Offset = rng.IntN(50)
				case 3:
					sq.Limit = n
				}
				result, err := c.Search(ctx, stamp(t, m, query), sq)
				if err == nil {
					err = checkHits(query, result.Hits, sq.Limit)
				}
				if err != nil {
					t.Errorf("%+v: %v", sq, err)
				}
				if d, err := s.Describe(ctx, "one"); err != nil || d.Indexed > d.Points {
					t.Errorf("%d indexed of %d points, %v", d.Indexed, d.Points, err)
				}
				searches.Add(1)
			}
		})
	}
	writing.Wait()
	done.Store(true)
	reading.Wait()
	t.Logf("%d searches beside %d versions", searches.Load(), version.Load())
	if !c.past.empty() {
		t.Error("moments are left when nothing is under way")
	}
}

package store

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
)

// blind is a graph that never finds some ordinals, though they are there.
type blind struct {
	index.Index
	every uint32
}

func (b blind) Search(ctx context.Context, q index.Query) (index.Answer, error) {
	k := q.K
	q.K *= 4
	answer, err := b.Index.Search(ctx, q)
	answer.Plan = index.PlanGraph
	seen := answer.Hits[:0]
	for _, h := range answer.Hits {
		if h.Ordinal%b.every != 0 && len(seen) < k {
			seen = append(seen, h)
		}
	}
	answer.Hits = seen
	return answer, err
}

// blinded is a collection of n points whose graph misses a quarter of them.
func blinded(t *testing.T, share float64, n int) (*Store, *Collection, compat.Manifest) {
	const dim = 8
	m := testManifest(dim, 1)
	o := testOptionsFor(t, vfs.NewMem())
	o.RecallShare = share
	s := open(t, o)
	c, err := s.Create(context.Background(), "one", m)
	if err != nil {
		t.Fatal(err)
	}
	put(t, c, 1, 0, n)
	c.serving().graph = blind{c.serving().graph, 4}
	return s, c, m
}

func TestMeasureRecall(t *testing.T) {
	ctx := context.Background()
	const n = 4000
	s, c, m := blinded(t, -1, n)
	defer closeStore(t, s)
	r, err := c.MeasureRecall(ctx, RecallQuery{K: 10, Sample: 200, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(r.Recall-0.75) > 0.05 || r.Low >= r.Recall || r.High <= r.Recall || r.Queries != 200 || r.K != 10 || r.Vectors != n {
		t.Errorf("sampled: %+v, want a recall near 0.75", r)
	}
	var queries []compat.Searchable
	for i := range 50 {
		queries = append(queries, stamp(t, m, vectorOf(i, 2, 8)))
	}
	steps := 0
	r, err = c.MeasureRecall(ctx, RecallQuery{Queries: queries, K: 20, Progress: func(done, total int) {
		if steps++; done > total || total != n {
			t.Errorf("%d of %d", done, total)
		}
	}})
	if err != nil || math.Abs(r.Recall-0.75) > 0.06 || r.Queries != 50 || steps != n/stretch {
		t.Errorf("given: %+v, %v, told %d times", r, err, steps)
	}
	c.serving().graph = c.serving().graph.(blind).Index
	for _, q := range []RecallQuery{{}, {K: 1}, {K: 500, Sample: 10}, {Sample: 10_000, K: 3}} {
		if r, err := c.MeasureRecall(ctx, q); err != nil || r.Recall != 1 || r.Low < 0.7 || r.High != 1 {
			t.Errorf("an exact engine, %+v: %+v, %v", q, r, err)
		}
	}
	for _, q := range []RecallQuery{{K: -1}, {K: MaxRecallK + 1}, {Sample: -1}, {Sample: math.MaxInt}, {Ef: -1}, {Queries: []compat.Searchable{nil}}, {Queries: []compat.Searchable{stamp(t, testManifest(8, 9), vectorOf(1, 1, 8))}}} {
		if _, err := c.MeasureRecall(ctx, q); !errors.Is(err, ErrBatch) && !errors.Is(err, index.ErrSpace) {
			t.Errorf("%+v: %v", q, err)
		}
	}
	canceled, cancel := context.WithCancel(ctx)
	_, err = c.MeasureRecall(canceled, RecallQuery{Progress: func(int, int) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

// TestMeasureRecallOfEncodings: the truth is that of the vectors as they were
// put, not of what the graph keeps of them.
func TestMeasureRecallOfEncodings(t *testing.T) {
	m := hnswManifest(8)
	m.Index.Encoding = compat.EncodingLVQ4x8
	s := open(t, testOptionsFor(t, vfs.NewMem()))
	defer closeStore(t, s)
	c, err := s.Create(context.Background(), "one", m)
	if err != nil {
		t.Fatal(err)
	}
	put(t, c, 1, 0, 3000)
	r, err := c.MeasureRecall(context.Background(), RecallQuery{Sample: 100})
	if err != nil || r.Recall < 0.9 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestWatch: live queries are compared in the background, and what they miss
// is counted.
func TestWatch(t *testing.T) {
	s, c, m := blinded(t, 1, 600)
	defer closeStore(t, s)
	deadline := time.Now().Add(20 * time.Second)
	for i := 0; c.watched.get().Queries < 2*watchLeast; i++ {
		if time.Now().After(deadline) {
			t.Fatalf("%+v", c.watched.get())
		}
		if _, err := c.Search(context.Background(), stamp(t, m, vectorOf(i, 2, 8)), SearchQuery{Limit: 10}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
	d, err := s.Describe(context.Background(), "one")
	if err != nil || math.Abs(d.Watched.Recent-0.75) > 0.15 || d.Watched.Found >= d.Watched.Wanted {
		t.Errorf("%+v, %v", d.Watched, err)
	}
	if c.watched.warned.IsZero() {
		t.Error("nobody was warned")
	}
}

// TestMeasureRecallBesideWriters: points that are replaced while it measures
// make the recall neither less nor more.
func TestMeasureRecallBesideWriters(t *testing.T) {
	ctx := context.Background()
	const n = 1200
	s, c, m := blinded(t, -1, n)
	defer closeStore(t, s)
	var queries []compat.Searchable
	for i := range 100 {
		queries = append(queries, stamp(t, m, vectorOf(i, 999, 8)))
	}
	measure := func(c *Collection) (float64, int) {
		t.Helper()
		written, version := 0, 2
		over, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			for ; ; version++ {
				for from := 0; from < n; from += 20 {
					select {
					case <-over:
						return
					default:
						put(t, c, version, from, from+20)
						written += 20
					}
				}
			}
		}()
		sum := 0.0
		const rounds = 5
		for range rounds {
			r, err := c.MeasureRecall(ctx, RecallQuery{Queries: queries, K: 10})
			if err != nil {
				t.Error(err)
			}
			sum += r.Recall / rounds
		}
		close(over)
		<-ended
		return sum, written
	}
	missing, written := measure(c)
	if math.Abs(missing-0.75) > 0.08 {
		t.Errorf("recall %.3f of a graph that misses a quarter, beside %d writes", missing, written)
	}
	exact := create(t, s, "two", m)
	put(t, exact, 1, 0, n)
	whole, more := measure(exact)
	t.Logf("recall %.4f beside %d writes, %.4f beside %d", missing, written, whole, more)
	if whole < 0.99 { // a write that has just begun may miss a search
		t.Errorf("recall %.4f of a scan, beside %d writes", whole, more)
	}
}

package store

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
)

// The watch compares a share of the queries that are served with a scan of the
// stored vectors, in the background. It rests after each stretch of work for as
// long as its share of one processor demands, so that it costs no more than a
// hundredth of one however many queries there are; those that it has no time
// for are not looked at.

const (
	// watchShare of a processor.
	watchShare = 0.01
	// watchBatch queries are compared in one pass over the vectors.
	watchBatch = 32
	// watchMemory is the number of queries after which one counts for half.
	watchMemory = 100
	// watchLeast queries are compared before anybody is warned.
	watchLeast = 30
	// watchQuiet is the time between two warnings about a collection.
	watchQuiet = 10 * time.Minute
	// watchMargin is how far the recall of live queries may lie below what was
	// measured before anybody is warned.
	watchMargin = 0.05
	// watchFloor is the floor of a manifest that no recall was measured for.
	watchFloor = 0.9
)

// RecallFloor is the recall of live queries below which the store warns: 0.05
// less than the manifest's measured recall, or 0.9 where there is none.
func RecallFloor(m compat.Manifest) float64 {
	if r := m.Evidence.Recall; r != nil {
		return max(0, r.Recall-watchMargin)
	}
	return watchFloor
}

// Watched is what the watch has seen of a collection since the start.
type Watched struct {
	Queries int     // compared
	Wanted  int     // true nearest of them
	Found   int     // of these, what the graph found
	Recent  float64 // recall of the last ones; 1 before the first
}

// watchedQuery waits for the watch.
type watchedQuery struct {
	vector compat.Searchable
	k, ef  int
}

// watched is a collection's part of the watch.
type watched struct {
	mu      sync.Mutex
	waiting []watchedQuery
	seen    Watched
	found   float64 // of the last ones, fading
	wanted  float64
	warned  time.Time
}

// get is what was seen.
func (w *watched) get() Watched {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := w.seen
	seen.Recent = 1
	if w.wanted > 0 {
		seen.Recent = w.found / w.wanted
	}
	return seen
}

// watch may take a query that was answered by the graph. Filtered ones are
// left out: their truth is another one.
func (c *Collection) watch(q index.Query, plan index.Plan) {
	share := c.store.options.RecallShare
	if share <= 0 || plan != index.PlanGraph || q.Filter != nil || q.K <= 0 || q.K > MaxRecallK || rand.Float64() >= share {
		return
	}
	w := &c.watched
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.waiting) < watchBatch {
		w.waiting = append(w.waiting, watchedQuery{q.Vector, q.K, q.Ef})
		c.store.watches.add(c)
	}
}

// watchDue compares what waits. Queries of one k and ef go together.
func (s *Store) watchDue(ctx context.Context, c *Collection) {
	w := &c.watched
	for ctx.Err() == nil {
		w.mu.Lock()
		var batch, rest []watchedQuery
		for _, q := range w.waiting {
			if len(batch) == 0 || q.k == batch[0].k && q.ef == batch[0].ef {
				batch = append(batch, q)
			} else {
				rest = append(rest, q)
			}
		}
		w.waiting = rest
		w.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		g, err := c.generation(0)
		if err != nil {
			return
		}
		x := comparison{c: c, g: g, k: batch[0].k, ef: batch[0].ef, pause: rest99}
		for _, q := range batch {
			if q.vector.Fingerprint().Matches(g.config.Fingerprint) {
				x.queries = append(x.queries, q.vector)
			}
		}
		if len(x.queries) == 0 {
			g.leave()
			continue
		}
		found, wanted, err := x.run(ctx)
		g.leave()
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, ErrGeneration) { // retired meanwhile
				s.log.Warn("store: a comparison of answers with a scan failed", "collection", c.name, "error", err)
			}
			return
		}
		c.note(len(x.queries), found, wanted)
	}
}

// rest99 rests so long that the work before is the watch's share of the time.
func rest99(ctx context.Context, worked time.Duration) error {
	timer := time.NewTimer(time.Duration(float64(worked) * (1/watchShare - 1)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// note counts compared queries, and warns where too little was found.
func (c *Collection) note(queries, found, wanted int) {
	w := &c.watched
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen.Queries += queries
	w.seen.Found += found
	w.seen.Wanted += wanted
	fade := 1.0
	for range queries {
		fade *= 1 - 0.6931/watchMemory
	}
	w.found, w.wanted = w.found*fade+float64(found), w.wanted*fade+float64(wanted)
	floor := RecallFloor(c.Manifest())
	if w.wanted == 0 || w.found/w.wanted >= floor || w.seen.Queries < watchLeast || time.Since(w.warned) < watchQuiet {
		return
	}
	w.warned = time.Now()
	c.store.log.Warn("store: the graph finds less than it should; raise ef, or rebuild or optimize the collection's index",
		"collection", c.name, "recall", w.found/w.wanted, "floor", floor, "queries", w.seen.Queries)
}

package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/cockroachdb/pebble/v2"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
)

// ordinalSet is the documents that a filter admits, as the index sees them.
type ordinalSet struct{ bitmap *roaring.Bitmap }

// Contains reports whether an ordinal is in the set.
func (s ordinalSet) Contains(ordinal uint32) bool { return s.bitmap.Contains(ordinal) }

// Count is the size of the set.
func (s ordinalSet) Count() int { return int(s.bitmap.GetCardinality()) }

// Each calls f for the ordinals, ascending, until f returns false.
func (s ordinalSet) Each(f func(ordinal uint32) bool) { s.bitmap.Iterate(f) }

// Search finds the nearest neighbours of one vector of the collection's space.
// Hits are those of this moment: a point that changes beside the search is
// found as it was or as it is, never twice. Errors: index.ErrSpace, and those
// of Get.
func (c *Collection) Search(ctx context.Context, q compat.Vectors, s SearchQuery) (SearchResult, error) {
	if err := c.begin(); err != nil {
		return SearchResult{}, err
	}
	defer c.end()
	if q.Len() != 1 {
		return SearchResult{}, fmt.Errorf("%w: a search takes one vector, not %d", ErrBatch, q.Len())
	}
	if err := c.checkSpace(q); err != nil {
		return SearchResult{}, err
	}
	run := searchRun{c: c, query: s, exclude: make(map[ID]struct{}, len(s.Exclude))}
	for _, id := range s.Exclude {
		run.exclude[id] = struct{}{}
	}
	request := index.Query{Vector: q, Ef: s.Ef, Exact: s.Exact}
	if s.Filter != nil {
		var err error
		if request.Filter, err = run.admitted(ctx); err != nil {
			return SearchResult{}, err
		}
	}
	// The numbers of a query are bounded by the collection before they are
	// added up.
	live := int(c.current().live)
	run.skip = min(max(s.Offset, 0), live)
	run.take = min(max(s.Limit, 0), live)
	if run.take == 0 || run.skip == live {
		request.K = 0
	} else {
		request.K = min(run.skip+run.take+len(run.exclude), live)
	}
	return run.search(ctx, request)
}

// searchRun is one search under way.
type searchRun struct {
	c          *Collection
	query      SearchQuery
	exclude    map[ID]struct{}
	skip, take int
	filtered   uint64 // the sequence at which the filter was evaluated
}

// admitted evaluates the filter over the collection.
func (r *searchRun) admitted(ctx context.Context) (index.Filter, error) {
	set := ordinalSet{bitmap: roaring.New()}
	r.filtered = r.c.current().sequence
	err := r.c.walk(ctx, r.c.store.db, nil, r.query.Filter, func(_ Document, h head) error {
		set.bitmap.Add(h.ordinal)
		return nil
	})
	return set, err
}

// search asks the index and reads the hits' documents. Vectors that were
// replaced or deleted since the index answered leave holes; then it asks for
// as many more.
func (r *searchRun) search(ctx context.Context, request index.Query) (SearchResult, error) {
	for {
		answer, err := r.c.serving.graph.Search(ctx, request)
		if err != nil {
			return SearchResult{}, fmt.Errorf("collection %q: search: %w", r.c.name, err)
		}
		hits, stale, err := r.resolve(ctx, answer.Hits)
		if err != nil {
			return SearchResult{}, err
		}
		if stale == 0 || len(hits) == r.take || len(answer.Hits) < request.K {
			return SearchResult{Hits: hits, Plan: answer.Plan}, nil
		}
		request.K += stale
	}
}

// resolve turns ordinals into documents and counts those that are no more.
func (r *searchRun) resolve(ctx context.Context, found []index.Hit) (hits []Hit, stale int, err error) {
	c := r.c
	snapshot := c.store.db.NewSnapshot()
	defer func() { err = errors.Join(err, snapshot.Close()) }()
	metric := c.serving.config.Metric
	skip := r.skip
	for _, f := range found {
		if err := ctx.Err(); err != nil {
			return nil, 0, err
		}
		if t := r.query.ScoreThreshold; t != nil && !metricNearer(metric, f.Score, *t) {
			break // the rest is less near still
		}
		if len(hits) == r.take {
			break
		}
		key, err := get(snapshot, ordinalKey(c.number, f.Ordinal))
		if err != nil {
			return nil, 0, readError(c.name, fmt.Sprintf("ordinal %d", f.Ordinal), err)
		}
		if key == nil {
			stale++
			continue
		}
		id, err := decodeID(key)
		if err != nil {
			return nil, 0, readError(c.name, fmt.Sprintf("ordinal %d", f.Ordinal), err)
		}
		if _, ok := r.exclude[id]; ok {
			continue
		}
		hit, ok, err := r.hit(snapshot, id, f)
		if err != nil {
			return nil, 0, err
		}
		switch {
		case !ok:
			stale++
		case skip > 0:
			skip--
		default:
			hits = append(hits, hit)
		}
	}
	return hits, stale, nil
}

// hit reads the document of one neighbour. ok is false when the filter admits
// it no longer.
func (r *searchRun) hit(snapshot *pebble.Snapshot, id ID, f index.Hit) (Hit, bool, error) {
	stored, h, ok, err := r.c.document(snapshot, id, r.query.WithVector)
	if err != nil {
		return Hit{}, false, err
	}
	if !ok || h.ordinal != f.Ordinal {
		return Hit{}, false, r.c.damaged(fmt.Sprintf("ordinal %d", f.Ordinal), "it names point %s, which has another vector", id)
	}
	if h.version > r.filtered && r.query.Filter != nil {
		if admitted, err := r.c.admits(r.query.Filter, &stored.Document); err != nil || !admitted {
			return Hit{}, false, err
		}
	}
	return Hit{Stored: stored, Score: f.Score}, true, nil
}

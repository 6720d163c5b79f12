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

// Search finds the nearest neighbours of one vector of the collection's space,
// or of one that a bridge has carried into it.
// Hits are those of this moment: a point that changes beside the search is
// found as it was or as it is, document, vector and score of one version; never
// twice, and never not at all when both are wanted. Errors: index.ErrSpace, and
// those of Get.
func (c *Collection) Search(ctx context.Context, q compat.Searchable, s SearchQuery) (result SearchResult, err error) {
	if err := c.begin(); err != nil {
		return SearchResult{}, err
	}
	defer c.end()
	if q == nil {
		return SearchResult{}, fmt.Errorf("%w: a search takes one vector, and there is none", ErrBatch)
	}
	if q.Len() != 1 {
		return SearchResult{}, fmt.Errorf("%w: a search takes one vector, not %d", ErrBatch, q.Len())
	}
	g, err := c.answering(q.Fingerprint(), s.Generation)
	if err != nil {
		return SearchResult{}, err
	}
	defer g.leave()
	era := c.past.begin()
	defer func() { err = errors.Join(err, c.past.end(era)) }()
	run := searchRun{c: c, g: g, query: s, era: era, exclude: make(map[ID]struct{}, len(s.Exclude))}
	for _, id := range s.Exclude {
		run.exclude[id] = struct{}{}
	}
	request := index.Query{Vector: q, Ef: s.Ef, Exact: s.Exact}
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
	run.wanted = request.K
	run.rescoring(&request)
	if s.Filter != nil && request.K > 0 {
		if err := run.plan(ctx, &request); err != nil {
			return SearchResult{}, err
		}
	}
	return run.search(ctx, request)
}

// answering begins a search in the generation that answers a vector of a space,
// or in the one of a number, unless that is 0.
func (c *Collection) answering(space compat.Fingerprint, number uint64) (*generation, error) {
	for {
		all := c.generations.Load()
		g := all.answering(space)
		if number != 0 {
			if g = all.of(number); g == nil {
				return nil, fmt.Errorf("collection %q: %w: %d; those that can be searched are the serving one and that of a migration under way", c.name, ErrGeneration, number)
			}
		}
		if g == nil || !space.Matches(g.config.Fingerprint) {
			return nil, c.otherSpace(space)
		}
		if g.enter() {
			return g, nil
		}
	}
}

// searchRun is one search under way.
type searchRun struct {
	c          *Collection
	g          *generation // that answers
	query      SearchQuery
	exclude    map[ID]struct{}
	skip, take int
	era        *era
	filtered   uint64 // the sequence at which the filter was evaluated
	// loose: the index is asked for more than the filter admits, and hits are
	// looked at again. settled is how many it would be asked for otherwise.
	loose   bool
	settled int
	wanted  int // hits, the skipped and the excluded included
	// scorer scores by the vectors as they were put; nil: the index's scores
	// stand. scanned: such vectors are scanned in place of the index.
	scorer  *index.Scorer
	scanned bool
	// doubts: they decide of the index's hits what its scores leave open.
	doubts bool
}

// ordinalSet is the documents that a filter admits, as the index sees them:
// those that it admitted when it was evaluated, and all that were written
// after, whose hits are looked at again.
type ordinalSet struct {
	c      *Collection
	bitmap *roaring.Bitmap // below after
	after  uint64
}

// Contains reports whether an ordinal is in the set.
func (s ordinalSet) Contains(ordinal uint32) bool {
	return uint64(ordinal) >= s.after || s.bitmap.Contains(ordinal)
}

// Count is the size of the set.
func (s ordinalSet) Count() int {
	return int(s.bitmap.GetCardinality() + s.c.current().next - s.after)
}

// Each calls f for the ordinals, ascending, until f returns false.
func (s ordinalSet) Each(f func(ordinal uint32) bool) {
	more := true
	s.bitmap.Iterate(func(ordinal uint32) bool {
		more = f(ordinal)
		return more
	})
	// To the last one that there is when it is reached: whoever sees an ordinal
	// gone sees the one that has taken its place.
	for ordinal := s.after; more && ordinal < s.c.current().next; ordinal++ {
		more = f(uint32(ordinal))
	}
}

// search asks the index and reads the hits' documents. Points that are found
// as they were and as they are, and such that the filter admits no longer,
// leave holes; then it asks for more.
func (r *searchRun) search(ctx context.Context, request index.Query) (SearchResult, error) {
	for first := true; ; first = false {
		answer, hits, done, err := r.round(ctx, request)
		if err != nil {
			return SearchResult{}, err
		}
		if first && r.g == r.c.serving() {
			asked := request
			if r.scorer != nil && !r.doubts {
				asked.K = r.wanted // what the graph finds by itself is watched
			}
			r.c.watch(asked, answer.Plan)
		}
		if done || len(answer.Hits) < request.K {
			return SearchResult{Hits: hits, Plan: answer.Plan, Generation: r.g.number, Fingerprint: r.g.config.Fingerprint}, nil
		}
		if request.K *= 2; r.loose && request.K > looseMost(r.c.current().live) {
			if err := r.tighten(ctx, &request); err != nil {
				return SearchResult{}, err
			}
		}
	}
}

// round asks once, and resolves the answer.
func (r *searchRun) round(ctx context.Context, request index.Query) (answer index.Answer, hits []Hit, done bool, err error) {
	answer, snapshot, err := r.find(ctx, request)
	if err != nil {
		return answer, nil, false, err
	}
	defer func() { err = errors.Join(err, snapshot.Close()) }()
	hits, done, err = r.resolve(ctx, snapshot, answer.Hits)
	return answer, hits, done, err
}

// find asks once, the vectors in the snapshot that it gives included, which the
// caller closes.
func (r *searchRun) find(ctx context.Context, request index.Query) (answer index.Answer, snapshot *pebble.Snapshot, err error) {
	if !r.scanned {
		if answer, err = r.g.graph.Search(ctx, request); err != nil {
			return answer, nil, fmt.Errorf("collection %q: search: %w", r.c.name, err)
		}
	}
	// The snapshot comes after the graph's answer, see past.empty.
	snapshot = r.c.store.db.NewSnapshot()
	switch {
	case r.scanned:
		answer, err = r.scan(ctx, snapshot, request)
	case r.doubts:
		err = r.decide(ctx, snapshot, request, &answer)
	case r.scorer != nil:
		err = r.rescore(ctx, snapshot, answer.Hits)
	}
	if err != nil {
		return answer, nil, errors.Join(err, snapshot.Close())
	}
	return answer, snapshot, nil
}

// resolve turns ordinals into documents. done says that more ordinals would
// give no more hits.
func (r *searchRun) resolve(ctx context.Context, snapshot *pebble.Snapshot, found []index.Hit) (hits []Hit, done bool, err error) {
	c := r.c
	// In this order, see past.empty: whether anything can be missing in the
	// snapshot or be there twice, and whether it has anything that the filter
	// did not see.
	busy := !c.past.empty()
	checked := r.query.Filter == nil || !r.loose && c.current().sequence == r.filtered
	var met map[ID]struct{}
	if busy {
		met = make(map[ID]struct{}, len(found))
	}
	metric, skip, holes := r.g.config.Metric, r.skip, false
	for _, f := range found {
		if err := ctx.Err(); err != nil {
			return nil, false, err
		}
		if t := r.query.ScoreThreshold; t != nil && !metricNearer(metric, f.Score, *t) {
			return hits, true, nil // the rest is less near still
		}
		if len(hits) == r.take {
			break
		}
		if skip > 0 && checked && !busy && len(r.exclude) == 0 {
			skip--
			continue
		}
		reader := pebble.Reader(snapshot)
		id, ok, err := c.owner(reader, f.Ordinal)
		if err == nil && !ok {
			if before := c.past.find(r.era, f.Ordinal); before != nil {
				reader = before
				id, ok, err = c.owner(reader, f.Ordinal)
			}
		}
		if err != nil {
			return nil, false, err
		}
		if _, twice := met[id]; !ok || twice {
			holes = true
			continue
		}
		var hit Hit
		_, excluded := r.exclude[id]
		if !excluded && (skip == 0 || !checked) {
			if hit, ok, err = r.hit(reader, id, f, !checked); err != nil {
				return nil, false, err
			}
		}
		if !ok {
			holes = true
			continue
		}
		if busy {
			met[id] = struct{}{}
		}
		switch {
		case excluded:
		case skip > 0:
			skip--
		default:
			hits = append(hits, hit)
		}
	}
	return hits, !holes || len(hits) == r.take, nil
}

// owner is the point that an ordinal belongs to; ok is false where it is not
// there.
func (c *Collection) owner(reader pebble.Reader, ordinal uint32) (id ID, ok bool, err error) {
	key, err := get(reader, ordinalKey(c.number, ordinal))
	if err == nil && key != nil {
		id, err = decodeID(key)
	}
	if err != nil {
		return ID{}, false, readError(c.name, fmt.Sprintf("ordinal %d", ordinal), err)
	}
	return id, key != nil, nil
}

// hit reads the document of one neighbour. With again, ok is false when the
// filter does not admit it.
func (r *searchRun) hit(reader pebble.Reader, id ID, f index.Hit, again bool) (Hit, bool, error) {
	vectors := r.g
	if !r.query.WithVector {
		vectors = nil
	}
	stored, h, ok, err := r.c.document(reader, id, vectors)
	if err != nil {
		return Hit{}, false, err
	}
	if !ok || h.ordinal != f.Ordinal {
		return Hit{}, false, r.c.damaged(fmt.Sprintf("ordinal %d", f.Ordinal), "it names point %s, which has another vector", id)
	}
	if again {
		if admitted, err := r.c.admits(r.query.Filter, id, stored.Payload); err != nil || !admitted {
			return Hit{}, false, err
		}
	}
	return Hit{Stored: stored, Score: f.Score}, true, nil
}

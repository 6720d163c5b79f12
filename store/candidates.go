package store

import (
	"context"
	"errors"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/cockroachdb/pebble/v2"

	"github.com/vecino-db/vecino/index/filter"
	"github.com/vecino-db/vecino/index/postings"
)

// view is a collection at one moment, and what its payload indexes say of a
// filter then. close must follow.
type view struct {
	c        *Collection
	filter   *filter.Filter
	state    state
	snapshot *pebble.Snapshot
	serving  *generation // as of the snapshot
	// sure are the ordinals that the filter admits for certain, maybe those of
	// which only their documents tell. Both are the view's own; nil: the indexes
	// know nothing of this filter, and maybe is every document.
	sure, maybe *roaring.Bitmap
}

// maxResolvedIDs is how many ids of a filter are looked up for a view, while
// writes wait for its evaluation.
const maxResolvedIDs = 256

// view takes the collection as it is now.
func (c *Collection) view(f *filter.Filter) (v view, err error) {
	v = view{c: c, filter: f}
	for all := c.generations.Load(); v.snapshot == nil; all = c.generations.Load() {
		c.mu.Lock()
		v.state, v.serving = c.state, all.serving
		v.snapshot = c.store.db.NewSnapshot()
		if c.generations.Load() != all {
			c.mu.Unlock()
			if err := v.snapshot.Close(); err != nil {
				return v, err
			}
			v.snapshot = nil
		}
	}
	// Writes change the indexes under both locks: what is read under this one
	// from here on is the state taken down.
	c.payload.mu.RLock()
	c.mu.Unlock()
	defer c.payload.mu.RUnlock()
	e := postings.Evaluator{Find: c.payload.ready}
	for _, x := range c.payload.all() {
		if x.ready {
			e.All = x.postings.All()
		}
	}
	if e.All == nil || f == nil {
		return v, nil
	}
	e.IDs = func(ids []any) (*roaring.Bitmap, bool) {
		if len(ids) > maxResolvedIDs || err != nil {
			return nil, false
		}
		found := roaring.New()
		err = c.visitSome(context.Background(), v.snapshot, nil, ids, func(id ID, record []byte) error {
			h, err := decodeHead(record)
			found.Add(h.ordinal)
			return err
		})
		return found, err == nil
	}
	set, known := e.Evaluate(f.Tree())
	if err != nil {
		return v, errors.Join(readError(c.name, "documents", err), v.snapshot.Close())
	}
	if known {
		v.sure, v.maybe = set.Sure.Clone(), roaring.New()
		if !set.Exact() {
			v.maybe = roaring.AndNot(set.Possible, set.Sure)
		}
	}
	return v, nil
}

func (v *view) close() error { return v.snapshot.Close() }

// known reports whether the indexes say something of the filter.
func (v *view) known() bool { return v.sure != nil }

// ready is the memory of the index of a path that answers filters, or nil.
func (p *payloadIndexes) ready(path string) *postings.Index {
	if x := p.find(path); x != nil && x.ready {
		return x.postings
	}
	return nil
}

// gatherCost is what it costs to look up the document of an ordinal, in
// documents of a scan over all of them, which come in order and for which a
// glance at the ordinal is enough where the filter is known.
const gatherCost = 16

// walk calls f for every document that the filter admits, in the order of ids,
// from an id on where that is not nil. f may return errStop; wanted is about
// how many documents it takes before it does, or 0 for all. Of three ways it
// takes the one that looks at the fewest documents: the ids that the filter
// names, those that the indexes leave, or all from the id on.
func (v *view) walk(ctx context.Context, from *ID, wanted int, f func(e entry) error) error {
	if _, ok := v.filter.IDs(); ok || !v.known() {
		return v.c.walk(ctx, v.snapshot, from, v.filter, f)
	}
	left := v.sure.GetCardinality() + v.maybe.GetCardinality()
	scanned := v.state.live
	if wanted > 0 && left > 0 {
		scanned = min(scanned, uint64(wanted)*scanned/left)
	}
	if left*gatherCost < scanned {
		ordinals := roaring.Or(v.sure, v.maybe)
		return v.stopped(v.gather(ctx, ordinals, from, v.entries(f)))
	}
	return v.stopped(v.c.visitAll(ctx, v.snapshot, from, v.entries(f)))
}

// stopped is the error of a walk.
func (v *view) stopped(err error) error {
	switch {
	case errors.Is(err, errStop):
		return nil
	case err != nil && pebble.IsCorruptionError(err):
		return readError(v.c.name, "documents", err)
	}
	return err
}

// entries is f for the documents of the view that the filter admits.
func (v *view) entries(f func(e entry) error) func(id ID, record []byte) error {
	return func(id ID, record []byte) error {
		h, err := decodeHead(record)
		if err != nil {
			return readError(v.c.name, "document "+id.String(), err)
		}
		if !v.sure.Contains(h.ordinal) {
			if !v.maybe.Contains(h.ordinal) {
				return nil
			}
			if admitted, err := v.admits(id, record); err != nil || !admitted {
				return err
			}
		}
		return f(entry{id: id, head: h, record: record})
	}
}

// admits asks the filter about a document.
func (v *view) admits(id ID, record []byte) (bool, error) {
	_, _, _, payload, err := splitDocument(record)
	if err != nil {
		return false, readError(v.c.name, "document "+id.String(), err)
	}
	return v.c.admits(v.filter, id, payload)
}

// gather calls f for the documents of some ordinals, in the order of ids, from
// an id on.
func (v *view) gather(ctx context.Context, ordinals *roaring.Bitmap, from *ID, f func(id ID, record []byte) error) error {
	ids := make([]ID, 0, ordinals.GetCardinality())
	for iter := ordinals.Iterator(); iter.HasNext(); {
		if err := ctx.Err(); err != nil {
			return err
		}
		id, ok, err := v.c.owner(v.snapshot, iter.Next())
		if err != nil {
			return err
		}
		if ok && (from == nil || id.Compare(*from) >= 0) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, ID.Compare)
	for _, id := range ids {
		if err := ctx.Err(); err != nil {
			return err
		}
		record, err := get(v.snapshot, documentKey(v.c.number, id))
		if err != nil {
			return readError(v.c.name, "document "+id.String(), err)
		}
		if record == nil {
			continue
		}
		if err := f(id, record); err != nil {
			return err
		}
	}
	return nil
}

// settle looks at the documents of maybe, so that sure is all that the filter
// admits.
func (v *view) settle(ctx context.Context) error {
	if v.known() && v.maybe.IsEmpty() {
		return nil
	}
	admitted := roaring.New()
	err := v.unsettled().walk(ctx, nil, 0, func(e entry) error {
		admitted.Add(e.head.ordinal)
		return nil
	})
	if err != nil {
		return err
	}
	if v.known() {
		admitted.Or(v.sure)
	}
	v.sure, v.maybe = admitted, roaring.New()
	return nil
}

// unsettled is the view of the documents of maybe alone.
func (v *view) unsettled() *view {
	u := *v
	if u.known() {
		u.sure = roaring.New()
	}
	return &u
}

// count is the number of documents that the filter admits.
func (v *view) count(ctx context.Context) (int, error) {
	if err := v.settle(ctx); err != nil {
		return 0, err
	}
	return int(v.sure.GetCardinality()), nil
}

package store

import (
	"context"
	"errors"
	"math/rand/v2"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/vecino-db/vecino/index"
)

// How a filtered search is planned. The payload indexes tell which documents
// the filter admits for certain and which possibly. If only few are left open,
// their documents are looked at, and the engine gets the set; by its size it
// chooses between a walk through the graph and an exact scan. If many are left
// open, for a part of the filter has no index, a sample of them tells how many
// are admitted. Where that is a good part the engine gets the set with those
// left open, or none at all, and asks for correspondingly more hits, which are
// looked at when they are read (loose). Otherwise all that is left open is
// looked at. A loose search that has to ask for too many goes over to that.

const (
	// eagerMost is how many open documents are looked at without a sample.
	eagerMost = 1024
	// sampleSize is how many open documents a sample looks at, and sampleLeast
	// how many of them must be admitted for a loose search.
	sampleSize  = 64
	sampleLeast = 4
)

// looseMost is how many hits a loose search asks for at most, of a collection
// with some documents: as many as cost about a tenth of looking at all of them.
func looseMost(live uint64) int { return max(int(live/(10*gatherCost)), eagerMost) }

// plan fills in the filter of a request, and how many hits to ask for.
func (r *searchRun) plan(ctx context.Context, request *index.Query) (err error) {
	v, err := r.c.view(r.query.Filter)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.close()) }()
	r.settled = request.K
	_, named := r.query.Filter.IDs()
	if open := v.open(); !named && open > eagerMost {
		share, err := v.sample(ctx, open)
		if err != nil {
			return err
		}
		if share > 0 {
			// A part of the admitted is certain, so the share of all is higher.
			sure := 0.0
			if v.known() {
				sure = float64(v.sure.GetCardinality())
			}
			all := (sure + share*float64(open)) / (sure + float64(open))
			if k := int(1.25*float64(r.settled)/all) + 8; k <= looseMost(v.state.live) {
				request.K, r.loose = k, true
			}
		}
	}
	if !r.loose {
		if err := v.settle(ctx); err != nil {
			return err
		}
	}
	request.Filter, err = r.admitted(ctx, &v)
	return err
}

// tighten gives up a loose search for one whose filter is settled.
func (r *searchRun) tighten(ctx context.Context, request *index.Query) (err error) {
	v, err := r.c.view(r.query.Filter)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.close()) }()
	if err := v.settle(ctx); err != nil {
		return err
	}
	r.loose, request.K = false, r.settled
	request.Filter, err = r.admitted(ctx, &v)
	return err
}

// open is the number of documents of which only they themselves tell whether
// the filter admits them.
func (v *view) open() uint64 {
	if v.known() {
		return v.maybe.GetCardinality()
	}
	return v.state.live
}

// sample estimates the share of the open documents that the filter admits; 0
// where a sample finds too few to tell.
func (v *view) sample(ctx context.Context, open uint64) (share float64, err error) {
	// The same documents for the same state: a plan can be had again.
	rng := rand.New(rand.NewPCG(v.state.sequence, open))
	looked, admitted := 0, 0
	for tries := 0; looked < sampleSize && tries < 4*sampleSize; tries++ {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		var ordinal uint32
		if !v.known() {
			ordinal = uint32(rng.Uint64N(v.state.next)) // some are gone
		} else if ordinal, err = v.maybe.Select(uint32(rng.Uint64N(open))); err != nil {
			return 0, err
		}
		id, ok, err := v.c.owner(v.snapshot, ordinal)
		if err != nil {
			return 0, err
		}
		if !ok {
			continue
		}
		record, err := get(v.snapshot, documentKey(v.c.number, id))
		if err != nil {
			return 0, readError(v.c.name, "document "+id.String(), err)
		}
		if record == nil {
			return 0, v.c.damaged("document "+id.String(), "an ordinal names it and it is not there")
		}
		looked++
		ok, err = v.admits(id, record)
		if err != nil {
			return 0, err
		}
		if ok {
			admitted++
		}
	}
	if admitted < sampleLeast {
		return 0, nil
	}
	return float64(admitted) / float64(looked), nil
}

// admitted is the ordinals of a view that the engine may find, those that
// writes replace in this moment included; nil where it may find any.
func (r *searchRun) admitted(ctx context.Context, v *view) (index.Filter, error) {
	c := r.c
	r.filtered = v.state.sequence
	if !v.known() {
		return nil, nil
	}
	set := ordinalSet{c: c, bitmap: v.sure, after: v.state.next}
	if !v.maybe.IsEmpty() {
		set.bitmap = roaring.Or(v.sure, v.maybe)
	}
	for ordinal, before := range c.past.all(r.era) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if uint64(ordinal) >= set.after || set.bitmap.Contains(ordinal) {
			continue
		}
		id, ok, err := c.owner(before, ordinal)
		if err == nil && ok {
			_, ok, err = r.hit(before, id, index.Hit{Ordinal: ordinal}, true)
		}
		if err != nil {
			return nil, err
		}
		if ok {
			set.bitmap.Add(ordinal)
		}
	}
	return set, nil
}

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

// Unfilled is a document whose vector a standby lacks.
type Unfilled struct {
	Document
	ordinal uint32
}

// Position is a place in the order in which Unfilled gives documents: the
// later they were written, the further on.
type Position uint64

// Unfilled gives up to limit documents that the standby of that number lacks,
// from a position on, and the position behind them; done says that there are
// none from there on. Documents that are written meanwhile come later, so one
// walk from 0 meets all that there are at its end. With rows, vectors are
// those in the serving generation, row i of document i. Errors:
// ErrGeneration and those of Get.
func (c *Collection) Unfilled(ctx context.Context, number uint64, from Position, limit int, rows bool) (docs []Unfilled, vectors compat.Vectors, next Position, done bool, err error) {
	if err := c.begin(); err != nil {
		return nil, compat.Vectors{}, from, false, err
	}
	defer c.end()
	all := c.generations.Load()
	if all.standby == nil || all.standby.number != number {
		return nil, compat.Vectors{}, from, false, c.noStandby(number)
	}
	ordinals, next, done := c.lacking(all, from, limit)
	var floats []float32
	for _, ordinal := range ordinals {
		if err := ctx.Err(); err != nil {
			return nil, compat.Vectors{}, from, false, err
		}
		snapshot := c.store.db.NewSnapshot()
		doc, row, ok, err := c.unfilled(all.serving, snapshot, ordinal, rows)
		if err = errors.Join(err, snapshot.Close()); err != nil {
			return nil, compat.Vectors{}, from, false, err
		}
		if ok {
			docs, floats = append(docs, doc), append(floats, row...)
		}
	}
	if rows {
		vectors, err = all.serving.stamper.Stamp(floats)
	}
	return docs, vectors, next, done, err
}

// lacking is the first ordinals, from a position on, that the standby lacks.
func (c *Collection) lacking(all *generations, from Position, limit int) (ordinals []uint32, next Position, done bool) {
	c.mu.Lock()
	lacking := roaring.AndNot(all.serving.filled, all.standby.filled)
	c.mu.Unlock()
	lacking.RemoveRange(0, uint64(from))
	ordinals = make([]uint32, max(limit, 0))
	iter := lacking.ManyIterator()
	ordinals = ordinals[:iter.NextMany(ordinals)]
	if len(ordinals) == 0 {
		return nil, from, limit > 0
	}
	return ordinals, Position(ordinals[len(ordinals)-1]) + 1, false
}

// unfilled reads the document of an ordinal, which may be gone by now.
func (c *Collection) unfilled(serving *generation, reader pebble.Reader, ordinal uint32, row bool) (doc Unfilled, vector []float32, ok bool, err error) {
	id, ok, err := c.owner(reader, ordinal)
	if !ok || err != nil {
		return Unfilled{}, nil, false, err
	}
	g := serving
	if !row {
		g = nil
	}
	stored, h, ok, err := c.document(reader, id, g)
	if err != nil || !ok || h.ordinal != ordinal {
		return Unfilled{}, nil, false, err
	}
	return Unfilled{Document: stored.Document, ordinal: ordinal}, stored.Vector, true, nil
}

// Fill gives documents that Unfilled gave their vectors in the standby of that
// number (row i of v belongs to docs[i]), all in one synced batch. Documents
// that were replaced or deleted since, and those that have a vector there
// already, are left out; filled is how many were not. With each they are linked
// into the graph when it returns: each calls link for 0..n-1, on as many
// goroutines as it wants, and waits for them. nil: they wait in the tail before
// the graph, as others do. Errors: ErrGeneration,
// index.ErrSpace, ErrBatch, ErrDiskFull, ErrFailed, ErrNotFound, ErrClosed.
func (c *Collection) Fill(ctx context.Context, number uint64, docs []Unfilled, v compat.Vectors, each func(n int, link func(i int))) (filled int, err error) {
	if err := c.begin(); err != nil {
		return 0, err
	}
	defer c.end()
	if len(docs) != v.Len() {
		return 0, fmt.Errorf("%w: %d documents and %d vectors; give one vector for each", ErrBatch, len(docs), v.Len())
	}
	if err := errors.Join(ctx.Err(), c.store.room()); err != nil || len(docs) == 0 {
		return 0, err
	}
	c.writing.RLock()
	defer c.writing.RUnlock()
	all := c.generations.Load()
	if all.standby == nil || all.standby.number != number {
		return 0, c.noStandby(number)
	}
	if !v.Fingerprint().Matches(all.standby.config.Fingerprint) {
		return 0, fmt.Errorf("collection %q: %w: generation %d holds %.12s and the batch is stamped %.12s; encode with that generation's encoder",
			c.name, index.ErrSpace, number, all.standby.config.Fingerprint, v.Fingerprint())
	}
	ids := make([]ID, len(docs))
	for i := range docs {
		ids[i] = docs[i].ID
	}
	unlock := c.points.lock(ids)
	defer unlock()
	in := insertion{g: all.standby, whole: v, each: each}
	w, err := c.apply(0, func(w *written, next *state) error {
		for i := range docs {
			d := &docs[i]
			// An ordinal that serves is that of its document still.
			if !all.serving.filled.Contains(d.ordinal) || all.standby.filled.Contains(d.ordinal) {
				continue
			}
			in.add(d.ordinal, v.Row(i))
			next.standby.filled++
			next.standby.digest = next.standby.digest.plus(ordinalElement(d.ordinal, appendID(nil, d.ID)))
			if err := w.batch.Set(vectorKey(c.number, number, d.ordinal), encodeVector(v.Row(i)), nil); err != nil {
				return err
			}
		}
		if len(in.ordinals) == 0 {
			return errNothing
		}
		w.inserts = []insertion{in}
		return errors.Join(
			w.batch.Set(logKey(c.number, w.sequence), encodeFilled(number, in.ordinals), nil),
			w.batch.Set(stateKey(c.number), next.encode(), nil),
		)
	})
	if errors.Is(err, errNothing) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if err := c.await(w.batch); err != nil {
		return 0, err
	}
	c.raiseDurable(w.sequence)
	if err := c.index(ctx, all, w); err != nil {
		return 0, err
	}
	c.changed.Add(int64(len(in.ordinals)))
	c.store.due(c)
	return len(in.ordinals), nil
}

// errNothing ends a Fill of which nothing is left.
var errNothing = errors.New("nothing to fill")

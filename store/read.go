package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index/filter"
)

// Reads see the state of one moment: each opens a snapshot of Pebble, so a
// document and its vector always belong together.

// read runs f on a snapshot.
func (c *Collection) read(ctx context.Context, f func(snapshot *pebble.Snapshot) error) (err error) {
	if err := c.begin(); err != nil {
		return err
	}
	defer c.end()
	if err := ctx.Err(); err != nil {
		return err
	}
	snapshot := c.store.db.NewSnapshot()
	defer func() { err = errors.Join(err, snapshot.Close()) }()
	return f(snapshot)
}

// document reads one document; found is false where there is none.
func (c *Collection) document(reader pebble.Reader, id ID, withVector bool) (stored Stored, h head, found bool, err error) {
	record, closer, err := reader.Get(documentKey(c.number, id))
	if errors.Is(err, pebble.ErrNotFound) {
		return Stored{}, head{}, false, nil
	}
	if err != nil {
		return Stored{}, head{}, false, readError(c.name, "document "+id.String(), err)
	}
	stored.Document, h, err = decodeDocument(id, record)
	if err = errors.Join(err, closer.Close()); err != nil {
		return Stored{}, head{}, false, readError(c.name, "document "+id.String(), err)
	}
	if withVector {
		if stored.Vector, err = c.appendRow(reader, nil, h.ordinal); err != nil {
			return Stored{}, head{}, false, err
		}
	}
	return stored, h, true, nil
}

// Get reads documents by their ids, in that order; ids that are not there are
// left out. Errors: ErrNotFound, ErrCorrupt, ErrClosed.
func (c *Collection) Get(ctx context.Context, ids []ID, withVector bool) ([]Stored, error) {
	var found []Stored
	err := c.read(ctx, func(snapshot *pebble.Snapshot) error {
		for _, id := range ids {
			if err := ctx.Err(); err != nil {
				return err
			}
			stored, _, ok, err := c.document(snapshot, id, withVector)
			if err != nil {
				return err
			}
			if ok {
				found = append(found, stored)
			}
		}
		return nil
	})
	return found, err
}

// Vector is the stored vector of a point, stamped: a query for its neighbours.
// Errors: ErrPointNotFound and those of Get.
func (c *Collection) Vector(ctx context.Context, id ID) (v compat.Vectors, err error) {
	err = c.read(ctx, func(snapshot *pebble.Snapshot) error {
		stored, _, ok, err := c.document(snapshot, id, true)
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("collection %q: %w: %s; put it first, or query by text or vector", c.name, ErrPointNotFound, id)
		}
		if v, err = c.serving.stamper.Stamp(stored.Vector); err != nil {
			return c.damaged("vector of "+id.String(), "%v", err)
		}
		return nil
	})
	return v, err
}

// errStop ends a walk before its end.
var errStop = errors.New("stop")

// walk calls f for every document that the filter admits, in the order of ids,
// from an id on where that is not nil. f may return errStop.
func (c *Collection) walk(ctx context.Context, reader pebble.Reader, from *ID, flt *filter.Filter, f func(d Document, h head) error) error {
	prefix := prefixKey(familyDocument, c.number)
	var start []byte
	if from != nil {
		start = documentKey(c.number, *from)
	}
	steps := 0
	err := scan(reader, prefix, start, func(key, value []byte) error {
		if steps++; steps%256 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		id, err := decodeID(key[len(prefix):])
		if err != nil {
			return readError(c.name, "document key", err)
		}
		d, h, err := decodeDocument(id, value)
		if err != nil {
			return readError(c.name, "document "+id.String(), err)
		}
		if admitted, err := c.admits(flt, &d); err != nil || !admitted {
			return err
		}
		return f(d, h)
	})
	if errors.Is(err, errStop) {
		return nil
	}
	if err != nil && pebble.IsCorruptionError(err) {
		return readError(c.name, "documents", err)
	}
	return err
}

// admits evaluates a filter on a document; nil admits all.
func (c *Collection) admits(flt *filter.Filter, d *Document) (bool, error) {
	if flt == nil {
		return true, nil
	}
	var payload map[string]any
	if len(d.Payload) > 0 {
		decoder := json.NewDecoder(bytes.NewReader(d.Payload))
		decoder.UseNumber()
		if err := decoder.Decode(&payload); err != nil {
			return false, c.damaged("payload of "+d.ID.String(), "%v", err)
		}
	}
	return flt.Match(d.ID.Value(), payload), nil
}

// Count is the number of documents that a filter admits; nil admits all.
// Errors are those of Get.
func (c *Collection) Count(ctx context.Context, f *filter.Filter) (n int, err error) {
	if f == nil {
		if err := c.begin(); err != nil {
			return 0, err
		}
		defer c.end()
		return int(c.current().live), nil
	}
	err = c.read(ctx, func(snapshot *pebble.Snapshot) error {
		return c.walk(ctx, snapshot, nil, f, func(Document, head) error {
			n++
			return nil
		})
	})
	return n, err
}

// Matching is the ids of the documents that a filter admits, ascending; nil
// admits all. Errors are those of Get.
func (c *Collection) Matching(ctx context.Context, f *filter.Filter) (ids []ID, err error) {
	err = c.read(ctx, func(snapshot *pebble.Snapshot) error {
		return c.walk(ctx, snapshot, nil, f, func(d Document, _ head) error {
			ids = append(ids, d.ID)
			return nil
		})
	})
	return ids, err
}

// Scroll gives one page in the ascending order of ids, and the first id of the
// next page, nil behind the last one. Errors are those of Get.
func (c *Collection) Scroll(ctx context.Context, q ScrollQuery) (docs []Stored, next *ID, err error) {
	if q.Limit <= 0 {
		return nil, nil, c.read(ctx, func(*pebble.Snapshot) error { return nil })
	}
	var from *ID
	if q.HasFrom {
		from = &q.From
	}
	err = c.read(ctx, func(snapshot *pebble.Snapshot) error {
		return c.walk(ctx, snapshot, from, q.Filter, func(d Document, h head) error {
			if len(docs) == q.Limit {
				next = &d.ID
				return errStop
			}
			stored := Stored{Document: d}
			if q.WithVector {
				var err error
				if stored.Vector, err = c.appendRow(snapshot, nil, h.ordinal); err != nil {
					return err
				}
			}
			docs = append(docs, stored)
			return nil
		})
	})
	return docs, next, err
}

package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index/filter"
)

// Reads see the state of one moment: each opens a snapshot of Pebble, so a
// document and its vector always belong together.

// read runs f on a snapshot.
func (c *Collection) read(ctx context.Context, f func(snapshot *pebble.Snapshot) error) error {
	return c.readServing(ctx, func(snapshot *pebble.Snapshot, _ *generation) error { return f(snapshot) })
}

// readServing runs f on a snapshot and the generation that served when it was
// taken, whose vectors are all in it.
func (c *Collection) readServing(ctx context.Context, f func(snapshot *pebble.Snapshot, g *generation) error) (err error) {
	if err := c.begin(); err != nil {
		return err
	}
	defer c.end()
	if err := ctx.Err(); err != nil {
		return err
	}
	for {
		all := c.generations.Load()
		snapshot := c.store.db.NewSnapshot()
		if c.generations.Load() != all {
			if err := snapshot.Close(); err != nil {
				return err
			}
			continue
		}
		defer func() { err = errors.Join(err, snapshot.Close()) }()
		return f(snapshot, all.serving)
	}
}

// filtered runs f on a view.
func (c *Collection) filtered(ctx context.Context, flt *filter.Filter, f func(v *view) error) (err error) {
	if err := c.begin(); err != nil {
		return err
	}
	defer c.end()
	if err := ctx.Err(); err != nil {
		return err
	}
	v, err := c.view(flt)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.close()) }()
	return f(&v)
}

// document reads one document, with its vector in g unless that is nil; found
// is false where there is none.
func (c *Collection) document(reader pebble.Reader, id ID, g *generation) (stored Stored, h head, found bool, err error) {
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
	if g != nil {
		if stored.Vector, err = c.appendRow(g, reader, nil, h.ordinal); err != nil {
			return Stored{}, head{}, false, err
		}
	}
	return stored, h, true, nil
}

// Get reads documents by their ids, in that order; ids that are not there are
// left out. Errors: ErrNotFound, ErrCorrupt, ErrClosed.
func (c *Collection) Get(ctx context.Context, ids []ID, withVector bool) ([]Stored, error) {
	var found []Stored
	err := c.readServing(ctx, func(snapshot *pebble.Snapshot, g *generation) error {
		if !withVector {
			g = nil
		}
		for _, id := range ids {
			if err := ctx.Err(); err != nil {
				return err
			}
			stored, _, ok, err := c.document(snapshot, id, g)
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
	err = c.readServing(ctx, func(snapshot *pebble.Snapshot, g *generation) error {
		stored, _, ok, err := c.document(snapshot, id, g)
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("collection %q: %w: %s; put it first, or query by text or vector", c.name, ErrPointNotFound, id)
		}
		if v, err = g.stamper.Stamp(stored.Vector); err != nil {
			return c.damaged("vector of "+id.String(), "%v", err)
		}
		return nil
	})
	return v, err
}

// errStop ends a walk before its end.
var errStop = errors.New("stop")

// entry is a document as it lies in Pebble. Its record is valid until the
// function that it is given to returns.
type entry struct {
	id     ID
	head   head
	record []byte
}

// walk calls f for every document that the filter admits, in the order of ids,
// from an id on where that is not nil. f may return errStop. A filter that names
// the ids of all that it admits costs no more than to look these up.
func (c *Collection) walk(ctx context.Context, reader pebble.Reader, from *ID, flt *filter.Filter, f func(e entry) error) error {
	visit := func(id ID, record []byte) error {
		h, _, _, payload, err := splitDocument(record)
		if err != nil {
			return readError(c.name, "document "+id.String(), err)
		}
		if admitted, err := c.admits(flt, id, payload); err != nil || !admitted {
			return err
		}
		return f(entry{id: id, head: h, record: record})
	}
	var err error
	if ids, ok := flt.IDs(); ok {
		err = c.visitSome(ctx, reader, from, ids, visit)
	} else {
		err = c.visitAll(ctx, reader, from, visit)
	}
	if errors.Is(err, errStop) {
		return nil
	}
	if err != nil && pebble.IsCorruptionError(err) {
		return readError(c.name, "documents", err)
	}
	return err
}

// visitAll calls f for every document from an id on.
func (c *Collection) visitAll(ctx context.Context, reader pebble.Reader, from *ID, f func(id ID, record []byte) error) error {
	prefix := prefixKey(familyDocument, c.number)
	var start []byte
	if from != nil {
		start = documentKey(c.number, *from)
	}
	steps := 0
	return scan(reader, prefix, start, func(key, value []byte) error {
		if steps++; steps%256 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		id, err := decodeID(key[len(prefix):])
		if err != nil {
			return readError(c.name, "document key", err)
		}
		return f(id, value)
	})
}

// visitSome calls f for the documents of some ids (uint64 or string), in the
// order of ids, from an id on.
func (c *Collection) visitSome(ctx context.Context, reader pebble.Reader, from *ID, values []any, f func(id ID, record []byte) error) error {
	ids := make([]ID, 0, len(values))
	for _, value := range values {
		var id ID
		switch v := value.(type) {
		case uint64:
			id = NumID(v)
		case string:
			var err error
			if id, err = StringID(v); err != nil {
				continue // no document has it
			}
		}
		if from == nil || id.Compare(*from) >= 0 {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, ID.Compare)
	for _, id := range ids {
		if err := ctx.Err(); err != nil {
			return err
		}
		record, err := get(reader, documentKey(c.number, id))
		if err != nil {
			return readError(c.name, "document "+id.String(), err)
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

// admits evaluates a filter on a document's id and payload; nil admits all.
func (c *Collection) admits(flt *filter.Filter, id ID, payload []byte) (bool, error) {
	if flt == nil {
		return true, nil
	}
	var object map[string]any
	if len(payload) > 0 && flt.ReadsPayload() {
		decoder := json.NewDecoder(bytes.NewReader(payload))
		decoder.UseNumber()
		if err := decoder.Decode(&object); err != nil {
			return false, c.damaged("payload of "+id.String(), "%v", err)
		}
	}
	return flt.Match(id.Value(), object), nil
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
	err = c.filtered(ctx, f, func(v *view) (err error) {
		n, err = v.count(ctx)
		return err
	})
	return n, err
}

// Matching is the ids of the documents that a filter admits, ascending; nil
// admits all. Errors are those of Get.
func (c *Collection) Matching(ctx context.Context, f *filter.Filter) (ids []ID, err error) {
	err = c.filtered(ctx, f, func(v *view) error {
		return v.walk(ctx, nil, 0, func(e entry) error {
			ids = append(ids, e.id)
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
	err = c.filtered(ctx, q.Filter, func(v *view) error {
		return v.walk(ctx, from, q.Limit+1, func(e entry) error {
			if len(docs) == q.Limit {
				next = &e.id
				return errStop
			}
			var stored Stored
			var err error
			if stored.Document, _, err = decodeDocument(e.id, e.record); err != nil {
				return readError(c.name, "document "+e.id.String(), err)
			}
			if q.WithVector {
				if stored.Vector, err = c.appendRow(v.serving, v.snapshot, nil, e.head.ordinal); err != nil {
					return err
				}
			}
			docs = append(docs, stored)
			return nil
		})
	})
	return docs, next, err
}

package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/vecino-db/vecino/index/filter"
)

// A worker makes payload indexes ready. A scan over a snapshot fills the
// memory of an index while writes change it: the scan leaves alone what was
// touched since the snapshot was taken. An index whose records are complete is
// read from them; for one that is new, or whose records don't add up, the scan
// goes over the documents and writes the records, too.

// scanBatch is how many documents a scan takes over at a time.
const scanBatch = 256

// readPayloadIndexes reads which indexes there are. The worker makes them
// ready.
func (c *Collection) readPayloadIndexes() error {
	var list []*payloadIndex
	err := scan(c.store.db, prefixKey(familyPayload, c.number), nil, func(key, value []byte) error {
		number, ok := lastUint32(key, payloadKeyLength)
		if !ok {
			return fmt.Errorf("%w: payload index key of %d bytes", errRecord, len(key))
		}
		var record payloadRecord
		if err := decodeJSON(value, &record); err != nil {
			return err
		}
		if record.Type.kind() == 0 {
			return fmt.Errorf("%w: payload index of type %.40q", errRecord, record.Type)
		}
		x, err := newPayloadIndex(number, record)
		if err != nil {
			return fmt.Errorf("%w: %w", errRecord, err)
		}
		if err := c.readPostingSum(x); err != nil {
			return err
		}
		x.total.Store(int64(c.state.live))
		list = append(list, x)
		return nil
	})
	if err != nil {
		return readError(c.name, "payload indexes", err)
	}
	if len(list) > 0 {
		c.payload.replace(list)
	}
	return nil
}

// readPostingSum reads the sum that writes go on from. One that is not of the
// last batch, whatever wrote that, counts for nothing: the index is built anew.
func (c *Collection) readPostingSum(x *payloadIndex) error {
	record, err := get(c.store.db, payloadKey(familyPostingSum, c.number, x.number))
	if err != nil || !x.complete {
		return err
	}
	x.sum, err = decodePostingSum(record)
	if err != nil || x.sum.sequence != c.state.sequence {
		c.store.log.Warn("store: a payload index is not of the last batch; it is built anew from the documents", "collection", c.name, "field", x.record.Field)
		x.complete, x.sum, x.rebuilt = false, postingSum{}, true
	}
	return nil
}

// buildPayloads is the worker: it makes the indexes of collections ready until
// ctx ends.
func (s *Store) buildPayloads(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.builds.added:
		}
		for c := s.builds.take(); c != nil && ctx.Err() == nil; c = s.builds.take() {
			if err := c.readyPayloads(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, ErrNotFound) {
				s.log.Error("store: a payload index can't be built; filters look at the documents instead", "collection", c.name, "error", err)
			}
		}
	}
}

// readyPayloads makes the indexes ready, each in turn.
func (c *Collection) readyPayloads(ctx context.Context) error {
	for {
		var next *payloadIndex
		c.payload.mu.RLock()
		for _, x := range c.payload.all() {
			if !x.ready {
				next = x
				break
			}
		}
		c.payload.mu.RUnlock()
		if next == nil {
			return nil
		}
		began := time.Now()
		read, err := c.readyPayload(ctx, next)
		if errors.Is(err, errDropped) {
			continue
		}
		if err != nil {
			return err
		}
		c.store.log.Debug("store: payload index ready", "collection", c.name, "field", next.record.Field, "read", read, "documents", next.done.Load(), "duration", time.Since(began))
	}
}

// errDropped: the index was dropped while it was built.
var errDropped = errors.New("dropped")

// readyPayload makes one index ready, and says whether it was read from its
// records.
func (c *Collection) readyPayload(ctx context.Context, x *payloadIndex) (read bool, err error) {
	if c.completePayload(x) {
		err := c.scanPayload(ctx, x, false)
		if err == nil || !errors.Is(err, errRecord) {
			return true, err
		}
		c.store.log.Warn("store: the records of a payload index don't add up; it is built anew from the documents", "collection", c.name, "field", x.record.Field, "error", err)
	}
	if x.record.Complete {
		x.rebuilt = true
	}
	return false, c.scanPayload(ctx, x, true)
}

func (c *Collection) completePayload(x *payloadIndex) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return x.complete
}

// during runs f as an operation on the collection, under its mutex, unless the
// index was dropped.
func (c *Collection) during(x *payloadIndex, f func() error) error {
	if err := c.begin(); err != nil {
		return err
	}
	defer c.end()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.payload.find(x.path.String()) != x {
		return errDropped
	}
	return f()
}

// scanPayload fills the memory of an index, from its records or, with build,
// from the documents, whose records it writes.
func (c *Collection) scanPayload(ctx context.Context, x *payloadIndex, build bool) (err error) {
	snapshot, err := c.beginScan(x, build)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, snapshot.Close()) }()
	if build {
		err = c.scanDocuments(ctx, snapshot, x)
	} else {
		err = c.scanPostings(ctx, snapshot, x)
	}
	if err != nil {
		return err
	}
	return c.finishPayload(x, build)
}

// beginScan empties the memory of an index, and with build forgets its records,
// and takes the snapshot from which it is to be filled. From then on writes
// note what they touch.
func (c *Collection) beginScan(x *payloadIndex, build bool) (snapshot *pebble.Snapshot, err error) {
	err = c.during(x, func() error {
		if build {
			if err := c.forgetPostings(x); err != nil {
				return err
			}
		}
		c.payload.mu.Lock()
		defer c.payload.mu.Unlock()
		x.restart()
		x.done.Store(0)
		x.total.Store(int64(c.state.live))
		x.ready = false
		snapshot = c.store.db.NewSnapshot()
		return nil
	})
	return snapshot, err
}

// forgetPostings removes the records of an index that is built anew.
func (c *Collection) forgetPostings(x *payloadIndex) error {
	record := x.record
	record.Complete = false
	batch := c.store.db.NewBatch()
	start := payloadKey(familyPosting, c.number, x.number)
	err := errors.Join(
		setJSON(batch, payloadKey(familyPayload, c.number, x.number), record),
		batch.Delete(payloadKey(familyPostingSum, c.number, x.number), nil),
		batch.DeleteRange(start, prefixEnd(start), nil),
	)
	if err == nil {
		err = c.applyLater(batch)
	}
	if err != nil {
		return errors.Join(err, batch.Close())
	}
	x.complete, x.sum = false, postingSum{}
	return batch.Close()
}

// applyLater gives a batch to Pebble that may be on the disk at any later time.
func (c *Collection) applyLater(batch *pebble.Batch) error {
	if err := c.store.failed(); err != nil {
		return err
	}
	if err := c.store.db.Apply(batch, pebble.NoSync); err != nil {
		c.store.fail(err)
		return c.store.failed()
	}
	return nil
}

// scanned is a document on its way into an index.
type scanned struct {
	ordinal uint32
	summary filter.Summary
	record  []byte
}

// scanDocuments fills an index from the documents of a snapshot.
func (c *Collection) scanDocuments(ctx context.Context, snapshot *pebble.Snapshot, x *payloadIndex) error {
	some := make([]scanned, 0, scanBatch)
	flush := func() error {
		err := c.during(x, func() error { return c.takeDocuments(x, some) })
		some = some[:0]
		return errors.Join(err, ctx.Err())
	}
	list := []*payloadIndex{x}
	prefix := prefixKey(familyDocument, c.number)
	err := scan(snapshot, prefix, nil, func(key, value []byte) error {
		h, _, _, payload, err := splitDocument(value)
		if err != nil {
			return err
		}
		s, records, err := summaries(list, payload)
		if err != nil {
			return fmt.Errorf("%w: %w", errRecord, err)
		}
		if some = append(some, scanned{h.ordinal, s[0], records[0]}); len(some) < scanBatch {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	if err != nil && errors.Is(err, errRecord) {
		return readError(c.name, "documents", err)
	}
	return err
}

// takeDocuments takes documents of a snapshot into an index, with their
// records, but those that were touched since. The caller holds the mutex.
func (c *Collection) takeDocuments(x *payloadIndex, some []scanned) error {
	batch := c.store.db.NewBatch()
	sum := x.sum
	var errs error
	kept := some[:0]
	for _, d := range some {
		if x.touched.Contains(d.ordinal) {
			continue
		}
		kept = append(kept, d)
		sum.add(d.ordinal, d.record)
		errs = errors.Join(errs, batch.Set(postingKey(c.number, x.number, d.ordinal), d.record, nil))
	}
	if errs == nil {
		errs = c.applyLater(batch)
	}
	if errs != nil {
		return errors.Join(errs, batch.Close())
	}
	x.sum = sum
	c.payload.mu.Lock()
	defer c.payload.mu.Unlock()
	for _, d := range kept {
		x.postings.Add(d.ordinal, d.summary)
	}
	x.done.Add(int64(len(some)))
	return batch.Close()
}

// scanPostings fills an index from its records, and compares them with their
// sum; errRecord when they differ.
func (c *Collection) scanPostings(ctx context.Context, snapshot *pebble.Snapshot, x *payloadIndex) error {
	var want postingSum
	record, err := get(snapshot, payloadKey(familyPostingSum, c.number, x.number))
	if err == nil {
		want, err = decodePostingSum(record)
	}
	if err != nil {
		return err
	}
	record, err = get(snapshot, stateKey(c.number))
	if err != nil {
		return err
	}
	now, err := decodeState(record)
	if err != nil {
		return err
	}
	if want.sequence != now.sequence || want.records != now.live {
		return fmt.Errorf("%w: they are %d of batch %d, and the collection has %d documents of batch %d", errRecord, want.records, want.sequence, now.live, now.sequence)
	}
	found := postingSum{sequence: want.sequence}
	some := make([]scanned, 0, scanBatch)
	flush := func() error {
		c.payload.mu.Lock()
		defer c.payload.mu.Unlock()
		for _, d := range some {
			if !x.touched.Contains(d.ordinal) {
				x.postings.Add(d.ordinal, d.summary)
			}
		}
		x.done.Add(int64(len(some)))
		some = some[:0]
		return ctx.Err()
	}
	err = scan(snapshot, payloadKey(familyPosting, c.number, x.number), nil, func(key, value []byte) error {
		ordinal, ok := lastUint32(key, postingKeyLength)
		if !ok {
			return fmt.Errorf("%w: posting key of %d bytes", errRecord, len(key))
		}
		summary, err := decodeSummary(value)
		if err != nil {
			return err
		}
		found.add(ordinal, value)
		if some = append(some, scanned{ordinal: ordinal, summary: summary}); len(some) < scanBatch {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	if err == nil && found != want {
		err = fmt.Errorf("%w: %d of %d records, or others than were written", errRecord, found.records, want.records)
	}
	return err
}

// finishPayload lets filters use an index. One that was built is noted as
// complete first.
func (c *Collection) finishPayload(x *payloadIndex, built bool) error {
	var batch *pebble.Batch
	if built {
		err := c.during(x, func() error {
			record, sum := x.record, x.sum
			record.Complete, sum.sequence = true, c.state.sequence
			batch = c.store.db.NewBatch()
			err := errors.Join(
				setJSON(batch, payloadKey(familyPayload, c.number, x.number), record),
				batch.Set(payloadKey(familyPostingSum, c.number, x.number), sum.encode(), nil),
			)
			if err != nil {
				return errors.Join(err, batch.Close())
			}
			if err := c.handOver(batch); err != nil {
				return err
			}
			x.complete, x.sum = true, sum
			return nil
		})
		if err != nil {
			return err
		}
		if err := c.await(batch); err != nil {
			return err
		}
	}
	return c.during(x, func() error {
		c.payload.mu.Lock()
		defer c.payload.mu.Unlock()
		x.ready, x.touched = true, nil
		x.leave()
		return nil
	})
}

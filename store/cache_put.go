package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/vecino-db/vecino/compat"
)

// Put keeps row i of v, and a note of the caller's, under keys[i] in the space
// that v is stamped for. It does not wait for the disk. A row larger than an
// eighth of the bound is left out. Errors: ErrBatch where keys, rows and notes
// differ in number, ErrDiskFull, ErrFailed, ErrClosed, and the context's.
func (c *EmbeddingCache) Put(ctx context.Context, query bool, keys [][32]byte, v compat.Vectors, notes []uint64) error {
	if err := c.begin(); err != nil {
		return err
	}
	defer c.end()
	if len(keys) != v.Len() || len(notes) != v.Len() {
		return fmt.Errorf("%w: %d keys, %d rows and %d notes for the embedding cache; give one of each", ErrBatch, len(keys), v.Len(), len(notes))
	}
	if len(keys) == 0 {
		return nil
	}
	if err := errors.Join(c.store.failed(), c.store.room()); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for from := 0; from < len(keys); {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := c.fitLocked(v.Dim(), len(keys)-from)
		if n == 0 {
			return nil
		}
		if err := c.putLocked(query, keys[from:from+n], v.Slice(from, from+n), notes[from:from+n]); err != nil {
			return err
		}
		from += n
	}
	return nil
}

// fitLocked is how many of n rows make one segment; 0 where not even one does.
func (c *EmbeddingCache) fitLocked(dim, n int) int {
	row := entryKeyLength + entryLength(dim) + len(compat.Fingerprint{})
	return int(min(int64(n), segmentRows, (c.max/segmentShare-segmentOverhead)/int64(row)))
}

// putLocked writes one segment and takes away as many old ones as its room
// needs, in one batch: first the deletions, which may be of the same keys.
func (c *EmbeddingCache) putLocked(query bool, keys [][32]byte, v compat.Vectors, notes []uint64) error {
	s := segment{start: c.segments.end, fingerprint: v.Fingerprint(), query: query, keys: keys}
	s.bytes = uint64(s.length() + len(keys)*(entryKeyLength+entryLength(v.Dim())))
	batch := c.store.db.NewBatch()
	defer batch.Close()
	after, evicted, err := c.evictLocked(batch, s.bytes)
	if err != nil {
		c.store.log.Warn("store: the embedding cache can't be read and is emptied", "error", err)
		return c.clearLocked()
	}
	entry := newEntryKey(s.fingerprint, query)
	var record []byte
	for i := range keys {
		entry.set(keys[i])
		record = appendEntry(record[:0], entry, v.Row(i), notes[i])
		if err := batch.Set(entry[:], record, nil); err != nil {
			return err
		}
	}
	if err := batch.Set(segmentKey(after.next), s.encode(after.next), nil); err != nil {
		return err
	}
	after.next++
	after.end += s.bytes
	if err := c.commitLocked(batch); err != nil {
		return err
	}
	c.segments = after
	c.evicted.Add(evicted)
	return nil
}

// evictLocked deletes the oldest segments until so many bytes have room. It
// gives the range that is left and the number of rows that go.
func (c *EmbeddingCache) evictLocked(batch *pebble.Batch, bytes uint64) (after segmentRange, rows uint64, err error) {
	after = c.segments
	for after.first < after.next && after.end-after.start+bytes > uint64(c.max) {
		key := segmentKey(after.first)
		record, err := get(c.store.db, key)
		if err != nil {
			return after, 0, err
		}
		s, err := decodeSegment(after.first, record)
		if err != nil {
			return after, 0, err
		}
		if s.start != after.start || s.start+s.bytes > after.end {
			return after, 0, fmt.Errorf("%w: segment %d of the embedding cache begins at %d, not at %d", errRecord, after.first, s.start, after.start)
		}
		entry := newEntryKey(s.fingerprint, s.query)
		for _, k := range s.keys {
			entry.set(k)
			if err := batch.Delete(entry[:], nil); err != nil {
				return after, 0, err
			}
		}
		if err := batch.Delete(key, nil); err != nil {
			return after, 0, err
		}
		after.first++
		after.start += s.bytes
		rows += uint64(len(s.keys))
	}
	return after, rows, nil
}

// Clear empties the cache. Errors: ErrFailed, ErrClosed.
func (c *EmbeddingCache) Clear(ctx context.Context) error {
	if err := c.begin(); err != nil {
		return err
	}
	defer c.end()
	if err := errors.Join(ctx.Err(), c.store.failed()); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.clearLocked()
}

func (c *EmbeddingCache) clearLocked() error {
	batch := c.store.db.NewBatch()
	defer batch.Close()
	for _, family := range []byte{familyCached, familySegment} {
		if err := batch.DeleteRange([]byte{family}, prefixEnd([]byte{family}), nil); err != nil {
			return err
		}
	}
	if err := c.commitLocked(batch); err != nil {
		return err
	}
	c.segments = segmentRange{}
	return nil
}

// commitLocked hands a batch to Pebble and does not wait for the disk.
func (c *EmbeddingCache) commitLocked(batch *pebble.Batch) error {
	if err := c.store.db.Apply(batch, pebble.NoSync); err != nil {
		c.store.fail(err)
		return c.store.failed()
	}
	return nil
}

// load reads where the segments begin and end.
func (c *EmbeddingCache) load() (err error) {
	iter, err := c.store.db.NewIter(&pebble.IterOptions{LowerBound: []byte{familySegment}, UpperBound: prefixEnd([]byte{familySegment})})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, iter.Close()) }()
	if !iter.First() {
		return iter.Error()
	}
	first, oldest, err := readSegment(iter)
	if err != nil {
		return err
	}
	if !iter.Last() {
		return errors.Join(errRecord, iter.Error())
	}
	last, newest, err := readSegment(iter)
	if err != nil {
		return err
	}
	if newest.start < oldest.start {
		return fmt.Errorf("%w: segments %d and %d of the embedding cache begin at %d and %d", errRecord, first, last, oldest.start, newest.start)
	}
	c.segments = segmentRange{first: first, next: last + 1, start: oldest.start, end: newest.start + newest.bytes}
	return nil
}

// readSegment reads the segment that an iterator is at.
func readSegment(iter *pebble.Iterator) (number uint64, s segment, err error) {
	record, err := iter.ValueAndErr()
	if err != nil {
		return 0, segment{}, err
	}
	if len(iter.Key()) != segmentKeyLength {
		return 0, segment{}, fmt.Errorf("%w: segment key of %d bytes", errRecord, len(iter.Key()))
	}
	number = binary.BigEndian.Uint64(iter.Key()[1:])
	s, err = decodeSegment(number, record)
	return number, s, err
}

package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/vecino-db/vecino/compat"
)

// EmbeddingCache keeps vectors by what they were made of: the fingerprint of
// the space, the role, and the hash of the text's content. It belongs to no
// collection; every collection and migration of the same space shares it.
//
// # The gate
//
// The fingerprint of the whole space is part of the key and of the record, for
// documents as well as for queries, and rows leave the cache stamped by the
// caller's compat.Stamper alone. (A space that differs in its query prompt
// only therefore begins anew, though its documents' vectors would do; such a
// change embeds no documents again, so nothing is lost.)
//
// # What is kept, and for how long
//
// Rows of one Put form segments, of 256 rows at most. When the bound in bytes
// is met the oldest segments go, whatever is asked for most: first in, first
// out. An eviction costs deletions only, no reads but one for each segment.
// The bound is on the records, keys included; Pebble keeps what is deleted
// until its next compaction. Drop of a collection leaves the cache as it is;
// Clear empties it.
//
// # What a crash or damage does
//
// Writes are not synced: a crash loses the latest. Each record has a checksum
// over its key and itself; one that does not agree, or is not of the stamper's
// dimension, or is refused by it, is a miss. Where the segments can't be read
// the cache is emptied.
//
// It is safe for concurrent use: Get never waits for Put. Of two Puts of the
// same key the last wins; both count until the first is evicted.
type EmbeddingCache struct {
	store *Store

	life sync.RWMutex // held for reading over every operation
	gone error        // guarded by life

	mu       sync.Mutex // one writer at a time
	max      int64      // bytes
	segments segmentRange

	hits, misses, damaged, evicted atomic.Uint64
}

// segmentRange is the segments that are there: numbers first..next-1, and the
// bytes that were written before the first and before the next.
type segmentRange struct {
	first, next uint64
	start, end  uint64
}

// CacheStats is what a cache is and did since it was opened.
type CacheStats struct {
	Bytes, MaxBytes int64
	Hits, Misses    uint64 // keys looked up; a damaged record is a miss
	Damaged         uint64 // records that were found damaged
	Evicted         uint64 // rows that went to make room
}

// MinCacheBytes is the smallest bound of a cache.
const MinCacheBytes = 1 << 20

// The bounds of a segment: an eviction should take a small part of the cache.
const (
	segmentRows  = 256
	segmentShare = 8 // of the bound, for one segment
)

// EmbeddingCache opens the cache of the store, which keeps up to maxBytes. It
// is opened once: later calls give the same cache with the new bound, which the
// next Put enforces. Errors: ErrOptions for a bound below MinCacheBytes,
// ErrClosed, and those of the disk.
func (s *Store) EmbeddingCache(maxBytes int64) (*EmbeddingCache, error) {
	if maxBytes < MinCacheBytes {
		return nil, fmt.Errorf("%w: an embedding cache of %d bytes; give it %d or more, or leave it out", ErrOptions, maxBytes, MinCacheBytes)
	}
	s.catalogMu.Lock()
	defer s.catalogMu.Unlock()
	s.mu.RLock()
	closed := s.closed
	s.mu.RUnlock()
	if closed {
		return nil, ErrClosed
	}
	if s.cache == nil {
		c := &EmbeddingCache{store: s}
		if err := c.load(); err != nil {
			s.log.Warn("store: the embedding cache can't be read and is emptied", "error", err)
			if err := c.clearLocked(); err != nil {
				return nil, err
			}
		}
		s.cache = c
	}
	s.cache.mu.Lock()
	s.cache.max = maxBytes
	s.cache.mu.Unlock()
	return s.cache, nil
}

// begin starts an operation; end must follow when it gives no error.
func (c *EmbeddingCache) begin() error {
	c.life.RLock()
	if c.gone != nil {
		defer c.life.RUnlock()
		return c.gone
	}
	return nil
}

func (c *EmbeddingCache) end() { c.life.RUnlock() }

// finish waits for running operations and lets no others begin. It may be
// called on nil.
func (c *EmbeddingCache) finish(why error) {
	if c == nil {
		return
	}
	c.life.Lock()
	defer c.life.Unlock()
	c.gone = why
}

// Get looks up keys in the stamper's space, in the role of queries or of
// documents. It gives the rows that it has, in the order of the keys, stamped;
// for each key the index of its row or -1; and the note that was put with each
// row. The slices are the caller's. Errors: ErrClosed and the context's; damage
// is a miss.
func (c *EmbeddingCache) Get(ctx context.Context, stamper *compat.Stamper, query bool, keys [][32]byte) (v compat.Vectors, rows []int, notes []uint64, err error) {
	if err := c.begin(); err != nil {
		return compat.Vectors{}, nil, nil, err
	}
	defer c.end()
	rows = make([]int, len(keys))
	var floats []float32
	entry := newEntryKey(stamper.Fingerprint(), query)
	for i := range keys {
		if err := ctx.Err(); err != nil {
			return compat.Vectors{}, nil, nil, err
		}
		rows[i] = -1
		entry.set(keys[i])
		grown, note, found := c.read(entry, stamper, floats)
		if !found {
			c.misses.Add(1)
			continue
		}
		c.hits.Add(1)
		floats, rows[i], notes = grown, len(notes), append(notes, note)
	}
	v, err = stamper.Stamp(floats)
	return v, rows, notes, err
}

// read appends the row of a key to floats, if there is one that is sound.
func (c *EmbeddingCache) read(key entryKey, stamper *compat.Stamper, floats []float32) (grown []float32, note uint64, found bool) {
	record, closer, err := c.store.db.Get(key[:])
	if errors.Is(err, pebble.ErrNotFound) {
		return floats, 0, false
	}
	if err == nil {
		grown, note, err = decodeEntry(key, record, stamper.Dimension(), floats)
		if err = errors.Join(err, closer.Close()); err == nil {
			_, err = stamper.Stamp(grown[len(floats):])
		}
	}
	if err != nil {
		c.damaged.Add(1)
		c.store.log.Warn("store: a cached embedding is damaged; it is made anew", "error", err)
		return floats, 0, false
	}
	return grown, note, true
}

// Stats is a snapshot of one moment.
func (c *EmbeddingCache) Stats() CacheStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return CacheStats{
		Bytes: c.segments.bytes(), MaxBytes: c.max,
		Hits: c.hits.Load(), Misses: c.misses.Load(), Damaged: c.damaged.Load(), Evicted: c.evicted.Load(),
	}
}

// bytes is what the segments take.
func (r segmentRange) bytes() int64 { return int64(r.end - r.start) }

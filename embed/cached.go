package embed

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/vecino-db/vecino/compat"
)

// Cache keeps embeddings by the content of their texts. What it has may be
// gone at any moment; what it gives must be what was put, for the same space,
// role and key. It is safe for concurrent use. store.EmbeddingCache is one.
type Cache interface {
	// Get looks up keys in the stamper's space, in the role of queries or of
	// documents. It gives the rows that it has, stamped, and for each key the
	// index of its row, or -1; notes[i] is the note that was put with row i. The
	// slices are the caller's.
	Get(ctx context.Context, stamper *compat.Stamper, query bool, keys [][32]byte) (v compat.Vectors, rows []int, notes []uint64, err error)
	// Put keeps row i of v, and a note with it, under keys[i].
	Put(ctx context.Context, query bool, keys [][32]byte, v compat.Vectors, notes []uint64) error
}

// cached is an encoder before which a cache stands.
type cached struct {
	Encoder
	stamper *compat.Stamper
	cache   Cache
}

// Cached is enc with a cache before it: texts are looked up by their SHA-256,
// in enc's space and the role, and only those that are missing are encoded,
// each once however often it is in the batch. What comes out is what enc gives,
// Tokens, Truncated and the index of a *TextError among it; but the texts are
// encoded in other batches, and an encoder whose last bits depend on the batch
// keeps those of the batch that was first. The cache stays the caller's; it is
// never the reason that an encoding fails. Close closes enc. The only error is
// that enc's space is invalid.
//
// A cache before a Scheduler keeps hits out of the queue:
// Cached(NewScheduler(enc)), not the other way round.
//
// # When it is worth it
//
// A hit of a text of 100 words and 384 numbers costs about 15 µs where Pebble
// has it in memory: SHA-256, the lookup, a checksum, the check of the row. A
// put costs about 10 µs a row (package store, BenchmarkEmbeddingCache). A
// transformer takes tens of milliseconds for that text, and a remote encoder
// not less, so there a cache pays from the first repetition: documents that are
// ingested again, a migration that is begun again. builtin:hash takes 10 µs for
// it, and a static model not much more: a cache makes them slower. The caller
// decides; it should keep in mind that vectors of queries, too, then lie on
// the disk, under hashes of their texts.
func Cached(enc Encoder, cache Cache) (Encoder, error) {
	stamper, err := NewStamper(enc.Space())
	if err != nil {
		return nil, fmt.Errorf("cache before encoder %s: %w", enc.Info().Model, err)
	}
	return &cached{Encoder: enc, stamper: stamper, cache: cache}, nil
}

// Encode implements Encoder.
func (c *cached) Encode(ctx context.Context, role Role, texts []string) (Encoded, error) {
	if err := ctx.Err(); err != nil {
		return Encoded{}, err
	}
	if len(texts) == 0 {
		return c.Encoder.Encode(ctx, role, texts)
	}
	keys := make([][32]byte, len(texts))
	for i, text := range texts {
		keys[i] = sha256.Sum256([]byte(text))
	}
	have, rows, notes, err := c.cache.Get(ctx, c.stamper, role == RoleQuery, keys)
	if err != nil || !c.fits(have, rows, notes, len(texts)) {
		have, rows, notes = compat.Vectors{}, absent(len(texts)), nil
	}

	var missing []int // indices of texts, of equal texts the first
	first := map[[32]byte]int{}
	for i := range texts {
		if rows[i] >= 0 {
			continue
		}
		at, ok := first[keys[i]]
		if !ok {
			at = len(missing)
			first[keys[i]] = at
			missing = append(missing, i)
		}
		rows[i] = have.Len() + at
	}
	if len(missing) > 0 {
		fresh, err := c.encode(ctx, role, texts, keys, missing)
		if err != nil {
			return Encoded{}, err
		}
		if have, err = compat.Concat(have, fresh.Vectors); err != nil {
			return Encoded{}, fmt.Errorf("encoder %s: %w", c.Info().Model, err)
		}
		for i := range missing {
			notes = append(notes, note(fresh.Tokens[i], fresh.Truncated[i]))
		}
	}

	out := Encoded{Vectors: have, Tokens: make([]int, len(texts)), Truncated: make([]bool, len(texts))}
	inOrder := have.Len() == len(texts)
	for i, row := range rows {
		out.Tokens[i], out.Truncated[i] = int(notes[row]>>1), notes[row]&1 == 1
		inOrder = inOrder && row == i
	}
	if !inOrder {
		out.Vectors = have.Select(rows)
	}
	return out, nil
}

// encode encodes the texts that are missing and puts them into the cache.
func (c *cached) encode(ctx context.Context, role Role, texts []string, keys [][32]byte, missing []int) (Encoded, error) {
	batch := make([]string, len(missing))
	put := make([][32]byte, len(missing))
	for j, i := range missing {
		batch[j], put[j] = texts[i], keys[i]
	}
	fresh, err := c.Encoder.Encode(ctx, role, batch)
	if err != nil {
		return Encoded{}, renumber(err, missing)
	}
	if fresh.Vectors.Len() != len(batch) || len(fresh.Tokens) != len(batch) || len(fresh.Truncated) != len(batch) {
		return Encoded{}, fmt.Errorf("encoder %s: %d vectors for %d texts", c.Info().Model, fresh.Vectors.Len(), len(batch))
	}
	notes := make([]uint64, len(batch))
	for j := range batch {
		notes[j] = note(fresh.Tokens[j], fresh.Truncated[j])
	}
	// The vectors are here; that they could not be kept costs time later on,
	// and the cache says so itself.
	_ = c.cache.Put(ctx, role == RoleQuery, put, fresh.Vectors, notes)
	return fresh, nil
}

// note is what is kept of a text beside its vector.
func note(tokens int, truncated bool) uint64 {
	n := uint64(max(tokens, 0)) << 1
	if truncated {
		n |= 1
	}
	return n
}

// fits reports whether a cache's answer can be used for n texts.
func (c *cached) fits(v compat.Vectors, rows []int, notes []uint64, n int) bool {
	if len(rows) != n || len(notes) != v.Len() {
		return false
	}
	if v.Len() > 0 && !v.Fingerprint().Matches(c.stamper.Fingerprint()) {
		return false
	}
	for _, row := range rows {
		if row >= v.Len() {
			return false
		}
	}
	return true
}

// absent is the rows of n keys that a cache doesn't have.
func absent(n int) []int {
	rows := make([]int, n)
	for i := range rows {
		rows[i] = -1
	}
	return rows
}

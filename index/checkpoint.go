package index

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/vecino-db/vecino/compat"
)

// Saved is what an owner of a checkpoint hands back to the engine, so that the
// next one writes only what has changed (see Incremental). It is immutable.
type Saved struct {
	Sums  []uint64 // the checksums of the parts, by number
	Epoch uint64   // the engine's: changes of this epoch or later are not in it
	Owner uint64   // the engine's: which value made it; another one writes everything
}

// Incremental is an engine that can save what has changed since a checkpoint.
type Incremental interface {
	// SaveSince is Save that leaves out the parts of base that are still right:
	// it hands the others to put, by number, ascending, and the head last. base
	// is what an earlier call, or Loaded, of the same engine value gave, and
	// nil for everything. A checkpoint is the parts of the result's Sums, each
	// as it was put last. After an error base stands for what it stood for.
	SaveSince(base *Saved, put func(number int, chunk Chunk) error) (*Saved, error)
	// Loaded is the checkpoint that the engine was loaded from; nil: none.
	Loaded() *Saved
}

// Writer seals the chunks of one checkpoint.
type Writer struct {
	seal Seal
	sums []uint64
	put  func(number int, chunk Chunk) error
}

// NewWriter hands the chunks of engine, of the space of cfg, to put.
func NewWriter(cfg Config, engine compat.Engine, put func(number int, chunk Chunk) error) *Writer {
	return &Writer{seal: Seal{Engine: engine, Fingerprint: cfg.Stored}, put: put}
}

// Part writes the next part.
func (w *Writer) Part(payload []byte) error {
	chunk := w.seal.Close(payload)
	w.Keep(checksum(chunk))
	return w.put(len(w.sums)-1, chunk)
}

// Keep leaves the next part as it was written, with this checksum.
func (w *Writer) Keep(sum uint64) {
	w.sums = append(w.sums, sum)
	w.seal.Number++
}

// Head writes the head; it gives the checksums of the parts.
func (w *Writer) Head(payload []byte) ([]uint64, error) {
	w.seal.Head = true
	b := make([]byte, 0, 8*len(w.sums)+len(payload))
	for _, s := range w.sums {
		b = binary.LittleEndian.AppendUint64(b, s)
	}
	return w.sums, w.put(w.seal.Number, w.seal.Close(append(b, payload...)))
}

// Source is where the chunks of a checkpoint are. Errors of its own (a store
// that can't be read) pass through Load unchanged.
type Source interface {
	// Head is the head of the checkpoint.
	Head() (Chunk, error)
	// Part hands part number to use, which has done with it when it returns.
	// It is safe for concurrent use.
	Part(number int, use func(Chunk) error) error
}

// Chunks is a Source of chunks as Save hands them out.
type Chunks []Chunk

// Head is the last chunk.
func (c Chunks) Head() (Chunk, error) {
	if len(c) == 0 {
		return nil, fmt.Errorf("%w: it has no chunks", ErrCorrupt)
	}
	return c[len(c)-1], nil
}

// Part is the chunk at a place before the last.
func (c Chunks) Part(number int, use func(Chunk) error) error {
	if number >= len(c)-1 {
		return fmt.Errorf("%w: part %d of %d is missing", ErrCorrupt, number, len(c)-1)
	}
	return use(c[number])
}

// Reader opens the chunks of one checkpoint and refuses a chunk that is damaged,
// out of place, of another checkpoint, another engine (ErrCorrupt) or another
// space (ErrSpace).
type Reader struct {
	cfg    Config
	engine compat.Engine
	source Source
	sums   []uint64
	head   []byte
}

// NewReader reads the head of what engine saved for the space of cfg.
func NewReader(cfg Config, engine compat.Engine, source Source) (*Reader, error) {
	r := &Reader{cfg: cfg, engine: engine, source: source}
	c, err := source.Head()
	if err != nil {
		return nil, fmt.Errorf("index: reading the head of a checkpoint: %w", err)
	}
	seal, payload, err := r.unseal(c)
	if err != nil {
		return nil, fmt.Errorf("index: head of a checkpoint: %w", err)
	}
	if !seal.Head || len(payload)/8 < seal.Number {
		return nil, fmt.Errorf("index: head of a checkpoint: %w: chunk %d of %d bytes is no head", ErrCorrupt, seal.Number, len(payload))
	}
	r.sums = make([]uint64, seal.Number)
	for i := range r.sums {
		r.sums[i] = binary.LittleEndian.Uint64(payload[8*i:])
	}
	r.head = payload[8*seal.Number:]
	return r, nil
}

// unseal opens a chunk of this engine and space.
func (r *Reader) unseal(c Chunk) (Seal, []byte, error) {
	s, payload, err := Unseal(c)
	switch {
	case err != nil:
	case !s.Fingerprint.Matches(r.cfg.Stored):
		err = fmt.Errorf("%w: it holds %.12s, the index %.12s; rebuild from the stored vectors", ErrSpace, s.Fingerprint, r.cfg.Stored)
	case s.Engine != r.engine:
		err = fmt.Errorf("%w: saved by engine %q, not %q", ErrCorrupt, s.Engine, r.engine)
	}
	return s, payload, err
}

// Head is the engine's payload of the head.
func (r *Reader) Head() []byte { return r.head }

// Sums are the checksums of the parts, by number.
func (r *Reader) Sums() []uint64 { return r.sums }

// Part hands the payload of a part to use, which has done with it when it
// returns. It is safe for concurrent use.
func (r *Reader) Part(number int, use func(payload []byte) error) error {
	err := r.source.Part(number, func(c Chunk) error {
		seal, payload, err := r.unseal(c)
		if err != nil {
			return err
		}
		if seal.Head || seal.Number != number || checksum(c) != r.sums[number] {
			return fmt.Errorf("%w: chunk %d, or one of another checkpoint, stands in its place", ErrCorrupt, seal.Number)
		}
		return use(payload)
	})
	if err != nil {
		return fmt.Errorf("index: part %d of %d: %w", number, len(r.sums), err)
	}
	return nil
}

// Each hands the payloads of the parts from a number on to use, on all
// processors and in any order, until one fails.
func (r *Reader) Each(from int, use func(number int, payload []byte) error) error {
	group, ctx := errgroup.WithContext(context.Background())
	group.SetLimit(runtime.GOMAXPROCS(0))
	for number := from; number < len(r.sums) && ctx.Err() == nil; number++ {
		group.Go(func() error {
			return r.Part(number, func(payload []byte) error { return use(number, payload) })
		})
	}
	return group.Wait()
}

// Package exact is the index without an index: every query is compared with
// every vector. It is right by construction, so it is the engine of small
// collections and the yardstick of the others.
//
// Vectors stand in slabs of about 1 MiB (row-major, normalized under cosine).
// A row is written once and never changed: deleting marks it dead, replacing
// marks it dead and appends, and when more than half of the rows are dead the
// live ones are copied to new slabs. So a checkpoint needs the lock only for as
// long as it takes to copy the table of ordinals.
//
// Distances are computed in float32; of the best k a few more than asked for
// are computed again in float64, which decides their order and their score.
package exact

import (
	"context"
	"sync"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/internal/measure"
)

const (
	slabBytes = 1 << 20
	// spare candidates beyond k are rescored in float64.
	spare = 32
	// batch rows go to the kernel at once.
	batch = 256
	// checkEvery rows the context is asked.
	checkEvery = 16384
)

// Index is the engine. Searches share it, writers have it alone for the time of
// an append.
type Index struct {
	cfg     index.Config
	measure measure.Measure
	perSlab int       // rows of a slab
	scratch sync.Pool // of *scratch

	mu    sync.RWMutex
	slabs [][]float32       // perSlab x dimension each; rows below len(rows) are immutable
	rows  []row             // by row number
	slots map[uint32]uint32 // ordinal -> its live row
	// touched is the epoch of the last change of each part of a checkpoint; each
	// checkpoint ends one.
	touched []uint64
	epoch   uint64
	loaded  *index.Saved // never changes
}

// row is what is known of a vector beside its floats.
type row struct {
	ordinal uint32
	dead    bool
}

// scratch is what one search needs.
type scratch struct {
	query   []float32
	rows    [batch]uint32 // row numbers within one slab
	numbers [batch]uint32 // the same rows, numbered through
	raw     [batch]float32
	best    index.TopK
}

// New makes an empty index.
func New(cfg index.Config) (*Index, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	x := &Index{
		cfg:     cfg,
		measure: measure.Of(cfg.Metric),
		perSlab: max(1, slabBytes/(4*cfg.Dimension)),
		slots:   map[uint32]uint32{},
	}
	x.scratch.New = func() any { return &scratch{query: make([]float32, cfg.Dimension)} }
	return x, nil
}

// Insert adds the rows of v; see index.Index. The batch becomes visible at once.
func (x *Index) Insert(ctx context.Context, ordinals []uint32, v compat.Vectors) error {
	if err := x.cfg.CheckInsert(ordinals, v); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for i, ordinal := range ordinals {
		x.deleteLocked(ordinal)
		x.measure.Prepare(x.appendLocked(ordinal), v.Row(i))
	}
	x.compactLocked()
	return nil
}

// appendLocked makes room for one vector.
func (x *Index) appendLocked(ordinal uint32) []float32 {
	n := len(x.rows)
	if n == len(x.slabs)*x.perSlab {
		x.slabs = append(x.slabs, make([]float32, x.perSlab*x.cfg.Dimension))
	}
	x.rows = append(x.rows, row{ordinal: ordinal})
	x.slots[ordinal] = uint32(n)
	x.touchLocked(n)
	return x.vector(x.slabs, uint32(n))
}

// vector is row number n.
func (x *Index) vector(slabs [][]float32, n uint32) []float32 {
	at := int(n) % x.perSlab * x.cfg.Dimension
	return slabs[int(n)/x.perSlab][at : at+x.cfg.Dimension : at+x.cfg.Dimension]
}

// Delete makes ordinals unfindable.
func (x *Index) Delete(ordinals []uint32) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, ordinal := range ordinals {
		x.deleteLocked(ordinal)
	}
	x.compactLocked()
}

func (x *Index) deleteLocked(ordinal uint32) {
	if n, ok := x.slots[ordinal]; ok {
		x.rows[n].dead = true
		x.touchLocked(int(n))
		delete(x.slots, ordinal)
	}
}

// compactLocked copies the live rows to new slabs once the dead are more. The
// old slabs stay as they are for a Save that still reads them.
func (x *Index) compactLocked() {
	if len(x.rows)-len(x.slots) <= max(len(x.slots), x.perSlab) {
		return
	}
	x.compactNowLocked()
}

func (x *Index) compactNowLocked() {
	rows, slabs := x.rows, x.slabs
	x.rows, x.slabs, x.touched = make([]row, 0, len(x.slots)), nil, nil
	for n, r := range rows {
		if !r.dead {
			copy(x.appendLocked(r.ordinal), x.vector(slabs, uint32(n)))
		}
	}
}

// Stats describes the index.
func (x *Index) Stats() index.Stats {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return index.Stats{
		Live:    len(x.slots),
		Deleted: len(x.rows) - len(x.slots),
		Bytes:   int64(len(x.slabs))*int64(x.perSlab)*int64(x.cfg.Dimension)*4 + int64(cap(x.rows))*8 + int64(len(x.slots))*16,
	}
}

// Vector is that of an ordinal as the index holds it: normalized under cosine.
// It never changes, whatever happens to the ordinal; the caller must not change
// it either.
func (x *Index) Vector(ordinal uint32) (v []float32, ok bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	n, ok := x.slots[ordinal]
	if !ok {
		return nil, false
	}
	return x.vector(x.slabs, n), true
}

// Ordinals lists what is live, in no order.
func (x *Index) Ordinals() []uint32 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	all := make([]uint32, 0, len(x.slots))
	for ordinal := range x.slots {
		all = append(all, ordinal)
	}
	return all
}

// Holds reports whether an ordinal can be found.
func (x *Index) Holds(ordinal uint32) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	_, ok := x.slots[ordinal]
	return ok
}

// Len is the number of live vectors.
func (x *Index) Len() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(x.slots)
}

// Fingerprint is the space of the index.
func (x *Index) Fingerprint() compat.Fingerprint { return x.cfg.Fingerprint }

// Compact copies the live rows to new slabs if any row is dead; see
// index.Compacter. Everybody waits for the copy.
func (x *Index) Compact(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.rows) > len(x.slots) {
		x.compactNowLocked()
	}
	return nil
}

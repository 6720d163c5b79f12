package tail

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/internal/measure"
)

// ErrClosed is the error of an index that links no more vectors.
var ErrClosed = errors.New("index is closed")

// Options of an Index. Zero fields mean their defaults.
type Options struct {
	// Bytes of vectors, as float32, that may wait to be linked; at least one
	// vector may. 0: 8 MiB.
	Bytes int64
	// Workers link at the same time. 0: as many as there are processors.
	Workers int
}

// Validate says what is out of range.
func (o Options) Validate() error {
	if o.Bytes < 0 || o.Workers < 0 {
		return fmt.Errorf("index: a tail of %d bytes and %d workers: give 0 for the defaults, or more", o.Bytes, o.Workers)
	}
	return nil
}

const (
	defaultBytes = 8 << 20
	// blockBytes of vectors are a block.
	blockBytes = 128 << 10
)

// Engine is what a tail can stand before.
type Engine interface {
	index.Index
	// Holds reports whether the ordinal is one that can be found.
	Holds(ordinal uint32) bool
}

// Index is an engine and its tail: an index.Index and an index.Settler. Close
// ends its workers; without it they end when the tail is linked.
type Index struct {
	cfg     index.Config
	engine  Engine
	measure measure.Measure
	workers int
	limit   uint64    // vectors that may wait
	scratch sync.Pool // of *scratch

	head      atomic.Pointer[block] // the first with rows that are pending; the last where none is
	clock     atomic.Uint64         // rows linked so far
	searching atomic.Int64          // searches under way

	mu       sync.Mutex
	changed  sync.Cond         // broadcast when rows were settled, and at the end of workers
	blocks   []*block          // from head on
	waiting  map[uint32]uint64 // places of the rows that are pending, by ordinal
	linking  map[uint32]struct{}
	first    uint64 // place of the first row of blocks[0]
	appended uint64 // the place after the last row
	settled  uint64 // places before it are not pending
	taken    uint64 // places before it were taken by workers
	active   int    // workers
	closed   bool
	failed   error // of the engine: it links no more
}

var (
	_ index.Index   = (*Index)(nil)
	_ index.Settler = (*Index)(nil)
	_ index.Wrapper = (*Index)(nil)
	_ io.Closer     = (*Index)(nil)
)

// New puts a tail before an engine made of the same configuration. Everything
// goes through the tail from then on.
func New(cfg index.Config, engine Engine, o Options) (*Index, error) {
	cfg = cfg.WithDefaults()
	if err := errors.Join(cfg.Validate(), o.Validate()); err != nil {
		return nil, err
	}
	if o.Bytes == 0 {
		o.Bytes = defaultBytes
	}
	if o.Workers == 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	x := &Index{
		cfg:     cfg,
		engine:  engine,
		measure: measure.Of(cfg.Metric),
		workers: o.Workers,
		limit:   uint64(max(1, o.Bytes/int64(4*cfg.Dimension))),
		waiting: map[uint32]uint64{},
		linking: map[uint32]struct{}{},
	}
	x.changed.L = &x.mu
	x.scratch.New = func() any { return &scratch{query: make([]float32, cfg.Dimension)} }
	x.growLocked()
	x.head.Store(x.blocks[0])
	return x, nil
}

// perBlock is the number of rows of a block.
func (x *Index) perBlock() uint64 {
	return uint64(max(1, blockBytes/(4*x.cfg.Dimension)))
}

// growLocked appends a block.
func (x *Index) growLocked() {
	b := newBlock(int(x.perBlock()), x.cfg.Dimension)
	if n := len(x.blocks); n > 0 {
		x.blocks[n-1].next.Store(b)
	}
	x.blocks = append(x.blocks, b)
}

// Unwrap is the engine behind the tail.
func (x *Index) Unwrap() index.Index { return x.engine }

// Insert appends the rows of v to the tail, and waits for room where there is
// none; see index.Index. When the context ends in the middle of a batch the
// rows before are in. After the engine has refused a vector every Insert fails
// with its reason.
func (x *Index) Insert(ctx context.Context, ordinals []uint32, v compat.Vectors) error {
	if err := x.cfg.CheckInsert(ordinals, v); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	var replaced []int
	for i := 0; i < len(ordinals); {
		n, again, err := x.append(ctx, ordinals, v, i)
		if err != nil {
			return err
		}
		replaced = append(replaced, again...)
		i += n
	}
	for _, i := range replaced {
		if err := x.replace(ctx, ordinals[i], v.Slice(i, i+1)); err != nil {
			return err
		}
	}
	return nil
}

// Link inserts vectors whose ordinals are not there into the engine, past the
// tail, in the caller's time: they are linked, and found, when it returns. Who
// calls it decides what linking takes of the processors. Errors: those of Insert.
func (x *Index) Link(ctx context.Context, ordinals []uint32, v compat.Vectors) error {
	x.mu.Lock()
	closed, failed := x.closed, x.failed
	x.mu.Unlock()
	if failed != nil {
		return failed
	}
	if closed {
		return ErrClosed
	}
	return x.engine.Insert(ctx, ordinals, v)
}

// append appends rows from one on, as many as there is room for and at least
// one, and gives their number. Those whose ordinals are there already are given
// back.
func (x *Index) append(ctx context.Context, ordinals []uint32, v compat.Vectors, from int) (n int, replaced []int, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	err = x.waitLocked(ctx, func() bool { return x.closed || x.appended-x.settled < x.limit })
	if err == nil && x.closed {
		err = ErrClosed
	}
	if err != nil {
		return 0, nil, err
	}
	i := from
	for ; i < len(ordinals) && x.appended-x.settled < x.limit; i++ {
		if _, ok := x.waiting[ordinals[i]]; ok || x.engine.Holds(ordinals[i]) {
			replaced = append(replaced, i)
			continue
		}
		x.appendLocked(ordinals[i], v, i)
	}
	for n := x.appended - x.taken; n > 0 && x.active < x.workers; n-- {
		x.active++
		go x.work()
	}
	return i - from, replaced, nil
}

// appendLocked appends one row.
func (x *Index) appendLocked(ordinal uint32, v compat.Vectors, row int) {
	b := x.blocks[len(x.blocks)-1]
	if b.full(b.length.Load()) {
		x.growLocked()
		b = x.blocks[len(x.blocks)-1]
		x.letGoLocked()
	}
	i, dim := b.length.Load(), int64(x.cfg.Dimension)
	x.measure.Prepare(b.rows[i*dim:(i+1)*dim], v.Row(row))
	b.ordinals[i] = ordinal
	b.sources[i] = source{v, row}
	x.waiting[ordinal] = x.appended
	x.appended++
	b.length.Store(i + 1)
}

// replace inserts into the engine what is there already.
func (x *Index) replace(ctx context.Context, ordinal uint32, v compat.Vectors) error {
	x.mu.Lock()
	err := x.waitLocked(ctx, func() bool { _, ok := x.waiting[ordinal]; return !ok })
	x.mu.Unlock()
	if err != nil {
		return err
	}
	return x.engine.Insert(ctx, []uint32{ordinal}, v)
}

// waitLocked waits for a condition that settling rows makes true.
func (x *Index) waitLocked(ctx context.Context, ready func() bool) error {
	defer context.AfterFunc(ctx, func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.changed.Broadcast()
	})()
	for {
		switch {
		case x.failed != nil:
			return x.failed
		case ready():
			return nil
		case x.closed:
			return ErrClosed
		case ctx.Err() != nil:
			return ctx.Err()
		}
		x.changed.Wait()
	}
}

// Settle waits until all that was inserted before is linked.
func (x *Index) Settle(ctx context.Context) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	end := x.appended
	return x.waitLocked(ctx, func() bool { return x.settled >= end })
}

// Delete makes ordinals unfindable.
func (x *Index) Delete(ordinals []uint32) {
	x.mu.Lock()
	for _, ordinal := range ordinals {
		x.forgetLocked(ordinal)
	}
	x.settleLocked()
	x.mu.Unlock()
	x.engine.Delete(ordinals)
}

// forgetLocked takes an ordinal off the tail, or waits until a worker has.
func (x *Index) forgetLocked(ordinal uint32) {
	for {
		at, ok := x.waiting[ordinal]
		if !ok {
			return
		}
		if _, busy := x.linking[ordinal]; !busy {
			b, i := x.row(at)
			b.states[i].Store(dead)
			b.sources[i] = source{}
			delete(x.waiting, ordinal)
			return
		}
		x.changed.Wait()
	}
}

// row is where a place is.
func (x *Index) row(place uint64) (b *block, i int) {
	n := x.perBlock()
	return x.blocks[(place-x.first)/n], int((place - x.first) % n)
}

// settleLocked lets go of what is no longer pending.
func (x *Index) settleLocked() {
	for x.settled < x.appended {
		b, i := x.row(x.settled)
		if b.states[i].Load() == pending {
			break
		}
		x.settled++
		b.settled.Store(int64(i) + 1)
	}
	x.letGoLocked()
	x.changed.Broadcast()
}

// letGoLocked drops the blocks before the first row that is pending.
func (x *Index) letGoLocked() {
	for len(x.blocks) > 1 && x.settled >= x.first+x.perBlock() {
		x.blocks[0] = nil
		x.blocks = x.blocks[1:]
		x.first += x.perBlock()
	}
	x.head.Store(x.blocks[0])
}

// Save settles and saves the engine; see index.Index.
func (x *Index) Save(put func(chunk index.Chunk) error) error {
	if err := x.Settle(context.Background()); err != nil {
		return err
	}
	return x.engine.Save(put)
}

// Stats describes the engine and its tail.
func (x *Index) Stats() index.Stats {
	x.mu.Lock()
	defer x.mu.Unlock()
	// A row that is being linked may be in the engine already, and only a worker
	// can bring it there: it is counted again until nothing came in between.
	for {
		s := x.engine.Stats()
		twice := 0
		for ordinal := range x.linking {
			if x.engine.Holds(ordinal) {
				twice++
			}
		}
		if x.engine.Stats().Live != s.Live {
			continue
		}
		s.Pending = len(x.waiting)
		s.Live += s.Pending - twice
		s.Deleted = max(0, s.Deleted-len(x.linking)+twice) // what is being linked is not live yet
		s.Bytes += int64(len(x.blocks)) * int64(x.perBlock()) * int64(4*x.cfg.Dimension+36)
		return s
	}
}

// Close ends the workers, and the engine where it has an end. What waits is
// still found, and lost to a checkpoint.
func (x *Index) Close() error {
	x.mu.Lock()
	x.closed = true
	x.changed.Broadcast()
	for x.active > 0 {
		x.changed.Wait()
	}
	x.mu.Unlock()
	if c, ok := x.engine.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

package tail

import (
	"math"
	"sync/atomic"

	"github.com/vecino-db/vecino/compat"
)

// What the state of a row says; anything else is when it was linked.
const (
	pending = 0
	dead    = math.MaxUint64
)

// block is a piece of the tail. Rows below length are there and don't change;
// their states do. A block that the tail has let go of stays whole for the
// searches that hold it, and leads to those behind it.
type block struct {
	rows     []float32       // row-major, as measure.Prepare makes them
	ordinals []uint32        // of the rows
	states   []atomic.Uint64 // of the rows: pending, dead, or the clock at which it was linked
	length   atomic.Int64    // rows that are there
	settled  atomic.Int64    // rows before the first one that is pending
	next     atomic.Pointer[block]

	sources []source // of pending rows; guarded by Index.mu
}

// source is a row of a batch.
type source struct {
	batch compat.Vectors
	row   int
}

func newBlock(rows, dim int) *block {
	return &block{
		rows:     make([]float32, rows*dim),
		ordinals: make([]uint32, rows),
		states:   make([]atomic.Uint64, rows),
		sources:  make([]source, rows),
	}
}

// full reports whether n rows are all that a block takes.
func (b *block) full(n int64) bool { return n == int64(len(b.ordinals)) }

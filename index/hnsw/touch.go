package hnsw

import (
	"sync/atomic"

	"github.com/vecino-db/vecino/index"
)

// A checkpoint is made of the same ranges of nodes whenever it is written, so
// that what has not changed since the last one need not be written again. For
// each range the graph keeps the epoch of its last change; each snapshot begins
// a new epoch. A change is noted before the writers' lock is let go, so the
// snapshot, which has it alone, never lies between a change and its note.
type touched struct {
	rows  []atomic.Uint64 // a vector of the range was written
	nodes []atomic.Uint64 // links, twins, or a new node
}

// perRange is the number of nodes of a range: a power of two, so that a range
// is a shift away.
func (a *arrays) perRange() int { return 1 << a.shift }

// rangeShift is the logarithm of the most nodes whose vectors and links stay
// below the size of a chunk.
func (a *arrays) rangeShift() uint {
	shift := uint(0)
	for bytes := a.vectorBytes() + 4*a.strideB + 16; bytes<<(shift+1) <= index.ChunkTarget; shift++ {
	}
	return shift
}

// ranges is how many ranges n nodes make.
func (a *arrays) ranges(n int) int { return (n + a.perRange() - 1) >> a.shift }

// touch notes an epoch.
func touch(at *atomic.Uint64, epoch uint64) {
	if at.Load() < epoch {
		at.Store(epoch)
	}
}

// wrote notes that a node is new: all of it was written.
func (c *core) wrote(a *arrays, id uint32) {
	touch(&a.touched.rows[id>>a.shift], c.epoch.Load())
	c.linked(a, id)
}

// linked notes that links of a node, or what hangs on it, are about to change.
func (c *core) linked(a *arrays, id uint32) {
	touch(&a.touched.nodes[id>>a.shift], c.epoch.Load())
}

// bury notes that a node is not live, or will never be. The caller shares the
// lock that growing takes alone.
func (c *core) bury(id uint32) {
	atomic.OrUint32(&c.arrays.Load().dead[id>>5], 1<<(id&31))
}

// words is how many words have a bit for each of n nodes.
func words(n int) int { return (n + 31) / 32 }

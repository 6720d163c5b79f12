package hnsw

import (
	"fmt"
	"runtime"

	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/exact"
)

// Take copies the vector of an ordinal from an index of the same space, unless
// the graph has one for it, or the other index has none (any more). Beside it
// may run writers that write to the other index first and then to the graph:
// their vectors and deletions count before the copy. Not beside Compact.
func (g *Graph) Take(from *exact.Index, ordinal uint32) error {
	if have := from.Fingerprint(); !have.Matches(g.cfg.Fingerprint) {
		return fmt.Errorf("index: take: %w: from an index of %.12s into one of %.12s", index.ErrSpace, have, g.cfg.Fingerprint)
	}
	vector, ok := from.Vector(ordinal)
	if !ok || g.Holds(ordinal) {
		return nil
	}
	for {
		g.writers.RLock()
		c := g.core.Load()
		id, ok := c.take(ordinal, vector)
		// A deletion that came before found nothing to delete here; one that
		// comes after this look will.
		if ok && !from.Holds(ordinal) {
			c.retract(ordinal, id)
		}
		sampled := c.sampled()
		g.writers.RUnlock()
		if sampled {
			if err := g.encodeAll(c); err != nil {
				return err
			}
		}
		if ok {
			return nil
		}
		if err := g.grow(c); err != nil {
			return err
		}
	}
}

// take adds a prepared vector, unless its ordinal has one; see insert.
func (c *core) take(ordinal uint32, vector []float32) (id uint32, ok bool) {
	s := c.scratch.Get().(*scratch)
	defer c.scratch.Put(s)
	a := c.arrays.Load()
	defer runtime.KeepAlive(a)
	copy(s.target.vector, vector)
	s.target.set()
	c.encode(a, s)
	if id, ok = c.add(a, s, ordinal); !ok {
		return 0, false
	}
	if c.table.CompareAndSwap(ordinal, 0, id+1) {
		c.live.Add(1)
	} else {
		c.bury(id)
	}
	return id, true
}

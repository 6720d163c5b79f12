package hnsw

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
)

// Graph is the engine: an index.Incremental and an index.Compacter.
type Graph struct {
	cfg  index.Config
	core atomic.Pointer[core]
	// next is what Compact builds; nil: it does not run. Changed under the
	// writers' lock.
	next atomic.Pointer[successor]
	// writers is shared by inserts and deletes; growing, the snapshot of Save,
	// and the beginning and the end of Compact hold it alone.
	writers sync.RWMutex
	// epoch counts snapshots; see touched.
	epoch atomic.Uint64
	// owner tells the checkpoints of this graph from those of others.
	owner uint64
	// loaded is the checkpoint that the graph was loaded from.
	loaded *index.Saved
	// compacting lets one Compact run at a time, and no change of encoding
	// beside it. It is taken before writers.
	compacting sync.Mutex
}

var (
	_ index.Incremental = (*Graph)(nil)
	_ index.Compacter   = (*Graph)(nil)
	_ index.Optimizer   = (*Graph)(nil)
)

// New makes an empty graph.
func New(cfg index.Config) (*Graph, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	g := &Graph{cfg: cfg, owner: rand.Uint64()}
	g.epoch.Store(1)
	c, err := newCore(cfg, &g.epoch, nil, 0, 0)
	if err != nil {
		return nil, err
	}
	g.core.Store(c)
	return g, nil
}

// Insert adds the rows of v, one after the other; see index.Index. Several
// Inserts run in parallel. When the context ends in the middle of a batch the
// rows before are in.
func (g *Graph) Insert(ctx context.Context, ordinals []uint32, v compat.Vectors) error {
	if err := g.cfg.CheckInsert(ordinals, v); err != nil {
		return err
	}
	for i, ordinal := range ordinals {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := g.insert(ordinal, v.Row(i)); err != nil {
			return err
		}
	}
	return nil
}

// insert adds one vector.
func (g *Graph) insert(ordinal uint32, vector []float32) error {
	for {
		g.writers.RLock()
		c := g.core.Load()
		ok := c.insert(ordinal, vector)
		if n := g.next.Load(); ok && n != nil {
			n.insert(ordinal, vector)
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

// grow makes room in c, unless somebody else just did.
func (g *Graph) grow(c *core) error {
	full := c.arrays.Load()
	g.writers.Lock()
	defer g.writers.Unlock()
	if g.core.Load() != c || c.arrays.Load() != full {
		return nil
	}
	return c.grow()
}

// Delete makes ordinals unfindable.
func (g *Graph) Delete(ordinals []uint32) {
	g.writers.RLock()
	defer g.writers.RUnlock()
	c, n := g.core.Load(), g.next.Load()
	for _, ordinal := range ordinals {
		c.remove(ordinal)
		if n != nil {
			n.remove(ordinal)
		}
	}
}

func (c *core) remove(ordinal uint32) {
	if link := c.table.Swap(ordinal, 0); link != 0 {
		c.live.Add(-1)
		c.changed.Add(1)
		c.bury(link - 1)
	}
}

// Stats describes the graph. Its bytes are also those of the one that Compact
// builds.
func (g *Graph) Stats() index.Stats {
	s := g.core.Load().stats()
	if n := g.next.Load(); n != nil {
		s.Bytes += n.core.stats().Bytes
	}
	return s
}

// Holds reports whether an ordinal can be found.
func (g *Graph) Holds(ordinal uint32) bool { return g.core.Load().table.Get(ordinal) != 0 }

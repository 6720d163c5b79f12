package hnsw

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
)

// Graph is the engine: an index.Index and an index.Compacter.
type Graph struct {
	cfg  index.Config
	core atomic.Pointer[core]
	// writers is shared by inserts and deletes; growing, the snapshot of Save
	// and the swap of Compact hold it alone.
	writers sync.RWMutex
	// compacting lets one Compact run at a time.
	compacting sync.Mutex
}

var (
	_ index.Index     = (*Graph)(nil)
	_ index.Compacter = (*Graph)(nil)
)

// New makes an empty graph.
func New(cfg index.Config) (*Graph, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	c, err := newCore(cfg, nil, 0, 0)
	if err != nil {
		return nil, err
	}
	g := &Graph{cfg: cfg}
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
		sampled := g.cfg.Build.Encoding != compat.EncodingF32 && c.arrays.Load().book == nil && c.nodes.Load() >= sampleSize
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
	c := g.core.Load()
	for _, ordinal := range ordinals {
		c.remove(ordinal)
	}
}

func (c *core) remove(ordinal uint32) {
	if c.table.Swap(ordinal, 0) != 0 {
		c.live.Add(-1)
		c.changed.Add(1)
	}
}

// Stats describes the graph.
func (g *Graph) Stats() index.Stats { return g.core.Load().stats() }

// Compact builds a graph of the live vectors, on all processors, and takes it
// in the place of this one; see index.Compacter. It needs the memory of both
// until it is done.
func (g *Graph) Compact(ctx context.Context) error {
	g.compacting.Lock()
	defer g.compacting.Unlock()
	old := g.core.Load()
	c, err := newCore(g.cfg, bookFor(old), int(old.live.Load())+firstNodes, 0)
	if err != nil {
		return err
	}
	// What writers add beside is taken over in rounds, each smaller than the
	// one before, and the rest of it while they wait.
	const rest = 64
	from := uint32(0)
	for {
		to := old.nodes.Load()
		if to-from <= rest {
			break
		}
		if err := c.copyLive(ctx, old, from, to); err != nil {
			return err
		}
		from = to
	}
	g.writers.Lock()
	defer g.writers.Unlock()
	// Numbers below from may have been in the making when they were passed.
	if err := c.copyLive(ctx, old, 0, old.nodes.Load()); err != nil {
		return err
	}
	c.dropMissing(old)
	g.core.Store(c)
	return nil
}

// copyLive inserts the live nodes from..to-1 of another graph that this one
// does not have yet. c is not shared yet.
func (c *core) copyLive(ctx context.Context, old *core, from, to uint32) error {
	var (
		next   atomic.Uint32
		failed atomic.Pointer[error]
		wg     sync.WaitGroup
	)
	next.Store(from)
	a := old.arrays.Load()
	defer runtime.KeepAlive(a)
	var room sync.RWMutex // taken alone to grow
	for range max(1, min(runtime.GOMAXPROCS(0), int(to-from)/256)) {
		wg.Go(func() {
			for {
				id := next.Add(1) - 1
				if id >= to || failed.Load() != nil {
					return
				}
				if err := ctx.Err(); err != nil {
					failed.Store(&err)
					return
				}
				if !old.isLive(a, id) {
					continue
				}
				for {
					room.RLock()
					full := c.arrays.Load()
					ok := c.copyNode(old, a, id)
					room.RUnlock()
					if ok {
						break
					}
					room.Lock()
					var err error
					if c.arrays.Load() == full {
						err = c.grow()
					}
					room.Unlock()
					if err != nil {
						failed.Store(&err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// dropMissing deletes what another graph has deleted.
func (c *core) dropMissing(old *core) {
	a := c.arrays.Load()
	for id := range c.nodes.Load() {
		if ordinal := a.ordinals[id]; c.isLive(a, id) && old.table.Get(ordinal) == 0 {
			c.remove(ordinal)
		}
	}
	runtime.KeepAlive(a)
}

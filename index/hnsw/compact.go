package hnsw

import (
	"context"
	"math"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/vecino-db/vecino/compat"
)

// Compact builds a graph of the live vectors, on half of the processors, and
// takes it in the place of this one; see index.Compacter. It needs the memory
// of both until it is done.
//
// Writers are not raced: from its beginning on they write to both graphs, so
// what is to be copied is fixed, and each of their vectors takes some copying
// along. However many they are, what they replace beside it, and so what the
// new graph has of tombstones, is a fraction of what it has of live vectors.
func (g *Graph) Compact(ctx context.Context) error { return g.compact(ctx, nil) }

// CompactFrom is Compact that takes vectors as they were given where the codes
// are chosen anew; see index.Recoder.
func (g *Graph) CompactFrom(ctx context.Context, given func(ordinal uint32) (compat.Vectors, bool)) error {
	return g.compact(ctx, func(v []float32, ordinal uint32) bool {
		row, ok := given(ordinal)
		if ok = ok && row.Len() == 1 && row.Fingerprint().Matches(g.cfg.Fingerprint); ok {
			g.core.Load().measure.Prepare(v, row.Row(0))
		}
		return ok
	})
}

// original gives a vector as it was before it was encoded, where it is known.
type original func(v []float32, ordinal uint32) bool

func (g *Graph) compact(ctx context.Context, original original) error {
	g.compacting.Lock()
	defer g.compacting.Unlock()
	n, err := g.succeed(original)
	if err != nil {
		return err
	}
	n.copyAll(ctx)

	// They wait for the one that is inserting, and an exchange of pointers.
	g.writers.Lock()
	defer g.writers.Unlock()
	g.next.Store(nil)
	if err := n.failed.Load(); err != nil {
		return *err
	}
	// It may have come to a sample meanwhile. If there is no memory to encode it
	// now, the next insert says so.
	if n.core.sampled() {
		_ = n.core.encodeAll()
	}
	n.core.born = g.epoch.Load()
	g.core.Store(n.core)
	return nil
}

// successor is the graph that Compact builds while another one serves. Of each
// ordinal a writer's vector counts before a copied one: whoever writes does so
// in the old graph first.
type successor struct {
	core   *core
	old    *core
	arrays *arrays       // of old
	nodes  uint32        // of old; those behind them writers write here themselves
	given  original      // nil: what the codes stand for has to do
	next   atomic.Uint64 // of the nodes, to copy
	room   sync.RWMutex  // shared by inserts into core; growing it takes it alone
	failed atomic.Pointer[error]
}

// succeed lets writers write to a successor, too. No insert is in the making
// then, so every node that they did not give it is there to be copied. Its codes
// are chosen before, beside the writers.
func (g *Graph) succeed(given original) (*successor, error) {
	g.writers.RLock()
	book, misfits := bookFor(g.core.Load(), given)
	g.writers.RUnlock()
	g.writers.Lock()
	defer g.writers.Unlock()
	old := g.core.Load()
	c, err := newCore(g.cfg, &g.epoch, book, int(old.live.Load())+firstNodes, 0)
	if err != nil {
		return nil, err
	}
	c.misfits.Store(math.Float64bits(misfits))
	n := &successor{core: c, old: old, arrays: old.arrays.Load(), nodes: old.nodes.Load(), given: given}
	g.next.Store(n)
	return n, nil
}

// share is how many vectors an insert copies along. Tombstones are then at most
// a quarter of the new graph.
const share = 3

// insert adds what a writer has added to the old graph, and takes copying along.
func (n *successor) insert(ordinal uint32, vector []float32) {
	n.roomFor(func() bool { return n.core.insert(ordinal, vector) })
	n.copySome(share)
}

// remove deletes what a writer has deleted from the old graph.
func (n *successor) remove(ordinal uint32) {
	n.room.RLock()
	defer n.room.RUnlock()
	n.core.remove(ordinal)
}

// roomFor repeats an insert with more room until it succeeds. Without room the
// successor has failed; the graph that serves has not.
func (n *successor) roomFor(insert func() bool) {
	for n.failed.Load() == nil {
		n.room.RLock()
		full := n.core.arrays.Load()
		ok := insert()
		n.room.RUnlock()
		if ok {
			return
		}
		n.room.Lock()
		if n.core.arrays.Load() == full {
			if err := n.core.grow(); err != nil {
				n.failed.Store(&err)
			}
		}
		n.room.Unlock()
	}
}

// copyAll copies what there is to copy. It ends early when the context does, or
// when there is no room.
func (n *successor) copyAll(ctx context.Context) {
	var wg sync.WaitGroup
	for range max(1, min((runtime.GOMAXPROCS(0)+1)/2, int(n.nodes)/256)) {
		wg.Go(func() {
			for n.copySome(share) {
				if err := ctx.Err(); err != nil {
					n.failed.Store(&err)
				}
			}
		})
	}
	wg.Wait()
}

// copySome copies a number of live nodes, and reports whether there may be more.
func (n *successor) copySome(number int) bool {
	defer runtime.KeepAlive(n.arrays)
	for n.failed.Load() == nil {
		at := n.next.Add(1) - 1
		if at >= uint64(n.nodes) {
			return false
		}
		id := uint32(at)
		if !n.old.isLive(n.arrays, id) {
			continue
		}
		n.copyNode(id)
		if number--; number == 0 {
			return true
		}
	}
	return false
}

// copyNode inserts one node of the old graph, unless a writer has written its
// ordinal, or does so meanwhile.
func (n *successor) copyNode(id uint32) {
	ordinal := atomic.LoadUint32(&n.arrays.ordinals[id])
	if n.core.table.Get(ordinal) != 0 {
		return
	}
	n.roomFor(func() bool {
		copied, ok := n.core.copyAbsent(n.arrays, id, ordinal, n.given)
		// A delete that came before found nothing to delete here; one that
		// comes after this look will.
		if ok && n.old.table.Get(ordinal) == 0 {
			n.core.retract(ordinal, copied)
		}
		return ok
	})
}

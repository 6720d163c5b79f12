package hnsw

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// Optimize chooses the neighbours of every node anew, on half of the processors;
// see index.Optimizer. An insert chose them among the nodes that were there
// then: the first ones know nothing of most of the graph.
//
// Each node's block is exchanged where it stands, as an insert exchanges those of
// its neighbours, so writers and searches go on, there is no second graph, and
// when the context ends what is done stays. A node is searched for, and its
// neighbours are chosen among what was found and those that it has: without
// these, edges across the graph that no search from the entry would find again
// were lost. Nodes that nothing leads to, of which inserts leave some, are
// linked at the end.
func (g *Graph) Optimize(ctx context.Context, progress func(done, total int)) error {
	// Neither Compact nor a change of encoding exchanges the nodes meanwhile.
	g.compacting.Lock()
	defer g.compacting.Unlock()
	c := g.core.Load()
	total := int(c.nodes.Load())
	if total == 0 {
		return ctx.Err()
	}
	g.look(c)
	var (
		next    atomic.Int64
		mu      sync.Mutex // of progress
		most    int
		workers sync.WaitGroup
	)
	for range max(1, min((runtime.GOMAXPROCS(0)+1)/2, total/256)) {
		workers.Go(func() {
			for ctx.Err() == nil {
				done := int(next.Add(1)) - 1
				if done >= total {
					return
				}
				g.refine(c, uint32(done))
				if progress != nil && done%1024 == 1023 {
					mu.Lock()
					most = max(most, done+1)
					progress(most, total)
					mu.Unlock()
				}
			}
		})
	}
	workers.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := g.reachAll(ctx, c); err != nil {
		return err
	}
	if progress != nil {
		progress(total, total)
	}
	return nil
}

// look finds out whether searches need seeds by now.
func (g *Graph) look(c *core) {
	g.writers.RLock()
	defer g.writers.RUnlock()
	s := c.scratch.Get().(*scratch)
	defer c.scratch.Put(s)
	a := c.arrays.Load()
	defer runtime.KeepAlive(a)
	c.reseed(a, s, true)
}

// refine chooses the neighbours of one node on level 0, and has them lead back.
func (g *Graph) refine(c *core, id uint32) {
	g.writers.RLock()
	defer g.writers.RUnlock()
	s := c.scratch.Get().(*scratch)
	defer c.scratch.Put(s)
	a := c.arrays.Load()
	defer runtime.KeepAlive(a)
	if a.levels[id] == twin {
		return
	}
	c.find(a, s, id)
	if a.book != nil && a.book.Stages() {
		s.stage.Clear()
	}
	chosen := c.rechoose(a, s, id)
	for _, neighbour := range chosen {
		c.linkBack(a, s, neighbour, id)
	}
}

// find walks to a node's vector, and leaves what it met in s.pool.
func (c *core) find(a *arrays, s *scratch, id uint32) {
	a.decode(s.target.vector, id)
	s.target.set()
	s.target.prepare(a)
	// Without an end to its context a walk has no error.
	_ = c.walk(context.Background(), a, s, 0, c.cfg.Build.EfConstruction, c.enter(a, s, c.entry.Load())...)
}

// rechoose exchanges the block of a node for the best of it and s.pool, and gives
// it.
func (c *core) rechoose(a *arrays, s *scratch, id uint32) []uint32 {
	mu := c.lock(id)
	mu.Lock()
	defer mu.Unlock()
	block := a.block(id, 0)
	s.items = s.items[:0]
	for _, it := range s.pool.found() {
		if it.id() != id {
			s.items = append(s.items, it&^1)
		}
	}
	met := len(s.items)
	present := s.present(block)
	c.keys(a, s, len(present))
	for i, neighbour := range s.ids[:len(present)] {
		if !slices.ContainsFunc(s.items[:met], func(it item) bool { return it.id() == neighbour }) {
			s.items = append(s.items, newItem(s.near[i], neighbour))
		}
	}
	nearestFirst(s.items)
	chosen, diverse := c.choose(a, s, id, candidates{items: s.items, nearly: true, limit: len(block), fill: len(block)})
	s.levels[0] = append(s.levels[0][:0], chosen...)
	c.linked(a, id)
	storeLinks(block, s.levels[0])
	a.settled[id] = uint8(min(diverse, 255))
	return s.levels[0]
}

// present puts the nodes of a block into s.ids.
func (s *scratch) present(block []uint32) []uint32 {
	n := 0
	for n < len(block) && block[n] != 0 {
		s.ids[n] = block[n] - 1
		n++
	}
	return s.ids[:n]
}

// linkBack is connect that fills the block, and leaves one alone that has the
// link.
func (c *core) linkBack(a *arrays, s *scratch, node, to uint32) {
	mu := c.lock(node)
	mu.Lock()
	defer mu.Unlock()
	block := a.block(node, 0)
	n := len(s.present(block))
	if slices.Contains(s.ids[:n], to) {
		return
	}
	c.linked(a, node)
	if n < len(block) {
		atomic.StoreUint32(&block[n], to+1)
		return
	}
	s.ids[n] = to
	n++
	if a.book == nil || !a.book.Stages() {
		c.pairs(s.raw[:n], a, s, node, s.ids[:n])
	}
	s.items = s.items[:0]
	for i, neighbour := range s.ids[:n] {
		it := newItem(c.measure.Key(s.raw[i]), neighbour)
		if i < int(a.settled[node]) {
			it |= 1
		}
		s.items = append(s.items, it)
	}
	if a.book == nil || !a.book.Stages() {
		nearestFirst(s.items)
	}
	chosen, diverse := c.choose(a, s, node, candidates{items: s.items, known: true, limit: len(block), fill: len(block)})
	storeLinks(block, chosen)
	a.settled[node] = uint8(min(diverse, 255))
}

// reachAll links every node that level 0 does not lead to from the entry point,
// from one of the nearest that it does.
func (g *Graph) reachAll(ctx context.Context, c *core) error {
	r := g.reached(c)
	for id := range r.seen {
		if r.seen[id] {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		g.writers.RLock()
		r.adopt(c, uint32(id))
		g.writers.RUnlock()
	}
	return nil
}

// reach is what can be reached on level 0.
type reach struct {
	seen []bool   // by node; twins have been
	into []uint32 // the links that lead to a node from those seen
}

// reached follows the links from the entry point. Writers may go on: what they
// add is not asked for.
func (g *Graph) reached(c *core) *reach {
	g.writers.RLock()
	defer g.writers.RUnlock()
	a, n := c.arrays.Load(), c.nodes.Load()
	defer runtime.KeepAlive(a)
	r := &reach{seen: make([]bool, n), into: make([]uint32, n)}
	for id := range n {
		r.seen[id] = a.levels[id] == twin
	}
	if entry := c.entry.Load(); entry != 0 {
		r.follow(a, uint32(entry)-1)
	}
	return r
}

// follow marks what a node leads to.
func (r *reach) follow(a *arrays, from uint32) {
	r.seen[from] = true
	stack := []uint32{from}
	for len(stack) > 0 {
		block := a.block(stack[len(stack)-1], 0)
		stack = stack[:len(stack)-1]
		for i := range block {
			link := atomic.LoadUint32(&block[i])
			if link == 0 {
				break
			}
			if int(link) > len(r.seen) {
				continue // younger
			}
			r.into[link-1]++
			if !r.seen[link-1] {
				r.seen[link-1] = true
				stack = append(stack, link-1)
			}
		}
	}
}

// adopt gives a node a link from one that is reached. It takes the place of the
// last link that is not the only one to its node.
func (r *reach) adopt(c *core, id uint32) {
	s := c.scratch.Get().(*scratch)
	defer c.scratch.Put(s)
	a := c.arrays.Load()
	defer runtime.KeepAlive(a)
	c.find(a, s, id)
	for _, it := range s.pool.found() {
		from := it.id()
		if from != id && int(from) < len(r.seen) && r.seen[from] && r.link(c, a, from, id) {
			break
		}
	}
	r.follow(a, id)
}

// link makes a link, where there is room for one or room can be made.
func (r *reach) link(c *core, a *arrays, from, to uint32) bool {
	mu := c.lock(from)
	mu.Lock()
	defer mu.Unlock()
	block := a.block(from, 0)
	for i := len(block) - 1; i >= 0; i-- {
		old := block[i]
		switch {
		case old == 0 && (i == 0 || block[i-1] != 0):
		case old == 0, int(old) > len(r.seen), r.into[old-1] < 2:
			continue
		default:
			r.into[old-1]--
		}
		c.linked(a, from)
		atomic.StoreUint32(&block[i], to+1)
		a.settled[from] = uint8(min(int(a.settled[from]), i))
		r.into[to]++
		return true
	}
	return false
}

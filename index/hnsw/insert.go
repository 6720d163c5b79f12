package hnsw

import (
	"context"
	"math"
	"runtime"
	"sync/atomic"
)

// insert adds one vector as its owner gave it. It reports false when there is
// no room: nothing has happened then.
func (c *core) insert(ordinal uint32, vector []float32) bool {
	s := c.scratch.Get().(*scratch)
	defer c.scratch.Put(s)
	a := c.arrays.Load()
	defer runtime.KeepAlive(a)
	c.measure.Prepare(s.target.vector, vector)
	s.target.set()
	c.encode(a, s)
	id, ok := c.add(a, s, ordinal)
	if ok {
		c.publish(ordinal, id)
	}
	return ok
}

// add makes a node of s.target, which was encoded; it is not live yet: Algorithm
// 1 of the paper. The arrays are the present ones, and nobody can replace them
// meanwhile.
func (c *core) add(a *arrays, s *scratch, ordinal uint32) (id uint32, ok bool) {
	level := c.drawLevel()
	if id, ok = c.allocate(level); !ok {
		return 0, false
	}
	s.target.prepare(a)
	c.wrote(a, id)
	a.write(s, id)
	atomic.StoreUint32(&a.ordinals[id], ordinal)

	// The first node is all of the graph.
	if c.entry.Load() == 0 && c.raise(id, level, true) {
		return id, true
	}
	entry := c.entry.Load()
	top := min(level, int(entry>>32))
	if top == 0 {
		c.enter(a, s, entry)
	} else {
		s.starts = append(s.starts[:0], c.descend(a, s, entry, top))
	}
	for l := top; l >= 0; l-- {
		// Without an end to its context a walk has no error.
		_ = c.walk(context.Background(), a, s, l, c.cfg.Build.EfConstruction, s.starts...)
		if l == 0 {
			if equal, ok := c.findEqual(a, s, id); ok {
				c.hang(a, equal, id)
				return id, true
			}
		}
		found := s.pool.found()
		s.starts = append(s.starts[:0], found[0]&^1)
		limit, fill := a.strideU, a.strideU
		if l == 0 {
			limit, fill = a.strideB, a.strideB*7/8
		}
		chosen, diverse := c.choose(a, s, id, candidates{items: found, nearly: true, limit: limit, fill: fill})
		s.levels[l] = append(s.levels[l][:0], chosen...)
		if l == 0 {
			a.settled[id] = uint8(min(diverse, 255))
		}
	}
	for l := top; l >= 0; l-- {
		storeLinks(a.block(id, l), s.levels[l])
	}
	for l := range top + 1 {
		for _, neighbour := range s.levels[l] {
			c.connect(a, s, neighbour, l, id)
		}
	}
	if level > int(entry>>32) {
		c.raise(id, level, false)
	}
	c.reseed(a, s, false)
	return id, true
}

// publish makes a node the one of its ordinal.
func (c *core) publish(ordinal, id uint32) {
	old := c.table.Swap(ordinal, id+1)
	if old == 0 {
		c.live.Add(1)
		return
	}
	c.changed.Add(1)
	c.bury(old - 1)
}

// retract deletes an ordinal if a node is still the one that it has.
func (c *core) retract(ordinal, id uint32) {
	if c.table.CompareAndSwap(ordinal, id+1, 0) {
		c.live.Add(-1)
		c.changed.Add(1)
		c.bury(id)
	}
}

// raise makes a node the entry point when it is higher than the present one;
// with first, only when there is none.
func (c *core) raise(id uint32, level int, first bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	present := c.entry.Load()
	if present != 0 && (first || int(present>>32) >= level) {
		return false
	}
	c.entry.Store(uint64(level)<<32 | uint64(id+1))
	return true
}

// drawLevel draws the level of the next node: P(level >= l) = M^-l. The n-th
// draw of a seed is always the same.
func (c *core) drawLevel() int {
	// SplitMix64 (Steele, Lea and Flood, 2014).
	x := c.cfg.Seed + c.drawn.Add(1)*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	x ^= x >> 31
	u := (float64(x>>11) + 0.5) / (1 << 53)
	return min(int(-math.Log(u)/math.Log(float64(c.cfg.Build.M))), maxLevel)
}

// findEqual looks in the pool for a node that has the very vector of s.target,
// which is that of node own.
func (c *core) findEqual(a *arrays, s *scratch, own uint32) (id uint32, ok bool) {
	s.ids[0] = own
	c.keys(a, s, 1)
	for _, it := range s.pool.found() {
		// Keys of equal codes are equal: they are sums of integers.
		if (a.book == nil || it.key() == s.near[0]) && a.same(s, it.id()) {
			return it.id(), true
		}
	}
	return 0, false
}

// hang makes a node the twin of an equal one.
func (c *core) hang(a *arrays, equal, id uint32) {
	a.levels[id] = twin
	c.linked(a, equal)
	mu := c.lock(equal)
	mu.Lock()
	defer mu.Unlock()
	atomic.StoreUint32(&a.twins[id], atomic.LoadUint32(&a.twins[equal]))
	atomic.StoreUint32(&a.twins[equal], id+1)
}

// connect adds a link from a node to a new one; when the block is full, the
// diverse ones of all of them stay.
func (c *core) connect(a *arrays, s *scratch, node uint32, level int, added uint32) {
	c.linked(a, node)
	mu := c.lock(node)
	mu.Lock()
	defer mu.Unlock()
	block := a.block(node, level)
	n := 0
	for n < len(block) && block[n] != 0 {
		s.ids[n] = block[n] - 1
		n++
	}
	if n < len(block) {
		atomic.StoreUint32(&block[n], added+1)
		return
	}
	s.ids[n] = added
	n++
	if a.book == nil || !a.book.Stages() {
		c.pairs(s.raw[:n], a, s, node, s.ids[:n])
	}
	settled := 0
	if level == 0 {
		settled = int(a.settled[node])
	}
	s.items = s.items[:0]
	for i, neighbour := range s.ids[:n] {
		it := newItem(c.measure.Key(s.raw[i]), neighbour)
		if i < settled {
			it |= 1
		}
		s.items = append(s.items, it)
	}
	if a.book == nil || !a.book.Stages() {
		nearestFirst(s.items)
	}
	// Some room stays free, so that not every new link is paid for by a choice.
	chosen, diverse := c.choose(a, s, node, candidates{items: s.items, known: true, limit: len(block) - len(block)/8})
	storeLinks(block, chosen)
	if level == 0 {
		a.settled[node] = uint8(min(diverse, 255))
	}
}

// storeLinks rewrites a block whose lock the caller has.
func storeLinks(block, nodes []uint32) {
	for i, id := range nodes {
		atomic.StoreUint32(&block[i], id+1)
	}
	for i := len(nodes); i < len(block) && block[i] != 0; i++ {
		atomic.StoreUint32(&block[i], 0)
	}
}

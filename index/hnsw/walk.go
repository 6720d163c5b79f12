package hnsw

import (
	"context"
	"sync/atomic"

	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/internal/quant"
	"github.com/vecino-db/vecino/kernels/codes"
)

// askEvery hops a walk looks at its context.
const askEvery = 64

// scratch is what one search or insert needs; it goes back to a pool.
type scratch struct {
	target  target
	own     newcomer    // of an insert
	pair    quant.Query // of pairs
	stage   quant.Stage // likewise
	group   []uint32    // nodes of a group of candidates
	staged  []uint32    // their rows on stage
	keys    []float32   // and raw values
	sorter  pool        // the rows, nearest first
	visited []uint64    // one bit a node
	pool    pool
	ids     []uint32           // the neighbours to compare
	raw     []float32          // their raw values
	guess   [scanBatch]float32 // scores in the coarse layer, of rescore
	near    []uint32           // or their keys
	rough   []float32          // of a scan: the raw values of their coarse layer

	candidates heap                      // of an admitting walk
	results    heap                      // likewise, the farthest first
	kept       []index.Hit               // of a scan, before they are settled
	best       index.TopK                // hits of the answer
	search     search                    // here, so that it needs no memory of its own
	admittance admittance                // likewise
	each       func(ordinal uint32) bool // its meet

	chosen  []uint32 // of choose
	covers  []uint32 // of these, those that cover others
	fresh   []uint32 // of these, those that were not known to be diverse
	pruned  []uint32
	items   []item
	levels  [maxLevel + 1][]uint32 // the neighbours chosen for each level
	batch   [8]uint32              // of covered
	compare [8]float32
	self    [1]uint32
	blocks  [together][]uint32 // of a walk
	next    [together]uint32   // likely to be expanded next
	starts  []item             // of a walk
	fetched uint32             // takes what is loaded only to be fetched
	finely  bool               // a walk goes by both layers
}

// together nodes are expanded at once by a walk over codes.
const together = 4

// scanBatch rows of a scan go to the kernel at once.
const scanBatch = 256

func newScratch(cfg index.Config) *scratch {
	n := max(together*2*cfg.Build.M+4, scanBatch)
	s := &scratch{
		target: target{vector: make([]float32, cfg.Dimension)},
		ids:    make([]uint32, n),
		raw:    make([]float32, n),
		near:   make([]uint32, n),
		rough:  make([]float32, n),
	}
	s.each = func(ordinal uint32) bool { return s.search.meet(ordinal) }
	return s
}

// visitable is how many nodes a walk that begins now may meet, beside younger
// ones that it leaves out.
func (c *core) visitable(a *arrays) int { return min(int(c.nodes.Load()), a.capacity) }

// unvisit makes all n nodes unvisited.
func (s *scratch) unvisit(n int) {
	words := (n + 63) / 64
	if words > cap(s.visited) {
		s.visited = make([]uint64, words+words/2)
	}
	s.visited = s.visited[:cap(s.visited)]
	clear(s.visited[:words])
}

// visit marks a node.
func (s *scratch) visit(id uint32) { s.visited[id>>6] |= 1 << (id & 63) }

// gather puts the unvisited neighbours of a block into s.ids, from n on, marks
// them, and gives the number of all. Nodes from limit on are younger than the walk: they are
// left out, since s.visited has no room for them.
func (s *scratch) gather(block []uint32, limit, n int) int {
	ids, visited := s.ids[:n+len(block)], s.visited
	for i := range block {
		link := atomic.LoadUint32(&block[i])
		if link == 0 {
			break
		}
		id := link - 1
		if int(id) >= limit {
			continue
		}
		word, bit := id>>6, id&63
		w := visited[word]
		visited[word] = w | 1<<bit
		ids[n] = id
		n += int(^w >> bit & 1)
	}
	return n
}

// greedy goes from a node to ever nearer neighbours at one level, to the nearest.
func (c *core) greedy(a *arrays, s *scratch, level int, from item) item {
	for {
		block := a.block(from.id(), level)
		n := 0
		for i := range block {
			link := atomic.LoadUint32(&block[i])
			if link == 0 {
				break
			}
			s.ids[n] = link - 1
			n++
		}
		c.keys(a, s, n)
		best := from
		for i, key := range s.near[:n] {
			best = min(best, newItem(key, s.ids[i]))
		}
		if best.key() >= from.key() {
			return from
		}
		from = best
	}
}

// descend is the way from the entry point to the node nearest to s.target above
// a level. The target is prepared for a.
func (c *core) descend(a *arrays, s *scratch, entry uint64, level int) item {
	id := uint32(entry) - 1
	s.ids[0] = id
	c.keys(a, s, 1)
	at := newItem(s.near[0], id)
	for l := int(entry >> 32); l > level; l-- {
		at = c.greedy(a, s, l, at)
	}
	return at
}

// walk finds the ef nodes nearest to s.target at a level, from some of them on,
// which it expands at once, and leaves them in s.pool. Tombstones count like others.
func (c *core) walk(ctx context.Context, a *arrays, s *scratch, level, ef int, from ...item) error {
	n := c.visitable(a)
	s.unvisit(n)
	p := &s.pool
	p.reset(ef)
	for _, it := range from {
		s.self[0], s.near[0] = it.id(), it.key()
		p.insert(s.near[:1], s.self[:])
		s.visit(it.id())
	}
	for hops := 1; ; hops++ {
		id, ok := p.expand()
		if !ok {
			return nil
		}
		if hops%askEvery == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		found := 0
		if a.book == nil && hops > 1 {
			found = s.gather(a.block(id, level), n, 0)
		} else {
			// Codes are compared faster than they are fetched: the neighbours of
			// several nodes at once wait for memory once.
			blocks := 0
			for ; ok && blocks < together; id, ok = p.expand() {
				s.blocks[blocks] = a.block(id, level)
				// These loads wait for nothing, and for them only gather does.
				s.fetched += atomic.LoadUint32(&s.blocks[blocks][0]) + atomic.LoadUint32(&s.blocks[blocks][len(s.blocks[blocks])/2])
				if blocks++; blocks == together {
					break
				}
			}
			for _, block := range s.blocks[:blocks] {
				found = s.gather(block, n, found)
			}
		}
		if a.book != nil && level == 0 {
			// Those that are next unless nearer ones are found.
			codes.Fetch(octets(a.base), 4*a.strideB, 4*a.strideB, p.peek(s.next[:0]))
		}
		c.keys(a, s, found)
		p.insert(s.near[:found], s.ids[:found])
	}
}

// keys sets the first n of s.near to the keys of the target against the first n
// of s.ids. It may write to the three beyond them.
func (c *core) keys(a *arrays, s *scratch, n int) {
	switch {
	case a.book == nil:
		c.measure.Rows(s.raw[:n], s.target.vector, a.vectors, s.ids[:n])
	case s.finely:
		a.book.Fine(s.raw[:n], &s.target.coded, a.rows, s.ids[:n])
	default:
		// The kernels take four rows at a time.
		whole := (n + 3) &^ 3
		for i := n; i < whole; i++ {
			s.ids[i] = s.ids[n-1]
		}
		if a.book.Keys(s.near[:whole], &s.target.coded, a.rows, s.ids[:whole]) {
			return
		}
		a.book.Coarse(s.raw[:n], &s.target.coded, a.rows, s.ids[:n])
	}
	for i, raw := range s.raw[:n] {
		s.near[i] = c.measure.Key(raw)
	}
}

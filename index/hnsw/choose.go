package hnsw

import "github.com/vecino-db/vecino/compat"

const (
	// stagedAtOnce rows are staged at once where the choice is likely to end before
	// all are looked at.
	stagedAtOnce = 48
	// mostStaged rows are kept from one choice to the next.
	mostStaged = 1024
)

// candidates are what the neighbours of a node are chosen from.
type candidates struct {
	items  []item // nodes and how near they are, nearest first where rows aren't staged
	nearly bool   // that order holds, up to the noise of codes, where they are
	// known says that a mark is that of an item that is not covered by any other
	// marked one.
	known       bool
	limit, fill int
}

// choose picks neighbours of a node: Algorithm 4 of the paper. A candidate is
// left out when it is nearer to one that was picked than to the node. At most
// limit are picked, and they are the first diverse of the result; when they are
// fewer than fill, the nearest of those left out make up for it. The result is
// s.chosen.
func (c *core) choose(a *arrays, s *scratch, id uint32, from candidates) (nodes []uint32, diverse int) {
	s.chosen, s.covers, s.fresh, s.pruned = s.chosen[:0], s.covers[:0], s.fresh[:0], s.pruned[:0]
	switch {
	case a.book == nil:
		c.diversify(a, s, id, from)
	case a.book.Stages():
		c.stageAndDiversify(a, s, id, from)
	default:
		s.group = s.group[:0]
		for _, it := range from.items {
			s.group = append(s.group, it.id())
		}
		a.book.FetchParams(a.rows, s.group)
		c.diversify(a, s, id, from)
	}
	diverse = len(s.chosen)
	if missing := from.fill - diverse; missing > 0 {
		s.chosen = append(s.chosen, s.pruned[:min(missing, len(s.pruned))]...)
	}
	return s.chosen, diverse
}

// stageAndDiversify is diversify over rows that can't be compared with each other
// where they are: they get staged, as many at once as are likely to be wanted,
// and their keys are computed anew. What was staged stays, for the other choices
// of an insert: its neighbours have neighbours in common.
func (c *core) stageAndDiversify(a *arrays, s *scratch, id uint32, from candidates) {
	if s.stage.Len() > mostStaged {
		s.stage.Clear()
	}
	atOnce := len(from.items)
	if from.nearly {
		atOnce = min(atOnce, stagedAtOnce)
	}
	if len(s.keys) < atOnce {
		s.keys, s.staged, s.group = make([]float32, 2*atOnce), make([]uint32, 2*atOnce), make([]uint32, 2*atOnce)
	}
	s.self[0] = id
	a.book.Stage(s.self[:], &s.stage, a.rows, s.self[:])
	self := s.self[0]
	group := from
	for rest := from.items; len(rest) > 0 && len(s.chosen) < from.limit; {
		n := min(atOnce, len(rest))
		items := rest[:n]
		rest = rest[n:]
		raw, nodes, rows := s.keys[:n], s.group[:n], s.staged[:n]
		for i, it := range items {
			nodes[i] = it.id()
		}
		a.book.Stage(rows, &s.stage, a.rows, nodes)
		c.pairs(raw, a, s, self, rows)
		// The nodes' memory takes the keys, and the rows carry the marks through the
		// beam that sorts them.
		for i, x := range raw {
			nodes[i] = c.measure.Key(x)
			rows[i] = rows[i]<<1 | uint32(items[i]&1)
		}
		s.sorter.reset(n)
		s.sorter.insert(nodes, rows)
		group.items = s.sorter.found()
		for i, it := range group.items {
			group.items[i] = newItem(it.key(), it.id()>>1) | item(it.id()&1)
		}
		c.diversify(a, s, self, group)
	}
	for i, row := range s.chosen {
		s.chosen[i] = s.stage.ID(row)
	}
	for i, row := range s.pruned {
		s.pruned[i] = s.stage.ID(row)
	}
}

// diversify picks among rows (see pairs), nearest first, and adds to s.chosen and
// s.pruned.
//
// Among nodes that are the same up to rounding, nearness is noise: they would
// fill the block, or cover everything else by chance. A quarter of the block is
// theirs, and they cover nothing.
func (c *core) diversify(a *arrays, s *scratch, id uint32, from candidates) {
	low, high := c.blur(a, s, id)
	for _, it := range from.items {
		if len(s.chosen) == from.limit {
			break
		}
		// What is known to be diverse is covered by newcomers at most.
		known := from.known && it&1 == 1
		covers := s.covers
		if known {
			covers = s.fresh
		}
		blurred := it.key() >= low && it.key() <= high
		switch {
		case blurred && len(s.chosen)-len(s.covers) < from.limit/4:
			s.chosen = append(s.chosen, it.id())
		case !blurred && !c.covered(a, s, it, covers):
			s.chosen = append(s.chosen, it.id())
			s.covers = append(s.covers, it.id())
			if !known {
				s.fresh = append(s.fresh, it.id())
			}
		case len(s.pruned) < from.fill:
			s.pruned = append(s.pruned, it.id())
		}
	}
}

// blur is the range of keys of what is equal to a node up to rounding. Squared
// distances are sums of small terms there, and need none: it is empty.
func (c *core) blur(a *arrays, s *scratch, id uint32) (from, to uint32) {
	rounding := float32(2e-6)
	if c.cfg.Metric == compat.MetricL2 {
		return 1, 0
	}
	if a.book != nil {
		rounding = a.book.Blur()
	}
	s.self[0] = id
	c.pairs(s.compare[:1], a, s, id, s.self[:])
	self := s.compare[0]
	return c.measure.Key(self * (1 + rounding)), c.measure.Key(self * (1 - rounding))
}

// covered reports whether a row is nearer to one of others than its key says.
func (c *core) covered(a *arrays, s *scratch, it item, others []uint32) bool {
	for len(others) > 0 {
		n := copy(s.batch[:], others)
		// The kernels take four rows at a time.
		whole := (n + 3) &^ 3
		for i := n; i < whole; i++ {
			s.batch[i] = s.batch[n-1]
		}
		c.pairs(s.compare[:whole], a, s, it.id(), s.batch[:whole])
		for _, raw := range s.compare[:n] {
			if c.measure.Key(raw) < it.key() {
				return true
			}
		}
		others = others[n:]
	}
	return false
}

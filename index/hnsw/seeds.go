package hnsw

import (
	"context"
	"math/rand/v2"
	"slices"
)

// Upper levels lead a search to where most vectors are: a small group that was
// inserted before a large foreign one has hardly a node there, and on level 0 the
// foreign ones, which are nearer than the edge of the group, fill the pool. Where
// that happens a search begins at seeds: nodes that lie as far apart as can be
// (farthest-first: Gonzalez, "Clustering to minimize the maximum intercluster
// distance", 1985), which any group has some of, and nodes taken by chance, which
// lie where most do. All are compared with the query in one call.
//
// Where the levels above lead well, seeds find nothing more and cost a search up
// to a tenth of its time. So as a graph grows some of its nodes are searched for
// from above, and seeds are chosen when one of them is lost.
const (
	// apartSeeds and commonSeeds are how many of either kind there are. More that
	// lie apart are no longer apart: of 1,398 abstracts before 20,000 foreign texts
	// walks from the best four of 64 missed 117, from those of 256 312.
	apartSeeds, commonSeeds = 48, 16
	// apartStarts and commonStarts of them, those nearest to the query, a walk
	// expands first.
	apartStarts, commonStarts = 2, 1
	// seedSample nodes are looked at for them.
	seedSample = 1024
	// seedGrowth is when they are chosen anew: there are half as many nodes more.
	seedGrowth = 1.5
	// lostTries nodes, and no more than an eighth of all, are searched for from
	// above, by pools of lostEf. Where one is not found, seeds are needed: of
	// clustered vectors, images and hard ones none ever was lost of 768, of the
	// abstracts among foreign texts two to five.
	lostTries, lostShare, lostEf = 768, 8, 100
)

// seeds are where searches begin. They are immutable. Nodes that are deleted
// after remain seeds, as they remain in the graph.
type seeds struct {
	ids   []uint32 // those that lie apart, then the common ones; none where none are needed
	apart int
	nodes uint32 // that there were
}

// trial is a search for lost nodes that is under way: it takes one with each
// insert, so that none of them takes long.
type trial struct {
	nodes  uint32   // that there were at its beginning
	sample []uint32 // of them
	left   []uint32 // of the sample, to be searched for
}

// reseed chooses seeds when there are none yet that fit the number of nodes, and
// before that takes a step of the trial that tells whether any are needed.
// Writers beside it go on; arrays are the present ones. Where they were needed
// once they stay so. again: at once, also where those that there are fit, or none
// were needed.
func (c *core) reseed(a *arrays, s *scratch, again bool) {
	n := c.nodes.Load()
	fit := func() bool {
		old := c.seeds.Load()
		return !again && old != nil && float64(n) < seedGrowth*float64(old.nodes)
	}
	switch {
	case n < seedSample || fit():
		return
	case again:
		c.seeding.Lock()
	case !c.seeding.TryLock():
		return
	}
	defer c.seeding.Unlock()
	if fit() {
		return // by now
	}
	old, t := c.seeds.Load(), c.trial
	if t == nil || again {
		sample := c.sampleLive(a, n)
		t = &trial{nodes: n, sample: sample, left: sample[:min(lostTries, int(n)/lostShare, len(sample))]}
		c.trial = t
	}
	needed := old != nil && len(old.ids) > 0
	for !needed && len(t.left) > 0 {
		id := t.left[0]
		t.left = t.left[1:]
		needed = int(id) < a.capacity && c.isLive(a, id) && c.lost(a, s, id)
		if !again {
			break
		}
	}
	switch {
	case needed:
		c.seeds.Store(c.seedsOf(a, s, t.sample, t.nodes))
	case len(t.left) == 0:
		c.seeds.Store(&seeds{nodes: t.nodes})
	default:
		return
	}
	c.trial = nil
}

// sampleLive draws up to seedSample live nodes of the first n.
func (c *core) sampleLive(a *arrays, n uint32) []uint32 {
	r := rand.New(rand.NewPCG(c.cfg.Seed, uint64(n)))
	sample := make([]uint32, 0, seedSample)
	for range 4 * seedSample {
		// What is live is written completely.
		if id := r.Uint32N(n); c.isLive(a, id) && a.levels[id] != twin {
			if sample = append(sample, id); len(sample) == seedSample {
				break
			}
		}
	}
	return sample
}

// lost reports whether a node is not found when the levels above say where a
// search for it begins.
func (c *core) lost(a *arrays, s *scratch, id uint32) bool {
	a.decode(s.target.vector, id)
	s.target.set()
	s.target.prepare(a)
	// Without an end to its context a walk has no error.
	_ = c.walk(context.Background(), a, s, 0, lostEf, c.descend(a, s, c.entry.Load(), 0))
	return !slices.ContainsFunc(s.pool.found(), func(it item) bool { return it.id() == id })
}

// seedsOf chooses seeds out of a sample of n nodes.
func (c *core) seedsOf(a *arrays, s *scratch, sample []uint32, n uint32) *seeds {
	if len(sample) == 0 {
		return &seeds{nodes: n}
	}
	chosen := c.farthestFirst(a, s, sample)
	apart := len(chosen)
	for _, id := range sample[:min(commonSeeds, len(sample))] {
		if !slices.Contains(chosen, id) {
			chosen = append(chosen, id)
		}
	}
	return &seeds{ids: chosen, apart: apart, nodes: n}
}

// farthestFirst gives nodes of a sample, each of which is the one farthest from
// all before it.
func (c *core) farthestFirst(a *arrays, s *scratch, sample []uint32) (chosen []uint32) {
	raw := make([]float32, len(sample))
	far := make([]float32, len(sample)) // from the nearest of the chosen, beyond what that is from itself
	at := 0
	for len(chosen) < apartSeeds {
		a.decode(s.target.vector, sample[at])
		s.target.set()
		s.target.prepare(a)
		for from := 0; from < len(sample); from += scanBatch {
			to := min(from+scanBatch, len(sample))
			c.coarse(raw[from:to], a, &s.target, sample[from:to])
		}
		self := c.measure.Distance(raw[at])
		for i := range far {
			d := max(c.measure.Distance(raw[i])-self, 0)
			if len(chosen) > 0 {
				d = min(d, far[i])
			}
			far[i] = d
		}
		far[at] = 0
		chosen = append(chosen, sample[at])
		for i := range far {
			if far[i] > far[at] {
				at = i
			}
		}
		if far[at] == 0 {
			break
		}
	}
	return chosen
}

// enter is where a walk to s.target on level 0 begins, the nearest first: at the
// nearest seeds, or where the levels above lead to while none are needed. It
// lends its memory.
func (c *core) enter(a *arrays, s *scratch, entry uint64) []item {
	s.starts = s.starts[:0]
	set := c.seeds.Load()
	// Arrays that were loaded before may be too small for them.
	if set == nil || len(set.ids) == 0 || int(set.nodes) > a.capacity {
		s.starts = append(s.starts, c.descend(a, s, entry, 0))
		return s.starts
	}
	n := copy(s.ids, set.ids)
	c.keys(a, s, n)
	s.nearest(0, set.apart, apartStarts)
	s.nearest(set.apart, n, commonStarts)
	nearestFirst(s.starts)
	return s.starts
}

// nearest appends the nearest of the nodes from..to of s.ids to s.starts.
func (s *scratch) nearest(from, to, most int) {
	begin := len(s.starts)
	for i := from; i < to; i++ {
		it := newItem(s.near[i], s.ids[i])
		if len(s.starts)-begin < most {
			s.starts = append(s.starts, it)
		} else if last := len(s.starts) - 1; it < s.starts[last] {
			s.starts[last] = it
		} else {
			continue
		}
		for j := len(s.starts) - 1; j > begin && s.starts[j] < s.starts[j-1]; j-- {
			s.starts[j], s.starts[j-1] = s.starts[j-1], s.starts[j]
		}
	}
}

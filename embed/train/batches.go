package train

import (
	"cmp"
	"math/rand/v2"
	"slices"
)

// leastBatch is the fewest pairs that are a step: with fewer there is next to
// nothing to tell a document from.
const leastBatch = 8

// batch is the pairs of one step.
type batch []uint32

// epoch are the batches of one epoch: each source's pairs in random order, cut
// into batches of one source, and all batches in random order. Pairs of one
// document come far from each other. The order depends on seed and epoch alone.
func (s *Set) epoch(seed uint64, epoch, size int) []batch {
	random := rand.New(rand.NewPCG(seed, uint64(epoch)))
	var all []batch
	for _, members := range s.members {
		order := append([]uint32{}, members...)
		random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		s.spread(order)
		for len(order) > 0 {
			n := min(size, len(order))
			// What is left over goes with the last batch where it is too little.
			if rest := len(order) - n; rest > 0 && rest < leastBatch {
				n = len(order) - leastBatch
			}
			if n >= leastBatch || len(s.members) == 1 && n > 1 {
				all = append(all, order[:n:n])
			}
			order = order[n:]
		}
	}
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// spread puts the first pair of every document before the second ones, and so
// on, in the order that they are in.
func (s *Set) spread(order []uint32) {
	seen := map[uint32]int32{}
	rounds := make([]int32, s.Len())
	most := int32(0)
	for _, pair := range order {
		g := s.groups[pair]
		rounds[pair] = seen[g]
		most = max(most, seen[g])
		seen[g]++
	}
	if most > 0 {
		slices.SortStableFunc(order, func(a, b uint32) int { return cmp.Compare(rounds[a], rounds[b]) })
	}
}

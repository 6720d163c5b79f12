package train

import "math/rand/v2"

// leastBatch is the fewest pairs that are a step: with fewer there is next to
// nothing to tell a document from.
const leastBatch = 8

// batch is the pairs of one step.
type batch []uint32

// epoch are the batches of one epoch: each source's pairs in random order, cut
// into batches of one source, and all batches in random order. The order
// depends on seed and epoch alone.
func (s *Set) epoch(seed uint64, epoch, size int) []batch {
	random := rand.New(rand.NewPCG(seed, uint64(epoch)))
	var all []batch
	for _, members := range s.members {
		order := append([]uint32{}, members...)
		random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
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

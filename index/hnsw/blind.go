package hnsw

import "context"

const (
	// blindFrom times the hits that are wanted a walk must have room for before
	// its end says anything: narrower ones end among the nearest anyway.
	blindFrom = 4
	// blindReach times what the layers are apart the last node of a walk is no
	// farther than the last hit where the walk was blind. Ends of good walks lie
	// 3 (hashed sentences) to 27 times of it behind, of clusters tighter than the
	// codes less than 1.
	blindReach = 3
	// promising times what the layers are apart a node may lie behind the last hit
	// and still be compared in both. The 4 bits of a sparse vector are off by far
	// more than most: of 10,000 hashed sentences 2 left out a tenth of the true
	// nearest at 1,024 dimensions, 4 a fiftieth.
	promising = 4
)

// blind reports whether a walk by the coarse layer has ended for want of room,
// not for want of nodes that may be among the best: where many lie closer
// together than the coarse layer tells, its ef nearest are any ef of them.
func (r *search) blind(a *arrays, ef int) bool {
	return a.book != nil && len(r.seen) >= ef && ef >= blindFrom*r.k && r.promises(r.seen[len(r.seen)-1], blindReach)
}

// walkFine walks again by both layers from where a walk by the coarse one has
// ended, and collects.
func (r *search) walkFine(ctx context.Context, a *arrays, ef int) (found int, err error) {
	r.finely = true
	defer func() { r.finely = false }()
	r.ids[0] = r.seen[0].id()
	r.core.keys(a, r.scratch, 1)
	if err := r.walk(ctx, a, r.scratch, 0, ef, newItem(r.near[0], r.ids[0])); err != nil {
		return 0, err
	}
	return r.collect(a, r.scratch.pool.found()), nil
}

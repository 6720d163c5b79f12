package postings

import (
	"github.com/RoaringBitmap/roaring/v2"

	"github.com/vecino-db/vecino/index/filter"
)

// Set bounds the documents that match: Sure is within Possible. Where the two
// are one bitmap the answer is exact. The bitmaps may be an index's own: they
// must not be changed, and are good until it changes.
type Set struct{ Sure, Possible *roaring.Bitmap }

func exactly(b *roaring.Bitmap) Set { return Set{b, b} }

// Exact reports whether Sure is known to be all.
func (s Set) Exact() bool { return s.Sure == s.Possible }

func (s Set) not(all *roaring.Bitmap) Set {
	if s.Exact() {
		return exactly(roaring.AndNot(all, s.Sure))
	}
	return Set{roaring.AndNot(all, s.Possible), roaring.AndNot(all, s.Sure)}
}

func (s Set) or(t Set) Set {
	sure := roaring.Or(s.Sure, t.Sure)
	if s.Exact() && t.Exact() {
		return exactly(sure)
	}
	return Set{sure, roaring.Or(s.Possible, t.Possible)}
}

func (s Set) and(t Set) Set {
	sure := roaring.And(s.Sure, t.Sure)
	if s.Exact() && t.Exact() {
		return exactly(sure)
	}
	return Set{sure, roaring.And(s.Possible, t.Possible)}
}

// Evaluator answers filters over several indexes of the same documents.
type Evaluator struct {
	All *roaring.Bitmap // every document
	// Find gives the index of a path, nil where there is none.
	Find func(path string) *Index
	// IDs gives the ordinals of ids (uint64, string); ok is false where that
	// would take too long.
	IDs func(ids []any) (ordinals *roaring.Bitmap, ok bool)
}

// maxCounting bounds the bitmaps that one clause of min_should may take.
const maxCounting = 4096

// Evaluate bounds the documents that match, and tells whether any index had a
// say; without, everything is possible and nothing sure. The bitmaps of the
// answer are the indexes' own in part: see Set.
func (e Evaluator) Evaluate(n filter.Node) (s Set, known bool) {
	switch n.Op {
	case filter.OpLeaf:
		if x := e.Find(n.Leaf.Path); x != nil {
			return x.leaf(n.Leaf), true
		}
	case filter.OpIDs:
		if b, ok := e.IDs(n.IDs); ok {
			return exactly(b), true
		}
	case filter.OpNot:
		s, known := e.Evaluate(n.Nodes[0])
		return s.not(e.All), known
	case filter.OpAtLeast:
		return e.atLeast(n)
	}
	return e.unknown(), false
}

func (e Evaluator) unknown() Set { return Set{roaring.New(), e.All} }

// atLeast is the documents that match a number of nodes or more.
func (e Evaluator) atLeast(n filter.Node) (Set, bool) {
	switch {
	case n.Count <= 0:
		return exactly(e.All), true
	case n.Count > len(n.Nodes):
		return exactly(roaring.New()), true
	case n.Count == len(n.Nodes):
		return e.every(n.Nodes)
	case n.Count*len(n.Nodes) > maxCounting && n.Count > 1:
		return e.unknown(), false
	}
	// reached[i] is the documents that match more than i of the nodes so far.
	reached := make([]Set, n.Count)
	for i := range reached {
		reached[i] = exactly(roaring.New())
	}
	known := false
	for _, node := range n.Nodes {
		s, k := e.Evaluate(node)
		known = known || k
		for i := n.Count - 1; i > 0; i-- {
			reached[i] = reached[i].or(reached[i-1].and(s))
		}
		reached[0] = reached[0].or(s)
	}
	return reached[n.Count-1], known
}

// every is the documents that match all the nodes.
func (e Evaluator) every(nodes []filter.Node) (Set, bool) {
	all, known := exactly(e.All), false
	for i, node := range nodes {
		s, k := e.Evaluate(node)
		known = known || k
		switch {
		case i == 0:
			all = s
		case s.Sure == e.All:
		default:
			all = all.and(s)
		}
		if all.Possible.IsEmpty() {
			return exactly(all.Possible), true
		}
	}
	return all, known
}

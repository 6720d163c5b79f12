package filter

// Op is what a Node asks for.
type Op uint8

// The operations.
const (
	OpAtLeast Op = iota + 1 // Count of the nodes; none of no nodes holds when Count is 0
	OpNot                   // the one node does not
	OpLeaf                  // the leaf
	OpIDs                   // the document's id is one of IDs
	OpOpaque                // something that only Match can tell
)

// Node is a filter, or a part of it, in a form that an index can evaluate.
type Node struct {
	Op    Op
	Count int
	Nodes []Node
	Leaf  Leaf
	IDs   []any // uint64, string
}

// LeafKind names what a leaf asks of the values at its path.
type LeafKind uint8

// The tests of the package comment.
const (
	LeafAny    LeafKind = iota + 1 // one is among Strings, Numbers and Terms
	LeafExcept                     // one is not null and none of them
	LeafText                       // one string has all Words
	LeafNumber                     // a number within Range
	LeafTime                       // a time within Range
	LeafCount                      // a number of elements within Counts
	LeafEmpty                      // Want: there is none but null and empty arrays
	LeafNull                       // Want: one is null
)

// Leaf is one test of the values at one path.
type Leaf struct {
	Path    string // as Path.String has it
	Test    LeafKind
	Strings []string // of LeafAny and LeafExcept
	Bools   []string // as the terms of KindBool
	Numbers []Range  // the keys of one number each
	Words   []string // none: nothing matches
	Range   Range
	Counts  Interval // a document without a value has the count 0
	Want    bool
}

// Tree is the filter as a node. A nil filter admits everything.
func (f *Filter) Tree() Node {
	if f == nil {
		return Node{Op: OpAtLeast}
	}
	all := make([]Node, 0, len(f.must)+len(f.mustNot)+2)
	for _, c := range f.must {
		all = append(all, nodeOf(c))
	}
	for _, c := range f.mustNot {
		all = append(all, Node{Op: OpNot, Nodes: []Node{nodeOf(c)}})
	}
	if len(f.should) > 0 {
		all = append(all, someOf(1, f.should))
	}
	if f.hasMinShould {
		all = append(all, someOf(f.minCount, f.minShould))
	}
	return allOf(all)
}

func allOf(nodes []Node) Node {
	if len(nodes) == 1 {
		return nodes[0]
	}
	return Node{Op: OpAtLeast, Count: len(nodes), Nodes: nodes}
}

func someOf(n int, conditions []condition) Node {
	nodes := make([]Node, 0, len(conditions))
	for _, c := range conditions {
		nodes = append(nodes, nodeOf(c))
	}
	return Node{Op: OpAtLeast, Count: n, Nodes: nodes}
}

func nodeOf(c condition) Node {
	switch c := c.(type) {
	case *Filter:
		return c.Tree()
	case *hasID:
		return Node{Op: OpIDs, IDs: c.list()}
	case *field:
		nodes := make([]Node, 0, len(c.tests))
		for _, t := range c.tests {
			nodes = append(nodes, leafOf(c.path.String(), t))
		}
		return allOf(nodes)
	}
	return Node{Op: OpOpaque}
}

// leafOf translates one test.
func leafOf(at string, t test) Node {
	l := Leaf{Path: at}
	switch t := t.(type) {
	case *matchAny:
		l.Test = LeafAny
		l.values(t.set)
	case *matchExcept:
		l.Test = LeafExcept
		l.values(t.set)
	case *matchText:
		l.Test, l.Words = LeafText, t.words
	case *numberRange:
		l.Test, l.Range = LeafNumber, keyRange(t.bounds, numberKey, numberKeyExact)
	case *timeRange:
		l.Test, l.Range = LeafTime, keyRange(t.bounds, timeKey, timeKeyExact)
	case *valuesCount:
		l.Test, l.Counts = LeafCount, countRange(t.bounds)
	case isEmpty:
		l.Test, l.Want = LeafEmpty, t.want
	case isNull:
		l.Test, l.Want = LeafNull, t.want
	default:
		return Node{Op: OpOpaque}
	}
	return Node{Op: OpLeaf, Leaf: l}
}

// values sorts the scalars of a match by their types.
func (l *Leaf) values(set map[scalar]struct{}) {
	for s := range set {
		switch v := s.(type) {
		case string:
			l.Strings = append(l.Strings, v)
		case bool:
			l.Bools = append(l.Bools, boolTerm(v))
		case number:
			l.Numbers = append(l.Numbers, pointRange(v))
		}
	}
}

package postings

import (
	"github.com/RoaringBitmap/roaring/v2"

	"github.com/vecino-db/vecino/index/filter"
)

// Index is the postings of one path. Its readers must not run beside Add and
// Remove.
type Index struct {
	kind    filter.Kind
	all     *roaring.Bitmap // every document there is
	filled  *roaring.Bitmap
	null    *roaring.Bitmap
	other   *roaring.Bitmap // hold something of another kind
	valued  *roaring.Bitmap // have a term or a key
	several *roaring.Bitmap // see filter.Summary
	counts  map[uint32]*posting
	terms   map[string]*posting
	keys    sorted
}

// New makes an empty index.
func New(kind filter.Kind) *Index {
	return &Index{
		kind: kind, all: roaring.New(), filled: roaring.New(), null: roaring.New(), other: roaring.New(),
		valued: roaring.New(), several: roaring.New(), counts: map[uint32]*posting{}, terms: map[string]*posting{},
	}
}

// Kind is the kind of values.
func (x *Index) Kind() filter.Kind { return x.kind }

// All is every document that the index was told of. It must not be changed.
func (x *Index) All() *roaring.Bitmap { return x.all }

// Has reports whether the index was told of a document.
func (x *Index) Has(ordinal uint32) bool { return x.all.Contains(ordinal) }

// Points is the number of documents that have something of the kind.
func (x *Index) Points() int { return int(x.valued.GetCardinality()) }

// Add tells of a document that the index does not have.
func (x *Index) Add(ordinal uint32, s filter.Summary) {
	x.all.Add(ordinal)
	for _, flag := range x.flags(s) {
		if flag.set {
			flag.in.Add(ordinal)
		}
	}
	for _, n := range countsOf(s) {
		addTo(x.counts, n, ordinal)
	}
	for _, t := range s.Terms {
		addTo(x.terms, t, ordinal)
	}
	for _, k := range s.Keys {
		x.keys.add(k, ordinal)
	}
}

// Remove forgets a document, of which it was told this summary; one that it
// does not have is none.
func (x *Index) Remove(ordinal uint32, s filter.Summary) {
	if !x.all.CheckedRemove(ordinal) {
		return
	}
	for _, flag := range x.flags(s) {
		if flag.set {
			flag.in.Remove(ordinal)
		}
	}
	for _, n := range countsOf(s) {
		removeFrom(x.counts, n, ordinal)
	}
	for _, t := range s.Terms {
		removeFrom(x.terms, t, ordinal)
	}
	for _, k := range s.Keys {
		x.keys.remove(k, ordinal)
	}
}

// flagSet is a bitmap, and whether a document belongs there.
type flagSet struct {
	set bool
	in  *roaring.Bitmap
}

func (x *Index) flags(s filter.Summary) [5]flagSet {
	return [...]flagSet{
		{s.Filled, x.filled},
		{s.Null, x.null},
		{s.Other, x.other},
		{s.Several, x.several},
		{len(s.Terms)+len(s.Keys) > 0, x.valued},
	}
}

// countsOf is the counts under which a document is found: one without a value
// has 0.
func countsOf(s filter.Summary) []uint32 {
	if s.Counts == nil {
		return []uint32{0}
	}
	return s.Counts
}

func addTo[K comparable](postings map[K]*posting, key K, ordinal uint32) {
	p := postings[key]
	if p == nil {
		p = &posting{}
		postings[key] = p
	}
	p.add(ordinal)
}

func removeFrom[K comparable](postings map[K]*posting, key K, ordinal uint32) {
	if p := postings[key]; p != nil && p.remove(ordinal) {
		delete(postings, key)
	}
}

// sampledTerms is how many terms stand for all when their memory is estimated.
const sampledTerms = 1024

// Bytes estimates the memory of the index. With many terms it looks at some.
func (x *Index) Bytes() (total int64) {
	for _, b := range [...]*roaring.Bitmap{x.all, x.filled, x.null, x.other, x.valued, x.several} {
		total += bitmapBytes + int64(b.GetSizeInBytes())
	}
	for _, p := range x.counts {
		total += p.bytes()
	}
	var terms, seen int64
	for term, p := range x.terms { // in no order, so that these are a sample
		if seen++; seen > sampledTerms {
			seen--
			break
		}
		terms += p.bytes() + int64(len(term))
	}
	if seen > 0 {
		total += terms * int64(len(x.terms)) / seen
	}
	return total + x.keys.bytes()
}

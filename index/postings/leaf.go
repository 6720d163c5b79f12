package postings

import (
	"cmp"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/vecino-db/vecino/index/filter"
)

// leaf answers one test at the index's path.
func (x *Index) leaf(l filter.Leaf) Set {
	switch l.Test {
	case filter.LeafEmpty:
		return x.negate(exactly(x.filled), l.Want)
	case filter.LeafNull:
		return x.negate(exactly(x.null), !l.Want)
	case filter.LeafCount:
		b := roaring.New()
		for n, p := range x.counts {
			if l.Counts.Contains(filter.Key(n)) {
				p.addTo(b)
			}
		}
		return exactly(b)
	case filter.LeafAny:
		return x.anyOf(l)
	case filter.LeafExcept:
		return x.except(l)
	case filter.LeafText:
		return x.text(l.Words)
	case filter.LeafNumber:
		return x.within(l.Range, filter.KindNumber, x.other)
	case filter.LeafTime:
		strings := x.other
		if x.kind == filter.KindKeyword || x.kind == filter.KindText {
			strings = x.filled
		}
		return x.within(l.Range, filter.KindTime, strings)
	}
	return Set{roaring.New(), x.all}
}

// negate is the documents that are not in s, or s.
func (x *Index) negate(s Set, not bool) Set {
	if !not {
		return s
	}
	return s.not(x.all)
}

// within is the documents with a key in a range of keys of a kind; where the
// index is of another kind, nobody knows which of some documents.
func (x *Index) within(r filter.Range, kind filter.Kind, otherwise *roaring.Bitmap) Set {
	if x.kind != kind {
		return Set{roaring.New(), otherwise}
	}
	return x.keyed(r)
}

func (x *Index) keyed(r filter.Range) Set {
	possible := x.keys.between(r.Possible)
	if r.Sure == r.Possible {
		return exactly(possible)
	}
	return Set{x.keys.between(r.Sure), possible}
}

// anyOf is the documents with one of some values.
func (x *Index) anyOf(l filter.Leaf) Set {
	var foreign int                              // values of which the index knows nothing
	sure, shared := roaring.New(), roaring.New() // by keys that other numbers have, too
	switch x.kind {
	case filter.KindKeyword:
		foreign = len(l.Bools) + len(l.Numbers)
		x.addTerms(sure, l.Strings)
	case filter.KindBool:
		foreign = len(l.Strings) + len(l.Numbers)
		x.addTerms(sure, l.Bools)
	case filter.KindNumber:
		foreign = len(l.Strings) + len(l.Bools)
		for _, r := range l.Numbers {
			if s := x.keyed(r); s.Exact() {
				sure.Or(s.Sure)
			} else {
				shared.Or(s.Possible)
			}
		}
	default: // the values were strings, and only what they were made into is known
		if len(l.Strings) > 0 {
			return Set{sure, x.filled}
		}
		foreign = len(l.Bools) + len(l.Numbers)
	}
	if foreign > 0 {
		shared.Or(x.other)
	}
	if shared.IsEmpty() {
		return exactly(sure)
	}
	shared.Or(sure)
	return Set{sure, shared}
}

func (x *Index) addTerms(b *roaring.Bitmap, terms []string) {
	for _, t := range terms {
		x.terms[t].addTo(b)
	}
}

// manyTerms is the number of terms from which except doesn't unite those that
// are not excluded.
const manyTerms = 4096

// except is the documents with a value, not null, that is none of some.
func (x *Index) except(l filter.Leaf) Set {
	var s Set
	var foreign int
	switch x.kind {
	case filter.KindKeyword:
		s, foreign = x.termsBut(l.Strings), len(l.Bools)+len(l.Numbers)
	case filter.KindBool:
		s, foreign = x.termsBut(l.Bools), len(l.Strings)+len(l.Numbers)
	case filter.KindNumber:
		s, foreign = x.keysBut(l.Numbers), len(l.Strings)+len(l.Bools)
	default:
		return Set{roaring.New(), x.filled}
	}
	if foreign > 0 {
		return Set{s.Sure, roaring.Or(s.Possible, x.other)}
	}
	return s.or(exactly(x.other))
}

// termsBut is the documents with a term that is none of some.
func (x *Index) termsBut(terms []string) Set {
	if len(x.terms) <= manyTerms {
		b := roaring.New()
		for t, p := range x.terms {
			if !slices.Contains(terms, t) {
				p.addTo(b)
			}
		}
		return exactly(b)
	}
	excluded := roaring.New()
	x.addTerms(excluded, terms)
	sure := roaring.AndNot(x.valued, excluded)
	// Documents with several terms may have others beside the excluded.
	return Set{sure, roaring.Or(sure, roaring.And(x.several, excluded))}
}

// keysBut is the documents with a number that is none of some.
func (x *Index) keysBut(numbers []filter.Range) Set {
	numbers = slices.SortedFunc(slices.Values(numbers), func(a, b filter.Range) int { return cmp.Compare(a.Possible.Low, b.Possible.Low) })
	sure := roaring.New()
	possible := roaring.New()
	from := filter.Interval{Low: -1 << 63, High: 1<<63 - 1}
	for _, r := range numbers {
		sure.Or(x.keys.between(filter.Interval{Low: from.Low, High: r.Possible.Low - 1}))
		if r.Sure != r.Possible { // other numbers have the key, too
			possible.Or(x.keys.between(r.Possible))
		}
		from.Low = r.Possible.High + 1
	}
	sure.Or(x.keys.between(from))
	if possible.IsEmpty() {
		return exactly(sure)
	}
	return Set{sure, roaring.Or(sure, possible)}
}

// text is the documents with a string that has all the words.
func (x *Index) text(words []string) Set {
	if len(words) == 0 {
		return exactly(roaring.New())
	}
	switch x.kind {
	case filter.KindText:
	case filter.KindKeyword, filter.KindTime:
		return Set{roaring.New(), x.filled}
	default:
		return Set{roaring.New(), x.other}
	}
	words = slices.SortedFunc(slices.Values(words), func(a, b string) int { return cmp.Compare(x.terms[a].count(), x.terms[b].count()) })
	b := x.terms[words[0]].bitmap().Clone()
	for _, w := range words[1:] {
		if b.IsEmpty() {
			break
		}
		b.And(x.terms[w].bitmap())
	}
	if len(words) == 1 || !b.Intersects(x.several) {
		return exactly(b)
	}
	return Set{roaring.AndNot(b, x.several), b} // the words may stand in different strings
}

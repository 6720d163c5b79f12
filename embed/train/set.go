package train

import (
	"fmt"
	"math"

	"github.com/vecino-db/vecino/embed/token"
	"github.com/vecino-db/vecino/embed/train/passages"
)

// Set is pairs of texts as token ids, each pair of one source, and each of a
// document of its own unless AddDocument says otherwise. Not safe for concurrent
// use while pairs are added.
type Set struct {
	tokenizer       *token.Tokenizer
	query, document int // most tokens of a side
	unknown         int64

	ids     []uint32 // of all sides, one after the other
	ends    []uint32 // of side 0 of pair 0, side 1 of pair 0, side 0 of pair 1...
	sources []string
	members [][]uint32 // of each source, its pairs
	number  map[string]int
	groups  []uint32 // of each pair: pairs of one document have one number
	group   uint32   // the last number
}

// NewSet is an empty set of pairs tokenized by t, whose sides are cut to so many
// tokens.
func NewSet(t *token.Tokenizer, query, document int) *Set {
	s := &Set{tokenizer: t, query: query, document: document, unknown: -1, number: map[string]int{}}
	if id, ok := t.Unknown(); ok {
		s.unknown = int64(id)
	}
	return s
}

// maxSetTokens bounds a set: offsets are 32 bits wide.
const maxSetTokens = math.MaxUint32 - 1<<20

// Add takes one pair of a source; false when a side has no token that the
// vocabulary knows, or when the set is full.
func (s *Set) Add(source, query, document string) bool {
	s.group++
	return s.add(source, query, document)
}

// AddDocument takes pairs that were cut out of one document, and gives how many
// it took. Their texts overlap: none is a rival of another where that can be
// helped in training, and none at all in Measure.
func (s *Set) AddDocument(source string, pairs []passages.Pair) (taken int) {
	s.group++
	for _, p := range pairs {
		if s.add(source, p.Query, p.Document) {
			taken++
		}
	}
	return taken
}

func (s *Set) add(source, query, document string) bool {
	from := len(s.ids)
	if from > maxSetTokens || !s.side(query, s.query) {
		s.ids = s.ids[:from]
		return false
	}
	middle := len(s.ids)
	if !s.side(document, s.document) {
		s.ids = s.ids[:from]
		return false
	}
	n, ok := s.number[source]
	if !ok {
		n = len(s.sources)
		s.number[source] = n
		s.sources = append(s.sources, source)
		s.members = append(s.members, nil)
	}
	s.members[n] = append(s.members[n], uint32(s.Len()))
	s.ends = append(s.ends, uint32(middle), uint32(len(s.ids)))
	s.groups = append(s.groups, s.group)
	return true
}

// side appends the known tokens of a text.
func (s *Set) side(text string, most int) bool {
	from := len(s.ids)
	s.ids, _ = s.tokenizer.Append(s.ids, text, token.Options{NoSpecial: true})
	to := from
	for _, id := range s.ids[from:] {
		if int64(id) != s.unknown && to-from < most {
			s.ids[to] = id
			to++
		}
	}
	s.ids = s.ids[:to]
	return to > from
}

// Len is the number of pairs.
func (s *Set) Len() int { return len(s.ends) / 2 }

// Tokens is the number of tokens of all pairs.
func (s *Set) Tokens() int { return len(s.ids) }

// Sources are the names of the sources, and how many pairs each has.
func (s *Set) Sources() (names []string, pairs []int) {
	for _, m := range s.members {
		pairs = append(pairs, len(m))
	}
	return append([]string{}, s.sources...), pairs
}

// String says what is in the set.
func (s *Set) String() string {
	return fmt.Sprintf("%d pairs of %d tokens from %d sources", s.Len(), len(s.ids), len(s.sources))
}

// tokens are those of side 2i (the query of pair i) or 2i+1 (its document).
func (s *Set) tokens(side uint32) []uint32 {
	from := uint32(0)
	if side > 0 {
		from = s.ends[side-1]
	}
	return s.ids[from:s.ends[side]]
}

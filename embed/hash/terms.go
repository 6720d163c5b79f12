package hash

import (
	"math/bits"
	"math/rand/v2"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/clipperhouse/uax29/v2/words"
	"golang.org/x/text/cases"
)

// term is one distinct term of a text.
type term struct {
	hash   uint64
	count  int
	stem   span // where its stem lies in scratch.stems; empty: no n-grams
	common bool
}

type span struct{ from, to int }

// scratch is what encoding one text needs; it is reused from text to text and
// belongs to one goroutine at a time.
type scratch struct {
	folder folder
	words  *words.Iterator[[]byte]
	terms  []term  // in the order of their first occurrence
	table  []int32 // open addressing: index in terms plus 1; a power of two long
	salt   uint64  // odd and random: places terms in table, so that no text can be made to crowd it
	stems  []byte
	sums   []int64
	cache  []cached
	spare  cached // for a word that the cache does not take
}

// minTable is the shortest table.
const minTable = 256

// maxPooledBytes bounds a scratch that is kept for the next text.
const maxPooledBytes = 4 << 20

func newScratch() *scratch {
	return &scratch{
		folder: folder{fold: cases.Fold()},
		words:  words.FromBytes(nil),
		table:  make([]int32, minTable),
		salt:   rand.Uint64() | 1,
		cache:  make([]cached, cacheSlots),
	}
}

// bytes is about the memory that s holds beside its cache.
func (s *scratch) bytes() int {
	return cap(s.folder.text) + cap(s.folder.work) + 48*cap(s.terms) + 4*cap(s.table) + cap(s.stems)
}

// reset empties the set of terms. A table that one large text has grown is
// made small again, so that a small text does not pay for its clearing.
func (s *scratch) reset() {
	if len(s.table) > 4096 && len(s.terms) < len(s.table)/16 {
		s.table = make([]int32, minTable)
	} else {
		clear(s.table)
	}
	s.terms, s.stems = s.terms[:0], s.stems[:0]
}

// count is the number of tokens of a text.
func (s *scratch) count(text string) int {
	n := 0
	s.words.SetText(s.folder.apply(text))
	for s.words.Next() {
		if isWord(s.words.Value()) {
			n++
		}
	}
	if n == 0 {
		n = symbols(text, func(rune, bool) {})
	}
	return n
}

// collect gathers the terms of a text (step 3) and returns its tokens; without
// any, there are no terms.
func (s *scratch) collect(text string) int {
	s.reset()
	folded := s.folder.apply(text)
	n := s.collectWords(folded, false)
	if n > 0 && len(s.terms) == 0 {
		s.collectWords(folded, true)
	}
	if n > 0 {
		return n
	}
	var last rune
	return symbols(text, func(r rune, joined bool) {
		key := utf8.AppendRune([]byte{kindSymbol}, r)
		s.add(hashOf(key), nil, false)
		if joined {
			s.add(hashOf(utf8.AppendRune(utf8.AppendRune([]byte{kindSymbol}, last), r)), nil, false)
		}
		last = r
	})
}

// collectWords gathers the terms of a folded text and returns how many words
// it has. Stop words give terms only with stops.
func (s *scratch) collectWords(folded []byte, stops bool) int {
	n := 0
	var last []byte // the unspaced word that ended at lastEnd
	lastEnd := -1
	s.words.SetText(folded)
	for s.words.Next() {
		word := s.words.Value()
		if !isWord(word) {
			continue
		}
		n++
		if word[0] >= utf8.RuneSelf && isUnspaced(word) {
			s.add(hashOf([]byte{kindUnspaced}, word), nil, true)
			if lastEnd == s.words.Start() {
				s.add(hashOf([]byte{kindPair}, last, word), nil, false)
			}
			last, lastEnd = word, s.words.End()
			continue
		}
		c := s.look(word)
		if !c.stop || stops {
			s.add(c.hash, c.stem, c.common)
		}
	}
	return n
}

// add counts one occurrence of a term.
func (s *scratch) add(hash uint64, stem []byte, common bool) {
	mask := uint64(len(s.table) - 1)
	at := s.place(hash)
	for ; s.table[at] != 0; at = (at + 1) & mask {
		if t := &s.terms[s.table[at]-1]; t.hash == hash {
			t.count++
			return
		}
	}
	from := len(s.stems)
	s.stems = append(s.stems, stem...)
	s.terms = append(s.terms, term{hash: hash, count: 1, stem: span{from, len(s.stems)}, common: common})
	s.table[at] = int32(len(s.terms))
	if 2*len(s.terms) > len(s.table) {
		s.grow()
	}
}

// place is where the search for a term begins in the table.
func (s *scratch) place(hash uint64) uint64 {
	return hash * s.salt >> (64 - bits.TrailingZeros(uint(len(s.table))))
}

// grow doubles the table.
func (s *scratch) grow() {
	s.table = make([]int32, 2*len(s.table))
	mask := uint64(len(s.table) - 1)
	for i := range s.terms {
		at := s.place(s.terms[i].hash)
		for s.table[at] != 0 {
			at = (at + 1) & mask
		}
		s.table[at] = int32(i + 1)
	}
}

// symbols calls f for every character of text that is no white space, saying
// whether it follows another one directly, and returns how many there are.
// An invalid run is one U+FFFD.
func symbols(text string, f func(r rune, joined bool)) int {
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "\uFFFD")
	}
	n, joined := 0, false
	for _, r := range text {
		if unicode.IsSpace(r) {
			joined = false
			continue
		}
		f(r, joined)
		n, joined = n+1, true
	}
	return n
}

// isWord reports whether a piece between word boundaries has a letter or a
// number.
func isWord(piece []byte) bool {
	for i := 0; i < len(piece); {
		c := piece[i]
		if c < utf8.RuneSelf {
			if 'a' <= c && c <= 'z' || '0' <= c && c <= '9' {
				return true
			}
			i++
			continue
		}
		r, size := utf8.DecodeRune(piece[i:])
		if unicode.IsLetter(r) || unicode.IsNumber(r) {
			return true
		}
		i += size
	}
	return false
}

// isUnspaced reports whether a word is of a script that puts no spaces between
// words.
func isUnspaced(word []byte) bool {
	r, _ := utf8.DecodeRune(word)
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar)
}

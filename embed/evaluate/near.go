package evaluate

import (
	"hash/maphash"
	"slices"
	"strings"
	"unicode"
)

// Texts are near-duplicates when they share nearSimilarity of the shingles of
// the one that has fewer (the overlap coefficient of sets of word 3-grams;
// Broder 1997, "On the resemblance and containment of documents", calls it
// containment), and that one has minShingles at least: shorter texts share
// phrases by chance. A text of fewer words is compared as a whole. One with less
// than leastShare of the shingles of the remembered text is a phrase of that, and
// no duplicate, however much of it is there.
const (
	shingleWords   = 3
	minShingles    = 4
	nearSimilarity = 0.8
	leastShare     = 0.25
)

// nearTexts finds which of some texts are near-duplicates of another one. The
// time of a look-up is that of the other text's shingles and of what they hit.
type nearTexts struct {
	seed     maphash.Seed
	sizes    []int              // shingles of each text
	shingles map[uint64][]int32 // the texts that have a shingle
	whole    map[string][]int32 // texts by their words
	// Counters of one look-up.
	counts  []int32
	touched []int32
}

func newNearTexts() *nearTexts {
	return &nearTexts{seed: maphash.MakeSeed(), shingles: map[uint64][]int32{}, whole: map[string][]int32{}}
}

// add remembers a text under the next number from 0.
func (n *nearTexts) add(text string) {
	number := int32(len(n.sizes))
	words := wordsOf(text)
	set := n.set(words)
	n.sizes = append(n.sizes, len(set))
	n.counts = append(n.counts, 0)
	if len(words) == 0 {
		return
	}
	whole := strings.Join(words, " ")
	n.whole[whole] = append(n.whole[whole], number)
	if len(set) < minShingles {
		return
	}
	for _, s := range set {
		n.shingles[s] = append(n.shingles[s], number)
	}
}

// near are the numbers of the texts that are near-duplicates of a text,
// ascending.
func (n *nearTexts) near(text string) []int {
	words := wordsOf(text)
	if len(words) == 0 {
		return nil
	}
	var found []int
	for _, number := range n.whole[strings.Join(words, " ")] {
		found = append(found, int(number))
	}
	set := n.set(words)
	if len(set) >= minShingles {
		n.touched = n.touched[:0]
		for _, s := range set {
			for _, number := range n.shingles[s] {
				if n.counts[number] == 0 {
					n.touched = append(n.touched, number)
				}
				n.counts[number]++
			}
		}
		for _, number := range n.touched {
			size := n.sizes[number]
			if float64(n.counts[number]) >= nearSimilarity*float64(min(size, len(set))) && float64(len(set)) >= leastShare*float64(size) {
				found = append(found, int(number))
			}
			n.counts[number] = 0
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// set is the hashes of a text's different shingles.
func (n *nearTexts) set(words []string) []uint64 {
	set := make([]uint64, 0, max(len(words)-shingleWords+1, 0))
	for i := 0; i+shingleWords <= len(words); i++ {
		set = append(set, maphash.String(n.seed, strings.Join(words[i:i+shingleWords], " ")))
	}
	slices.Sort(set)
	return slices.Compact(set)
}

// wordsOf is a text's words in lower case: its runs of letters and digits.
func wordsOf(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) && !unicode.IsMark(r) })
}

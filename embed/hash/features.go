package hash

import (
	"math"
	"math/bits"
	"unicode"
	"unicode/utf8"
)

// project writes the vector of the collected terms to row (steps 4 and 5).
func (s *scratch) project(row []float32) {
	if cap(s.sums) < len(row) {
		s.sums = make([]int64, len(row))
	}
	s.sums = s.sums[:len(row)]
	clear(s.sums)
	for i := range s.terms {
		t := &s.terms[i]
		w := weight(t.count, t.common)
		addFeature(s.sums, t.hash, w)
		if t.stem.from < t.stem.to {
			addGrams(s.sums, s.stems[t.stem.from:t.stem.to], w>>gramShift)
		}
	}
	if !normalize(row, s.sums) {
		addFeature(s.sums, s.terms[0].hash, weight(s.terms[0].count, s.terms[0].common))
		normalize(row, s.sums)
	}
}

// addFeature adds a weight under a hash.
func addFeature(sums []int64, hash uint64, w int64) {
	at, _ := bits.Mul64(hash, uint64(len(sums)))
	if hash&1 == 1 {
		w = -w
	}
	sums[at] += w
}

// addGrams adds the n-grams of a stem.
func addGrams(sums []int64, stem []byte, w int64) {
	n := gramLength
	if r, _ := utf8.DecodeRune(stem); r >= utf8.RuneSelf && unicode.In(r, unicode.Hangul, unicode.Katakana) {
		n = gramLengthSyllabic
	}
	// text is the stem between its marks; ends[i] is where its i-th character
	// begins, and its end comes last.
	var text [2 + gramCharacters*utf8.UTFMax]byte
	var ends [3 + gramCharacters]int
	text[0] = '<'
	size, chars := 1, 1
	for i := 0; i < len(stem) && chars <= gramCharacters; chars++ {
		_, width := utf8.DecodeRune(stem[i:])
		ends[chars] = size
		size += copy(text[size:], stem[i:i+width])
		i += width
	}
	ends[chars] = size
	text[size] = '>'
	chars, size = chars+1, size+1
	ends[chars] = size
	start := uint64(fnvOffset)
	start = (start ^ kindGram) * fnvPrime
	for i := 0; i+n <= chars; i++ {
		h := start
		for _, c := range text[ends[i]:ends[i+n]] {
			h = (h ^ uint64(c)) * fnvPrime
		}
		addFeature(sums, mix(h), w)
	}
}

// normalize writes sums, divided by their Euclidean length, to row. It reports
// whether there was a length to divide by. The explicit conversions keep the
// compiler from fusing a product with a sum, which would round differently on
// some machines.
func normalize(row []float32, sums []int64) bool {
	total := 0.0
	for _, v := range sums {
		total += float64(float64(v) * float64(v))
	}
	if total == 0 {
		return false
	}
	length := math.Sqrt(total)
	for i, v := range sums {
		row[i] = float32(float64(v) / length)
	}
	return true
}

// hashOf is H of the concatenated parts.
func hashOf(parts ...[]byte) uint64 {
	h := uint64(fnvOffset)
	for _, p := range parts {
		for _, c := range p {
			h = (h ^ uint64(c)) * fnvPrime
		}
	}
	return mix(h)
}

// mix is fmix64, the finisher of MurmurHash3: FNV-1a alone leaves the high
// bits of short strings alike, and the high bits choose the component.
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// weight is W of a term that occurs count times.
func weight(count int, common bool) int64 {
	k := bits.Len(uint(count)) - 1
	w := unitWeight + octaveWeight*int64(k) + octaveWeight*(int64(count)-1<<k)>>k
	if common {
		w >>= commonShift
	}
	return w
}

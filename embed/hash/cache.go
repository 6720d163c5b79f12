package hash

import "bytes"

// The cache of a scratch: what look found for a short word, by the word's hash.
// It makes a text's frequent words cheap and changes no outcome.
const (
	cacheSlots = 1 << cacheBits
	cacheBits  = 13
	cacheBytes = stemMaxBytes
)

// cached is what is known of one word.
type cached struct {
	hash    uint64 // of the term
	stem    []byte
	stop    bool
	common  bool
	wordLen int8 // 0: an empty slot
	word    [cacheBytes]byte
}

// look finds the term of a word. The outcome is valid until the next call.
func (s *scratch) look(word []byte) *cached {
	if len(word) > cacheBytes {
		s.spare = analyze(word)
		return &s.spare
	}
	slot := &s.cache[hashOf(word)>>(64-cacheBits)]
	if !bytes.Equal(slot.word[:slot.wordLen], word) {
		*slot = analyze(bytes.Clone(word))
		slot.wordLen = int8(copy(slot.word[:], word))
	}
	return slot
}

// analyze finds the term of a word; the stem may share memory with word.
func analyze(word []byte) cached {
	st := stem(word)
	_, stop := stopSet[string(word)]
	_, common := commonStems[string(st)]
	return cached{stem: st, hash: hashOf([]byte{kindWord}, st), stop: stop, common: common}
}

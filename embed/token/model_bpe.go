package token

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// bpe starts from a piece's characters and merges the neighbours of the best
// rank until no merge applies (Sennrich et al. 2016), leftmost first among
// equals. Merging is by a heap over a linked list: n log n. Tokens that are what
// merging makes of their own text are known from the start, so that a piece
// that is one of them needs no merging.
type bpe struct {
	vocab
	unk          optional
	prefix       string // before every character but the first
	suffix       string // after the last character
	fuseUnknown  bool
	ignoreMerges bool
	bytes        []uint32 // the tokens <0x00>..<0xFF>; nil: no byte fallback
	ascii        [utf8.RuneSelf]optional
	merges       *pairTable
	byRank       []uint32 // what each rank merges to
	sure         []bool   // by token: merging its text gives just it
	words        *wordCuts
}

// merged is what a pair becomes.
type merged struct{ rank, id uint32 }

func newBPE(f *fields) (model, error) {
	_, v, err := readVocab(f)
	if err != nil {
		return nil, err
	}
	m := &bpe{
		vocab: v, prefix: f.text("continuing_subword_prefix", ""), suffix: f.text("end_of_word_suffix", ""),
		fuseUnknown: f.flag("fuse_unk", false), ignoreMerges: f.flag("ignore_merges", false),
	}
	if f.has("unk_token") {
		m.unk = v.unknown(f.text("unk_token", ""))
	}
	if f.flag("byte_fallback", false) {
		m.bytes = byteTokens(&m.vocab)
	}
	var dropout float64
	f.read("dropout", &dropout)
	var raw []json.RawMessage
	f.need("merges", &raw)
	if f.err != nil {
		return nil, f.err
	}
	if dropout != 0 {
		return nil, bad(f.at+".dropout", "%g: dropout is for training, and makes ids random", dropout)
	}
	for c := range m.ascii {
		m.ascii[c] = v.unknown(string(rune(c)))
	}
	if err := m.readMerges(f.at+".merges", raw); err != nil {
		return nil, err
	}
	m.findSure()
	return m, nil
}

// wordMark is sentencepiece's space.
const wordMark = "▁"

// wordCuts says where pieces can be cut before a word mark because no merge
// joins what ends before it with what starts with it. Files without a
// pre-tokenizer make a piece of the whole text; merging is faster by the word.
type wordCuts struct {
	joins map[rune]bool // last characters of what merges with a mark after it
}

// newWordCuts is nil where nothing can be cut: then a piece's place in its word
// matters, or the mark is no token.
func (m *bpe) newWordCuts(raw [][2]string) *wordCuts {
	if _, ok := m.id(wordMark); !ok || m.prefix != "" || m.suffix != "" || m.ignoreMerges {
		return nil
	}
	w := &wordCuts{joins: make(map[rune]bool)}
	for _, pair := range raw {
		if strings.HasPrefix(pair[1], wordMark) {
			if m.bytes != nil && strings.HasPrefix(pair[0], "<0x") {
				return nil // what a byte's token stands for isn't its text
			}
			last, _ := utf8.DecodeLastRuneInString(pair[0])
			w.joins[last] = true
		}
	}
	return w
}

// end is where the word that starts b ends.
func (w *wordCuts) end(b []byte) int {
	for i := 1; i < len(b); {
		n := bytes.Index(b[i:], []byte(wordMark))
		if n < 0 {
			break
		}
		i += n
		if last, _ := utf8.DecodeLastRune(b[:i]); !w.joins[last] {
			return i
		}
		i += len(wordMark)
	}
	return len(b)
}

// longestSure bounds the tokens that findSure looks at, so that loading is
// linear: no word is longer.
const longestSure = 64

// findSure merges the text of every token.
func (m *bpe) findSure() {
	m.sure = make([]bool, m.size())
	if m.prefix != "" || m.suffix != "" {
		return // a token's text isn't what it stands for
	}
	s := new(scratch)
	for token, id := range m.ids {
		if len(token) == 0 || len(token) > longestSure {
			continue
		}
		s.symbols = m.spell(s.symbols[:0], []byte(token))
		m.merge(s)
		m.sure[id] = len(s.symbols) > 0 && s.symbols[0].id == id && int(s.symbols[0].to) == len(token)
	}
}

// readMerges reads "left right" or ["left", "right"] for each rank.
func (m *bpe) readMerges(at string, raw []json.RawMessage) error {
	m.merges = newPairTable(len(raw))
	pairs := make([][2]string, 0, len(raw))
	rank := uint32(0)
	for i, item := range raw {
		left, right, err := mergePair(item)
		if err != nil {
			return bad(fmt.Sprintf("%s[%d]", at, i), "%v", err)
		}
		if left == "#version:" {
			continue // the first line of a merges.txt
		}
		if !strings.HasPrefix(right, m.prefix) {
			return bad(fmt.Sprintf("%s[%d]", at, i), "%q doesn't start with %q", cut(right), cut(m.prefix))
		}
		joined := left + right[len(m.prefix):]
		var ids [3]uint32
		for k, token := range []string{left, right, joined} {
			id, ok := m.id(token)
			if !ok {
				return bad(fmt.Sprintf("%s[%d]", at, i), "the vocabulary lacks %q", cut(token))
			}
			ids[k] = id
		}
		// Of equal pairs the last counts, as in the reference.
		m.merges.put(ids[0], ids[1], merged{rank, ids[2]})
		m.byRank = append(m.byRank, ids[2])
		pairs = append(pairs, [2]string{left, right})
		rank++
	}
	m.words = m.newWordCuts(pairs)
	return nil
}

func mergePair(raw json.RawMessage) (left, right string, err error) {
	var pair []string
	if json.Unmarshal(raw, &pair) == nil && len(pair) == 2 {
		return pair[0], pair[1], nil
	}
	var line string
	if json.Unmarshal(raw, &line) == nil {
		if left, right, ok := strings.Cut(line, " "); ok && (left == "#version:" || !strings.Contains(right, " ")) {
			return left, right, nil
		}
	}
	return "", "", fmt.Errorf("it is no pair of two tokens")
}

func (m *bpe) kind() string       { return "BPE" }
func (m *bpe) vocabulary() *vocab { return &m.vocab }
func (m *bpe) unknown() optional  { return m.unk }

func (m *bpe) tokenize(s *scratch, p piece) {
	for m.words != nil && p.from < p.to {
		end := p.from + m.words.end(s.b[p.from:p.to])
		m.word(s, piece{p.from, end})
		p.from = end
	}
	if p.from < p.to {
		m.word(s, p)
	}
}

// word tokenizes a piece, or the part of it up to a cut.
func (m *bpe) word(s *scratch, p piece) {
	word := s.b[p.from:p.to]
	if len(word) <= longestSure || m.ignoreMerges {
		if id, ok := m.ids[string(word)]; ok && (m.sure[id] || m.ignoreMerges) {
			s.emit(id, p.from, p.to)
			return
		}
	}
	s.symbols = m.spell(s.symbols[:0], word)
	m.merge(s)
	for _, y := range s.symbols {
		if y.to > y.from {
			s.emit(y.id, p.from+int(y.from), p.from+int(y.to))
		}
	}
}

// symbol is a token of a piece under merging; from == to: it was merged away.
type symbol struct {
	id         uint32
	from, to   int32
	prev, next int32 // -1: none
}

// spell appends the symbols of a piece's characters.
func (m *bpe) spell(to []symbol, word []byte) []symbol {
	add := func(id uint32, from, end int) {
		n := int32(len(to))
		if n > 0 {
			to[n-1].next = n
		}
		to = append(to, symbol{id, int32(from), int32(end), n - 1, -1})
	}
	unkFrom, unkTo := -1, -1
	flush := func() {
		if unkFrom >= 0 {
			add(m.unk.id, unkFrom, unkTo)
			unkFrom = -1
		}
	}
	for i := 0; i < len(word); {
		size := 1
		if word[i] >= utf8.RuneSelf {
			_, size = utf8.DecodeRune(word[i:])
		}
		from, end := i, i+size
		i = end
		if found := m.character(word, from, end); found.valid {
			flush()
			add(found.id, from, end)
			continue
		}
		if m.bytes != nil && allBytes(m.bytes, word[from:end]) {
			for k := from; k < end; k++ {
				add(m.bytes[word[k]], k, k+1)
			}
			continue
		}
		if !m.unk.valid {
			continue
		}
		if !m.fuseUnknown {
			flush()
		}
		if unkFrom < 0 {
			unkFrom = from
		}
		unkTo = end
	}
	flush()
	return to
}

// character is the token of one character in its place in the word.
func (m *bpe) character(word []byte, from, end int) optional {
	first, last := from == 0, end == len(word)
	if (first || m.prefix == "") && (!last || m.suffix == "") {
		if c := word[from]; c < utf8.RuneSelf {
			return m.ascii[c]
		}
		id, ok := m.ids[string(word[from:end])]
		return optional{id, ok}
	}
	spelled := string(word[from:end])
	if !first {
		spelled = m.prefix + spelled
	}
	if last {
		spelled += m.suffix
	}
	return m.vocab.unknown(spelled)
}

// merge applies merges to s.symbols until none is left.
func (m *bpe) merge(s *scratch) {
	y := s.symbols
	h := s.heap[:0]
	push := func(pos int32) {
		if pos < 0 || y[pos].next < 0 {
			return
		}
		if to, ok := m.merges.get(y[pos].id, y[y[pos].next].id); ok {
			h = h.push(uint64(to.rank)<<32 | uint64(pos))
		}
	}
	for i := range y {
		push(int32(i))
	}
	for len(h) > 0 {
		var top uint64
		top, h = h.pop()
		pos, id := int32(top), m.byRank[top>>32]
		left := &y[pos]
		if left.to == left.from || left.next < 0 {
			continue
		}
		right := &y[left.next]
		if now, ok := m.merges.get(left.id, right.id); !ok || now.id != id {
			continue // the pair has changed since it was pushed
		}
		left.id, left.to, left.next = id, right.to, right.next
		right.from = right.to
		if left.next >= 0 {
			y[left.next].prev = pos
		}
		push(left.prev)
		push(pos)
	}
	s.heap = h
}

// candidates are merges that may apply, as rank<<32 | position of the left
// symbol: a binary heap, least rank first, then leftmost.
type candidates []uint64

func (h candidates) push(c uint64) candidates {
	h = append(h, c)
	i := len(h) - 1
	for i > 0 && c < h[(i-1)/2] {
		h[i] = h[(i-1)/2]
		i = (i - 1) / 2
	}
	h[i] = c
	return h
}

func (h candidates) pop() (uint64, candidates) {
	top, last := h[0], h[len(h)-1]
	h = h[:len(h)-1]
	if len(h) == 0 {
		return top, h
	}
	i := 0
	for {
		child := 2*i + 1
		if child >= len(h) {
			break
		}
		if child+1 < len(h) && h[child+1] < h[child] {
			child++
		}
		if h[child] >= last {
			break
		}
		h[i] = h[child]
		i = child
	}
	h[i] = last
	return top, h
}

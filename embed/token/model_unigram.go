package token

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

// unigram covers a piece by the tokens of the greatest sum of scores (Kudo
// 2018), found by dynamic programming over its characters. A character that no
// token covers alone is unknown at a penalty; neighbouring unknown characters
// become one token, or their bytes' tokens with byte fallback.
type unigram struct {
	vocab
	trie   *trie
	scores []float64
	unk    optional
	// unkScore is the least score less unkPenalty.
	unkScore float64
	bytes    []uint32 // the tokens <0x00>..<0xFF>; nil: no byte fallback
}

const unkPenalty = 10

// node is the best way to reach the end of a character. It is for lattices of
// at most 2^31 bytes in one piece.
type latticeNode struct {
	score float64
	start int32 // where its last token starts; -1: not reached yet
	id    int32 // that token; -1: unknown
}

func newUnigram(f *fields) (model, error) {
	var raw json.RawMessage
	f.need("vocab", &raw)
	var unkID *uint32
	f.read("unk_id", &unkID)
	fallback := f.flag("byte_fallback", false)
	if f.err != nil {
		return nil, f.err
	}
	m := &unigram{unkScore: math.Inf(1)}
	var list []entry
	var err error
	if list, m.scores, err = scored(f.at+".vocab", raw); err != nil {
		return nil, err
	}
	m.tokens, m.ids = make([]string, len(list)), make(map[string]uint32, len(list))
	for i, e := range list {
		// Of equal tokens the last counts, as in the reference.
		m.tokens[i], m.ids[e.token] = e.token, uint32(i)
		m.unkScore = min(m.unkScore, m.scores[i])
	}
	m.unkScore -= unkPenalty
	if unkID != nil {
		if int(*unkID) >= len(list) {
			return nil, bad(f.at+".unk_id", "%d is beyond the %d tokens", *unkID, len(list))
		}
		m.unk = optional{*unkID, true}
	}
	if fallback {
		m.bytes = byteTokens(&m.vocab)
	}
	m.trie = newTrie(list)
	return m, nil
}

// scored reads [["token", score], ...], which must be valid JSON already. It is
// by hand for the speed of loading.
func scored(at string, raw json.RawMessage) (list []entry, scores []float64, err error) {
	c := cursor{b: bytes.TrimSpace(raw)}
	fail := func(what string) ([]entry, []float64, error) {
		return nil, nil, bad(fmt.Sprintf("%s[%d]", at, len(list)), "it is no pair of token and score: %s", what)
	}
	if !c.skip('[') {
		return nil, nil, bad(at, "it is no list of tokens and scores")
	}
	for !c.skip(']') {
		if !c.skip('[') {
			return fail("no list")
		}
		if c.peek() != '"' {
			return fail("no token")
		}
		token, err := c.quoted()
		if err != nil {
			return fail(err.Error())
		}
		if !c.skip(',') {
			return fail("no score")
		}
		score, err := strconv.ParseFloat(string(c.bare()), 64)
		if err != nil || !c.skip(']') {
			return fail("no number, or more than that")
		}
		list, scores = append(list, entry{token, uint32(len(list))}), append(scores, score)
		c.skip(',')
	}
	return list, scores, nil
}

// byteTokens are the ids of <0x00>..<0xFF>; absent ones are noByte.
func byteTokens(v *vocab) []uint32 {
	ids := make([]uint32, 256)
	for b := range ids {
		id, ok := v.id(fmt.Sprintf("<0x%02X>", b))
		if !ok {
			id = noByte
		}
		ids[b] = id
	}
	return ids
}

const noByte = math.MaxUint32

func (m *unigram) kind() string       { return "Unigram" }
func (m *unigram) vocabulary() *vocab { return &m.vocab }
func (m *unigram) unknown() optional  { return m.unk }

func (m *unigram) tokenize(s *scratch, p piece) {
	word := s.b[p.from:p.to]
	nodes := s.lattice(len(word) + 1)
	units := m.trie.units
	nodes[0] = latticeNode{}
	for i := 0; i < len(word); {
		size := 1
		if word[i] >= utf8.RuneSelf {
			_, size = utf8.DecodeRune(word[i:])
		}
		here, alone := nodes[i].score, false
		for node, j := root, i; j < len(word); {
			next := units[node].base ^ int32(word[j])
			if units[next].parent != node || next == root {
				break
			}
			node = next
			j++
			id := units[node].value
			if id < 0 {
				continue
			}
			if to := &nodes[j]; to.start < 0 || here+m.scores[id] > to.score {
				*to = latticeNode{here + m.scores[id], int32(i), id}
			}
			alone = alone || j == i+size
		}
		if !alone {
			if to := &nodes[i+size]; to.start < 0 || here+m.unkScore > to.score {
				*to = latticeNode{here + m.unkScore, int32(i), -1}
			}
		}
		i += size
	}
	m.emitPath(s, p, nodes)
}

// emitPath walks the best path back, joins unknown neighbours, and emits it
// from the front.
func (m *unigram) emitPath(s *scratch, p piece, nodes []latticeNode) {
	path := s.path[:0]
	for end := int32(len(nodes) - 1); end > 0; end = nodes[end].start {
		start, id := nodes[end].start, nodes[end].id
		if m.unk.valid && id == int32(m.unk.id) {
			id = -1 // the text "<unk>" itself counts as unknown
		}
		if n := len(path); id < 0 && n > 0 && path[n-1].id < 0 {
			path[n-1].start = start
			continue
		}
		path = append(path, pathNode{start, end, id})
	}
	s.path = path
	for i := len(path) - 1; i >= 0; i-- {
		from, to := p.from+int(path[i].start), p.from+int(path[i].end)
		if id := path[i].id; id >= 0 {
			s.emit(uint32(id), from, to)
		} else {
			m.emitUnknown(s, from, to)
		}
	}
}

// pathNode is one token of the best path; id -1: unknown.
type pathNode struct{ start, end, id int32 }

func (m *unigram) emitUnknown(s *scratch, from, to int) {
	word := s.b[from:to]
	if id, ok := m.ids[string(word)]; ok {
		s.emit(id, from, to) // unknown characters may spell a token
		return
	}
	if m.bytes != nil && allBytes(m.bytes, word) {
		for _, b := range word {
			s.emit(m.bytes[b], from, to)
		}
		return
	}
	if m.unk.valid {
		s.emitAs(m.unk.id, from, to)
	}
}

// allBytes reports whether every byte of word has a token.
func allBytes(ids []uint32, word []byte) bool {
	for _, b := range word {
		if ids[b] == noByte {
			return false
		}
	}
	return true
}

package token

import "unicode/utf8"

// wordPiece covers each piece by the longest tokens from the left; those after
// the first are spelled with a prefix ("##"). A piece that can't be covered is
// one unknown token, and so is one that is too long.
type wordPiece struct {
	vocab
	trie      *trie
	unk       optional
	following int32 // the node of the prefix
	most      int   // characters of a piece
}

func newWordPiece(f *fields) (model, error) {
	unk := f.text("unk_token", "[UNK]")
	prefix := f.text("continuing_subword_prefix", "##")
	most := 100
	f.read("max_input_chars_per_word", &most)
	list, v, err := readVocab(f)
	if err != nil {
		return nil, err
	}
	if f.err != nil {
		return nil, f.err
	}
	if most < 0 {
		return nil, bad(f.at+".max_input_chars_per_word", "%d is negative", most)
	}
	return wordPieceOf(list, v, unk, prefix, most), nil
}

func wordPieceOf(list []entry, v vocab, unk, prefix string, most int) *wordPiece {
	t := newTrie(list)
	return &wordPiece{vocab: v, trie: t, unk: v.unknown(unk), following: t.find(root, prefix), most: most}
}

func (m *wordPiece) kind() string       { return "WordPiece" }
func (m *wordPiece) vocabulary() *vocab { return &m.vocab }
func (m *wordPiece) unknown() optional  { return m.unk }

func (m *wordPiece) tokenize(s *scratch, p piece) {
	word := s.b[p.from:p.to]
	if len(word) > m.most && utf8.RuneCount(word) > m.most {
		m.emitUnknown(s, p)
		return
	}
	units, before := m.trie.units, s.count()
	start := root
	for i := 0; i < len(word); {
		best, end := none, i
		if start != none {
			for node, j := start, i; j < len(word); {
				next := units[node].base ^ int32(word[j])
				if units[next].parent != node || next == root {
					break
				}
				node = next
				j++
				if v := units[node].value; v >= 0 {
					best, end = v, j
				}
			}
		}
		if best == none {
			s.truncate(before)
			m.emitUnknown(s, p)
			return
		}
		s.emit(uint32(best), p.from+i, p.from+end)
		i, start = end, m.following
	}
}

func (m *wordPiece) emitUnknown(s *scratch, p piece) {
	if m.unk.valid {
		s.emit(m.unk.id, p.from, p.to)
	}
}

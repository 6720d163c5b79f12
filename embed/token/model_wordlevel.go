package token

// wordLevel knows whole pieces only.
type wordLevel struct {
	vocab
	unk optional
}

func newWordLevel(f *fields) (model, error) {
	unk := f.text("unk_token", "<unk>")
	_, v, err := readVocab(f)
	if err != nil {
		return nil, err
	}
	return &wordLevel{vocab: v, unk: v.unknown(unk)}, f.fail()
}

func (m *wordLevel) kind() string       { return "WordLevel" }
func (m *wordLevel) vocabulary() *vocab { return &m.vocab }
func (m *wordLevel) unknown() optional  { return m.unk }

func (m *wordLevel) tokenize(s *scratch, p piece) {
	if id, ok := m.ids[string(s.b[p.from:p.to])]; ok {
		s.emit(id, p.from, p.to)
	} else if m.unk.valid {
		s.emit(m.unk.id, p.from, p.to)
	}
}

package token

// scratch is the memory of one run. It is reused; nothing of it is returned.
type scratch struct {
	pieces
	model   model
	ids     []uint32
	detail  bool // keep offsets and texts of tokens
	offsets []Offset
	texts   []string

	nodes   []latticeNode
	path    []pathNode
	symbols []symbol
	heap    candidates
}

// start forgets the last run.
func (s *scratch) start(m model, detail bool) {
	s.model, s.detail = m, detail
	s.ids, s.offsets, s.texts = s.ids[:0], s.offsets[:0], s.texts[:0]
}

// maxPooled bounds the memory that is kept for the next text, in bytes.
const maxPooled = 16 << 20

// size is about the memory that s holds, in bytes.
func (s *scratch) size() int {
	return cap(s.b) + cap(s.spare[0]) + cap(s.spare[1]) + 16*(cap(s.list)+cap(s.last)+cap(s.nodes)+cap(s.spareSrc[0])+cap(s.spareSrc[1])) +
		4*cap(s.ids) + 12*cap(s.path) + 20*cap(s.symbols) + 8*cap(s.heap) + 16*(cap(s.offsets)+cap(s.texts)) + 24*(cap(s.marks)+cap(s.joined))
}

// release lets go of the caller's text and of the tokens' texts.
func (s *scratch) release() {
	s.reset("", 0, false)
	clear(s.texts)
}

func (s *scratch) count() int { return len(s.ids) }

// truncate drops all tokens but the first n.
func (s *scratch) truncate(n int) {
	s.ids = s.ids[:n]
	if s.detail {
		s.offsets, s.texts = s.offsets[:n], s.texts[:n]
	}
}

// emit adds a token for b[from:to].
func (s *scratch) emit(id uint32, from, to int) {
	s.ids = append(s.ids, id)
	if s.detail {
		text, _ := s.model.vocabulary().token(id)
		s.describe(text, from, to)
	}
}

// emitAs is emit for a token that is called by the text it stands for.
func (s *scratch) emitAs(id uint32, from, to int) {
	s.ids = append(s.ids, id)
	if s.detail {
		s.describe(string(s.b[from:to]), from, to)
	}
}

func (s *scratch) describe(text string, from, to int) {
	at := s.at(from, to)
	s.texts = append(s.texts, text)
	s.offsets = append(s.offsets, Offset{at.from, at.to})
}

// lattice is n nodes that nothing has reached.
func (s *scratch) lattice(n int) []latticeNode {
	if cap(s.nodes) < n {
		s.nodes = make([]latticeNode, n+n/4)
	}
	nodes := s.nodes[:n]
	for i := range nodes {
		nodes[i].start = -1
	}
	return nodes
}

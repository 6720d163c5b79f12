package token

import (
	"runtime"
	"sync"
	"sync/atomic"
	"unicode"
	"unicode/utf8"

	"github.com/vecino-db/vecino/compat"
)

// Tokenizer turns texts into ids. See the package comment.
type Tokenizer struct {
	kind       string
	normalizer normalizer // nil: none
	pre        preTokenizer
	model      model
	post       postProcessor
	added      []addedToken
	verbatim   *addedSet // found before normalization; nil: none
	normalized *addedSet // found after it; nil: none
	addedIDs   map[string]uint32
	addedTexts map[uint32]string
	truncation *Truncation
	padding    *Padding
	digest     compat.Digest
	pool       sync.Pool
}

// Truncation is what the tokenizer's file says about it. It is a statement of
// the model; only Options.MaxTokens truncates.
type Truncation struct {
	MaxTokens int
	Left      bool // tokens are dropped from the left
}

// Padding is what the tokenizer's file says about it. Nothing here pads.
type Padding struct {
	ID    uint32
	Token string
	Left  bool
}

// Offset is a byte range of the text.
type Offset struct{ From, To int }

// Options say how a text is encoded. The zero Options add special tokens and
// keep all.
type Options struct {
	NoSpecial bool // leave out what the post-processor adds
	// MaxTokens is the most tokens to keep, special tokens included; 0: all.
	// Special tokens are kept even when they are more.
	MaxTokens int
	// Detail also gives Tokens and Offsets, at some cost.
	Detail bool
}

// Encoding is an encoded text.
type Encoding struct {
	IDs       []uint32
	Truncated bool
	// Tokens are the tokens' texts, as the reference library gives them: those
	// of the vocabulary, and the text itself for what Unigram doesn't know.
	Tokens []string
	// Offsets say where each token comes from; special tokens that were added
	// come from 0..0.
	Offsets []Offset
}

// Encode encodes one text.
func (t *Tokenizer) Encode(text string, o Options) Encoding {
	s := t.take()
	defer t.give(s)
	before, after := t.specials(o)
	from, to, truncated := t.encode(s, text, o)
	e := Encoding{
		IDs:       appendIDs(make([]uint32, 0, len(before)+to-from+len(after)), before, s.ids[from:to], after),
		Truncated: truncated,
	}
	if o.Detail {
		t.trim(s, text)
		e.detail(s, before, after, from, to)
	}
	return e
}

// Append appends the ids of one text to ids, and says whether it was
// truncated. It allocates only what ids lacks; o.Detail has no effect.
func (t *Tokenizer) Append(ids []uint32, text string, o Options) (all []uint32, truncated bool) {
	o.Detail = false
	s := t.take()
	defer t.give(s)
	from, to, truncated := t.encode(s, text, o)
	before, after := t.specials(o)
	return appendIDs(ids, before, s.ids[from:to], after), truncated
}

// specials are the special tokens that the options leave.
func (t *Tokenizer) specials(o Options) (before, after []special) {
	if o.NoSpecial {
		return nil, nil
	}
	return t.post.before, t.post.after
}

// encode tokenizes into s, of which the tokens from..to-1 are to be kept.
func (t *Tokenizer) encode(s *scratch, text string, o Options) (from, to int, truncated bool) {
	s.start(t.model, o.Detail)
	if o.MaxTokens <= 0 {
		t.run(s, text, -1)
		return 0, s.count(), false
	}
	before, after := t.specials(o)
	room := max(0, o.MaxTokens-len(before)-len(after))
	if t.truncation != nil && t.truncation.Left {
		t.run(s, text, -1)
		n := s.count()
		return max(0, n-room), n, n > room
	}
	t.run(s, text, room)
	n := s.count()
	return 0, min(n, room), n > room
}

func appendIDs(to []uint32, before []special, ids []uint32, after []special) []uint32 {
	for _, x := range before {
		to = append(to, x.id)
	}
	to = append(to, ids...)
	for _, x := range after {
		to = append(to, x.id)
	}
	return to
}

// detail fills in tokens and offsets.
func (e *Encoding) detail(s *scratch, before, after []special, from, to int) {
	e.Tokens, e.Offsets = make([]string, 0, cap(e.IDs)), make([]Offset, 0, cap(e.IDs))
	add := func(list []special) {
		for _, x := range list {
			e.Tokens, e.Offsets = append(e.Tokens, x.text), append(e.Offsets, Offset{})
		}
	}
	add(before)
	e.Tokens = append(e.Tokens, s.texts[from:to]...)
	e.Offsets = append(e.Offsets, s.offsets[from:to]...)
	add(after)
}

// trim takes white space out of the offsets in text, where the post-processor
// says so.
func (t *Tokenizer) trim(s *scratch, text string) {
	if !t.post.trim {
		return
	}
	for i := range s.offsets {
		o := &s.offsets[i]
		leading, trailing := spacesAround(s.texts[i])
		if t.post.prefixSpace && leading == 1 && (i == 0 || o.From == 0) {
			leading = 0 // the one that was added; more weren't
		}
		for ; leading > 0 && o.From < o.To; leading-- {
			r, n := utf8.DecodeRuneInString(text[o.From:o.To])
			if !unicode.IsSpace(r) {
				break
			}
			o.From += n
		}
		for ; trailing > 0 && o.From < o.To; trailing-- {
			r, n := utf8.DecodeLastRuneInString(text[o.From:o.To])
			if !unicode.IsSpace(r) {
				break
			}
			o.To -= n
		}
	}
}

// Count is the number of tokens that Encode gives without truncation.
func (t *Tokenizer) Count(text string, o Options) int {
	s := t.take()
	defer t.give(s)
	s.start(t.model, false)
	t.run(s, text, -1)
	n := s.count()
	if !o.NoSpecial {
		n += len(t.post.before) + len(t.post.after)
	}
	return n
}

// EncodeBatch encodes many texts on all cores; result i is that of texts[i].
func (t *Tokenizer) EncodeBatch(texts []string, o Options) []Encoding {
	out := make([]Encoding, len(texts))
	parallel(len(texts), func(i int) { out[i] = t.Encode(texts[i], o) })
	return out
}

// parallel calls f for 0..n-1 on all cores and waits.
func parallel(n int, f func(i int)) {
	workers := min(runtime.GOMAXPROCS(0), n)
	if workers <= 1 {
		for i := range n {
			f(i)
		}
		return
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	wg.Wait()
}

func (t *Tokenizer) take() *scratch {
	if s, ok := t.pool.Get().(*scratch); ok {
		return s
	}
	return new(scratch)
}

// give hands scratch memory back, unless one huge text has grown it.
func (t *Tokenizer) give(s *scratch) {
	if s.size() <= maxPooled {
		s.release()
		t.pool.Put(s)
	}
}

// run tokenizes a text into s. It may stop once there are more than limit
// tokens; -1 is no limit.
func (t *Tokenizer) run(s *scratch, text string, limit int) {
	more := func() bool { return limit < 0 || s.count() <= limit }
	if t.verbatim == nil {
		t.section(s, text, 0, limit)
		return
	}
	s.reset(text, 0, false)
	t.verbatim.each(s.b,
		func(from, to int) bool {
			t.section(s, text[from:to], from, limit)
			return more()
		},
		func(a *addedToken, from, to int) bool {
			s.ids = append(s.ids, a.id)
			if s.detail {
				s.texts, s.offsets = append(s.texts, text[from:to]), append(s.offsets, Offset{from, to})
			}
			return more()
		})
}

// section tokenizes what lies between two added tokens.
func (t *Tokenizer) section(s *scratch, text string, base, limit int) {
	s.reset(text, base, s.detail)
	if !utf8.ValidString(text) {
		s.mend()
	}
	if t.normalizer != nil {
		t.normalizer.normalize(&s.text)
	}
	if t.normalized == nil || !t.normalized.in(s.b) {
		t.cut(s, base == 0, limit)
		return
	}
	t.sections(s, limit)
}

// sections cuts the added tokens out that are matched in normalized text.
func (t *Tokenizer) sections(s *scratch, limit int) {
	more := func() bool { return limit < 0 || s.count() <= limit }
	whole := string(s.b)
	src := append([]span(nil), s.src...)
	base := s.base
	part := func(from, to int) {
		s.reset(whole[from:to], base, false)
		if s.detail {
			s.tracked, s.src = true, append(s.takeSrc(), src[from:to]...)
		}
	}
	t.normalized.each([]byte(whole),
		func(from, to int) bool {
			part(from, to)
			t.cut(s, base == 0 && from == 0, limit)
			return more()
		},
		func(a *addedToken, from, to int) bool {
			part(from, to)
			s.ids = append(s.ids, a.id)
			if s.detail {
				s.describe(whole[from:to], 0, to-from)
			}
			return more()
		})
}

// cut pre-tokenizes s.b and lets the model tokenize the pieces. starts: s.b is
// where the whole text starts.
func (t *Tokenizer) cut(s *scratch, starts bool, limit int) {
	s.whole(starts)
	if t.pre != nil {
		t.pre.preTokenize(&s.pieces)
	}
	for _, p := range s.list {
		t.model.tokenize(s, p)
		if limit >= 0 && s.count() > limit {
			return
		}
	}
}

// Kind is the kind of the model: "WordPiece", "WordLevel", "Unigram" or "BPE".
func (t *Tokenizer) Kind() string { return t.kind }

// Digest is the SHA-256 of the file that defines the tokenizer.
func (t *Tokenizer) Digest() compat.Digest { return t.digest }

// Size is one more than the largest id of a token.
func (t *Tokenizer) Size() int {
	n := t.model.vocabulary().size()
	for id := range t.addedTexts {
		n = max(n, int(id)+1)
	}
	return n
}

// ID is the id of a token of the vocabulary or an added token.
func (t *Tokenizer) ID(token string) (uint32, bool) {
	if id, ok := t.addedIDs[token]; ok {
		return id, true
	}
	return t.model.vocabulary().id(token)
}

// Token is the text of a token.
func (t *Tokenizer) Token(id uint32) (string, bool) {
	if text, ok := t.addedTexts[id]; ok {
		return text, true
	}
	return t.model.vocabulary().token(id)
}

// Unknown is the token for what the vocabulary lacks, if there is one.
func (t *Tokenizer) Unknown() (uint32, bool) {
	unk := t.model.unknown()
	return unk.id, unk.valid
}

// Special reports how many special tokens Encode adds.
func (t *Tokenizer) Special() int { return len(t.post.before) + len(t.post.after) }

// Truncation is what the file says; nil: nothing.
func (t *Tokenizer) Truncation() *Truncation { return t.truncation }

// Padding is what the file says; nil: nothing.
func (t *Tokenizer) Padding() *Padding { return t.padding }

// Package embedtest is the conformance suite of embed.Encoder: what every
// encoder promises to the rest of the program, whatever its model.
//
// An encoder's own tests hold it to its model (goldens, quality); this suite
// holds it to the interface: order, batches, roles, counts, cancellation,
// concurrency, and texts that mean harm. Run it under the race detector too.
//
// Shared finds the data outside the repository that goldens and quality are
// measured against.
package embedtest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
)

// Options say what the suite may expect of an encoder beyond the interface.
type Options struct {
	// Texts are at least two texts of different vectors that the encoder
	// embeds. Default: Texts().
	Texts []string
	// Unembeddable are texts that must be refused with embed.ErrNoTokens.
	Unembeddable []string
	// MinCosine is the least cosine of two encodings of the same text in
	// different batches; 1 or 0 wants equal bits. Kernels that sum in an order
	// that depends on the batch need 0.99999 or so.
	MinCosine float64
	// Seed of the shuffles; 0: 1.
	Seed uint64
}

// Texts are the default texts: several languages and lengths.
func Texts() []string {
	return []string{
		"The quick brown fox jumps over the lazy dog.",
		"a",
		"How do I reset the password of my account?",
		"Ein Vektor ist ein Element eines Vektorraums.",
		"les élèves étudient l'été",
		"Большой театр в Москве",
		"東京は日本の首都です",
		"हिन्दी भाषा",
		"مرحبا بالعالم",
		"x = f(y) + 3.14 * z",
		strings.Repeat("neighbours of a vector, ", 200),
	}
}

// Hostile are texts that must never panic an encoder, hang it, or make it
// return anything but vectors or a *embed.TextError.
func Hostile() map[string]string {
	return map[string]string{
		"empty":                "",
		"spaces":               " \t\r\n\u00a0\u2003\u3000",
		"NUL":                  "\x00",
		"NULs between words":   "one\x00two\x00\x00three",
		"invalid UTF-8":        "caf\xe9 \xff\xfe\xc0\x80 \xed\xa0\x80 end\xf0\x9f",
		"only invalid":         "\xff\xff\xff",
		"replacement":          "\ufffd\ufffd",
		"combining marks":      strings.Repeat("\u0301", 5000),
		"marks upon a letter":  "e" + strings.Repeat("\u0301\u0323", 20000) + " end",
		"joiners":              "a\u200d\u200db \u200b\ufeff \U000e0041\U0001f468\u200d\U0001f469\u200d\U0001f467",
		"controls":             "\x01\x02\x1b[31m\x7f\u0085\u202e",
		"one long word":        strings.Repeat("ab", 1<<19),
		"one long number":      strings.Repeat("7", 1<<18),
		"a megabyte of words":  strings.Repeat("lorem ipsum dolor sit amet ", 1<<20/27),
		"a megabyte of points": strings.Repeat(".", 1<<20),
		"dotted letters":       strings.Repeat("a.", 1<<18),
		"ideographs":           strings.Repeat("漢字かな", 1<<15),
		"expanding":            strings.Repeat("\ufdfa\u0390ß", 1<<14),
		"special tokens":       "[CLS] [SEP] [PAD] [UNK] [MASK] <s> </s> <unk> ##a ▁b",
	}
}

// Run runs the suite on encoders that open makes; they are closed by it.
func Run(t *testing.T, open func() embed.Encoder, o Options) {
	t.Helper()
	if o.Texts == nil {
		o.Texts = Texts()
	}
	if o.MinCosine == 0 {
		o.MinCosine = 1
	}
	if o.Seed == 0 {
		o.Seed = 1
	}
	for _, part := range []struct {
		name string
		run  func(suite, *testing.T)
	}{
		{"Space", suite.space},
		{"Info", suite.info},
		{"EmptyBatch", suite.emptyBatch},
		{"Rows", suite.rows},
		{"OneByOne", suite.oneByOne},
		{"Roles", suite.roles},
		{"Tokens", suite.tokens},
		{"Refused", suite.refused},
		{"Hostile", suite.hostile},
		{"Cancelled", suite.cancelled},
		{"Determinism", suite.determinism},
		{"Concurrency", suite.concurrency},
	} {
		t.Run(part.name, func(t *testing.T) {
			e := open()
			defer func() {
				if err := e.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			}()
			part.run(suite{Encoder: e, Options: o, open: open}, t)
		})
	}
}

type suite struct {
	embed.Encoder
	Options
	open func() embed.Encoder
}

var bothRoles = []embed.Role{embed.RoleDocument, embed.RoleQuery}

// must encodes texts that have to be encoded, and checks the shape.
func (s suite) must(t *testing.T, role embed.Role, texts []string) embed.Encoded {
	t.Helper()
	out, err := s.Encode(context.Background(), role, texts)
	if err != nil {
		t.Fatalf("Encode as %v of %d texts: %v", role, len(texts), err)
	}
	if err := s.shape(out, len(texts)); err != nil {
		t.Fatalf("Encode as %v: %v", role, err)
	}
	return out
}

// shape checks what holds for every outcome of Encode.
func (s suite) shape(out embed.Encoded, n int) error {
	space := s.Space()
	switch v := out.Vectors; {
	case v.Len() != n || len(out.Tokens) != n || len(out.Truncated) != n:
		return fmt.Errorf("%d rows, %d Tokens, %d Truncated for %d texts", v.Len(), len(out.Tokens), len(out.Truncated), n)
	case !v.Fingerprint().Matches(space.Fingerprint()):
		return fmt.Errorf("vectors of space %v, the encoder's is %v", v.Fingerprint(), space.Fingerprint())
	case v.Dim() != space.Dimension:
		return fmt.Errorf("rows of %d floats, the space has %d", v.Dim(), space.Dimension)
	}
	for i := range n {
		norm := 0.0
		for _, x := range out.Vectors.Row(i) {
			norm += float64(x) * float64(x)
		}
		if space.Normalization == compat.NormalizeL2 && math.Abs(math.Sqrt(norm)-1) > 1e-5 {
			return fmt.Errorf("row %d has length %g in a normalized space", i, math.Sqrt(norm))
		}
		if out.Tokens[i] <= 0 {
			return fmt.Errorf("row %d was encoded from %d tokens", i, out.Tokens[i])
		}
	}
	return nil
}

// same compares two rows of the same text.
func (s suite) same(t *testing.T, what string, a, b []float32) {
	t.Helper()
	if cos := cosine(a, b); !(cos >= s.MinCosine) || s.MinCosine == 1 && !equal(a, b) {
		t.Errorf("%s: the vectors differ (cosine %.9f, want at least %v)", what, cos, s.MinCosine)
	}
}

func equal(a, b []float32) bool {
	for i := range a {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) {
			return false
		}
	}
	return len(a) == len(b)
}

// cosine is 1 for two zero vectors.
func cosine(a, b []float32) float64 {
	var ab, aa, bb float64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		ab, aa, bb = ab+x*y, aa+x*x, bb+y*y
	}
	if aa == 0 && bb == 0 || equal(a, b) {
		return 1
	}
	return ab / math.Sqrt(aa*bb)
}

func (s suite) space(t *testing.T) {
	space := s.Space()
	if err := space.Validate(); err != nil {
		t.Errorf("Space: %v", err)
	}
	if space.Raw() {
		t.Error("the space says that clients bring its vectors")
	}
	s.must(t, embed.RoleDocument, s.Texts)
	if s.Space() != space {
		t.Error("Space changed after Encode")
	}
	other := s.open()
	defer other.Close()
	if other.Space() != space {
		t.Error("Space differs between two encoders opened alike")
	}
}

func (s suite) info(t *testing.T) {
	info := s.Info()
	if info.Model == "" || info.Kind == "" || info.Description == "" {
		t.Errorf("Info lacks a model, kind or description: %+v", info)
	}
	for i, d := range info.Matryoshka {
		if d < 1 || d > s.Space().FullDimension || i > 0 && d <= info.Matryoshka[i-1] {
			t.Errorf("Info.Matryoshka %v: want ascending dimensions up to %d", info.Matryoshka, s.Space().FullDimension)
		}
	}
}

func (s suite) emptyBatch(t *testing.T) {
	for _, texts := range [][]string{nil, {}} {
		s.must(t, embed.RoleDocument, texts)
		if n := len(s.CountTokens(embed.RoleDocument, texts)); n != 0 {
			t.Errorf("CountTokens of no texts has %d counts", n)
		}
	}
}

// rows checks that different texts get different vectors, each its own.
func (s suite) rows(t *testing.T) {
	v := s.must(t, embed.RoleDocument, s.Texts).Vectors
	distinct := false
	for i := 1; i < v.Len(); i++ {
		distinct = distinct || !equal(v.Row(0), v.Row(i))
	}
	if !distinct {
		t.Error("all texts have the same vector")
	}
	order := rand.New(rand.NewPCG(s.Seed, 0)).Perm(len(s.Texts))
	shuffled := make([]string, len(order))
	for i, from := range order {
		shuffled[i] = s.Texts[from]
	}
	w := s.must(t, embed.RoleDocument, shuffled).Vectors
	for i, from := range order {
		s.same(t, fmt.Sprintf("text %d after a shuffle of seed %d", from, s.Seed), v.Row(from), w.Row(i))
	}
}

// oneByOne compares a batch with batches of one, and of the text twice.
func (s suite) oneByOne(t *testing.T) {
	for _, role := range bothRoles {
		all := s.must(t, role, s.Texts)
		for i, text := range s.Texts {
			one := s.must(t, role, []string{text})
			s.same(t, fmt.Sprintf("text %d as %v alone and in a batch", i, role), one.Vectors.Row(0), all.Vectors.Row(i))
			if one.Tokens[0] != all.Tokens[i] || one.Truncated[0] != all.Truncated[i] {
				t.Errorf("text %d as %v: alone %d tokens, truncated %v; in a batch %d, %v",
					i, role, one.Tokens[0], one.Truncated[0], all.Tokens[i], all.Truncated[i])
			}
			two := s.must(t, role, []string{text, text})
			s.same(t, fmt.Sprintf("text %d twice in a batch", i), two.Vectors.Row(0), two.Vectors.Row(1))
		}
	}
}

// roles checks that the roles differ only by the prompts of the space.
func (s suite) roles(t *testing.T) {
	space := s.Space()
	document, query := s.must(t, embed.RoleDocument, s.Texts), s.must(t, embed.RoleQuery, s.Texts)
	if space.DocumentPrompt != space.QueryPrompt {
		for i := range s.Texts {
			if !equal(document.Vectors.Row(i), query.Vectors.Row(i)) {
				return
			}
		}
		t.Error("the prompts of the roles differ, but no vector does")
		return
	}
	for i := range s.Texts {
		s.same(t, fmt.Sprintf("text %d in the two roles of a space of one prompt", i), document.Vectors.Row(i), query.Vectors.Row(i))
	}
}

// tokens compares what Encode says it encoded with what CountTokens says.
func (s suite) tokens(t *testing.T) {
	limit := s.Space().MaxTokens
	texts := append([]string{strings.Repeat(s.Texts[0]+" ", 2000)}, s.Texts...)
	for _, role := range bothRoles {
		out, counts := s.must(t, role, texts), s.CountTokens(role, texts)
		if len(counts) != len(texts) {
			t.Fatalf("CountTokens as %v: %d counts for %d texts", role, len(counts), len(texts))
		}
		for i, n := range counts {
			over := limit > 0 && n > limit
			switch {
			case out.Truncated[i] != over:
				t.Errorf("text %d as %v: %d tokens of at most %d (0: no limit), but Truncated is %v", i, role, n, limit, out.Truncated[i])
			case over && out.Tokens[i] > limit:
				t.Errorf("text %d as %v: %d tokens were encoded, MaxTokens is %d", i, role, out.Tokens[i], limit)
			case !over && out.Tokens[i] != n:
				t.Errorf("text %d as %v: %d tokens were encoded, CountTokens says %d", i, role, out.Tokens[i], n)
			}
		}
	}
}

func (s suite) refused(t *testing.T) {
	for _, text := range s.Unembeddable {
		_, err := s.Encode(context.Background(), embed.RoleQuery, []string{s.Texts[0], text, s.Texts[1]})
		var refused *embed.TextError
		if !errors.As(err, &refused) || refused.Index != 1 || !errors.Is(err, embed.ErrNoTokens) {
			t.Errorf("Encode of %.40q as text 1: error %v, want a *TextError of index 1 with ErrNoTokens", text, err)
		}
	}
}

func (s suite) hostile(t *testing.T) {
	for name, text := range Hostile() {
		for _, role := range bothRoles {
			out, err := s.Encode(context.Background(), role, []string{text})
			var refused *embed.TextError
			switch {
			case err == nil:
				if err := s.shape(out, 1); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			case !errors.As(err, &refused):
				t.Errorf("%s: %v is no *TextError", name, err)
			case refused.Index != 0 || refused.Err == nil:
				t.Errorf("%s: the error names text %d of one (%v)", name, refused.Index, refused.Err)
			}
			n := s.CountTokens(role, []string{text})
			if len(n) != 1 || n[0] < 0 || err == nil && !out.Truncated[0] && n[0] != out.Tokens[0] {
				t.Errorf("%s: CountTokens %v, Encode %v tokens", name, n, out.Tokens)
			}
		}
	}
}

func (s suite) cancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Encode(ctx, embed.RoleDocument, s.Texts); !errors.Is(err, context.Canceled) {
		t.Errorf("Encode under a cancelled context: %v, want context.Canceled", err)
	}
	s.must(t, embed.RoleDocument, s.Texts) // and it goes on working
}

func (s suite) determinism(t *testing.T) {
	other := s.open()
	defer other.Close()
	a := s.must(t, embed.RoleDocument, s.Texts).Vectors
	b := s.must(t, embed.RoleDocument, s.Texts).Vectors
	c := suite{Encoder: other, Options: s.Options}.must(t, embed.RoleDocument, s.Texts).Vectors
	for i := range s.Texts {
		if !equal(a.Row(i), b.Row(i)) || !equal(a.Row(i), c.Row(i)) {
			t.Errorf("text %d: the same batch gave other bits the second time", i)
		}
	}
}

func (s suite) concurrency(t *testing.T) {
	want := s.must(t, embed.RoleDocument, s.Texts).Vectors
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			random := rand.New(rand.NewPCG(s.Seed, uint64(worker)))
			for range 10 {
				i := random.IntN(len(s.Texts))
				out, err := s.Encode(context.Background(), embed.RoleDocument, s.Texts[i:i+1])
				if err != nil {
					t.Errorf("text %d beside other encodings (seed %d): %v", i, s.Seed, err)
					return
				}
				s.same(t, fmt.Sprintf("text %d beside other encodings (seed %d)", i, s.Seed), want.Row(i), out.Vectors.Row(0))
				s.CountTokens(embed.RoleDocument, s.Texts[i:i+1])
			}
		})
	}
	group.Wait()
}

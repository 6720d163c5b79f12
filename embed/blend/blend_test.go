package blend

import (
	"context"
	"errors"
	"math"
	"testing"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake gives every text the vector that its first byte stands for, and refuses
// the bytes in refused.
type fake struct {
	space   compat.Space
	refused string
	counted bool // whether refused texts count tokens all the same
	stamper *compat.Stamper
	closed  int
}

func newFake(t *testing.T, encoder string, dim int, refused string) *fake {
	t.Helper()
	f := &fake{refused: refused, space: compat.Space{
		Encoder: encoder, Weights: compat.Digest{1}, Pooling: compat.PoolingNone, Normalization: compat.NormalizeL2,
		Precision: compat.PrecisionF32, Dimension: dim, FullDimension: dim,
	}}
	var err error
	if f.stamper, err = embed.NewStamper(f.space); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fake) refuses(text string) bool {
	for i := range len(f.refused) {
		if text == "" || text[0] == f.refused[i] {
			return true
		}
	}
	return false
}

func (f *fake) row(text string) []float32 {
	row := make([]float32, f.space.Dimension)
	row[int(text[0])%len(row)] = 1
	return row
}

func (f *fake) Space() compat.Space { return f.space }
func (f *fake) Info() embed.Info    { return embed.Info{} }
func (f *fake) Close() error        { f.closed++; return nil }

func (f *fake) Encode(ctx context.Context, _ embed.Role, texts []string) (embed.Encoded, error) {
	out := embed.Encoded{Tokens: f.CountTokens(0, texts), Truncated: make([]bool, len(texts))}
	var rows []float32
	for i, text := range texts {
		if f.refuses(text) {
			return embed.Encoded{}, &embed.TextError{Index: i, Err: embed.ErrNoTokens}
		}
		rows = append(rows, f.row(text)...)
		out.Truncated[i] = len(text) > 5
	}
	if err := ctx.Err(); err != nil {
		return embed.Encoded{}, err
	}
	var err error
	out.Vectors, err = f.stamper.Stamp(rows)
	return out, err
}

func (f *fake) CountTokens(_ embed.Role, texts []string) []int {
	n := make([]int, len(texts))
	for i, text := range texts {
		if f.counted || !f.refuses(text) {
			n[i] = len(text) * f.space.Dimension
		}
	}
	return n
}

// TestHalves wants each half scaled by the root of its share, and the lexical
// one whole where the semantic one is missing, for batches beyond a part.
func TestHalves(t *testing.T) {
	for _, counted := range []bool{false, true} { // texts without tokens, and texts whose vectors cancel out
		lexical, semantic := newFake(t, "hash/1", 4, ""), newFake(t, "static/1", 6, "xz")
		semantic.counted = counted
		e, err := New(lexical, semantic, Options{Lexical: 0.25})
		if err != nil {
			t.Fatal(err)
		}
		var texts []string
		for i := range 5 * lexicalPart {
			texts = append(texts, string(rune('a'+i%26))+"text"[:i%5])
		}
		got, err := e.Encode(context.Background(), embed.RoleDocument, texts)
		if err != nil {
			t.Fatal(err)
		}
		for i, text := range texts {
			want := make([]float32, 10)
			for k, x := range lexical.row(text) {
				want[k] = x * 0.5
				if semantic.refuses(text) {
					want[k] = x
				}
			}
			if !semantic.refuses(text) {
				for k, x := range semantic.row(text) {
					want[4+k] = float32(math.Sqrt(0.75) * float64(x))
				}
			}
			for k, x := range got.Vectors.Row(i) {
				if x != want[k] {
					t.Fatalf("%q: %v, want %v", text, got.Vectors.Row(i), want)
				}
			}
		}
		if n := e.CountTokens(0, []string{"ab", "x"}); n[0] != 12 || !counted && n[1] != 4 {
			t.Errorf("tokens %v", n)
		}
		if err := e.Close(); err != nil || lexical.closed != 1 || semantic.closed != 1 {
			t.Errorf("closed %d and %d times: %v", lexical.closed, semantic.closed, err)
		}
	}
}

func TestRefused(t *testing.T) {
	e, err := New(newFake(t, "hash/1", 4, "?"), newFake(t, "static/1", 6, "x"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	texts := make([]string, 3*lexicalPart)
	for i := range texts {
		texts[i] = "x"
	}
	texts[2*lexicalPart+3] = "?"
	_, err = e.Encode(context.Background(), embed.RoleQuery, texts)
	var text *embed.TextError
	if !errors.As(err, &text) || text.Index != 2*lexicalPart+3 || !errors.Is(err, embed.ErrNoTokens) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := e.Encode(ctx, embed.RoleQuery, []string{"a"}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if _, err := New(nil, nil, Options{Lexical: 1}); err == nil {
		t.Error("a share of one is taken")
	}
	raw := newFake(t, "static/1", 6, "")
	raw.space.Normalization = compat.NormalizeNone
	if _, err := New(newFake(t, "hash/1", 4, ""), raw, Options{}); err == nil {
		t.Error("vectors of any length are taken")
	}
}

// TestFingerprint wants another space for another half or another share.
func TestFingerprint(t *testing.T) {
	seen := map[string]string{}
	for name, make := range map[string]func() (*Encoder, error){
		"default": func() (*Encoder, error) {
			return New(newFake(t, "hash/1", 4, ""), newFake(t, "static/1", 6, ""), Options{})
		},
		"share": func() (*Encoder, error) {
			return New(newFake(t, "hash/1", 4, ""), newFake(t, "static/1", 6, ""), Options{Lexical: 0.5})
		},
		"dimensions": func() (*Encoder, error) {
			return New(newFake(t, "hash/1", 6, ""), newFake(t, "static/1", 4, ""), Options{})
		},
		"weights": func() (*Encoder, error) {
			s := newFake(t, "static/1", 6, "")
			s.space.Weights[5] = 7
			return New(newFake(t, "hash/1", 4, ""), s, Options{})
		},
	} {
		e, err := make()
		if err != nil {
			t.Fatal(err)
		}
		f := e.Space().Fingerprint().String()
		if other, ok := seen[f]; ok {
			t.Errorf("%s and %s are one space", name, other)
		}
		seen[f] = name
	}
}

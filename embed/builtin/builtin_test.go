package builtin

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/embedtest"
	"github.com/vecino-db/vecino/embed/evaluate"
	"github.com/vecino-db/vecino/embed/hash"
	"github.com/vecino-db/vecino/embed/token"
)

var update = flag.Bool("update", false, "write the golden files anew: only for a table of another name")

// golden is what a name must give for ever.
type golden struct {
	Fingerprint string `json:"fingerprint"`
	Weights     string `json:"weights"`
	Tokenizer   string `json:"tokenizer"`
	Cases       []struct {
		Text   string    `json:"text"`
		Tokens int       `json:"tokens"`
		Vector []float32 `json:"vector"`
	} `json:"cases"`
}

// texts of the golden files.
var texts = []string{
	"hello world",
	"The boundary layer separates from the wall when the pressure gradient is adverse.",
	"GetFileAttributesExW returns naïve UTF-16 paths; see win32Api.",
	"a",
	"zyzzyva 12345 x86_64",
	"Die Grenzschicht löst sich ab.",
}

func openAll(t *testing.T) map[string]embed.Encoder {
	t.Helper()
	all := map[string]embed.Encoder{}
	for _, dim := range []int{64, 128, 256} {
		e, err := OpenStatic(Options{Dimension: dim})
		if err != nil {
			t.Fatal(err)
		}
		all[fmt.Sprintf("static-%d", dim)] = e
	}
	e, err := OpenBlend()
	if err != nil {
		t.Fatal(err)
	}
	all["blend"] = e
	return all
}

// TestGolden pins names to their vectors and fingerprints.
func TestGolden(t *testing.T) {
	for name, e := range openAll(t) {
		path := filepath.Join("testdata", name+".json")
		got := golden{Fingerprint: e.Space().Fingerprint().String(), Weights: e.Space().Weights.String(), Tokenizer: e.Space().Tokenizer.String()}
		v, err := e.Encode(context.Background(), embed.RoleDocument, texts)
		if err != nil {
			t.Fatal(err)
		}
		got.Cases = make([]struct {
			Text   string    `json:"text"`
			Tokens int       `json:"tokens"`
			Vector []float32 `json:"vector"`
		}, len(texts))
		for i := range texts {
			got.Cases[i].Text, got.Cases[i].Tokens, got.Cases[i].Vector = texts[i], v.Tokens[i], v.Vectors.Row(i)
		}
		if *update {
			content, err := json.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, append(content, '\n'), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var want golden
		if err := json.Unmarshal(content, &want); err != nil {
			t.Fatal(err)
		}
		if got.Fingerprint != want.Fingerprint || got.Weights != want.Weights || got.Tokenizer != want.Tokenizer {
			t.Errorf("%s: another space: a name's vectors never change, so another table wants another name", name)
		}
		for i, c := range want.Cases {
			if got.Cases[i].Tokens != c.Tokens {
				t.Errorf("%s: %q: %d tokens, want %d", name, c.Text, got.Cases[i].Tokens, c.Tokens)
			}
			for k, x := range c.Vector {
				if math.Abs(float64(x-got.Cases[i].Vector[k])) > 1e-5 {
					t.Fatalf("%s: %q: component %d is %g, want %g", name, c.Text, k, got.Cases[i].Vector[k], x)
				}
			}
		}
	}
}

// TestConformance runs the suite of all encoders.
func TestConformance(t *testing.T) {
	latin := []string{"The quick brown fox jumps over the lazy dog.", "a", "How do I reset the password of my account?", "x = f(y) + 3.14 * z", strings.Repeat("neighbours of a vector, ", 200)}
	t.Run("static", func(t *testing.T) {
		embedtest.Run(t, func() embed.Encoder {
			e, err := OpenStatic(Options{})
			if err != nil {
				t.Fatal(err)
			}
			return e
		}, embedtest.Options{Texts: latin, Unembeddable: []string{"", " ", "Большой театр", "東京は日本の首都です", "☃"}})
	})
	t.Run("blend", func(t *testing.T) {
		embedtest.Run(t, func() embed.Encoder {
			e, err := OpenBlend()
			if err != nil {
				t.Fatal(err)
			}
			return e
		}, embedtest.Options{Unembeddable: []string{"", " \n"}})
	})
}

// TestNested wants the short vectors to be the long ones cut and normalized,
// and their spaces to be told apart.
func TestNested(t *testing.T) {
	all := openAll(t)
	ctx := context.Background()
	whole, err := all["static-256"].Encode(ctx, embed.RoleQuery, texts)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for name, e := range all {
		f := e.Space().Fingerprint().String()
		if other, ok := seen[f]; ok {
			t.Errorf("%s and %s have one fingerprint", name, other)
		}
		seen[f] = name
	}
	for _, dim := range []int{64, 128} {
		cut, err := all[fmt.Sprintf("static-%d", dim)].Encode(ctx, embed.RoleQuery, texts)
		if err != nil {
			t.Fatal(err)
		}
		for i := range texts {
			if c := evaluate.Cosine(whole.Vectors.Row(i)[:dim], cut.Vectors.Row(i)); c < 1-1e-6 {
				t.Errorf("%q at %d dimensions: cosine %g with the cut vector", texts[i], dim, c)
			}
		}
	}
	if _, err := OpenStatic(Options{Dimension: 100}); err == nil {
		t.Error("a dimension that was not trained is taken")
	}
	if e := all["static-64"]; e.Info().Model != Static || !slices.Equal(e.Info().Matryoshka, []int{64, 128}) || e.Space().Normalization != compat.NormalizeL2 {
		t.Errorf("info %+v, space %+v", e.Info(), e.Space())
	}
}

// TestBlend wants the blend's cosines to be the shares of its halves', and texts
// without a known word served by the lexical half.
func TestBlend(t *testing.T) {
	ctx := context.Background()
	all := openAll(t)
	lexical, err := hash.New(hash.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := all["blend"].Encode(ctx, embed.RoleDocument, texts)
	if err != nil {
		t.Fatal(err)
	}
	s, err := all["static-256"].Encode(ctx, embed.RoleDocument, texts)
	if err != nil {
		t.Fatal(err)
	}
	h, err := lexical.Encode(ctx, embed.RoleDocument, texts)
	if err != nil {
		t.Fatal(err)
	}
	for i := range texts {
		for j := range texts {
			want := 0.4*evaluate.Cosine(h.Vectors.Row(i), h.Vectors.Row(j)) + 0.6*evaluate.Cosine(s.Vectors.Row(i), s.Vectors.Row(j))
			if got := evaluate.Cosine(b.Vectors.Row(i), b.Vectors.Row(j)); math.Abs(got-want) > 1e-5 {
				t.Errorf("%q and %q: cosine %g, want %g", texts[i], texts[j], got, want)
			}
		}
	}
	other := []string{"Привет, мир", "hello", "境界層が剥離する", "☃"}
	mixed, err := all["blend"].Encode(ctx, embed.RoleQuery, other)
	if err != nil {
		t.Fatal(err)
	}
	words, err := lexical.Encode(ctx, embed.RoleQuery, other)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, 2, 3} {
		row := mixed.Vectors.Row(i)
		for k, x := range words.Vectors.Row(i) {
			if row[k] != x {
				t.Fatalf("%q: component %d is %g, the lexical one is %g", other[i], k, row[k], x)
			}
		}
		if slices.ContainsFunc(row[512:], func(x float32) bool { return x != 0 }) {
			t.Errorf("%q: it has no known word, and a semantic half", other[i])
		}
	}
	_, err = all["static-256"].Encode(ctx, embed.RoleQuery, other)
	var text *embed.TextError
	if !errors.As(err, &text) || text.Index != 0 || !errors.Is(text.Err, embed.ErrNoTokens) {
		t.Errorf("a text without a known word: %v", err)
	}
	_, err = all["blend"].Encode(ctx, embed.RoleQuery, []string{"fine", " \n"})
	if !errors.As(err, &text) || text.Index != 1 || !errors.Is(text.Err, embed.ErrNoTokens) {
		t.Errorf("an empty text: %v", err)
	}
}

// TestTokenizer holds the ids to those that Hugging Face's tokenizers give for
// the same file.
func TestTokenizer(t *testing.T) {
	content, err := os.ReadFile(filepath.Join("testdata", "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Text string   `json:"text"`
		IDs  []uint32 `json:"ids"`
	}
	if err := json.Unmarshal(content, &cases); err != nil || len(cases) == 0 {
		t.Fatal(err)
	}
	file, err := Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	tokenizer, err := token.Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		if got, _ := tokenizer.Append([]uint32{}, c.Text, token.Options{NoSpecial: true}); !slices.Equal(got, c.IDs) {
			t.Errorf("%q: %v, want %v", c.Text, got, c.IDs)
		}
	}
}

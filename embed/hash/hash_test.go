package hash_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/embedtest"
	"github.com/vecino-db/vecino/embed/evaluate"
	"github.com/vecino-db/vecino/embed/hash"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	for _, dimension := range []int{hash.MinDimension, hash.DefaultDimension} {
		embedtest.Run(t, func() embed.Encoder { return newEncoder(t, dimension) }, embedtest.Options{
			Unembeddable: []string{"", " ", "\t\r\n\u00a0\u2003\u3000"},
		})
	}
}

func TestOptions(t *testing.T) {
	for dimension, want := range map[int]int{0: 512, 64: 64, 100: 100, 4096: 4096} {
		if got := newEncoder(t, dimension).Space().Dimension; got != want {
			t.Errorf("dimension %d gives %d, want %d", dimension, got, want)
		}
	}
	for _, dimension := range []int{-1, 1, 63, 4097, math.MaxInt} {
		if _, err := hash.New(hash.Options{Dimension: dimension}); err == nil || !strings.Contains(err.Error(), "64..4096") {
			t.Errorf("dimension %d: error %v, want one that names the range", dimension, err)
		}
	}
	if hash.Space(256).Fingerprint().Matches(hash.Space(512).Fingerprint()) {
		t.Error("two dimensions have one fingerprint")
	}
	if d := newEncoder(t, 0).Info().Description; !strings.Contains(d, "lexical") || !strings.Contains(d, "synonyms") {
		t.Errorf("the description %q does not say what the encoder can't do", d)
	}
}

// TestNearness asserts what people will see of the encoder.
func TestNearness(t *testing.T) {
	e := newEncoder(t, 0)
	near := func(a, b string) float64 {
		v := encode(t, e, embed.RoleDocument, []string{a, b})
		return evaluate.Cosine(v.Row(0), v.Row(1))
	}
	for _, c := range []struct {
		a, b     string
		min, max float64
	}{
		{"Vector INDEX", "vector index", 1, 1},
		{"the vector of an index", "Vector, index!", 1, 1},
		{"vectors indexed", "vector index", 1, 1},
		{"café", "CAFE\u0301", 1, 1},
		{"naïve Bayes", "naive bayes", 1, 1},
		{"don't", "don’t", 1, 1},
		{"electroencephalogram", "electroencephalograph", 0.15, 0.9},
		{"car engine", "automobile motor", -0.2, 0.2}, // blind to synonyms
		{"東京タワー", "東京の塔", 0.2, 0.9},
		{"한국어", "한국을", 0.02, 0.9},
		{"to be or not to be", "to be or not to be, that is the question", 0, 0.3},
	} {
		if got := near(c.a, c.b); got < c.min-1e-6 || got > c.max+1e-6 {
			t.Errorf("%q and %q: cosine %.3f, want %v..%v", c.a, c.b, got, c.min, c.max)
		}
	}
}

func TestLists(t *testing.T) {
	seen := map[string]bool{}
	for _, w := range slices.Concat(hash.StopWords(), hash.CommonWords()) {
		if seen[w] {
			t.Errorf("%q is listed twice", w)
		}
		if seen[w] = true; strings.Trim(w, "abcdefghijklmnopqrstuvwxyz'") != "" {
			t.Errorf("%q is not folded", w)
		}
	}
}

// TestEncodeAll wants the same bits from batches of any size.
func TestEncodeAll(t *testing.T) {
	ctx, e := context.Background(), newEncoder(t, 0)
	texts := slices.Repeat(embedtest.Texts(), 3)
	want := encode(t, e, embed.RoleDocument, texts)
	for _, budget := range []embed.Budget{{}, {Tokens: 1}, {Tokens: 40}, {Texts: 5}} {
		got, err := embed.EncodeAll(ctx, e, embed.RoleDocument, texts, budget, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := range texts {
			if !slices.Equal(got.Vectors.Row(i), want.Row(i)) {
				t.Errorf("budget %+v: text %d has another vector", budget, i)
			}
		}
	}
	texts[20] = " "
	_, err := embed.EncodeAll(ctx, e, embed.RoleDocument, texts, embed.Budget{Texts: 4}, nil)
	var refused *embed.TextError
	if !errors.As(err, &refused) || refused.Index != 20 {
		t.Errorf("a blank text 20: error %v", err)
	}
}

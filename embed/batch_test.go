package embed_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
)

func TestBatches(t *testing.T) {
	for _, c := range []struct {
		counts []int
		budget embed.Budget
		want   [][2]int
	}{
		{nil, embed.Budget{}, nil},
		{[]int{5}, embed.Budget{Tokens: 1}, [][2]int{{0, 1}}},
		{[]int{5, 5, 5}, embed.Budget{Tokens: 10}, [][2]int{{0, 2}, {2, 3}}},
		{[]int{99, 1, 1, 99}, embed.Budget{Tokens: 10}, [][2]int{{0, 1}, {1, 3}, {3, 4}}},
		{[]int{1, 1, 1, 1, 1}, embed.Budget{Texts: 2}, [][2]int{{0, 2}, {2, 4}, {4, 5}}},
		{[]int{0, 0, 0}, embed.Budget{Tokens: 2}, [][2]int{{0, 2}, {2, 3}}},
	} {
		if got := embed.Batches(c.counts, c.budget); !slices.Equal(got, c.want) {
			t.Errorf("Batches(%v, %+v) = %v, want %v", c.counts, c.budget, got, c.want)
		}
	}
}

// TestBatchesAnything checks the promises on random and absurd counts.
func TestBatchesAnything(t *testing.T) {
	const seed = 7
	random := rand.New(rand.NewPCG(seed, 0))
	for range 2000 {
		counts := make([]int, random.IntN(40))
		for i := range counts {
			counts[i] = []int{random.IntN(30), random.IntN(30), random.IntN(30), 0, -5, math.MaxInt}[random.IntN(6)]
		}
		budget := embed.Budget{Tokens: 1 + random.IntN(60), Texts: 1 + random.IntN(9)}
		next := 0
		for k, b := range embed.Batches(counts, budget) {
			tokens := 0
			for _, n := range counts[b[0]:b[1]] {
				tokens += min(max(n, 1), 1000)
			}
			if size := b[1] - b[0]; b[0] != next || size < 1 || size > budget.Texts || size > 1 && tokens > budget.Tokens {
				t.Fatalf("seed %d: batch %d of Batches(%v, %+v) is %v with %d tokens", seed, k, counts, budget, b, tokens)
			}
			next = b[1]
		}
		if next != len(counts) {
			t.Fatalf("seed %d: Batches(%v, %+v) ends at %d of %d", seed, counts, budget, next, len(counts))
		}
	}
}

// lengths is an encoder of texts of letters: a token a letter, and the vector
// is (tokens, first letter). It takes in four tokens and refuses "".
type lengths struct {
	embed.Encoder
	batches [][]string
	before  func(batch int) error
}

func (*lengths) Space() compat.Space {
	return compat.Space{
		Encoder: "lengths/1", Pooling: compat.PoolingNone, Normalization: compat.NormalizeNone,
		Precision: compat.PrecisionF32, MaxTokens: 4, Dimension: 2, FullDimension: 2,
	}
}

func (*lengths) Info() embed.Info { return embed.Info{Model: "test:lengths"} }

func (l *lengths) CountTokens(_ embed.Role, texts []string) []int {
	counts := make([]int, len(texts))
	for i, t := range texts {
		counts[i] = len(t)
	}
	return counts
}

func (l *lengths) Encode(_ context.Context, _ embed.Role, texts []string) (embed.Encoded, error) {
	l.batches = append(l.batches, slices.Clone(texts))
	if l.before != nil {
		if err := l.before(len(l.batches)); err != nil {
			return embed.Encoded{}, err
		}
	}
	var out embed.Encoded
	var rows []float32
	for i, t := range texts {
		if t == "" {
			return embed.Encoded{}, &embed.TextError{Index: i, Err: embed.ErrNoTokens}
		}
		out.Tokens = append(out.Tokens, min(len(t), 4))
		out.Truncated = append(out.Truncated, len(t) > 4)
		rows = append(rows, float32(len(t)), float32(t[0]))
	}
	s, err := embed.NewStamper(l.Space())
	if err != nil {
		return embed.Encoded{}, err
	}
	out.Vectors, err = s.Stamp(rows)
	return out, err
}

func TestEncodeAll(t *testing.T) {
	const seed = 3
	random := rand.New(rand.NewPCG(seed, 0))
	texts := make([]string, 100)
	for i := range texts {
		texts[i] = strings.Repeat(string(rune('a'+random.IntN(26))), 1+random.IntN(8))
	}
	var done []int
	enc := &lengths{}
	out, err := embed.EncodeAll(context.Background(), enc, embed.RoleQuery, texts, embed.Budget{Tokens: 10, Texts: 4},
		func(n int) { done = append(done, n) })
	if err != nil {
		t.Fatal(err)
	}
	if out.Vectors.Len() != len(texts) || !out.Vectors.Fingerprint().Matches(enc.Space().Fingerprint()) {
		t.Fatalf("%d vectors of space %v", out.Vectors.Len(), out.Vectors.Fingerprint())
	}
	for i, text := range texts {
		want := []float32{float32(len(text)), float32(text[0])}
		if !slices.Equal(out.Vectors.Row(i), want) || out.Tokens[i] != min(len(text), 4) || out.Truncated[i] != (len(text) > 4) {
			t.Errorf("seed %d: text %d, %q: vector %v, %d tokens, truncated %v", seed, i, text, out.Vectors.Row(i), out.Tokens[i], out.Truncated[i])
		}
	}
	for i, b := range enc.batches {
		tokens := 0
		for _, text := range b {
			tokens += min(len(text), 4)
		}
		if tokens > 10 || len(b) > 4 {
			t.Errorf("batch %d has %d texts with %d tokens", i, len(b), tokens)
		}
	}
	if len(done) != len(enc.batches) || !slices.IsSorted(done) || done[len(done)-1] != len(texts) {
		t.Errorf("progress %v over %d batches", done, len(enc.batches))
	}
}

func TestEncodeAllErrors(t *testing.T) {
	ctx := context.Background()
	texts := []string{"aa", "bbbb", "", "c"}
	_, err := embed.EncodeAll(ctx, &lengths{}, embed.RoleDocument, texts, embed.Budget{Texts: 2}, nil)
	var refused *embed.TextError
	if !errors.As(err, &refused) || refused.Index != 2 || !errors.Is(err, embed.ErrNoTokens) {
		t.Errorf("an empty text: %v, want a *TextError of index 2", err)
	}
	if !strings.Contains(err.Error(), "text 2") {
		t.Errorf("the message %q does not name the text", err)
	}

	ctx, cancel := context.WithCancel(ctx)
	enc := &lengths{before: func(batch int) error {
		if batch == 2 {
			cancel()
		}
		return nil
	}}
	_, err = embed.EncodeAll(ctx, enc, embed.RoleDocument, []string{"a", "b", "c", "d"}, embed.Budget{Texts: 1}, nil)
	if !errors.Is(err, context.Canceled) || len(enc.batches) != 2 {
		t.Errorf("cancelled in batch 2: error %v after %d batches", err, len(enc.batches))
	}

	failure := errors.New("broken")
	enc = &lengths{before: func(int) error { return failure }}
	if _, err = embed.EncodeAll(context.Background(), enc, embed.RoleDocument, texts, embed.Budget{}, nil); !errors.Is(err, failure) {
		t.Errorf("a broken encoder: %v", err)
	}
	if _, err = embed.EncodeAll(context.Background(), &lengths{}, embed.RoleDocument, texts, embed.Budget{Tokens: -1}, nil); err == nil {
		t.Error("a negative budget was taken")
	}
	out, err := embed.EncodeAll(context.Background(), &lengths{}, embed.RoleDocument, nil, embed.Budget{}, nil)
	if err != nil || out.Vectors.Len() != 0 {
		t.Errorf("of no texts: %d vectors, error %v", out.Vectors.Len(), err)
	}
}

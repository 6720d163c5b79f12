package bridge

import (
	"errors"
	"flag"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/bert"
	"github.com/vecino-db/vecino/embed/embedtest"
	"github.com/vecino-db/vecino/embed/evaluate"
	"github.com/vecino-db/vecino/embed/hash"
	"github.com/vecino-db/vecino/embed/static"
)

var all = flag.Bool("bridge.all", false, "measure bridges between all spaces, with more pairs")

func encode(t testing.TB, e embed.Encoder, texts []string) compat.Vectors {
	t.Helper()
	out, err := embed.EncodeAll(t.Context(), e, embed.RoleQuery, texts, embed.Budget{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out.Vectors
}

// sentences are those of Cranfield's documents, in random order, and its
// queries.
func sentences(t testing.TB) (texts, queries []string) {
	t.Helper()
	c, err := evaluate.Open(embedtest.Shared(t, "retrieval/cranfield"))
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range c.Documents {
		for _, sentence := range strings.Split(document, " . ") {
			if words := len(strings.Fields(sentence)); words >= 6 && words < 60 {
				texts = append(texts, sentence)
			}
		}
	}
	slices.Sort(texts)
	texts = slices.Compact(texts)
	rand.New(rand.NewPCG(1, 0)).Shuffle(len(texts), func(i, j int) { texts[i], texts[j] = texts[j], texts[i] })
	return texts, c.Queries
}

// spaces opens the encoders of the measurements.
func spaces(t testing.TB) map[string]embed.Encoder {
	t.Helper()
	open := func(e embed.Encoder, err error) embed.Encoder {
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	narrow, err := hash.New(hash.Options{})
	broad, err2 := hash.New(hash.Options{Dimension: 1024})
	table, err3 := static.Open(embedtest.Shared(t, "models/model2vec-test-model-vocab-quantized"), static.Options{})
	float, err4 := bert.Open(embedtest.Shared(t, "models/bert-tinybert-hybrid"), bert.Options{})
	coarse, err5 := bert.Open(embedtest.Shared(t, "models/bert-tinybert-hybrid"), bert.Options{Precision: compat.PrecisionInt8})
	return map[string]embed.Encoder{
		"hash 512": open(narrow, err), "hash 1024": open(broad, err2), "Model2Vec": open(table, err3), "TinyBERT f32": open(float, err4), "TinyBERT int8": open(coarse, err5),
	}
}

// TestSpaces fits bridges between real spaces: some carry, others must be
// refused. What the check of documents says has to hold for the queries of
// people, whose true neighbours are known here because both encoders can be
// run.
func TestSpaces(t *testing.T) {
	encoders := spaces(t)
	texts, queries := sentences(t)
	for _, c := range []struct {
		from, to string
		pairs    int
		least    float64 // recall; 0: refused
		long     bool
	}{
		{"hash 512", "hash 1024", 4000, 0.7, false},
		{"hash 1024", "hash 512", 4000, 0.9, true},
		{"Model2Vec", "hash 512", 2000, 0, false},
		{"hash 512", "Model2Vec", 6000, 0, true},
		{"TinyBERT f32", "TinyBERT int8", 1200, 0.7, false},
		{"TinyBERT f32", "TinyBERT int8", 6000, 0.8, true},
		{"TinyBERT int8", "TinyBERT f32", 6000, 0.8, true},
		{"TinyBERT f32", "hash 512", 6000, 0, true},
		{"hash 512", "TinyBERT f32", 6000, 0, true},
		{"Model2Vec", "TinyBERT f32", 6000, 0, true},
	} {
		if c.long && !*all {
			continue
		}
		from, to := encoders[c.from], encoders[c.to]
		name := c.from + " to " + c.to
		pairs := Pairs{FromSpace: from.Space(), ToSpace: to.Space(), From: encode(t, from, texts[:c.pairs]), To: encode(t, to, texts[:c.pairs])}
		begun := time.Now()
		b, err := Fit(t.Context(), pairs, Options{})
		seconds := time.Since(begun).Seconds()
		var refused *RecallError
		if errors.As(err, &refused) {
			t.Logf("%s: refused: %+v, %.1f s", name, refused.Check, seconds)
			if c.least > 0 {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		// The queries of people, by both encoders.
		order := make([]int, c.pairs)
		for i := range order {
			order[i] = i
		}
		x := newChecking(pairs, order)
		asked, lost := encode(t, from, queries), encode(t, to, queries)
		carried, err := b.Apply(stamperOf(t, to.Space()), asked)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for i := range queries {
			near := x.nearest(slices.Concat(lost.Row(i), carried.Row(i)), []int{-1, -1})
			for _, row := range near[1] {
				if slices.Contains(near[0], row) {
					found++
				}
			}
		}
		recall := float64(found) / float64(depth*len(queries))
		t.Logf("%s: %s: %+v, %.1f s; recall of %d queries of people %.3f", name, b.Method(), b.Check(), seconds, len(queries), recall)
		if c.least == 0 || b.Check().Recall < c.least {
			t.Errorf("%s: recall %.3f, want %.2f (0: refused)", name, b.Check().Recall, c.least)
		}
		if recall < b.Check().Recall-0.06 {
			t.Errorf("%s: the check says %.3f, and queries of people find %.3f", name, b.Check().Recall, recall)
		}
	}
}

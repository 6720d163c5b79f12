package static

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/embedtest"
)

func open(t testing.TB, dir string, o Options) *Encoder {
	t.Helper()
	e, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// golden is one file of expected values: ids by the reference tokenizer, sums
// in float64.
type golden struct {
	Cases []struct {
		Text      string    `json:"text"`
		IDs       []uint32  `json:"ids"`
		Embedding []float64 `json:"embedding"`
	} `json:"cases"`
}

func readJSONFile(t testing.TB, path string, to any) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(content, to)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestGoldens(t *testing.T) {
	for _, name := range []string{"model2vec-test-model-float32", "model2vec-test-model-vocab-quantized"} {
		t.Run(name, func(t *testing.T) {
			var g golden
			readJSONFile(t, embedtest.Shared(t, "golden", "models", name+".json"), &g)
			e := open(t, embedtest.Shared(t, "models", name), Options{})
			worst := 0.0
			for _, c := range g.Cases {
				ids := e.tokens(nil, "", c.Text)
				if !slices.Equal(ids, c.IDs) {
					t.Errorf("%.40q: ids %v, want %v", c.Text, ids, c.IDs)
					continue
				}
				row := make([]float32, e.space.Dimension)
				e.encode(row, "", c.Text) // zero for a text of no tokens
				worst = max(worst, difference(row, c.Embedding))
			}
			if worst > 1e-5 {
				t.Errorf("the vectors differ by up to %g, want at most 1e-5", worst)
			}
			t.Logf("%d texts, largest difference %.2g", len(g.Cases), worst)
		})
	}
}

func difference(got []float32, want []float64) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	worst := 0.0
	for i := range want {
		worst = max(worst, math.Abs(float64(got[i])-want[i]))
	}
	return worst
}

// TestPrecisions compares the float16 and int8 tables with the float32 one they
// were made of: same ids, vectors as near as the rounding lets them be.
func TestPrecisions(t *testing.T) {
	var g golden
	readJSONFile(t, embedtest.Shared(t, "golden", "models", "model2vec-test-model-float32.json"), &g)
	full := open(t, embedtest.Shared(t, "models", "model2vec-test-model-float32"), Options{})
	largest := 0.0
	for _, x := range full.table.rows {
		largest = max(largest, math.Abs(float64(x)))
	}
	for _, v := range []struct {
		name string
		// element is how far x may lie from the float32 value; scale is what
		// the stored number has to be multiplied with.
		scale, element float64
	}{
		{"float16", 1, 1.0 / 2048},
		{"int8", largest / 127, 0.51},
	} {
		t.Run(v.name, func(t *testing.T) {
			e := open(t, embedtest.Shared(t, "models", "model2vec-test-model-"+v.name), Options{})
			for i, x := range e.table.rows {
				want, got := float64(full.table.rows[i]), float64(x)*v.scale
				tolerance := v.element * max(math.Abs(want), 1e-4)
				if v.name == "int8" {
					tolerance = v.element*v.scale + math.Abs(want)/1024
				}
				if math.Abs(want-got) > tolerance {
					t.Fatalf("element %d is %g, the float32 model's %g", i, got, want)
				}
			}
			for _, c := range g.Cases {
				if ids := e.tokens(nil, "", c.Text); !slices.Equal(ids, c.IDs) {
					t.Errorf("%.40q: ids %v, want %v", c.Text, ids, c.IDs)
				}
				// The expectation by plain sums of this model's own numbers.
				want := reference(e, c.IDs)
				row := make([]float32, e.space.Dimension)
				e.encode(row, "", c.Text)
				if d := difference(row, want); d > 1e-5 {
					t.Errorf("%.40q: differs by %g from sums in float64", c.Text, d)
				}
			}
		})
	}
}

// reference is the package comment's formula in float64.
func reference(e *Encoder, ids []uint32) []float64 {
	sum := make([]float64, e.table.keep)
	for _, id := range ids {
		row, w := int(id), 1.0
		if e.table.row != nil {
			row = int(e.table.row[id])
		}
		if e.table.weight != nil {
			w = float64(e.table.weight[id])
		}
		for k := range sum {
			sum[k] += w * float64(e.table.rows[row*e.table.dim+k])
		}
	}
	norm := 0.0
	for _, x := range sum {
		norm += x * x
	}
	for k := range sum {
		if norm > 0 {
			sum[k] /= math.Sqrt(norm)
		}
	}
	return sum
}

// TestUpstreamFixture: the vector that Model2Vec's own tests expect.
func TestUpstreamFixture(t *testing.T) {
	var want [][]float64
	readJSONFile(t, embedtest.Shared(t, "golden", "embeddings_short.json"), &want)
	e := open(t, embedtest.Shared(t, "models", "model2vec-test-model-float32"), Options{})
	if d := difference(encode(t, e, "hello world"), want[0]); d > 1e-6 {
		t.Errorf("differs by %g", d)
	}
}

func TestGloVe(t *testing.T) {
	e := open(t, embedtest.Shared(t, "models", "glove-6b-50d-5k"), Options{})
	out, err := e.Encode(context.Background(), embed.RoleDocument, []string{"the king and the queen", "prince of the royal family", "stock market prices fell"})
	if err != nil {
		t.Fatal(err)
	}
	near, far := dot(out.Vectors, 0, 1), dot(out.Vectors, 0, 2)
	if near <= far {
		t.Errorf("king and queen: cosine %.3f to a prince, %.3f to the stock market", near, far)
	}
	want := reference(e, e.tokens(nil, "", "the king and the queen"))
	if d := difference(out.Vectors.Row(0), want); d > 1e-5 {
		t.Errorf("differs by %g from sums in float64", d)
	}
}

func dot(v compat.Vectors, i, j int) float64 {
	sum := 0.0
	for k, x := range v.Row(i) {
		sum += float64(x) * float64(v.Row(j)[k])
	}
	return sum
}

func TestSharedTransformerIsRefused(t *testing.T) {
	_, err := Open(embedtest.Shared(t, "models", "bert-tinybert-hybrid"), Options{})
	if fmt.Sprintf("%T", err) != "*static.UnsupportedError" {
		t.Errorf("Open of a BERT: %v", err)
	}
}

func TestConformanceShared(t *testing.T) {
	for _, name := range []string{"model2vec-test-model-vocab-quantized", "glove-6b-50d-5k"} {
		t.Run(name, func(t *testing.T) {
			o := embedtest.Options{}
			if name == "glove-6b-50d-5k" { // English words only
				o.Texts = []string{"the king and the queen", "prices on the market", "a river near the town, and a bridge"}
				o.Unembeddable = []string{"", "qqqqqq", "漢字"}
			}
			dir := embedtest.Shared(t, "models", name)
			embedtest.Run(t, func() embed.Encoder {
				e, err := Open(dir, Options{})
				if err != nil {
					t.Fatal(err)
				}
				return e
			}, o)
		})
	}
}

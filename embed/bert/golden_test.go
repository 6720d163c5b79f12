package bert

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/embedtest"
	"github.com/vecino-db/vecino/embed/token"
	"github.com/vecino-db/vecino/kernels/kerneltest"
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

// states are the network's last states of one sequence.
func (e *Encoder) states(t testing.TB, ids []uint32) []float32 {
	t.Helper()
	a := new(arena)
	a.reset()
	a.add(ids)
	if err := e.network.forward(context.Background(), a, e.threads); err != nil {
		t.Fatal(err)
	}
	return a.states
}

// compare gives the greatest difference and the cosine.
func compare[A, B float32 | float64](a []A, b []B) (worst, cosine float64) {
	if len(a) != len(b) {
		return math.Inf(1), 0
	}
	var ab, aa, bb float64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		d := math.Abs(x - y)
		if !(d <= worst) { // NaN too
			worst = d
		}
		ab, aa, bb = ab+x*y, aa+x*x, bb+y*y
	}
	return worst, ab / math.Sqrt(aa*bb)
}

// golden is one file of expected values: ids by Hugging Face's tokenizers, the
// forward pass by ONNX Runtime.
type golden struct {
	Cases []struct {
		Text   string    `json:"text"`
		IDs    []uint32  `json:"input_ids"`
		Mean   []float64 `json:"mean_normalized"`
		CLS    []float64 `json:"cls"`
		States []float64 `json:"last_hidden_state"`
	} `json:"cases"`
}

func readGolden(t testing.TB, name string) golden {
	t.Helper()
	var g golden
	content, err := os.ReadFile(embedtest.Shared(t, "golden", "models", name+".json"))
	if err == nil {
		err = json.Unmarshal(content, &g)
	}
	if err != nil {
		t.Fatal(err)
	}
	return g
}

var goldenModels = []string{"bert-random-2l-32", "bert-tinybert-hybrid"}

func TestGoldens(t *testing.T) {
	for _, name := range goldenModels {
		g := readGolden(t, name)
		t.Run(name, func(t *testing.T) {
			kerneltest.EachTier(t, func(t *testing.T) { checkGolden(t, embedtest.Shared(t, "models", name), g) })
		})
	}
}

func checkGolden(t *testing.T, dir string, g golden) {
	e := open(t, dir, Options{})
	if s := e.Space(); s.Pooling != compat.PoolingMean || s.Normalization != compat.NormalizeL2 {
		t.Fatalf("the space is %+v", s)
	}
	var texts []string
	furthest := 0.0
	check := func(what string, worst, cosine float64) {
		t.Helper()
		if !(worst <= 1e-4) || !(cosine >= 0.99999) {
			t.Errorf("%s: difference %g, cosine %.7f", what, worst, cosine)
		}
		furthest = max(furthest, worst)
	}
	for _, c := range g.Cases {
		texts = append(texts, c.Text)
		ids, _ := e.tokenizer.Append(nil, e.input(embed.RoleDocument, c.Text), token.Options{MaxTokens: e.space.MaxTokens})
		if !slices.Equal(ids, c.IDs) {
			t.Errorf("%.40q: ids %v, want %v", c.Text, ids, c.IDs)
			continue
		}
		if testing.Short() && len(ids) > 64 {
			continue
		}
		states := e.states(t, ids)
		worst, cosine := compare(states[:e.network.Hidden], c.CLS)
		check("CLS of "+strconv.Quote(c.Text), worst, cosine)
		if c.States != nil {
			worst, cosine = compare(states, c.States)
			check("states of "+strconv.Quote(c.Text), worst, cosine)
		}
	}
	out, err := e.Encode(context.Background(), embed.RoleDocument, texts)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range g.Cases {
		worst, cosine := compare(out.Vectors.Row(i), c.Mean)
		check("vector of "+strconv.Quote(c.Text), worst, cosine)
	}
	t.Logf("%d texts, greatest difference %.1e", len(g.Cases), furthest)
}

func TestGoldenInt8(t *testing.T) {
	for _, name := range goldenModels {
		g := readGolden(t, name)
		e := open(t, embedtest.Shared(t, "models", name), Options{Precision: compat.PrecisionInt8})
		if p := e.Space().Precision; p != compat.PrecisionInt8 {
			t.Errorf("the space's precision is %s", p)
		}
		least := 1.0
		for _, c := range g.Cases {
			out, err := e.Encode(context.Background(), embed.RoleDocument, []string{c.Text})
			if err != nil {
				t.Fatal(err)
			}
			_, cosine := compare(out.Vectors.Row(0), c.Mean)
			least = min(least, cosine)
		}
		if !(least >= 0.995) {
			t.Errorf("%s: cosine of int8 and f32 %.5f", name, least)
		}
		t.Logf("%s: least cosine of int8 and f32 %.5f", name, least)
	}
}

func TestConformanceShared(t *testing.T) {
	dir := embedtest.Shared(t, "models", "bert-random-2l-32")
	embedtest.Run(t, func() embed.Encoder {
		e, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}, embedtest.Options{})
}

// TestMixedLengths compares a batch of mixed lengths with one text at a time.
func TestMixedLengths(t *testing.T) {
	g := readGolden(t, "bert-tinybert-hybrid")
	var texts []string
	for range 3 {
		for _, c := range g.Cases {
			texts = append(texts, c.Text)
		}
	}
	for _, threads := range []int{1, 2, 3} {
		e := open(t, embedtest.Shared(t, "models", "bert-tinybert-hybrid"), Options{Threads: threads})
		all, err := e.Encode(context.Background(), embed.RoleQuery, texts)
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range g.Cases {
			one, err := e.Encode(context.Background(), embed.RoleQuery, []string{c.Text})
			if err != nil {
				t.Fatal(err)
			}
			for k := range 3 {
				if worst, _ := compare(one.Vectors.Row(0), all.Vectors.Row(i+k*len(g.Cases))); worst > 1e-5 {
					t.Errorf("%d threads, %.40q: alone and in a batch differ by %g", threads, c.Text, worst)
				}
			}
		}
	}
}

// readSnapshot reads text-embeddings-inference's snapshots: YAML lists of lists.
func readSnapshot(t *testing.T, path string) (rows vectors) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, body, ok := strings.Cut(strings.TrimPrefix(string(content), "---\n"), "\n---\n")
	if !ok {
		t.Fatalf("%s has no front matter", path)
	}
	for _, line := range strings.Split(strings.TrimSpace(body), "\n") {
		if strings.HasPrefix(line, "- - ") {
			rows = append(rows, nil)
		}
		x, err := strconv.ParseFloat(line[strings.Index(line, "- ")+2:], 64)
		if first := strings.TrimPrefix(line, "- - "); first != line {
			x, err = strconv.ParseFloat(first, 64)
		}
		if err != nil || len(rows) == 0 {
			t.Fatalf("%s: %q", path, line)
		}
		rows[len(rows)-1] = append(rows[len(rows)-1], x)
	}
	return rows
}

// TestPoolingOnSnapshots pools token states of real models, of three texts of 7,
// 8 and 7 tokens: X_raw gives X by the mean and X_pooled by the first token. The
// snapshots of a batch were made in other runs, and those of mini in float16.
func TestPoolingOnSnapshots(t *testing.T) {
	dir := embedtest.Shared(t, "golden", "reference-vectors", "tei")
	for name, tolerance := range map[string]float64{"test_bert__bert": 1e-4, "test_flash_bert__mini": 2e-2, "test_mpnet__mpnet": 1e-4} {
		for suffix, lengths := range map[string][]int{"_single": {7}, "_batch": {7, 8, 7}} {
			read := func(what string) vectors { return readSnapshot(t, filepath.Join(dir, name+suffix+what+".snap")) }
			raw := read("_raw")
			for kind, want := range map[compat.Pooling]vectors{compat.PoolingMean: read(""), compat.PoolingCLS: read("_pooled")} {
				from := 0
				for i, n := range lengths {
					var states []float32
					for _, row := range raw[from : from+n] {
						for _, x := range row {
							states = append(states, float32(x))
						}
					}
					from += n
					got := make([]float32, len(raw[0]))
					pooling{kind: kind}.pool(got, states, 0)
					if worst, cosine := compare(got, want[i]); !(worst <= tolerance) || !(cosine >= 0.9999) {
						t.Errorf("%s%s text %d by %s: difference %g, cosine %.6f", name, suffix, i, kind, worst, cosine)
					}
				}
				if from != len(raw) {
					t.Errorf("%s%s has %d states, want %d", name, suffix, len(raw), from)
				}
			}
		}
	}
}

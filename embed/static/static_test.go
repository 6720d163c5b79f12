package static

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/embedtest"
	"github.com/vecino-db/vecino/embed/token"
	"github.com/vecino-db/vecino/embed/weights"
	"github.com/vecino-db/vecino/kernels/f32"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// vocabulary of the fixtures: 0 [PAD], 1 [UNK], then words and pieces.
var vocabulary = []string{"[PAD]", "[UNK]", "red", "blue", "green", "##ish", "zero", "opposite", ",", "a"}

// rows are the fixtures' vectors, 3 components a token.
var rows = []float32{
	9, 9, 9,
	8, 8, 8,
	1, 0, 0,
	0, 2, 0,
	0, 0, 4,
	1, 1, 1,
	0, 0, 0,
	-1, 0, 0,
	0.5, -0.5, 0.25,
	3, 1, 2,
}

// fixture is a model directory under construction.
type fixture struct {
	config  string
	modules string
	card    string
	entries []weights.Entry
	tokens  []string
	files   string // the directory of weights and tokenizer
}

func newFixture() fixture {
	return fixture{
		config:  `{"model_type":"model2vec","architectures":["StaticModel"],"seq_length":1000000,"normalize":true}`,
		card:    "---\nlicense: mit\n---\n\n# Colours\n\nKnows three colours. Made for tests.\n",
		entries: []weights.Entry{weights.Float32Entry("embeddings", []int{len(vocabulary), 3}, rows)},
		tokens:  vocabulary,
	}
}

func (f fixture) write(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	put := func(name, content string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if content != "" {
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	put("config.json", f.config)
	put("modules.json", f.modules)
	put("README.md", f.card)
	var tensors bytes.Buffer
	if err := weights.Write(&tensors, f.entries, nil); err != nil {
		t.Fatal(err)
	}
	put(filepath.Join(f.files, "model.safetensors"), tensors.String())
	ids := make(map[string]int)
	for i, token := range f.tokens {
		ids[token] = i
	}
	tokenizer, err := json.Marshal(map[string]any{
		"normalizer":    map[string]any{"type": "BertNormalizer"},
		"pre_tokenizer": map[string]any{"type": "BertPreTokenizer"},
		"model":         map[string]any{"type": "WordPiece", "vocab": ids, "unk_token": "[UNK]"},
		"post_processor": map[string]any{
			"type": "BertProcessing", "cls": []any{"[PAD]", 0}, "sep": []any{"[PAD]", 0},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	put(filepath.Join(f.files, "tokenizer.json"), string(tokenizer))
	return dir
}

func encode(t testing.TB, e *Encoder, text string) []float32 {
	t.Helper()
	out, err := e.Encode(context.Background(), embed.RoleDocument, []string{text})
	if err != nil {
		t.Fatalf("Encode(%q): %v", text, err)
	}
	return out.Vectors.Row(0)
}

func near(t testing.TB, what string, got []float32, want ...float64) {
	t.Helper()
	if d := difference(got, want); d > 1e-6 {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

func TestMean(t *testing.T) {
	f := newFixture()
	f.config = strings.Replace(f.config, "true", "false", 1)
	e := open(t, f.write(t), Options{})
	near(t, "one token", encode(t, e, "Red"), 1, 0, 0)
	near(t, "a mean", encode(t, e, "red blue blue green"), 0.25, 1, 1)
	near(t, "unknown words are dropped, not counted", encode(t, e, "red xyzzy blue"), 0.5, 1, 0)
	near(t, "pieces", encode(t, e, "redish"), 1, 0.5, 0.5)
	space := e.Space()
	if space.Normalization != compat.NormalizeNone || space.Dimension != 3 || space.FullDimension != 3 || space.MaxTokens != 1_000_000 ||
		space.Encoder != "static/1" || space.Pooling != compat.PoolingMean || space.Precision != compat.PrecisionF32 {
		t.Errorf("Space = %+v", space)
	}
}

func TestNormalize(t *testing.T) {
	dir := newFixture().write(t)
	e := open(t, dir, Options{})
	near(t, "normalized", encode(t, e, "red blue"), 1/math.Sqrt(5), 2/math.Sqrt(5), 0)
	if e.Space().Normalization != compat.NormalizeL2 {
		t.Error("the space isn't normalized")
	}
	plain := open(t, dir, Options{Normalization: compat.NormalizeNone})
	near(t, "not normalized by choice", encode(t, plain, "red blue"), 0.5, 1, 0)
	if plain.Space().Fingerprint() == e.Space().Fingerprint() {
		t.Error("normalization doesn't change the fingerprint")
	}
}

func TestMappingAndWeights(t *testing.T) {
	f := newFixture()
	var weight, mapping []byte
	for i := range vocabulary {
		weight = binary.LittleEndian.AppendUint64(weight, math.Float64bits(float64(i)))
		mapping = binary.LittleEndian.AppendUint32(mapping, uint32(i%2))
	}
	f.entries = []weights.Entry{
		weights.Float32Entry("embeddings", []int{2, 3}, []float32{1, 0, 0, 0, 1, 0}),
		{Name: "weights", DType: weights.F64, Shape: []int{len(vocabulary)}, Data: weight},
		{Name: "mapping", DType: weights.I32, Shape: []int{len(vocabulary)}, Data: mapping},
	}
	e := open(t, f.write(t), Options{Normalization: compat.NormalizeNone})
	// red is token 2: weight 2, vector 0; blue is token 3: weight 3, vector 1.
	near(t, "weighted", encode(t, e, "red blue"), 1, 1.5, 0)
}

func TestDTypes(t *testing.T) {
	half := map[float32]uint16{0: 0, 1: 0x3c00, 2: 0x4000}
	var f16, bf16, i8 []byte
	values := []float32{0, 1, 2, 2, 1, 0}
	for _, v := range values {
		f16 = binary.LittleEndian.AppendUint16(f16, half[v])
		bf16 = binary.LittleEndian.AppendUint16(bf16, uint16(math.Float32bits(v)>>16))
		i8 = append(i8, byte(int8(v)))
	}
	for dtype, data := range map[weights.DType][]byte{weights.F16: f16, weights.BF16: bf16, weights.I8: i8} {
		f := newFixture()
		f.tokens = []string{"red", "blue"}
		f.entries = []weights.Entry{{Name: "embeddings", DType: dtype, Shape: []int{2, 3}, Data: data}}
		dir := f.write(t)
		e, err := Open(dir, Options{Normalization: compat.NormalizeNone})
		if err != nil {
			t.Fatalf("%s: %v", dtype, err)
		}
		near(t, string(dtype), encode(t, e, "red blue"), 1, 1, 1)
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestSentenceTransformersLayout(t *testing.T) {
	f := newFixture()
	f.config = ""
	f.files = "0_StaticEmbedding"
	f.modules = `[{"idx":0,"name":"0","path":"0_StaticEmbedding","type":"sentence_transformers.models.StaticEmbedding"},
		{"idx":1,"name":"1","path":"1_Normalize","type":"sentence_transformers.models.Normalize"}]`
	f.entries[0].Name = "embedding.weight"
	e := open(t, f.write(t), Options{})
	near(t, "red blue", encode(t, e, "red blue"), 1/math.Sqrt(5), 2/math.Sqrt(5), 0)
	if e.Space().Encoder != "static-unk/1" {
		t.Errorf("Encoder %q", e.Space().Encoder)
	}
	plain := open(t, f.write(t), Options{Normalization: compat.NormalizeNone})
	near(t, "the unknown token has a vector", encode(t, plain, "red xyzzy"), 4.5, 4, 4)
}

func TestTruncation(t *testing.T) {
	f := newFixture()
	f.config = strings.Replace(f.config, "1000000", "3", 1)
	dir := f.write(t)
	for _, c := range []struct {
		o         Options
		text      string
		tokens    int
		truncated bool
	}{
		{Options{}, "red red red", 3, false},
		{Options{}, "red red red red", 3, true},
		{Options{}, "red xyzzy xyzzy red red", 3, false}, // unknown ones don't count
		{Options{MaxTokens: 1}, "red blue", 1, true},
		{Options{MaxTokens: 1 << 20}, "red red red red", 4, false},
	} {
		e := open(t, dir, c.o)
		out, err := e.Encode(context.Background(), embed.RoleQuery, []string{c.text})
		if err != nil || out.Tokens[0] != c.tokens || out.Truncated[0] != c.truncated {
			t.Errorf("%+v, %q: %v tokens, truncated %v, error %v", c.o, c.text, out.Tokens, out.Truncated, err)
		}
	}
	e := open(t, dir, Options{})
	if n := e.CountTokens(embed.RoleDocument, []string{"red red red red xyzzy", ""}); !slices.Equal(n, []int{4, 0}) {
		t.Errorf("CountTokens = %v", n)
	}
}

func TestPrompts(t *testing.T) {
	e := open(t, newFixture().write(t), Options{Normalization: compat.NormalizeNone, QueryPrompt: "blue "})
	near(t, "a document", encode(t, e, "red"), 1, 0, 0)
	out, err := e.Encode(context.Background(), embed.RoleQuery, []string{"red"})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "a query", out.Vectors.Row(0), 0.5, 1, 0)
	if out.Tokens[0] != 2 || e.CountTokens(embed.RoleQuery, []string{"red"})[0] != 2 {
		t.Error("the prompt's tokens aren't counted")
	}
}

func TestNoTokens(t *testing.T) {
	e := open(t, newFixture().write(t), Options{})
	for _, text := range []string{"", " \n", "xyzzy", "\xff", "zero", "red opposite"} {
		_, err := e.Encode(context.Background(), embed.RoleDocument, []string{"red", "blue", text, ""})
		var refused *embed.TextError
		if !errors.As(err, &refused) || refused.Index != 2 || !errors.Is(err, embed.ErrNoTokens) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestMatryoshka(t *testing.T) {
	f := newFixture()
	f.config = strings.Replace(f.config, "{", `{"matryoshka_dimensions":[2,3,2,0,99],`, 1)
	dir := f.write(t)
	e := open(t, dir, Options{Dimension: 2})
	near(t, "cut", encode(t, e, "blue green"), 0, 1)
	if s := e.Space(); s.Dimension != 2 || s.FullDimension != 3 || !slices.Equal(e.Info().Matryoshka, []int{2}) {
		t.Errorf("Space %+v, Matryoshka %v", s, e.Info().Matryoshka)
	}
	for _, bad := range []Options{{Dimension: 1}, {Dimension: 4}, {Dimension: -1}} {
		if _, err := Open(dir, bad); err == nil || !strings.Contains(err.Error(), "choose") {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if _, err := Open(newFixture().write(t), Options{Dimension: 2}); err == nil {
		t.Error("a model that declares no dimensions was cut")
	}
}

func TestInfo(t *testing.T) {
	dir := newFixture().write(t)
	e := open(t, dir, Options{Name: "colours"})
	info := e.Info()
	if info.Model != "local:colours" || info.Licence != "mit" || info.Source != dir || !strings.HasPrefix(info.Description, "Knows three colours. Made for tests. ") {
		t.Errorf("Info = %+v", info)
	}
}

// TestCard: what a model's README.md may look like.
func TestCard(t *testing.T) {
	path := filepath.Join(t.TempDir(), "README.md")
	for text, want := range map[string]embed.Card{
		"":                                    {},
		"---\nlicense: \"apache-2.0\"\n---\n": {Licence: "apache-2.0"},
		"# Title\n\n![badge](x)\n\n<p>x</p>\n\nFirst\nparagraph.\n\nSecond.": {Summary: "First paragraph."},
		"---\r\nlicense: mit\r\n---\r\n\r\nText.":                            {Licence: "mit", Summary: "Text."},
		"license: mit": {Summary: "license: mit"},
		"\n\n\n":       {},
		"One sentence. " + strings.Repeat("é", 400):                      {Summary: "One sentence. " + strings.Repeat("é", 143) + "..."},
		strings.Repeat("word ", 40) + "end. " + strings.Repeat("y", 400): {Summary: strings.Repeat("word ", 40) + "end."},
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := embed.ReadCard(path); got != want {
			t.Errorf("ReadCard of %.60q = %+v, want %+v", text, got, want)
		}
	}
}

func TestRefusals(t *testing.T) {
	int32s := func(values ...int32) []byte {
		var b []byte
		for _, v := range values {
			b = binary.LittleEndian.AppendUint32(b, uint32(v))
		}
		return b
	}
	many := func(v int32) []byte { return bytes.Repeat(int32s(v), len(vocabulary)) }
	with := func(change func(f *fixture)) fixture {
		f := newFixture()
		change(&f)
		return f
	}
	vectors := func(shape ...int) func(f *fixture) {
		return func(f *fixture) {
			n := 1
			for _, d := range shape {
				n *= d
			}
			f.entries = []weights.Entry{weights.Float32Entry("embeddings", shape, make([]float32, n))}
		}
	}
	nan := slices.Clone(rows)
	nan[7] = float32(math.NaN())
	for name, c := range map[string]struct {
		fixture
		want any
	}{
		"a transformer": {with(func(f *fixture) { f.config = `{"model_type":"bert","architectures":["BertModel"]}` }), new(*UnsupportedError)},
		"a transformer by modules": {with(func(f *fixture) {
			f.config, f.modules = `{"model_type":"mpnet"}`, `[{"path":"","type":"sentence_transformers.models.Transformer"}]`
		}), new(*UnsupportedError)},
		"a static model and a dense layer": {with(func(f *fixture) {
			f.config, f.modules = "", `[{"path":"","type":"sentence_transformers.models.StaticEmbedding"},{"path":"2","type":"sentence_transformers.models.Dense"}]`
		}), new(*UnsupportedError)},
		"Model2Vec and a dense layer": {with(func(f *fixture) {
			f.modules = `[{"path":"","type":"sentence_transformers.models.StaticEmbedding"},{"path":"2","type":"sentence_transformers.models.Dense"}]`
		}), new(*UnsupportedError)},
		"an unknown kind":      {with(func(f *fixture) { f.config = `{}` }), new(*UnsupportedError)},
		"no configuration":     {with(func(f *fixture) { f.config = "" }), new(*ModelError)},
		"configuration broken": {with(func(f *fixture) { f.config = `{` }), new(*ModelError)},
		"configuration huge":   {with(func(f *fixture) { f.config += strings.Repeat(" ", maxConfig) }), new(*ModelError)},
		"modules lead out":     {with(func(f *fixture) { f.modules = `[{"path":"../x","type":"a.StaticEmbedding"}]` }), new(*ModelError)},
		"no vectors":           {with(func(f *fixture) { f.entries[0].Name = "other" }), new(error)},
		"vectors of one axis":  {with(vectors(30)), new(*ModelError)},
		"vectors of no width":  {with(vectors(10, 0)), new(*ModelError)},
		"too few vectors":      {with(vectors(9, 3)), new(*ModelError)},
		"vectors too wide":     {with(vectors(10, compat.MaxDimension+1)), new(error)},
		"NaN":                  {with(func(f *fixture) { f.entries[0] = weights.Float32Entry("embeddings", []int{10, 3}, nan) }), new(*ModelError)},
		"mapping beyond": {with(func(f *fixture) {
			f.entries = append(f.entries, weights.Entry{Name: "mapping", DType: weights.I32, Shape: []int{10}, Data: many(10)})
		}), new(*ModelError)},
		"mapping negative": {with(func(f *fixture) {
			f.entries = append(f.entries, weights.Entry{Name: "mapping", DType: weights.I32, Shape: []int{10}, Data: many(-1)})
		}), new(*ModelError)},
		"mapping short": {with(func(f *fixture) {
			f.entries = append(f.entries, weights.Entry{Name: "mapping", DType: weights.I32, Shape: []int{1}, Data: int32s(0)})
		}), new(*ModelError)},
		"mapping of floats": {with(func(f *fixture) {
			f.entries = append(f.entries, weights.Entry{Name: "mapping", DType: weights.F32, Shape: []int{10}, Data: many(0)})
		}), new(error)},
		"weights short": {with(func(f *fixture) {
			f.entries = append(f.entries, weights.Float32Entry("weights", []int{1}, []float32{1}))
		}), new(*ModelError)},
		"another tokenizer": {with(func(f *fixture) { f.tokens = []string{"x", "[PAD]"} }), nil},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := Open(c.write(t), Options{})
			if c.want == nil { // loads: every token has a vector
				if err != nil {
					t.Fatal(err)
				}
				_ = e.Close()
				return
			}
			if err == nil {
				_ = e.Close()
				t.Fatal("it was loaded")
			}
			if !errors.As(err, c.want) {
				t.Errorf("%T: %v", err, err)
			}
		})
	}
	if _, err := Open(filepath.Join(t.TempDir(), "absent"), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	dir := newFixture().write(t)
	for name, content := range map[string]string{"tokenizer.json": `{"model":{"type":"X"}}`, "model.safetensors": "12345678"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(dir, Options{})
		var a *token.FormatError
		var b *weights.FormatError
		if !errors.As(err, &a) && !errors.As(err, &b) {
			t.Errorf("a broken %s: %v", name, err)
		}
	}
}

func TestConformance(t *testing.T) {
	dir := newFixture().write(t)
	o := embedtest.Options{
		Texts:        []string{"red", "blue, green", "greenish a red", strings.Repeat("blue a ", 500)},
		Unembeddable: []string{"", "xyzzy", "zero"},
	}
	for name, options := range map[string]Options{
		"plain":             {},
		"prompts and short": {QueryPrompt: "red, ", DocumentPrompt: "a ", MaxTokens: 5, Normalization: compat.NormalizeNone},
	} {
		t.Run(name, func(t *testing.T) {
			o := o
			if options.QueryPrompt != "" {
				o.Unembeddable = nil // the prompt alone has tokens
			}
			embedtest.Run(t, func() embed.Encoder {
				e, err := Open(dir, options)
				if err != nil {
					t.Fatal(err)
				}
				return e
			}, o)
		})
	}
}

// BenchmarkEncode gives tokens per second, with tokenization and, of the same
// texts' ids, without. One core is GOMAXPROCS=1:
//
//	GOMAXPROCS=1 go test -run '^$' -bench Encode ./embed/static
func BenchmarkEncode(b *testing.B) {
	content, err := os.ReadFile(embedtest.Shared(b, "retrieval", "cranfield", "cran.all.1400"))
	if err != nil {
		b.Fatal(err)
	}
	texts := strings.Split(string(content), "\n.W\n")
	e := open(b, embedtest.Shared(b, "models", "model2vec-test-model-vocab-quantized"), Options{})
	tokens := 0
	for _, n := range e.CountTokens(embed.RoleDocument, texts) {
		tokens += n
	}
	report := func(b *testing.B) {
		b.ReportMetric(float64(tokens)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mtokens/s")
	}
	b.Run("texts", func(b *testing.B) {
		b.SetBytes(int64(len(content)))
		for b.Loop() {
			if _, err := e.Encode(b.Context(), embed.RoleDocument, texts); err != nil {
				b.Fatal(err)
			}
		}
		report(b)
	})
	ids := make([][]uint32, len(texts))
	for i, text := range texts {
		ids[i] = e.tokens(nil, "", text)
	}
	// A table of usual size beside the small one.
	large := &table{dim: 256, keep: 256, rows: make([]float32, 29528*256), unknown: -1}
	for i := range large.rows {
		large.rows[i] = float32(i%255 - 127)
	}
	for _, t := range []*table{e.table, large} {
		b.Run(fmt.Sprintf("ids/%dx%d", len(t.rows)/t.dim, t.dim), func(b *testing.B) {
			row := make([]float32, t.keep)
			for b.Loop() {
				for _, sequence := range ids {
					t.mean(row, sequence)
					f32.Normalize(row)
				}
			}
			report(b)
		})
	}
}

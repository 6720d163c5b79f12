package api

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/store"
)

// variant writes the model of the table below with some files changed: pairs of
// a file's name, what is replaced in it, and what by.
func variant(t *testing.T, models, name string, red []float32, change ...string) {
	t.Helper()
	dir := filepath.Join(models, name)
	writeModel(t, dir, red)
	change = append([]string{"config.json", `"normalize"`, `"matryoshka_dimensions":[2],"normalize"`}, change...)
	for i := 0; i < len(change); i += 3 {
		path := filepath.Join(dir, change[i])
		data, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(data), change[i+1]) {
			t.Fatalf("%s: %v", path, err)
		}
		if err := os.WriteFile(path, []byte(strings.Replace(string(data), change[i+1], change[i+2], 1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// leafCase is one leaf field of the manifest.
type leafCase struct {
	leaf    string
	alter   func(m *compat.Manifest) // changes exactly this field
	verdict compat.Verdict
	// wish asks a service for the same change; nil: no request can.
	wish *Wish
	// started is what a server does that finds the altered manifest in its
	// store, and the models as they were: "" answers texts; otherwise the code
	// of the error, or the field of a MismatchError, that texts get. "invalid":
	// no store takes such a manifest.
	started string
}

func wishFor(model string, change func(*EmbeddingWish)) *Wish {
	e := &EmbeddingWish{Model: model}
	if change != nil {
		change(e)
	}
	return &Wish{Embedding: e}
}

// leafCases is the table of verdicts: every leaf, changed alone.
func leafCases() []leafCase {
	text, no := "the ", false
	base := func(change func(*EmbeddingWish)) *Wish { return wishFor("local:base", change) }
	return []leafCase{
		{"schema", func(m *compat.Manifest) { m.Schema++ }, compat.VerdictRefuse, nil, "invalid"},
		{"space.encoder", func(m *compat.Manifest) { m.Space.Encoder = "static/9" }, compat.VerdictReembed, nil, "space.encoder"},
		{"space.weights", func(m *compat.Manifest) { m.Space.Weights[0]++ }, compat.VerdictReembed, wishFor("local:weights", nil), "space.weights"},
		{"space.tokenizer", func(m *compat.Manifest) { m.Space.Tokenizer[0]++ }, compat.VerdictReembed, wishFor("local:tokenizer", nil), "space.tokenizer"},
		{"space.pooling", func(m *compat.Manifest) { m.Space.Pooling = compat.PoolingMax }, compat.VerdictReembed, nil, "space.pooling"},
		// What the manifest asks of the encoder, a server that starts asks of it too.
		{"space.query_prompt", func(m *compat.Manifest) { m.Space.QueryPrompt = text }, compat.VerdictRecheck, base(func(e *EmbeddingWish) { e.QueryPrompt = &text }), ""},
		{"space.document_prompt", func(m *compat.Manifest) { m.Space.DocumentPrompt = text }, compat.VerdictReembed, base(func(e *EmbeddingWish) { e.DocumentPrompt = &text }), ""},
		{"space.max_tokens", func(m *compat.Manifest) { m.Space.MaxTokens = 100 }, compat.VerdictReembed, wishFor("local:short", nil), "space.max_tokens"},
		{"space.normalization", func(m *compat.Manifest) { m.Space.Normalization = compat.NormalizeNone }, compat.VerdictReembed, base(func(e *EmbeddingWish) { e.Normalize = &no }), ""},
		{"space.precision", func(m *compat.Manifest) { m.Space.Precision = compat.PrecisionInt8 }, compat.VerdictReembed, nil, "encoder_missing"}, // a table has no int8
		{"space.dimension", func(m *compat.Manifest) { m.Space.Dimension = 2 }, compat.VerdictDerive, base(func(e *EmbeddingWish) { e.Dimensions = 2 }), ""},
		{"space.full_dimension", func(m *compat.Manifest) { m.Space.FullDimension = 9 }, compat.VerdictReembed, nil, "space.full_dimension"},
		{"metric", func(m *compat.Manifest) { m.Metric = compat.MetricDot }, compat.VerdictRebuild, &Wish{Vectors: &VectorsWish{Metric: compat.MetricDot}}, ""},
		{"index.engine", func(m *compat.Manifest) { m.Index.Engine = compat.EngineExact }, compat.VerdictRebuild, &Wish{Index: IndexWish{Engine: compat.EngineExact}}, ""},
		{"index.m", func(m *compat.Manifest) { m.Index.M = 8 }, compat.VerdictRebuild, &Wish{Index: IndexWish{M: 8}}, ""},
		{"index.ef_construction", func(m *compat.Manifest) { m.Index.EfConstruction = 99 }, compat.VerdictRebuild, &Wish{Index: IndexWish{EfConstruction: 99}}, ""},
		{"index.encoding", func(m *compat.Manifest) { m.Index.Encoding = compat.EncodingInt8 }, compat.VerdictDerive, &Wish{Index: IndexWish{Encoding: compat.EncodingInt8}}, ""},
		{"search.ef", func(m *compat.Manifest) { m.Search.Ef = 77 }, compat.VerdictTune, &Wish{Search: SearchWish{Ef: 77}}, ""},
		{"search.oversampling", func(m *compat.Manifest) { m.Search.Oversampling = 2 }, compat.VerdictTune, &Wish{Search: SearchWish{Oversampling: 2}}, ""},
		{"evidence.probes", func(m *compat.Manifest) {
			m.Evidence.Probes = slices.Clone(m.Evidence.Probes)
			m.Evidence.Probes[0].Document = []float32{0, 0, 1}
		}, compat.VerdictSame, nil, "encoder_changed"},
		{"evidence.model_card", func(m *compat.Manifest) { m.Evidence.ModelCard = "A card." }, compat.VerdictSame, nil, ""},
		{"evidence.recall", func(m *compat.Manifest) {
			m.Evidence.Recall = &compat.MeasuredRecall{K: 10, Ef: 64, Queries: 100, Recall: 0.9, At: time.Unix(1, 0).UTC()}
		}, compat.VerdictSame, nil, ""},
		{"evidence.adoption", func(m *compat.Manifest) {
			m.Evidence.Adoption = &compat.Adoption{From: compat.Fingerprint{1}, Points: 20, Texts: 10, LeastCosine: 0.9999, MeanCosine: 0.9999, At: time.Unix(1, 0).UTC()}
		}, compat.VerdictSame, nil, ""},
		// The same files under another name are the same model.
		{"provenance.model", func(m *compat.Manifest) { m.Provenance.Model = "local:copy" }, compat.VerdictSame, wishFor("local:copy", nil), ""},
		{"provenance.source", func(m *compat.Manifest) { m.Provenance.Source = "elsewhere" }, compat.VerdictSame, nil, ""},
		{"provenance.program", func(m *compat.Manifest) { m.Provenance.Program = "0.0.1" }, compat.VerdictSame, nil, ""},
		{"provenance.created_at", func(m *compat.Manifest) { m.Provenance.CreatedAt = time.Unix(1, 0).UTC() }, compat.VerdictSame, nil, ""},
		{"provenance.verified", func(m *compat.Manifest) { m.Provenance.Verified = false }, compat.VerdictSame, nil, ""},
		{"provenance.text_field", func(m *compat.Manifest) { m.Provenance.TextField = "body" }, compat.VerdictSame, base(func(e *EmbeddingWish) { e.TextField = "body" }), ""},
		{"provenance.labels", func(m *compat.Manifest) { m.Provenance.Labels = map[string]string{"team": "search"} }, compat.VerdictSame, nil, ""},
	}
}

// TestVerdicts changes every leaf field of a manifest alone and wants its
// verdict and plan of the logic, the same of a service that is asked for the
// change, and of a server that finds the change at its start either right
// answers or a refusal that names the field.
func TestVerdicts(t *testing.T) {
	models := t.TempDir()
	red := []float32{1, 0, 0}
	variant(t, models, "base", red)
	variant(t, models, "copy", red)
	variant(t, models, "weights", []float32{0, 0.6, 0.8})
	variant(t, models, "tokenizer", red, "tokenizer.json", `"the"`, `"yon"`)
	variant(t, models, "short", red, "config.json", `"normalize"`, `"seq_length":100,"normalize"`)
	s := open(t, t.TempDir(), models)
	defer shut(t, s)
	c, err := s.Create(t.Context(), "c", Wish{Embedding: &EmbeddingWish{Model: "local:base"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Upsert(t.Context(), []Point{{ID: store.NumID(1), Text: "red", HasText: true}, {ID: store.NumID(2), Text: "blue", HasText: true}}); err != nil {
		t.Fatal(err)
	}
	have := c.Manifest()
	seen := map[string]bool{}
	for _, l := range leafCases() {
		seen[l.leaf] = true
		t.Run(l.leaf, func(t *testing.T) {
			want := have
			l.alter(&want)
			checkLeaf(t, l, compat.NewMismatch("c", have, want, compat.Facts{Documents: 2, WithText: 2}))
			if l.wish != nil {
				asked, err := s.Diff(t.Context(), c, *l.wish)
				if err != nil {
					t.Fatalf("the service: %v", err)
				}
				checkLeaf(t, l, asked)
			}
			restarted(t, l, models, have, want)
		})
	}
	// compat's own test holds its table to the struct; this one holds to it.
	for _, change := range compat.Diff(compat.Manifest{}, full(have)) {
		if !seen[change.Field] {
			t.Errorf("%s is not in the table", change.Field)
		}
	}
	if len(seen) != 30 {
		t.Errorf("%d leaves in the table, want 30", len(seen))
	}
}

// full is a manifest in which no leaf is zero.
func full(m compat.Manifest) compat.Manifest {
	for _, l := range leafCases() {
		l.alter(&m)
	}
	return m
}

// checkLeaf wants exactly the leaf among what counts, with its verdict, and the
// plan that goes with it. Labels may change beside it.
func checkLeaf(t *testing.T, l leafCase, got *compat.MismatchError) {
	t.Helper()
	var fields []string
	for _, c := range got.Changes {
		if c.Verdict > compat.VerdictSame || c.Field == l.leaf {
			fields = append(fields, c.Field)
			if c.Verdict != l.verdict {
				t.Errorf("%s is %v, want %v", c.Field, c.Verdict, l.verdict)
			}
		}
	}
	if !slices.Equal(fields, []string{l.leaf}) {
		t.Errorf("changed are %v: %+v", fields, got.Changes)
	}
	plan := got.Plan
	touched := 0
	if l.verdict > compat.VerdictRecheck && l.verdict < compat.VerdictRefuse {
		touched = 2
	}
	if plan.Verdict != l.verdict || plan.CallsEncoder != (l.verdict == compat.VerdictReembed) || plan.Documents != touched || plan.Summary == "" || plan.Remedy == "" {
		t.Errorf("the plan: %+v", plan)
	}
	if (len(plan.Steps) > 0) != (l.verdict > compat.VerdictSame && l.verdict < compat.VerdictRefuse) {
		t.Errorf("steps: %q", plan.Steps)
	}
}

// restarted starts a server over a store that holds the altered manifest.
func restarted(t *testing.T, l leafCase, models string, have, m compat.Manifest) {
	t.Helper()
	data := t.TempDir()
	opened, err := store.Open(t.Context(), store.Options{Dir: data, Create: true, MinFreeBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	if m.Space != have.Space {
		m.Evidence.Probes = nil // they were made with the other space
	}
	stored, err := opened.Create(t.Context(), "c", m)
	if l.started == "invalid" {
		if err == nil {
			t.Error("a store took it")
		}
		if err := opened.Close(context.Background()); err != nil {
			t.Error(err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	stamper, err := m.Stamper()
	if err != nil {
		t.Fatal(err)
	}
	row := make([]float32, m.Space.Dimension)
	row[0] = 1
	v, err := stamper.Stamp(slices.Clone(row))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stored.Put(t.Context(), []store.Document{{ID: store.NumID(1), Text: "red", HasText: true}}, v); err != nil {
		t.Fatal(err)
	}
	if err := opened.Close(context.Background()); err != nil {
		t.Fatal(err)
	}

	s := open(t, data, models)
	defer shut(t, s)
	c := collectionOf(t, s, "c")
	// Whatever it is: vectors of the stored space are answered.
	if a, err := c.Query(t.Context(), Query{Vector: row, Limit: 1}); err != nil || len(a.Hits) != 1 {
		t.Errorf("a query by vector: %+v, %v", a, err)
	}
	_, textErr := c.Query(t.Context(), textQuery("red"))
	_, writeErr := c.Upsert(t.Context(), []Point{{ID: store.NumID(2), Text: "blue", HasText: true}})
	for what, err := range map[string]error{"a text query": textErr, "a write of text": writeErr} {
		var refused *Error
		var mismatch *compat.MismatchError
		switch {
		case l.started == "":
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
		case errors.As(err, &mismatch):
			if len(mismatch.Changes) == 0 || mismatch.Changes[0].Field != l.started || mismatch.Plan.Verdict != l.verdict {
				t.Errorf("%s: %+v, want %s", what, mismatch.Changes, l.started)
			}
		case errors.As(err, &refused):
			if refused.Code != l.started || refused.Remedy == "" && refused.Code != "encoder_changed" {
				t.Errorf("%s: %s: %v, want %s", what, refused.Code, err, l.started)
			}
		default:
			t.Errorf("%s: %v, want %s", what, err, l.started)
		}
	}
}

package compat

import (
	"errors"
	"math"
	"strings"
	"testing"
)

func TestValidate(t *testing.T) {
	m := sample()
	if err := m.Validate(); err != nil {
		t.Fatalf("the sample: %v", err)
	}
	nan := math.NaN()
	for _, c := range []struct {
		field  string
		change func(m *Manifest)
		says   string
	}{
		{"schema", func(m *Manifest) { m.Schema = 0 }, "0"},
		{"space.encoder", func(m *Manifest) { m.Space.Encoder = "" }, `""`},
		{"space.encoder", func(m *Manifest) { m.Space.Encoder = "Static" }, "static/1"},
		{"space.encoder", func(m *Manifest) { m.Space.Encoder = "static/1\n" }, `\n`},
		{"space.weights", func(m *Manifest) { m.Space.Encoder = "raw/1"; m.Space.Weights = Digest{} }, "none"},
		{"space.pooling", func(m *Manifest) { m.Space.Pooling = "sum" }, "mean, cls"},
		{"space.query_prompt", func(m *Manifest) { m.Space.QueryPrompt = "a\xff" }, "UTF-8"},
		{"space.document_prompt", func(m *Manifest) { m.Space.DocumentPrompt = strings.Repeat("x", MaxPromptBytes+1) }, "8192"},
		{"space.max_tokens", func(m *Manifest) { m.Space.MaxTokens = -1 }, "0.."},
		{"space.normalization", func(m *Manifest) { m.Space.Normalization = "" }, "none or l2"},
		{"space.precision", func(m *Manifest) { m.Space.Precision = "f16" }, "f32 or int8"},
		{"space.dimension", func(m *Manifest) { m.Space.Dimension = 0; m.Evidence.Probes = nil }, "1..65536"},
		{"space.full_dimension", func(m *Manifest) { m.Space.FullDimension = 3 }, "4..65536"},
		{"space.full_dimension", func(m *Manifest) { m.Space.FullDimension = MaxDimension + 1 }, "4..65536"},
		{"metric", func(m *Manifest) { m.Metric = "Cosine" }, "cosine, dot or l2"},
		{"index.engine", func(m *Manifest) { m.Index.Engine = "ivf" }, "hnsw, coder, exact or auto"},
		{"index.m", func(m *Manifest) { m.Index.M = 1 }, "2..512"},
		{"index.m", func(m *Manifest) { m.Index.M = 513 }, "2..512"},
		{"index.ef_construction", func(m *Manifest) { m.Index.EfConstruction = 0 }, "1..65536"},
		{"index.encoding", func(m *Manifest) { m.Index.Encoding = "f64" }, "f32, int8 or lvq4x8"},
		{"index.encoding", func(m *Manifest) { m.Index.Encoding, m.Index.Engine = "int8", EngineExact }, "f32 with engine exact"},
		{"search.ef", func(m *Manifest) { m.Search.Ef = MaxEf + 1 }, "65537"},
		{"search.oversampling", func(m *Manifest) { m.Search.Oversampling = nan }, "NaN"},
		{"search.oversampling", func(m *Manifest) { m.Search.Oversampling = 0.5 }, "1..100"},
		{"evidence.probes", func(m *Manifest) { m.Evidence.Probes = make([]Probe, MaxProbes+1) }, "65 probes"},
		{"evidence.probes.1.text", func(m *Manifest) { m.Evidence.Probes[1].Text = "\xff" }, "UTF-8"},
		{"evidence.probes.0.document", func(m *Manifest) { m.Evidence.Probes[0].Document = []float32{1} }, "4 floats"},
		{"evidence.probes.0.query", func(m *Manifest) { m.Evidence.Probes[0].Query = []float32{0, 0, float32(nan), 0} }, "NaN at component 2"},
		{"evidence.recall.recall", func(m *Manifest) { m.Evidence.Recall.Recall = 1.5 }, "0..1"},
		{"evidence.recall.k", func(m *Manifest) { m.Evidence.Recall.K = 0 }, "1.."},
		{"evidence.adoption.from", func(m *Manifest) { m.Evidence.Adoption.From = Fingerprint{} }, "zero"},
		{"evidence.adoption.points", func(m *Manifest) { m.Evidence.Adoption.Points, m.Evidence.Adoption.Texts = 0, 1 }, "1.."},
		{"evidence.adoption.texts", func(m *Manifest) { m.Evidence.Adoption.Texts = 1001 }, "1..1000"},
		{"evidence.adoption.least_cosine", func(m *Manifest) { m.Evidence.Adoption.LeastCosine = 0.998 }, "0.999..1"},
		{"evidence.adoption.mean_cosine", func(m *Manifest) { m.Evidence.Adoption.MeanCosine = nan }, "NaN"},
		{"evidence.adoption.mean_cosine", func(m *Manifest) { m.Evidence.Adoption.MeanCosine = 0.9994 }, "the least cosine..1"},
		{"provenance.source", func(m *Manifest) { m.Provenance.Source = "\xff" }, "UTF-8"},
		{"provenance.labels", func(m *Manifest) { m.Provenance.Labels = map[string]string{"\xff": ""} }, "UTF-8"},
	} {
		m := sample()
		c.change(&m)
		err := m.Validate()
		var invalid *InvalidError
		if !errors.As(err, &invalid) || !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", c.field, err)
			continue
		}
		if f := invalid.Fields; len(f) != 1 || f[0].Field != c.field || f[0].Allowed == "" || f[0].Value == "" {
			t.Errorf("%s: %+v", c.field, f)
		}
		if !strings.Contains(err.Error(), c.field) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %q does not say %q", c.field, err, c.says)
		}
		if strings.HasPrefix(c.field, "space.") {
			if err := m.Space.Validate(); !errors.As(err, &invalid) || invalid.Fields[0].Field != c.field {
				t.Errorf("the space on its own, %s: %v", c.field, err)
			}
		}
	}
	m.Schema = SchemaVersion + 1
	if err := m.Validate(); !errors.Is(err, ErrSchema) {
		t.Errorf("a newer schema: %v", err)
	}
}

func TestValidateListsAll(t *testing.T) {
	var m Manifest
	var invalid *InvalidError
	if err := m.Validate(); !errors.As(err, &invalid) || len(invalid.Fields) < 10 {
		t.Errorf("the zero manifest: %v", err)
	}
}

func TestWithDefaults(t *testing.T) {
	m := Manifest{Space: sample().Space}.WithDefaults()
	if err := m.Validate(); err != nil {
		t.Errorf("defaults are not valid: %v", err)
	}
	if m.Index != (IndexBuild{EngineHNSW, 16, 200, EncodingF32}) || m.Search.Oversampling != 1 || m.Search.Ef != DefaultEf || m.Metric != MetricCosine {
		t.Errorf("defaults are %+v %+v %v", m.Index, m.Search, m.Metric)
	}
	if m.Space != sample().Space {
		t.Error("the space was changed")
	}
	if changes := Diff(sample(), sample().WithDefaults()); len(changes) > 0 {
		t.Errorf("values that were set are changed: %+v", changes)
	}
}

package compat

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ErrInvalid is what every *InvalidError wraps.
var ErrInvalid = errors.New("invalid manifest")

// Defaults of what WithDefaults fills in.
const (
	DefaultM              = 16
	DefaultEfConstruction = 200
	DefaultEf             = 100
	DefaultOversampling   = 1
)

// Limits of a manifest's values.
const (
	MinM            = 2
	MaxM            = 512
	MaxEf           = 65536 // of EfConstruction and of Ef
	MaxOversampling = 100
	MaxTokensLimit  = 1 << 20
	MaxPromptBytes  = 8 << 10
	MaxLabelBytes   = 64 << 10 // of a provenance's text, a label's key or value, a probe's text
	MaxCardBytes    = 1 << 20
	MaxLabels       = 256
	MaxProbes       = 64
)

// FieldError is one value that a manifest may not have.
type FieldError struct {
	Field   string `json:"field"`   // as in the manifest's JSON: "index.m"
	Value   string `json:"value"`   // what it is, cut when it is long
	Allowed string `json:"allowed"` // what it may be
}

// Error is field, value, and what is allowed.
func (e FieldError) Error() string {
	return fmt.Sprintf("%s is %s: allowed is %s", e.Field, e.Value, e.Allowed)
}

// InvalidError lists every value of a manifest or space that is not allowed.
type InvalidError struct {
	Fields []FieldError // at least one, in the order of the manifest
}

// Error lists the fields.
func (e *InvalidError) Error() string {
	lines := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		lines[i] = f.Error()
	}
	return ErrInvalid.Error() + ": " + strings.Join(lines, "; ")
}

// Unwrap gives ErrInvalid.
func (e *InvalidError) Unwrap() error { return ErrInvalid }

// WithDefaults is the manifest with defaults in place of zero values: schema,
// metric (cosine), engine (hnsw), M, efConstruction, encoding (f32), ef and
// oversampling. The space is left as it is, because its encoder states it
// whole. Slices and maps are shared with m.
func (m Manifest) WithDefaults() Manifest {
	setDefault(&m.Schema, SchemaVersion)
	setDefault(&m.Metric, MetricCosine)
	setDefault(&m.Index.Engine, EngineHNSW)
	setDefault(&m.Index.M, DefaultM)
	setDefault(&m.Index.EfConstruction, DefaultEfConstruction)
	setDefault(&m.Index.Encoding, EncodingF32)
	setDefault(&m.Search.Ef, DefaultEf)
	setDefault(&m.Search.Oversampling, DefaultOversampling)
	return m
}

func setDefault[T comparable](p *T, value T) {
	var zero T
	if *p == zero {
		*p = value
	}
}

// Validate checks the space on its own. The error is an *InvalidError.
func (s Space) Validate() error {
	var c checker
	c.space(&s)
	return c.err()
}

// Validate checks every value of the manifest. The error is an *InvalidError,
// or ErrSchema for a manifest of a newer vecino.
func (m *Manifest) Validate() error {
	if m.Schema > SchemaVersion {
		return fmt.Errorf("manifest: %w (schema %d; this program knows up to %d)", ErrSchema, m.Schema, SchemaVersion)
	}
	var c checker
	c.between("schema", m.Schema, 1, SchemaVersion)
	c.space(&m.Space)
	c.oneOf("metric", string(m.Metric), string(MetricCosine), string(MetricDot), string(MetricL2))
	c.oneOf("index.engine", string(m.Index.Engine), string(EngineHNSW), string(EngineCoder), string(EngineExact), string(EngineAuto))
	c.between("index.m", m.Index.M, MinM, MaxM)
	c.between("index.ef_construction", m.Index.EfConstruction, 1, MaxEf)
	c.oneOf("index.encoding", string(m.Index.Encoding), string(EncodingF32), string(EncodingInt8), string(EncodingLVQ4x8))
	if e := m.Index.Encoding; (e == EncodingInt8 || e == EncodingLVQ4x8) && m.Index.Engine != EngineHNSW && m.Index.Engine != EngineAuto {
		c.add("index.encoding", string(e), string(EncodingF32)+" with engine "+string(m.Index.Engine))
	}
	c.between("search.ef", m.Search.Ef, 1, MaxEf)
	if x := m.Search.Oversampling; !(x >= 1 && x <= MaxOversampling) {
		c.add("search.oversampling", strconv.FormatFloat(x, 'g', -1, 64), fmt.Sprintf("1..%d", MaxOversampling))
	}
	c.evidence(&m.Evidence, m.Space.Dimension)
	c.provenance(&m.Provenance)
	return c.err()
}

// checker collects what is wrong.
type checker struct{ fields []FieldError }

func (c *checker) err() error {
	if len(c.fields) == 0 {
		return nil
	}
	return &InvalidError{Fields: c.fields}
}

func (c *checker) add(field, value, allowed string) {
	c.fields = append(c.fields, FieldError{Field: field, Value: value, Allowed: allowed})
}

func (c *checker) between(field string, value, low, high int) {
	if value < low || value > high {
		allowed := fmt.Sprintf("%d..%d", low, high)
		if low == high {
			allowed = strconv.Itoa(low)
		}
		c.add(field, strconv.Itoa(value), allowed)
	}
}

func (c *checker) oneOf(field, value string, allowed ...string) {
	for _, a := range allowed {
		if value == a {
			return
		}
	}
	c.add(field, quoteShort(value), orList(allowed))
}

func (c *checker) text(field, value string, limit int) {
	if len(value) > limit {
		c.add(field, fmt.Sprintf("%d bytes long", len(value)), fmt.Sprintf("0..%d bytes", limit))
	}
	if !utf8.ValidString(value) {
		c.add(field, quoteShort(value), "valid UTF-8")
	}
}

// encoderName is the form of Space.Encoder: a name and a version.
var encoderName = regexp.MustCompile(`^[a-z][a-z0-9._+-]{0,47}/[0-9]{1,9}$`)

func (c *checker) space(s *Space) {
	if !encoderName.MatchString(s.Encoder) {
		c.add("space.encoder", quoteShort(s.Encoder), `a name in lower case and a version, like "static/1"`)
	}
	if s.Raw() && s.Weights == (Digest{}) {
		c.add("space.weights", "none", "for raw vectors a digest, random when no model is declared")
	}
	c.oneOf("space.pooling", string(s.Pooling), string(PoolingNone), string(PoolingMean), string(PoolingCLS), string(PoolingMax), string(PoolingLast))
	c.text("space.query_prompt", s.QueryPrompt, MaxPromptBytes)
	c.text("space.document_prompt", s.DocumentPrompt, MaxPromptBytes)
	c.between("space.max_tokens", s.MaxTokens, 0, MaxTokensLimit)
	c.oneOf("space.normalization", string(s.Normalization), string(NormalizeNone), string(NormalizeL2))
	c.oneOf("space.precision", string(s.Precision), string(PrecisionF32), string(PrecisionInt8))
	c.between("space.dimension", s.Dimension, 1, MaxDimension)
	if s.FullDimension < s.Dimension || s.FullDimension > MaxDimension {
		c.add("space.full_dimension", strconv.Itoa(s.FullDimension), fmt.Sprintf("%d..%d (the dimension, or more when the model was cut to it)", s.Dimension, MaxDimension))
	}
}

func (c *checker) evidence(e *Evidence, dimension int) {
	if len(e.Probes) > MaxProbes {
		c.add("evidence.probes", fmt.Sprintf("%d probes", len(e.Probes)), fmt.Sprintf("0..%d probes", MaxProbes))
	}
	for i, p := range e.Probes[:min(len(e.Probes), MaxProbes)] {
		name := fmt.Sprintf("evidence.probes.%d.", i)
		c.text(name+"text", p.Text, MaxLabelBytes)
		c.probeVector(name+"document", p.Document, dimension)
		c.probeVector(name+"query", p.Query, dimension)
	}
	c.text("evidence.model_card", e.ModelCard, MaxCardBytes)
	if r := e.Recall; r != nil {
		if !(r.Recall >= 0 && r.Recall <= 1) {
			c.add("evidence.recall.recall", strconv.FormatFloat(r.Recall, 'g', -1, 64), "0..1")
		}
		c.between("evidence.recall.k", r.K, 1, math.MaxInt32)
		c.between("evidence.recall.ef", r.Ef, 0, math.MaxInt32)
		c.between("evidence.recall.queries", r.Queries, 1, math.MaxInt32)
	}
	if a := e.Adoption; a != nil {
		if a.From.IsZero() {
			c.add("evidence.adoption.from", "zero", "the fingerprint of a space")
		}
		c.between("evidence.adoption.points", a.Points, 1, math.MaxInt)
		c.between("evidence.adoption.texts", a.Texts, 1, max(a.Points, 1))
		if x := a.LeastCosine; !(x >= MinProbeCosine && x <= 1) {
			c.add("evidence.adoption.least_cosine", strconv.FormatFloat(x, 'g', -1, 64), fmt.Sprintf("%g..1", MinProbeCosine))
		}
		if x := a.MeanCosine; !(x >= a.LeastCosine && x <= 1) {
			c.add("evidence.adoption.mean_cosine", strconv.FormatFloat(x, 'g', -1, 64), "the least cosine..1")
		}
	}
}

func (c *checker) probeVector(field string, row []float32, dimension int) {
	if len(row) != 0 && len(row) != dimension {
		c.add(field, fmt.Sprintf("%d floats", len(row)), fmt.Sprintf("absent or %d floats", dimension))
	}
	for i, x := range row {
		if v := float64(x); math.IsNaN(v) || math.IsInf(v, 0) {
			c.add(field, fmt.Sprintf("%v at component %d", x, i), "finite numbers")
			return
		}
	}
}

func (c *checker) provenance(p *Provenance) {
	c.text("provenance.model", p.Model, MaxLabelBytes)
	c.text("provenance.source", p.Source, MaxLabelBytes)
	c.text("provenance.program", p.Program, MaxLabelBytes)
	c.text("provenance.text_field", p.TextField, MaxLabelBytes)
	if len(p.Labels) > MaxLabels {
		c.add("provenance.labels", fmt.Sprintf("%d labels", len(p.Labels)), fmt.Sprintf("0..%d labels", MaxLabels))
		return
	}
	for _, key := range slices.Sorted(maps.Keys(p.Labels)) {
		c.text("provenance.labels", key, MaxLabelBytes)
		c.text("provenance.labels", p.Labels[key], MaxLabelBytes)
	}
}

// orList writes "a, b or c".
func orList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// quoteShort quotes a value for a message, cut to a readable length.
func quoteShort(s string) string {
	const limit = 60
	if len(s) > limit {
		return strconv.Quote(s[:limit]) + "..."
	}
	return strconv.Quote(s)
}

package compat

import "time"

// field is one leaf of a record of type T: its name and kind in the canonical
// encoding, what a change of it means, and how it is written, read and shown.
// The tables of fields below are the only list of what a manifest holds:
// encoding, fingerprint and diff all walk them, so a field that is in a table
// is in all of them, and a test finds the one that is in none.
type field[T any] struct {
	name string // path in the manifest's JSON: "space.dimension"
	kind kind
	rule rule // nil means VerdictRefuse
	// encode appends the value.
	encode func(b []byte, t *T) []byte
	// decode sets the value; v is the whole value and nothing else.
	decode func(v []byte, t *T) error
	// show is the value for people, on one line.
	show func(t *T) string
	// absent reports whether the field is left out of the encoding, because it
	// came after manifests had been written without it; nil: it never is.
	absent func(t *T) bool
}

// spaceFields are the fields of a Space in the order of the encoding. Their
// names, kinds and order are part of every fingerprint and never change.
var spaceFields = []field[Space]{
	text("encoder", reembed, func(s *Space) *string { return &s.Encoder }),
	digest("weights", reembed, func(s *Space) *Digest { return &s.Weights }),
	digest("tokenizer", reembed, func(s *Space) *Digest { return &s.Tokenizer }),
	text("pooling", reembed, func(s *Space) *Pooling { return &s.Pooling }),
	quoted(text("query_prompt", always(VerdictRecheck), func(s *Space) *string { return &s.QueryPrompt })),
	quoted(text("document_prompt", reembed, func(s *Space) *string { return &s.DocumentPrompt })),
	integer("max_tokens", reembed, func(s *Space) *int { return &s.MaxTokens }),
	text("normalization", normalize, func(s *Space) *Normalization { return &s.Normalization }),
	text("precision", reembed, func(s *Space) *Precision { return &s.Precision }),
	integer("dimension", cut, func(s *Space) *int { return &s.Dimension }),
	integer("full_dimension", reembed, func(s *Space) *int { return &s.FullDimension }),
}

// queryPromptField is the one field of a Space on which stored vectors don't
// depend.
const queryPromptField = "query_prompt"

// manifestFields are the fields of a Manifest in the order of the encoding.
// The schema stands first in every schema there will be.
var manifestFields = concat(
	[]field[Manifest]{
		schemaField(integer("schema", schema, func(m *Manifest) *int { return &m.Schema })),
	},
	within("space.", spaceFields, func(m *Manifest) *Space { return &m.Space }),
	[]field[Manifest]{
		text("metric", always(VerdictRebuild), func(m *Manifest) *Metric { return &m.Metric }),
		text("index.engine", always(VerdictRebuild), func(m *Manifest) *Engine { return &m.Index.Engine }),
		integer("index.m", always(VerdictRebuild), func(m *Manifest) *int { return &m.Index.M }),
		integer("index.ef_construction", always(VerdictRebuild), func(m *Manifest) *int { return &m.Index.EfConstruction }),
		text("index.encoding", always(VerdictDerive), func(m *Manifest) *Encoding { return &m.Index.Encoding }),
		integer("search.ef", always(VerdictTune), func(m *Manifest) *int { return &m.Search.Ef }),
		float("search.oversampling", always(VerdictTune), func(m *Manifest) *float64 { return &m.Search.Oversampling }),
		list("evidence.probes", always(VerdictSame), probeFields, func(m *Manifest) *[]Probe { return &m.Evidence.Probes }),
		text("evidence.model_card", always(VerdictSame), func(m *Manifest) *string { return &m.Evidence.ModelCard }),
		optional("evidence.recall", always(VerdictSame), recallFields, func(m *Manifest) **MeasuredRecall { return &m.Evidence.Recall }),
		leftOut(
			optional("evidence.adoption", always(VerdictSame), adoptionFields, func(m *Manifest) **Adoption { return &m.Evidence.Adoption }),
			func(m *Manifest) bool { return m.Evidence.Adoption == nil },
		),
		text("provenance.model", always(VerdictSame), func(m *Manifest) *string { return &m.Provenance.Model }),
		text("provenance.source", always(VerdictSame), func(m *Manifest) *string { return &m.Provenance.Source }),
		text("provenance.program", always(VerdictSame), func(m *Manifest) *string { return &m.Provenance.Program }),
		moment("provenance.created_at", always(VerdictSame), func(m *Manifest) *time.Time { return &m.Provenance.CreatedAt }),
		boolean("provenance.verified", always(VerdictSame), func(m *Manifest) *bool { return &m.Provenance.Verified }),
		text("provenance.text_field", always(VerdictSame), func(m *Manifest) *string { return &m.Provenance.TextField }),
		labels("provenance.labels", always(VerdictSame), func(m *Manifest) *map[string]string { return &m.Provenance.Labels }),
	},
)

// probeFields are the fields of one Probe. Fields of lists have no rules: the
// list has one.
var probeFields = []field[Probe]{
	text("text", nil, func(p *Probe) *string { return &p.Text }),
	floats("document", func(p *Probe) *[]float32 { return &p.Document }),
	floats("query", func(p *Probe) *[]float32 { return &p.Query }),
}

// recallFields are the fields of a MeasuredRecall.
var recallFields = []field[MeasuredRecall]{
	integer("k", nil, func(r *MeasuredRecall) *int { return &r.K }),
	integer("ef", nil, func(r *MeasuredRecall) *int { return &r.Ef }),
	integer("queries", nil, func(r *MeasuredRecall) *int { return &r.Queries }),
	float("recall", nil, func(r *MeasuredRecall) *float64 { return &r.Recall }),
	moment("at", nil, func(r *MeasuredRecall) *time.Time { return &r.At }),
}

// adoptionFields are the fields of an Adoption.
var adoptionFields = []field[Adoption]{
	digest("from", nil, func(a *Adoption) *Digest { return (*Digest)(&a.From) }),
	integer("points", nil, func(a *Adoption) *int { return &a.Points }),
	integer("texts", nil, func(a *Adoption) *int { return &a.Texts }),
	float("least_cosine", nil, func(a *Adoption) *float64 { return &a.LeastCosine }),
	float("mean_cosine", nil, func(a *Adoption) *float64 { return &a.MeanCosine }),
	moment("at", nil, func(a *Adoption) *time.Time { return &a.At }),
}

// leftOut is a field that is not written where it is absent.
func leftOut[T any](f field[T], absent func(t *T) bool) field[T] {
	f.absent = absent
	return f
}

// within makes the fields of a part P of T fields of T.
func within[T, P any](prefix string, fields []field[P], at func(*T) *P) []field[T] {
	lifted := make([]field[T], 0, len(fields))
	for _, f := range fields {
		whole := field[T]{
			name:   prefix + f.name,
			kind:   f.kind,
			rule:   f.rule,
			encode: func(b []byte, t *T) []byte { return f.encode(b, at(t)) },
			decode: func(v []byte, t *T) error { return f.decode(v, at(t)) },
			show:   func(t *T) string { return f.show(at(t)) },
		}
		if f.absent != nil {
			whole.absent = func(t *T) bool { return f.absent(at(t)) }
		}
		lifted = append(lifted, whole)
	}
	return lifted
}

// concat joins tables of fields.
func concat[T any](tables ...[]field[T]) []field[T] {
	var all []field[T]
	for _, t := range tables {
		all = append(all, t...)
	}
	return all
}

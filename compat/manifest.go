package compat

import (
	"encoding/hex"
	"fmt"
	"time"
)

// SchemaVersion is the newest manifest schema that this program reads and the
// one that it writes. A stored manifest of a newer schema is refused.
const SchemaVersion = 1

// Digest is the SHA-256 of the bytes of a file or of a specification. The
// zero Digest means that there is nothing to digest (a hash encoder has no
// weights file).
type Digest [32]byte

// String is the digest in lower-case hexadecimal, or "none" for the zero
// Digest.
func (d Digest) String() string {
	if d == (Digest{}) {
		return "none"
	}
	return hex.EncodeToString(d[:])
}

// MarshalText writes the digest as String does.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (d *Digest) UnmarshalText(text []byte) error {
	if string(text) == "none" {
		*d = Digest{}
		return nil
	}
	if hex.DecodedLen(len(text)) != len(d) {
		return fmt.Errorf("digest: want %d hexadecimal digits, got %d", 2*len(d), len(text))
	}
	_, err := hex.Decode(d[:], text)
	return err
}

// Pooling says how the states of a text's tokens become one vector.
type Pooling string

// The ways of pooling.
const (
	PoolingNone Pooling = "none" // there are no token states (raw vectors, lexical hashing)
	PoolingMean Pooling = "mean"
	PoolingCLS  Pooling = "cls"
	PoolingMax  Pooling = "max"
	PoolingLast Pooling = "last"
)

// Normalization says what is done to a vector after pooling.
type Normalization string

// The normalizations.
const (
	NormalizeNone Normalization = "none"
	NormalizeL2   Normalization = "l2" // every vector has Euclidean length 1
)

// Precision is the arithmetic an encoder runs in; it decides the floats.
type Precision string

// The precisions.
const (
	PrecisionF32  Precision = "f32"
	PrecisionInt8 Precision = "int8"
)

// Space is everything that decides which floats a text becomes. Two texts may
// be compared by their vectors only when their spaces have equal fingerprints.
// Labels (a model's name, its URL) are not part of it: see Provenance.
type Space struct {
	// Encoder names the algorithm and its version, for example "hash/1",
	// "static/1", "bert/1" or "raw/1" (vectors brought by clients).
	Encoder string `json:"encoder"`
	// Weights is the digest of the model's weights. For raw vectors of no
	// declared model it is a random value of the collection, so that an equal
	// dimension never passes for an equal space.
	Weights Digest `json:"weights"`
	// Tokenizer is the digest of the tokenizer's definition.
	Tokenizer      Digest        `json:"tokenizer"`
	Pooling        Pooling       `json:"pooling"`
	QueryPrompt    string        `json:"query_prompt"`
	DocumentPrompt string        `json:"document_prompt"`
	MaxTokens      int           `json:"max_tokens"` // truncation, special tokens included; 0: none
	Normalization  Normalization `json:"normalization"`
	Precision      Precision     `json:"precision"`
	// Dimension is the number of floats of a vector, 1..MaxDimension.
	Dimension int `json:"dimension"`
	// FullDimension is the dimension of the model before a Matryoshka cut;
	// equal to Dimension when nothing is cut.
	FullDimension int `json:"full_dimension"`
}

// MaxDimension is the largest dimension of a vector.
const MaxDimension = 65536

// Metric is how two vectors of a space are compared.
type Metric string

// The metrics. Under cosine and dot a larger score is nearer; under L2 the
// score is the Euclidean distance and a smaller one is nearer.
const (
	MetricCosine Metric = "cosine"
	MetricDot    Metric = "dot"
	MetricL2     Metric = "l2"
)

// Engine names an implementation of an index.
type Engine string

// The engines.
const (
	EngineHNSW  Engine = "hnsw"
	EngineCoder Engine = "coder"
	EngineExact Engine = "exact"
	// EngineAuto scans like exact until the collection has outgrown that, and
	// then is hnsw. Its build settings are those of the graph to come.
	EngineAuto Engine = "auto"
)

// Encoding is how the index keeps vectors in memory.
type Encoding string

// The encodings.
const (
	EncodingF32 Encoding = "f32" // as they are
	// EncodingInt8: codes of 8 bits for the graph, and 8 more for the score.
	EncodingInt8 Encoding = "int8"
	// EncodingLVQ4x8: codes of 4 bits for the graph, and 8 more for the score.
	EncodingLVQ4x8 Encoding = "lvq4x8"
)

// IndexBuild is what decides the shape of a graph once its vectors are given.
type IndexBuild struct {
	Engine         Engine   `json:"engine"`
	M              int      `json:"m"`               // links of a node above level 0; 2M at level 0
	EfConstruction int      `json:"ef_construction"` // breadth of the search of an insert
	Encoding       Encoding `json:"encoding"`
}

// SearchDefaults apply to a query that names no values of its own.
type SearchDefaults struct {
	Ef           int     `json:"ef"`           // breadth of the search of a query
	Oversampling float64 `json:"oversampling"` // candidates fetched for rescoring, as a multiple of k
}

// Probe is one fixed text with the vectors that the encoder gave for it in
// both roles when the generation was created.
type Probe struct {
	Text     string    `json:"text"`
	Document []float32 `json:"document"`
	Query    []float32 `json:"query"`
}

// MeasuredRecall is the outcome of one comparison of a graph with exact search.
type MeasuredRecall struct {
	K       int       `json:"k"`
	Ef      int       `json:"ef"`
	Queries int       `json:"queries"`
	Recall  float64   `json:"recall"`
	At      time.Time `json:"at"`
}

// Adoption is the outcome of the comparison by which vectors that clients had
// brought without saying of which model were found to be of one: texts of the
// collection, drawn at random and embedded again, against the stored vectors.
type Adoption struct {
	From        Fingerprint `json:"from"`         // of the space that they were in before
	Points      int         `json:"points"`       // that there were
	Texts       int         `json:"texts"`        // that were compared
	LeastCosine float64     `json:"least_cosine"` // of a stored vector and the new one
	MeanCosine  float64     `json:"mean_cosine"`
	At          time.Time   `json:"at"`
}

// Evidence is what was observed of a generation. It decides nothing by itself.
type Evidence struct {
	Probes    []Probe         `json:"probes,omitempty"`
	ModelCard string          `json:"model_card,omitempty"` // summary and licence
	Recall    *MeasuredRecall `json:"recall,omitempty"`
	// Adoption is how raw vectors came to be the model's; nil: they were its
	// from the beginning, or there is no model.
	Adoption *Adoption `json:"adoption,omitempty"`
}

// Provenance says where a generation comes from: labels for people, none of
// which decides what a vector means.
type Provenance struct {
	Model     string            `json:"model"`            // as the API names it: "builtin:hash", "local:NAME", "" for raw vectors
	Source    string            `json:"source,omitempty"` // path, URL or hub name with revision
	Program   string            `json:"program"`          // the version of vecino that wrote it
	CreatedAt time.Time         `json:"created_at"`
	Verified  bool              `json:"verified"` // false: raw vectors of no declared model
	TextField string            `json:"text_field,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
}

// Manifest ties an index to the space of its vectors and to its own build.
type Manifest struct {
	Schema     int            `json:"schema"`
	Space      Space          `json:"space"`
	Metric     Metric         `json:"metric"`
	Index      IndexBuild     `json:"index"`
	Search     SearchDefaults `json:"search"`
	Evidence   Evidence       `json:"evidence"`
	Provenance Provenance     `json:"provenance"`
}

// Fingerprint is the SHA-256 over the canonical encoding of a Space. The zero
// Fingerprint matches nothing, not even itself.
type Fingerprint [32]byte

// String is the fingerprint in lower-case hexadecimal.
func (f Fingerprint) String() string { return hex.EncodeToString(f[:]) }

// IsZero reports whether f is the zero Fingerprint.
func (f Fingerprint) IsZero() bool { return f == Fingerprint{} }

// Matches reports whether f and g are the same and not zero.
func (f Fingerprint) Matches(g Fingerprint) bool { return f == g && !f.IsZero() }

// MarshalText writes the fingerprint as String does.
func (f Fingerprint) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (f *Fingerprint) UnmarshalText(text []byte) error {
	if hex.DecodedLen(len(text)) != len(f) {
		return fmt.Errorf("fingerprint: want %d hexadecimal digits, got %d", 2*len(f), len(text))
	}
	_, err := hex.Decode(f[:], text)
	return err
}

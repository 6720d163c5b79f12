package api

import (
	"context"
	"crypto/rand"
	"fmt"
	"regexp"
	"time"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
)

// collectionName is what a collection may be called.
var collectionName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)

// ValidName reports whether a collection may be called so.
func ValidName(name string) bool { return collectionName.MatchString(name) }

// badName is the error for a name that no collection can have.
func badName(name string) *Error {
	if len(name) > 80 {
		name = name[:80] + "..."
	}
	return &Error{
		Kind: KindInvalid, Code: "bad_collection_name", Detail: fmt.Sprintf("%q can't be the name of a collection", name),
		Remedy: "a name has 1 to 64 characters of a-z, 0-9, _ and -, and begins with a letter or a digit",
	}
}

// Wish is what a collection should be, as far as the caller cares: nil and
// zero values mean the default at creation, and "as it is" in a comparison.
type Wish struct {
	Embedding *EmbeddingWish
	Vectors   *VectorsWish
	Index     IndexWish
	Search    SearchWish
}

// EmbeddingWish asks for an encoder in the server.
type EmbeddingWish struct {
	Model                       string
	Dimensions                  int
	Normalize                   *bool
	QueryPrompt, DocumentPrompt *string
	Precision                   compat.Precision // of a transformer; "": f32
	TextField                   string           // where in the payload the text of a point lies that came with its vector
}

// VectorsWish asks for vectors brought by clients, or, beside an
// EmbeddingWish, states what the caller expects of its encoder.
type VectorsWish struct {
	Size   int
	Metric compat.Metric
}

// IndexWish asks for a way of building the index.
type IndexWish struct {
	Engine         compat.Engine
	M              int
	EfConstruction int
	Encoding       compat.Encoding
}

// SearchWish asks for search defaults.
type SearchWish struct {
	Ef           int
	Oversampling float64
}

// options are the encoder's options that the wish asks for.
func (w *EmbeddingWish) options() EncoderOptions {
	return EncoderOptions{Dimensions: w.Dimensions, QueryPrompt: w.QueryPrompt, DocumentPrompt: w.DocumentPrompt, Normalize: w.Normalize, Precision: w.Precision}
}

// asked says which settings of an encoder the wish states; nil: it names no
// model.
func (w Wish) asked() *compat.Asked {
	e := w.Embedding
	if e == nil {
		return nil
	}
	sized := w.Vectors != nil && w.Vectors.Size != 0
	return &compat.Asked{
		Dimensions: e.Dimensions != 0 || sized, Precision: e.Precision != "", QueryPrompt: e.QueryPrompt != nil,
		DocumentPrompt: e.DocumentPrompt != nil, Normalize: e.Normalize != nil,
	}
}

// apply lays the wish over the parts of a manifest that don't need an encoder.
func (w Wish) apply(m *compat.Manifest) {
	if w.Vectors != nil && w.Vectors.Metric != "" {
		m.Metric = w.Vectors.Metric
	}
	setIf(&m.Index.Engine, w.Index.Engine)
	setIf(&m.Index.M, w.Index.M)
	setIf(&m.Index.EfConstruction, w.Index.EfConstruction)
	setIf(&m.Index.Encoding, w.Index.Encoding)
	setIf(&m.Search.Ef, w.Search.Ef)
	setIf(&m.Search.Oversampling, w.Search.Oversampling)
}

// setIf sets p unless value is zero.
func setIf[T comparable](p *T, value T) {
	var zero T
	if value != zero {
		*p = value
	}
}

// manifest makes the manifest of a new collection, and the encoder that goes
// with it (nil for raw vectors), which the caller releases.
func (s *Service) manifest(ctx context.Context, w Wish) (m compat.Manifest, encoder *served, err error) {
	m = compat.Manifest{Provenance: compat.Provenance{Program: s.program, CreatedAt: time.Now().UTC().Truncate(time.Second)}}
	defer func() {
		if err != nil {
			encoder.release()
			encoder = nil
		}
	}()
	switch {
	case w.Embedding == nil && w.Vectors != nil:
		space, err := rawSpace(w.Vectors.Size)
		if err != nil {
			return m, nil, err
		}
		m.Space = space
	default:
		wish := EmbeddingWish{Model: DefaultModel}
		if w.Embedding != nil {
			wish = *w.Embedding
		}
		if encoder, err = s.encoders.get(ctx, wish.Model, wish.options()); err != nil {
			return m, nil, err
		}
		m.Space = encoder.Space()
		m.Provenance.Model, m.Provenance.Source = wish.Model, encoder.Info().Source
		m.Provenance.Verified, m.Provenance.TextField = true, wish.TextField
		if w.Vectors != nil && w.Vectors.Size != 0 && w.Vectors.Size != m.Space.Dimension {
			return m, encoder, invalid("bad_dimension", "/vectors/size", "the size is %d, and vectors of %s have %d dimensions", w.Vectors.Size, wish.Model, m.Space.Dimension)
		}
	}
	w.apply(&m)
	m = m.WithDefaults()
	return m, encoder, m.Validate()
}

// rawSpace is a space of its own for vectors of no declared model.
func rawSpace(dimension int) (compat.Space, error) {
	if dimension < 1 || dimension > compat.MaxDimension {
		return compat.Space{}, invalid("bad_dimension", "/vectors/size", "the size is %d; allowed is 1..%d", dimension, compat.MaxDimension)
	}
	var own [32]byte
	rand.Read(own[:]) // never fails: see crypto/rand
	return embed.RawSpace(dimension, own), nil
}

// wanted is the manifest that an existing collection would have by the wish:
// what the wish leaves out stays as it is.
func (s *Service) wanted(ctx context.Context, have compat.Manifest, w Wish) (compat.Manifest, error) {
	want := have
	want.Evidence, want.Provenance.CreatedAt = have.Evidence, have.Provenance.CreatedAt
	if e := w.Embedding; e != nil {
		encoder, err := s.encoders.get(ctx, e.Model, e.options())
		if err != nil {
			return want, err
		}
		defer encoder.release()
		want.Space, want.Provenance.Model, want.Provenance.Source = encoder.Space(), e.Model, encoder.Info().Source
		want.Provenance.Verified = true
		setIf(&want.Provenance.TextField, e.TextField)
	}
	if v := w.Vectors; v != nil && v.Size != 0 && v.Size != want.Space.Dimension {
		want.Space.Dimension = v.Size
		want.Space.FullDimension = max(v.Size, want.Space.FullDimension)
	}
	w.apply(&want)
	return want, nil
}

// encoderOf opens the encoder that a manifest names. Both results are nil for
// raw vectors.
func (s *Service) encoderOf(ctx context.Context, m compat.Manifest) (*served, error) {
	if m.Space.Raw() {
		return nil, nil
	}
	model := m.Provenance.Model
	if Builtin(model) {
		return s.encoders.get(ctx, model, EncoderOptions{Dimensions: m.Space.Dimension})
	}
	normalize := m.Space.Normalization == compat.NormalizeL2
	o := EncoderOptions{QueryPrompt: &m.Space.QueryPrompt, DocumentPrompt: &m.Space.DocumentPrompt, Normalize: &normalize, Precision: m.Space.Precision}
	if _, remote := s.encoders.remote(model); remote || m.Space.Dimension != m.Space.FullDimension {
		o.Dimensions = m.Space.Dimension
	}
	return s.encoders.get(ctx, model, o)
}

package hash

import (
	"context"
	"fmt"
	"sync"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
)

// Model is the encoder's name in the API.
const Model = "builtin:hash"

// The dimensions that New takes.
const (
	DefaultDimension = 512
	MinDimension     = 64
	MaxDimension     = 4096
)

// Options of New. The zero value means the defaults.
type Options struct {
	// Dimension is the number of floats of a vector, 64..4096; 0: 512. More
	// dimensions let fewer features fall together: 1024 find about 2 points of
	// nDCG more than 512.
	Dimension int
}

// Validate reports the first value that is out of range.
func (o Options) Validate() error {
	if o.Dimension != 0 && (o.Dimension < MinDimension || o.Dimension > MaxDimension) {
		return fmt.Errorf("%s: dimension %d is outside %d..%d; choose one inside, or 0 for %d",
			Model, o.Dimension, MinDimension, MaxDimension, DefaultDimension)
	}
	return nil
}

// Encoder is builtin:hash at one dimension. It is safe for concurrent use and
// holds no resources but memory.
type Encoder struct {
	space   compat.Space
	stamper *compat.Stamper
	pool    sync.Pool // of *scratch
}

var _ embed.Encoder = (*Encoder)(nil)

// New makes the encoder. The only errors are those of Options.Validate.
func New(o Options) (*Encoder, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.Dimension == 0 {
		o.Dimension = DefaultDimension
	}
	e := &Encoder{space: Space(o.Dimension)}
	var err error
	if e.stamper, err = embed.NewStamper(e.space); err != nil {
		return nil, fmt.Errorf("%s: %w", Model, err)
	}
	e.pool.New = func() any { return newScratch() }
	return e, nil
}

// Space is the space of hash/1 at the dimension, which is not checked.
func Space(dimension int) compat.Space {
	return compat.Space{
		Encoder:       version,
		Weights:       specification(),
		Pooling:       compat.PoolingNone,
		Normalization: compat.NormalizeL2,
		Precision:     compat.PrecisionF32,
		Dimension:     dimension,
		FullDimension: dimension,
	}
}

// Space implements embed.Encoder.
func (e *Encoder) Space() compat.Space { return e.space }

// Info implements embed.Encoder.
func (e *Encoder) Info() embed.Info {
	return embed.Info{
		Model: Model,
		Kind:  "lexical hashing",
		Description: "Hashes words, their English stems and parts of words into a vector; any language, no download. " +
			"It is lexical: good for words that match, blind to synonyms and to meaning.",
	}
}

// Encode implements embed.Encoder. The role makes no difference.
func (e *Encoder) Encode(ctx context.Context, _ embed.Role, texts []string) (embed.Encoded, error) {
	s := e.take()
	defer e.give(s)
	dim := e.space.Dimension
	rows := make([]float32, len(texts)*dim)
	out := embed.Encoded{Tokens: make([]int, len(texts)), Truncated: make([]bool, len(texts))}
	pause := embed.Pause(ctx)
	for i, text := range texts {
		if err := ctx.Err(); err != nil {
			return embed.Encoded{}, err
		}
		pause()
		if out.Tokens[i] = s.collect(text); out.Tokens[i] == 0 {
			return embed.Encoded{}, &embed.TextError{Index: i, Err: embed.ErrNoTokens}
		}
		s.project(rows[i*dim : (i+1)*dim])
	}
	var err error
	if out.Vectors, err = e.stamper.Stamp(rows); err != nil {
		return embed.Encoded{}, fmt.Errorf("%s: %w", Model, err)
	}
	return out, nil
}

// CountTokens implements embed.Encoder.
func (e *Encoder) CountTokens(_ embed.Role, texts []string) []int {
	s := e.take()
	defer e.give(s)
	counts := make([]int, len(texts))
	for i, text := range texts {
		counts[i] = s.count(text)
	}
	return counts
}

// Close implements embed.Encoder; there is nothing to release.
func (e *Encoder) Close() error { return nil }

func (e *Encoder) take() *scratch { return e.pool.Get().(*scratch) }

// give hands the scratch back, unless one huge text has grown it: then its
// memory is left to the collector.
func (e *Encoder) give(s *scratch) {
	if s.bytes() <= maxPooledBytes {
		e.pool.Put(s)
	}
}

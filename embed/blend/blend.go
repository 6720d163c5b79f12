package blend

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
)

// version is the specification that this package follows.
const version = "blend/1"

// Options of New.
type Options struct {
	Name        string // in the API
	Description string
	Licence     string
	Source      string // directory of the semantic half; "": in the program
	// Lexical is w of the package comment; 0: .4.
	Lexical float64
}

// DefaultLexical is the share of the lexical cosine where Options has none.
// Between .3 and .5 it made no difference on judged collections.
const DefaultLexical = 0.4

// Validate reports the first value that can't be used.
func (o Options) Validate() error {
	if o.Lexical != 0 && !(o.Lexical > 0 && o.Lexical < 1) {
		return fmt.Errorf("blend: a lexical share of %g: give a number between 0 and 1, or leave it out for %g", o.Lexical, DefaultLexical)
	}
	return nil
}

// Encoder is the two beside each other. It is safe for concurrent use.
type Encoder struct {
	lexical, semantic embed.Encoder
	scale             [2]float64 // sqrt(w), sqrt(1-w)
	space             compat.Space
	info              embed.Info
	stamper           *compat.Stamper
}

var _ embed.Encoder = (*Encoder)(nil)

// New puts two encoders together, and closes them when it is closed. Both
// normalize their vectors.
func New(lexical, semantic embed.Encoder, o Options) (*Encoder, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.Lexical == 0 {
		o.Lexical = DefaultLexical
	}
	l, s := lexical.Space(), semantic.Space()
	for _, space := range []compat.Space{l, s} {
		if space.Normalization != compat.NormalizeL2 {
			return nil, fmt.Errorf("blend: vectors of %s are not normalized: their shares would be left to chance; open it with normalize", space.Encoder)
		}
	}
	e := &Encoder{
		lexical: lexical, semantic: semantic,
		scale: [2]float64{math.Sqrt(o.Lexical), math.Sqrt(1 - o.Lexical)},
		info: embed.Info{
			Model: o.Name, Kind: "words and meaning (hashing beside a static table)", Description: o.Description, Licence: o.Licence, Source: o.Source,
		},
	}
	e.space = compat.Space{
		Encoder:        version,
		Weights:        digest(l, s, o.Lexical),
		Tokenizer:      s.Tokenizer,
		Pooling:        s.Pooling,
		QueryPrompt:    s.QueryPrompt,
		DocumentPrompt: s.DocumentPrompt,
		MaxTokens:      s.MaxTokens,
		Normalization:  compat.NormalizeL2,
		Precision:      s.Precision,
		Dimension:      l.Dimension + s.Dimension,
		FullDimension:  l.Dimension + s.Dimension,
	}
	var err error
	e.stamper, err = embed.NewStamper(e.space)
	return e, err
}

// digest is that of the two spaces and the share.
func digest(lexical, semantic compat.Space, w float64) compat.Digest {
	return sha256.Sum256([]byte(version + "\n" + lexical.Fingerprint().String() + "\n" + semantic.Fingerprint().String() + "\n" + strconv.FormatFloat(w, 'g', -1, 64) + "\n"))
}

// Space implements embed.Encoder.
func (e *Encoder) Space() compat.Space { return e.space }

// Info implements embed.Encoder.
func (e *Encoder) Info() embed.Info { return e.info }

// Semantic is the semantic half.
func (e *Encoder) Semantic() embed.Encoder { return e.semantic }

// Bytes is about the memory that the weights of the semantic half take; 0: it
// does not say.
func (e *Encoder) Bytes() int64 {
	if half, ok := e.semantic.(interface{ Bytes() int64 }); ok {
		return half.Bytes()
	}
	return 0
}

// Close closes both encoders.
func (e *Encoder) Close() error { return errors.Join(e.lexical.Close(), e.semantic.Close()) }

// Encode implements embed.Encoder. The lexical half, which does not spread over
// the cores by itself, is spread in parts.
func (e *Encoder) Encode(ctx context.Context, role embed.Role, texts []string) (embed.Encoded, error) {
	n, dim, split := len(texts), e.space.Dimension, e.lexical.Space().Dimension
	rows := make([]float32, n*dim)
	out := embed.Encoded{Tokens: make([]int, n), Truncated: make([]bool, n)}
	set := func(i, from int, row []float32, scale float64, tokens int, truncated bool) {
		for k, x := range row {
			rows[i*dim+from+k] = float32(scale * float64(x))
		}
		out.Tokens[i] = max(out.Tokens[i], tokens)
		out.Truncated[i] = out.Truncated[i] || truncated
	}
	known := make([]bool, n)
	err := e.encodeSemantic(ctx, role, texts, func(i int, row []float32, tokens int, truncated bool) {
		known[i] = true
		set(i, split, row, e.scale[1], tokens, truncated)
	})
	if err != nil {
		return embed.Encoded{}, err
	}
	err = e.encodeLexical(ctx, role, texts, func(i int, row []float32, tokens int, truncated bool) {
		scale := 1.0 // where the lexical half is all there is
		if known[i] {
			scale = e.scale[0]
		}
		set(i, 0, row, scale, tokens, truncated)
	})
	if err != nil {
		return embed.Encoded{}, err
	}
	if out.Vectors, err = e.stamper.Stamp(rows); err != nil {
		return embed.Encoded{}, fmt.Errorf("%s: %w", e.info.Model, err)
	}
	return out, nil
}

// put takes the vector of one text.
type put func(i int, row []float32, tokens int, truncated bool)

// lexicalPart is the texts that one goroutine takes at a time.
const lexicalPart = 16

func (e *Encoder) encodeLexical(ctx context.Context, role embed.Role, texts []string, f put) error {
	parts := (len(texts) + lexicalPart - 1) / lexicalPart
	errs := make([]error, parts)
	var next atomic.Int64
	work := func() {
		for p := int(next.Add(1)) - 1; p < parts; p = int(next.Add(1)) - 1 {
			from := p * lexicalPart
			errs[p] = encodePart(ctx, e.lexical, role, texts, from, min(len(texts), from+lexicalPart), f)
		}
	}
	if workers := min(embed.Threads(ctx, runtime.GOMAXPROCS(0)), parts); workers > 1 {
		var wg sync.WaitGroup
		for range workers {
			wg.Go(work)
		}
		wg.Wait()
	} else {
		work()
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// encodePart encodes texts[from:to]; an error names the text's place in texts.
func encodePart(ctx context.Context, encoder embed.Encoder, role embed.Role, texts []string, from, to int, f put) error {
	encoded, err := encoder.Encode(ctx, role, texts[from:to])
	if err != nil {
		var text *embed.TextError
		if errors.As(err, &text) {
			return &embed.TextError{Index: text.Index + from, Err: text.Err}
		}
		return err
	}
	for i := range to - from {
		f(from+i, encoded.Vectors.Row(i), encoded.Tokens[i], encoded.Truncated[i])
	}
	return nil
}

// encodeSemantic calls f for the texts that have tokens.
func (e *Encoder) encodeSemantic(ctx context.Context, role embed.Role, texts []string, f put) error {
	err := encodePart(ctx, e.semantic, role, texts, 0, len(texts), f)
	if !errors.Is(err, embed.ErrNoTokens) {
		return err
	}
	// Some text has none: those that have some are encoded without it.
	var some []string
	var places []int
	for i, n := range e.semantic.CountTokens(role, texts) {
		if n > 0 {
			some, places = append(some, texts[i]), append(places, i)
		}
	}
	for len(some) > 0 {
		err := encodePart(ctx, e.semantic, role, some, 0, len(some), func(i int, row []float32, tokens int, truncated bool) {
			f(places[i], row, tokens, truncated)
		})
		var text *embed.TextError
		if !errors.As(err, &text) || !errors.Is(text.Err, embed.ErrNoTokens) {
			return err
		}
		// Tokens whose vectors cancel out: next to never.
		some = append(append([]string{}, some[:text.Index]...), some[text.Index+1:]...)
		places = append(append([]int{}, places[:text.Index]...), places[text.Index+1:]...)
	}
	return nil
}

// CountTokens implements embed.Encoder.
func (e *Encoder) CountTokens(role embed.Role, texts []string) []int {
	counts := e.lexical.CountTokens(role, texts)
	for i, n := range e.semantic.CountTokens(role, texts) {
		counts[i] = max(counts[i], n)
	}
	return counts
}

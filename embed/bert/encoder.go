package bert

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/token"
	"github.com/vecino-db/vecino/embed/weights"
	"github.com/vecino-db/vecino/kernels/f32"
)

// version names the algorithm of the package comment.
const version = "bert/1"

// Encoder is an open transformer. It is safe for concurrent use, except that
// Close must come last.
type Encoder struct {
	space        compat.Space
	info         embed.Info
	architecture string
	file         *weights.File
	tokenizer    *token.Tokenizer
	network      *network
	pooling      pooling
	steps        []step
	lower        bool
	threads      int
	skip         [2]int // by role: tokens at the start that are not pooled
	stamper      *compat.Stamper
	pool         sync.Pool // of *arena
}

var _ embed.Encoder = (*Encoder)(nil)

// Space implements embed.Encoder.
func (e *Encoder) Space() compat.Space { return e.space }

// Info implements embed.Encoder.
func (e *Encoder) Info() embed.Info {
	info := e.info
	info.Matryoshka = slices.Clone(info.Matryoshka)
	return info
}

// Tokenizer is the model's tokenizer.
func (e *Encoder) Tokenizer() *token.Tokenizer { return e.tokenizer }

// Architecture is what config.json calls the model: "BertModel".
func (e *Encoder) Architecture() string { return e.architecture }

// Parameters is the number of weights, those of dense modules left out.
func (e *Encoder) Parameters() int64 { return e.network.parameters }

// Bytes is about the memory that the weights take: the files as they were read,
// and what was packed or converted of them.
func (e *Encoder) Bytes() int64 {
	n := e.file.Size() + e.network.packed
	if e.file.Size() < 4*e.network.parameters {
		n += 4 * int64(len(e.network.word)) // of narrower floats
	}
	return n
}

// Close implements embed.Encoder.
func (e *Encoder) Close() error { return e.file.Close() }

// CountTokens implements embed.Encoder.
func (e *Encoder) CountTokens(role embed.Role, texts []string) []int {
	counts := make([]int, len(texts))
	parallel(context.Background(), e.threads, len(texts), func(_, i int) {
		counts[i] = e.tokenizer.Count(e.input(role, texts[i]), token.Options{})
	})
	return counts
}

// Encode implements embed.Encoder. A text for which the model gives no numbers,
// because its weights are out of proportion, is refused with a *embed.TextError
// that wraps a *compat.VectorError.
func (e *Encoder) Encode(ctx context.Context, role embed.Role, texts []string) (embed.Encoded, error) {
	out := embed.Encoded{Tokens: make([]int, len(texts)), Truncated: make([]bool, len(texts))}
	ids := make([][]uint32, len(texts))
	threads := embed.Threads(ctx, e.threads)
	parallel(ctx, threads, len(texts), func(_, i int) {
		ids[i], out.Truncated[i] = e.tokenizer.Append(nil, e.input(role, texts[i]), token.Options{MaxTokens: e.space.MaxTokens})
		out.Tokens[i] = len(ids[i])
	})
	if err := ctx.Err(); err != nil {
		return embed.Encoded{}, err
	}
	if i := slices.Index(out.Tokens, 0); i >= 0 {
		return embed.Encoded{}, &embed.TextError{Index: i, Err: embed.ErrNoTokens}
	}
	rows := make([]float32, len(texts)*e.space.Dimension)
	if err := e.run(ctx, threads, rows, ids, e.skip[role]); err != nil {
		return embed.Encoded{}, err
	}
	var err error
	out.Vectors, err = e.stamper.Stamp(rows)
	var refused *compat.VectorError
	if errors.As(err, &refused) && refused.Row >= 0 {
		return embed.Encoded{}, &embed.TextError{Index: refused.Row, Err: fmt.Errorf("%s: %w", e.info.Model, err)}
	}
	if err != nil {
		return embed.Encoded{}, fmt.Errorf("%s: %w", e.info.Model, err)
	}
	return out, nil
}

// input is what is tokenized for a text.
func (e *Encoder) input(role embed.Role, text string) string {
	prompt := e.space.DocumentPrompt
	if role == embed.RoleQuery {
		prompt = e.space.QueryPrompt
	}
	return e.clean(prompt + text)
}

// clean does what sentence-transformers does to a text first.
func (e *Encoder) clean(text string) string {
	text = strings.TrimFunc(text, isSpace)
	if e.lower {
		text = cases.Lower(language.Und).String(text)
	}
	return text
}

// isSpace is the white space of Python's strip.
func isSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }

// leastGroup is the tokens of a group that are worth a thread of its own.
const leastGroup = 256

// run sets rows, len(ids) x the space's dimension, to the vectors of token ids;
// no sequence is empty.
func (e *Encoder) run(ctx context.Context, threads int, rows []float32, ids [][]uint32, skip int) error {
	dim := e.space.Dimension
	spans := cut(ids, e.network.portion, threads)
	concurrent := max(1, min(threads, len(spans)))
	errs := make([]error, len(spans))
	parallel(ctx, concurrent, len(spans), func(_, i int) {
		from, to := spans[i][0], spans[i][1]
		a := e.take()
		defer e.give(a)
		a.reset()
		for _, sequence := range ids[from:to] {
			a.add(sequence)
		}
		if errs[i] = e.network.forward(ctx, a, threads/concurrent); errs[i] == nil {
			e.vectors(rows[from*dim:to*dim], a, skip)
		}
	})
	return errors.Join(errors.Join(errs...), ctx.Err())
}

// cut cuts sequences into groups [from, to) of about size tokens, or of less
// where otherwise threads would have none, and of like size. What a sequence
// becomes doesn't depend on its group.
func cut(ids [][]uint32, size, threads int) [][2]int {
	total := 0
	for _, sequence := range ids {
		total += len(sequence)
	}
	groups := (total + size - 1) / size
	groups = min((groups+threads-1)/threads*threads, max(groups, total/leastGroup))
	var spans [][2]int
	from, tokens, last := 0, 0, 0
	for i, sequence := range ids {
		// A sequence belongs where its middle lies.
		group := int(int64(tokens+len(sequence)/2) * int64(groups) / int64(total))
		if i > from && group != last {
			spans = append(spans, [2]int{from, i})
			from = i
		}
		last = group
		tokens += len(sequence)
	}
	if from < len(ids) {
		spans = append(spans, [2]int{from, len(ids)})
	}
	return spans
}

// vectors sets rows to the vectors of a group whose states are there.
func (e *Encoder) vectors(rows []float32, a *arena, skip int) {
	width := e.network.Hidden
	v := grow(&a.pooled[0], a.len()*width)
	for i := range a.len() {
		from, to := a.span(i)
		e.pooling.pool(v[i*width:(i+1)*width], a.states[from*width:to*width], skip)
	}
	next := 1
	for i := range e.steps {
		v, width = e.steps[i].apply(v, width, &a.pooled[next])
		if !e.steps[i].normalize {
			next = 1 - next
		}
	}
	dim := e.space.Dimension
	for i := range a.len() {
		row := rows[i*dim : (i+1)*dim]
		copy(row, v[i*width:])
		if e.space.Normalization == compat.NormalizeL2 {
			f32.Normalize(row)
		}
	}
}

// maxPooled is the tokens of the largest arena that is kept.
const maxPooled = 4096

func (e *Encoder) take() *arena {
	if a, ok := e.pool.Get().(*arena); ok {
		return a
	}
	return new(arena)
}

// give hands an arena back, unless one huge text has grown it.
func (e *Encoder) give(a *arena) {
	if a.tokens() <= maxPooled {
		e.pool.Put(a)
	}
}

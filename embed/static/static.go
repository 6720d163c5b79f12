package static

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/token"
	"github.com/vecino-db/vecino/embed/weights"
	"github.com/vecino-db/vecino/kernels/f32"
)

// The algorithms of the package comment.
const (
	version           = "static/1"
	versionAllUnknown = "static-unk/1"
)

// Encoder is an open static model. It is safe for concurrent use, except that
// Close must come last.
type Encoder struct {
	space     compat.Space
	info      embed.Info
	file      *weights.File
	shared    bool // the file is another encoder's to close
	tokenizer *token.Tokenizer
	table     *table
	layout    layout
	stamper   *compat.Stamper
	pool      sync.Pool // of *[]uint32
}

var _ embed.Encoder = (*Encoder)(nil)

// Open loads the model in a directory. A model of another kind is an
// *UnsupportedError; wrong files are a *ModelError, *weights.FormatError or
// *token.FormatError.
func Open(dir string, o Options) (*Encoder, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	l, err := readLayout(dir)
	if err != nil {
		return nil, err
	}
	tokenizer, err := token.OpenDir(l.files)
	if err != nil {
		return nil, err
	}
	file, err := weights.OpenDir(l.files)
	if err != nil {
		return nil, err
	}
	e := &Encoder{file: file, tokenizer: tokenizer}
	if err := e.setUp(l, o); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return e, nil
}

// Memory is the files of a model in memory, of Model2Vec's layout.
type Memory struct {
	Name                       string // for errors, and the model's where Options has none
	Weights, Tokenizer, Config []byte // model.safetensors, tokenizer.json, config.json
	Card                       embed.Card
}

// OpenMemory opens a model from memory, which must not change afterwards.
// Errors are those of Open.
func OpenMemory(m Memory, o Options) (*Encoder, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	l := layout{dir: m.Name, card: m.Card}
	var c config
	if err := json.Unmarshal(m.Config, &c); err != nil {
		return nil, wrong(m.Name, "config.json: %v", err)
	}
	if !c.static() {
		return nil, &UnsupportedError{Dir: m.Name, Architecture: c.name()}
	}
	l.model2vec = true
	l.take(c)
	tokenizer, err := token.Parse(m.Tokenizer)
	if err != nil {
		return nil, err
	}
	file, err := weights.Parse(m.Name, m.Weights)
	if err != nil {
		return nil, err
	}
	e := &Encoder{file: file, tokenizer: tokenizer}
	return e, e.setUp(l, o)
}

// setUp fills in the rest from the opened files.
func (e *Encoder) setUp(l layout, o Options) (err error) {
	if e.table, err = newTable(l.dir, e.file, e.tokenizer.Size()); err != nil {
		return err
	}
	if l.model2vec {
		if unk, ok := e.tokenizer.Unknown(); ok {
			e.table.unknown = int64(unk)
		}
	}
	l.matryoshka = slices.DeleteFunc(l.matryoshka, func(d int) bool { return d < 1 || d >= e.table.dim })
	l.matryoshka = slices.Compact(l.matryoshka)
	e.layout = l
	return e.configure(o)
}

// configure makes the space and the rest that options decide.
func (e *Encoder) configure(o Options) (err error) {
	l := e.layout
	algorithm := versionAllUnknown
	if l.model2vec {
		algorithm = version
	}
	e.table.keep = e.table.dim
	if o.Dimension != 0 && o.Dimension != e.table.dim {
		if !slices.Contains(l.matryoshka, o.Dimension) {
			return fmt.Errorf("%s: its vectors of %d can't be cut to %d: it declares the dimensions %v; choose one of them, or leave the dimension out", l.dir, e.table.dim, o.Dimension, append(slices.Clone(l.matryoshka), e.table.dim))
		}
		e.table.keep = o.Dimension
	}
	e.space = compat.Space{
		Encoder:        algorithm,
		Weights:        e.file.Digest(),
		Tokenizer:      e.tokenizer.Digest(),
		Pooling:        compat.PoolingMean,
		QueryPrompt:    o.QueryPrompt,
		DocumentPrompt: o.DocumentPrompt,
		MaxTokens:      l.seqLength,
		Normalization:  o.Normalization,
		Precision:      compat.PrecisionF32,
		Dimension:      e.table.keep,
		FullDimension:  e.table.dim,
	}
	if o.MaxTokens != 0 {
		e.space.MaxTokens = o.MaxTokens
	}
	if o.Normalization == "" {
		e.space.Normalization = compat.NormalizeNone
		if l.normalize {
			e.space.Normalization = compat.NormalizeL2
		}
	}
	e.info = describe(l, o)
	e.stamper, err = embed.NewStamper(e.space)
	return err
}

// With is an encoder of the same model, whose memory it shares, with other
// options; both are closed on their own. Errors are those of the options.
func (e *Encoder) With(o Options) (*Encoder, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	table := *e.table
	other := &Encoder{file: e.file, shared: true, tokenizer: e.tokenizer, table: &table, layout: e.layout}
	return other, other.configure(o)
}

// Rows are the vectors of the model's tokens, weights applied, row-major with a
// row for each token of Tokenizer: a copy. dimension is that of a row, before
// any cut.
func (e *Encoder) Rows() (rows []float32, dimension int) {
	t := e.table
	rows = make([]float32, e.tokenizer.Size()*t.dim)
	for id := range e.tokenizer.Size() {
		row, w := t.at(uint32(id))
		f32.Axpy(rows[id*t.dim:(id+1)*t.dim], w, t.rows[row*t.dim:(row+1)*t.dim])
	}
	return rows, t.dim
}

func describe(l layout, o Options) embed.Info {
	name := o.Name
	if name == "" {
		name = filepath.Base(filepath.Clean(l.dir))
	}
	what := "Averages fixed vectors of words and parts of words: fast, and good for topics; blind to word order and negation."
	if l.card.Summary != "" {
		what = l.card.Summary + " " + what
	}
	source := l.dir
	if strings.HasPrefix(name, builtinPrefix) {
		source = "" // nowhere but in the program
	}
	return embed.Info{
		Model:       label(name),
		Kind:        "static (Model2Vec)",
		Description: what,
		Source:      source,
		Licence:     l.card.Licence,
		Matryoshka:  l.matryoshka,
	}
}

// builtinPrefix begins the names of models that are in the program.
const builtinPrefix = "builtin:"

// label is a model's name in the API.
func label(name string) string {
	if strings.HasPrefix(name, builtinPrefix) {
		return name
	}
	return "local:" + strings.TrimPrefix(name, "local:")
}

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

// Encode implements embed.Encoder. Texts are spread over all cores.
func (e *Encoder) Encode(ctx context.Context, role embed.Role, texts []string) (embed.Encoded, error) {
	dim := e.space.Dimension
	rows := make([]float32, len(texts)*dim)
	out := embed.Encoded{Tokens: make([]int, len(texts)), Truncated: make([]bool, len(texts))}
	prompt := e.prompt(role)
	var failed atomic.Int64 // the least index of a refused text, and one
	each(ctx, len(texts), func(i int) {
		var ok bool
		out.Tokens[i], out.Truncated[i], ok = e.encode(rows[i*dim:(i+1)*dim], prompt, texts[i])
		for least := failed.Load(); !ok && (least == 0 || int64(i) < least-1); least = failed.Load() {
			if failed.CompareAndSwap(least, int64(i)+1) {
				break
			}
		}
	})
	if err := ctx.Err(); err != nil {
		return embed.Encoded{}, err
	}
	if i := failed.Load(); i > 0 {
		return embed.Encoded{}, &embed.TextError{Index: int(i) - 1, Err: embed.ErrNoTokens}
	}
	var err error
	if out.Vectors, err = e.stamper.Stamp(rows); err != nil {
		return embed.Encoded{}, fmt.Errorf("%s: %w", e.info.Model, err)
	}
	return out, nil
}

// minNorm is the length below which a vector has no direction worth the name.
const minNorm = 1e-18

// encode sets row to the vector of one text; false where it has none.
func (e *Encoder) encode(row []float32, prompt, text string) (tokens int, truncated, ok bool) {
	memory := e.take()
	ids := e.tokens((*memory)[:0], prompt, text)
	if most := e.space.MaxTokens; most > 0 && len(ids) > most {
		ids, truncated = ids[:most], true
	}
	e.table.mean(row, ids)
	tokens = len(ids)
	*memory = ids
	e.pool.Put(memory)
	if tokens == 0 {
		return 0, false, false
	}
	if e.space.Normalization == compat.NormalizeL2 {
		return tokens, truncated, f32.Normalize(row) > minNorm
	}
	return tokens, truncated, f32.Dot(row, row) > minNorm*minNorm
}

// tokens appends the known tokens of a text, before truncation.
func (e *Encoder) tokens(ids []uint32, prompt, text string) []uint32 {
	if prompt != "" {
		text = prompt + text
	}
	ids, _ = e.tokenizer.Append(ids, text, token.Options{NoSpecial: true})
	return e.table.known(ids)
}

func (e *Encoder) take() *[]uint32 {
	if memory, ok := e.pool.Get().(*[]uint32); ok {
		return memory
	}
	return new([]uint32)
}

func (e *Encoder) prompt(role embed.Role) string {
	if role == embed.RoleQuery {
		return e.space.QueryPrompt
	}
	return e.space.DocumentPrompt
}

// CountTokens implements embed.Encoder.
func (e *Encoder) CountTokens(role embed.Role, texts []string) []int {
	counts := make([]int, len(texts))
	prompt := e.prompt(role)
	each(context.Background(), len(texts), func(i int) {
		memory := e.take()
		*memory = e.tokens((*memory)[:0], prompt, texts[i])
		counts[i] = len(*memory)
		e.pool.Put(memory)
	})
	return counts
}

// Bytes is about the memory that the weights take: the files as they were read,
// and what was converted of them.
func (e *Encoder) Bytes() int64 {
	n, rows := e.file.Size(), 4*int64(len(e.table.rows))
	if n < rows {
		n += rows
	}
	return n
}

// Close implements embed.Encoder. Encoders of With stay usable.
func (e *Encoder) Close() error {
	if e.shared {
		return nil
	}
	return e.file.Close()
}

// each calls f for 0..n-1, spread over the cores that it may take, until ctx
// ends.
func each(ctx context.Context, n int, f func(i int)) {
	pause := embed.Pause(ctx)
	workers := min(embed.Threads(ctx, runtime.GOMAXPROCS(0)), n)
	var next atomic.Int64
	work := func() {
		for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
			f(i)
			pause()
		}
	}
	if workers <= 1 {
		work()
		return
	}
	var wg sync.WaitGroup
	for range workers {
		wg.Go(work)
	}
	wg.Wait()
}

package api

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"sync"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
)

// The names by which the API calls models.
const (
	localPrefix = "local:"
	// DefaultModel encodes a collection that names neither model nor vectors.
	DefaultModel = ModelBlend
)

// localName is what may follow "local:": one plain name of a directory.
var localName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// EncoderOptions choose among the spaces that one model offers. The zero value
// is the model as it comes.
type EncoderOptions struct {
	// Dimensions cuts a Matryoshka model or sizes a hash; 0: the model's own.
	Dimensions int
	// QueryPrompt and DocumentPrompt replace the model's own; nil keeps them.
	QueryPrompt, DocumentPrompt *string
	// Normalize replaces the model's own habit; nil keeps it.
	Normalize *bool
	// Precision of the arithmetic, which transformers let choose; "": f32.
	Precision compat.Precision
}

// plain reports whether nothing is asked for that a model could lack.
func (o EncoderOptions) plain() bool {
	if o.Precision == compat.PrecisionF32 {
		o.Precision = ""
	}
	return o == EncoderOptions{}
}

// key is a comparable form of the options.
func (o EncoderOptions) key(model string) string {
	text := func(s *string) string {
		if s == nil {
			return "-"
		}
		return fmt.Sprintf("%q", *s)
	}
	normalize := "-"
	if o.Normalize != nil {
		normalize = fmt.Sprint(*o.Normalize)
	}
	precision := o.Precision
	if precision == "" {
		precision = compat.PrecisionF32
	}
	return fmt.Sprintf("%q %d %s %s %s %s", model, o.Dimensions, text(o.QueryPrompt), text(o.DocumentPrompt), normalize, precision)
}

// Model is one entry of the list of models.
type Model struct {
	Name    string
	Info    embed.Info
	Space   compat.Space // without a dimension: it is not known before the endpoint is asked
	Problem string       // why it can't be opened; Info and Space are zero then
}

// EncodersOptions say which models there are, and how they are run.
type EncodersOptions struct {
	Models  string   // directory with one directory for each local model; "": none
	Remotes []Remote // models behind endpoints
	// Queue bounds what each encoder does at a time and lets wait. Its Workers
	// are those of local models; 0: one, because an encoder spreads a batch
	// over the cores, and GOMAXPROCS for builtin:hash, which does not.
	Queue   embed.SchedulerOptions
	Threads int          // of one batch of a transformer; 0: GOMAXPROCS
	Cache   embed.Cache  // of transformers and remote models; nil: none
	Logger  *slog.Logger // nil: nothing is logged
}

// Validate reports the first value that can't be used.
func (o EncodersOptions) Validate() error {
	if o.Threads < 0 {
		return fmt.Errorf("%d threads of an encoder: give a positive number, or 0 for one a core", o.Threads)
	}
	if err := validRemotes(o.Remotes); err != nil {
		return err
	}
	return o.Queue.Validate()
}

// Encoders opens encoders by name and keeps each behind a queue of its own:
// those that collections have until Close, and of the others the ones that were
// used last. It is safe for concurrent use.
type Encoders struct {
	options EncodersOptions
	root    *os.Root // of the directory of models; nil: there are no local models

	mu   sync.Mutex
	open map[string]*openEncoder
	// taken counts the handings out, to tell which slot was used last.
	taken uint64
	dims  map[string]int // of remote models that were asked for theirs

	describing sync.Mutex // held while a model is opened to be described
	described  map[string]description
}

// openEncoder is a slot that is filled once; a failure empties it again, so
// that a model put right is found without a restart.
type openEncoder struct {
	mu      sync.Mutex
	encoder *served
	taken   uint64 // guarded by Encoders.mu
}

// NewEncoders makes the registry.
func NewEncoders(o EncodersOptions) (*Encoders, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	e := &Encoders{options: o, open: map[string]*openEncoder{}, dims: map[string]int{}, described: map[string]description{}}
	if o.Models == "" {
		return e, nil
	}
	root, err := os.OpenRoot(o.Models)
	if err != nil {
		return nil, fmt.Errorf("directory of models: %w; make it, or name another one by --models", err)
	}
	e.root = root
	return e, nil
}

// Close closes every encoder; what waits in their queues fails.
func (e *Encoders) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	var errs []error
	closed := map[*served]bool{}
	for _, slot := range e.open {
		if s := slot.encoder; s != nil && !closed[s] {
			closed[s] = true
			errs = append(errs, s.Close())
		}
	}
	e.open = map[string]*openEncoder{}
	if e.root != nil {
		errs = append(errs, e.root.Close())
	}
	return errors.Join(errs...)
}

// maxOpenEncoders bounds the variants of models that requests can make the
// registry hold.
const maxOpenEncoders = 64

// Open gives the encoder of a model with options. The registry owns it, and
// keeps it open until Close. Errors are *Error: KindNotFound for an unknown model, KindInvalid for options that
// the model doesn't have, KindNotReady for one that can't be loaded or whose
// endpoint gives no answer.
func (e *Encoders) Open(ctx context.Context, model string, o EncoderOptions) (embed.Encoder, error) {
	s, err := e.get(ctx, model, o)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// get is Open for this package, which releases what it got when it needs it no
// more.
func (e *Encoders) get(ctx context.Context, model string, o EncoderOptions) (*served, error) {
	if o.Dimensions < 0 || o.Dimensions > compat.MaxDimension {
		return nil, invalid("bad_dimension", "", "%d dimensions: allowed is 1..%d", o.Dimensions, compat.MaxDimension)
	}
	if err := e.dimensionOf(ctx, model, &o); err != nil {
		return nil, err
	}
	for {
		slot, err := e.slot(o.key(model))
		if err != nil {
			return nil, err
		}
		if s, err := e.fill(ctx, slot, model, o); s != nil || err != nil {
			return s, err
		}
	}
}

// fill hands out the encoder of a slot, and opens it first where the slot is
// empty. Both results are nil when the slot was taken away meanwhile.
func (e *Encoders) fill(ctx context.Context, slot *openEncoder, model string, o EncoderOptions) (*served, error) {
	slot.mu.Lock()
	defer slot.mu.Unlock()
	key := o.key(model)
	e.mu.Lock()
	gone := e.open[key] != slot
	if !gone && slot.encoder != nil {
		defer e.mu.Unlock()
		return e.takeLocked(slot), nil
	}
	e.mu.Unlock()
	if gone {
		return nil, nil
	}
	s, err := e.load(ctx, model, o)
	if err != nil {
		e.mu.Lock()
		if e.open[key] == slot {
			delete(e.open, key)
		}
		e.mu.Unlock()
		return nil, err
	}
	return e.keep(slot, model, s)
}

// keep fills a slot. Options that come to the same space share one encoder,
// because a transformer is large.
func (e *Encoders) keep(slot *openEncoder, model string, s *served) (*served, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	fingerprint := s.Space().Fingerprint()
	for _, other := range e.open {
		if have := other.encoder; other != slot && have != nil && have.model == model && have.Space().Fingerprint().Matches(fingerprint) {
			slot.encoder = have
			return e.takeLocked(slot), s.Close()
		}
	}
	s.hold = &hold{registry: e}
	slot.encoder = s
	return e.takeLocked(slot), nil
}

// slot finds or makes the slot of a key.
func (e *Encoders) slot(key string) (*openEncoder, error) {
	e.mu.Lock()
	slot, ok := e.open[key]
	var idle embed.Encoder
	var err error
	if !ok && len(e.open) >= maxOpenEncoders {
		idle, err = e.makeRoomLocked()
	}
	if !ok && err == nil {
		slot = &openEncoder{}
		e.open[key] = slot
	}
	e.mu.Unlock()
	if idle != nil {
		if err := idle.Close(); err != nil {
			e.options.Logger.Warn("an encoder that was not needed any more did not close", "model", idle.Info().Model, "error", err)
		}
	}
	return slot, err
}

// load opens a model from where it lies, and puts its queue before it.
func (e *Encoders) load(ctx context.Context, model string, o EncoderOptions) (*served, error) {
	if Builtin(model) {
		encoder, err := OpenBuiltin(model, o)
		if err != nil {
			return nil, err
		}
		return e.serve(model, encoder)
	}
	if r, ok := e.remote(model); ok {
		return e.loadRemote(ctx, model, r, o)
	}
	encoder, err := e.loadLocal(ctx, model, o)
	if err != nil {
		return nil, err
	}
	return e.serve(model, encoder)
}

// noPrecision is the error for a model that is no transformer.
func noPrecision(model string, p compat.Precision) *Error {
	e := invalid("no_precision", "", "model %q has one precision, and not %q", model, p)
	e.Remedy = "leave precision out: it is for transformers"
	return e
}

// unknownModel is the error for a name that leads to no model.
func unknownModel(model, remedy string) *Error {
	if len(model) > 160 {
		model = model[:160] + "..."
	}
	return &Error{Kind: KindNotFound, Code: "unknown_model", Detail: fmt.Sprintf("there is no model %q", model), Remedy: remedy}
}

// List describes every model that can be named, those that can't be opened
// among them, by name. No endpoint is asked anything.
func (e *Encoders) List(ctx context.Context) ([]Model, error) {
	names := builtins()
	for _, r := range e.options.Remotes {
		names = append(names, r.label())
	}
	if e.root != nil {
		entries, err := fs.ReadDir(e.root.FS(), ".")
		if err != nil {
			return nil, fmt.Errorf("directory of models: %w", err)
		}
		for _, entry := range entries {
			if localName.MatchString(entry.Name()) && entry.Type()&(fs.ModeDir|fs.ModeSymlink) != 0 {
				names = append(names, localPrefix+entry.Name())
			}
		}
	}
	slices.Sort(names)
	models := make([]Model, 0, len(names))
	for _, name := range names {
		m, err := e.Describe(ctx, name)
		if err != nil {
			m = Model{Name: name, Problem: err.Error()}
		}
		models = append(models, m)
	}
	return models, ctx.Err()
}

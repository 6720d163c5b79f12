package api

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/hash"
	"github.com/vecino-db/vecino/embed/static"
)

// The names by which the API calls models.
const (
	ModelHash   = "builtin:hash"
	localPrefix = "local:"
	// DefaultModel encodes a collection that names neither model nor vectors.
	DefaultModel = ModelHash
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
	return fmt.Sprintf("%q %d %s %s %s", model, o.Dimensions, text(o.QueryPrompt), text(o.DocumentPrompt), normalize)
}

// Model is one entry of the list of models.
type Model struct {
	Name    string
	Info    embed.Info
	Space   compat.Space
	Problem string // why it can't be opened; Info and Space are zero then
}

// Encoders opens encoders by name and keeps each until Close. It is safe for
// concurrent use.
type Encoders struct {
	dir  string
	root *os.Root // of dir; nil: there are no local models

	mu   sync.Mutex
	open map[string]*openEncoder
}

// openEncoder is a slot that is filled once; a failure empties it again, so
// that a model put right is found without a restart.
type openEncoder struct {
	mu      sync.Mutex
	encoder embed.Encoder
}

// NewEncoders makes the registry. dir holds one directory for each local
// model; "" means none.
func NewEncoders(dir string) (*Encoders, error) {
	e := &Encoders{dir: dir, open: map[string]*openEncoder{}}
	if dir == "" {
		return e, nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("directory of models: %w; make it, or name another one by --models", err)
	}
	e.root = root
	return e, nil
}

// Close closes every encoder.
func (e *Encoders) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	var errs []error
	for _, slot := range e.open {
		if slot.encoder != nil {
			errs = append(errs, slot.encoder.Close())
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

// Open gives the encoder of a model with options. The registry owns it. Errors
// are *Error: KindNotFound for an unknown model, KindInvalid for options that
// the model doesn't have, KindNotReady for one that can't be loaded.
func (e *Encoders) Open(model string, o EncoderOptions) (embed.Encoder, error) {
	if o.Dimensions < 0 || o.Dimensions > compat.MaxDimension {
		return nil, invalid("bad_dimension", "", "%d dimensions: allowed is 1..%d", o.Dimensions, compat.MaxDimension)
	}
	slot, err := e.slot(o.key(model))
	if err != nil {
		return nil, err
	}
	slot.mu.Lock()
	defer slot.mu.Unlock()
	if slot.encoder != nil {
		return slot.encoder, nil
	}
	encoder, err := e.load(model, o)
	if err != nil {
		e.mu.Lock()
		if e.open[o.key(model)] == slot {
			delete(e.open, o.key(model))
		}
		e.mu.Unlock()
		return nil, err
	}
	slot.encoder = encoder
	return encoder, nil
}

// slot finds or makes the slot of a key.
func (e *Encoders) slot(key string) (*openEncoder, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	slot, ok := e.open[key]
	if !ok {
		if len(e.open) >= maxOpenEncoders {
			return nil, &Error{Kind: KindNotReady, Code: "too_many_encoders", Detail: fmt.Sprintf("%d variants of models are open already", maxOpenEncoders),
				Remedy: "use a model and dimensions that are in use, or restart the server"}
		}
		slot = &openEncoder{}
		e.open[key] = slot
	}
	return slot, nil
}

// load opens a model from where it lies.
func (e *Encoders) load(model string, o EncoderOptions) (embed.Encoder, error) {
	if model == ModelHash {
		return loadHash(o)
	}
	name, ok := strings.CutPrefix(model, localPrefix)
	if !ok || !localName.MatchString(name) {
		return nil, unknownModel(model, `models are called "builtin:hash" or "local:NAME", where NAME is a directory under --models; GET /v1/models lists them`)
	}
	return e.loadLocal(model, name, o)
}

// loadHash makes the built-in encoder.
func loadHash(o EncoderOptions) (embed.Encoder, error) {
	switch {
	case o.QueryPrompt != nil || o.DocumentPrompt != nil:
		return nil, invalid("no_prompts", "", "model %q takes no prompts; leave them out", ModelHash)
	case o.Normalize != nil && !*o.Normalize:
		return nil, invalid("always_normalized", "", "model %q always normalizes its vectors; leave normalize out", ModelHash)
	}
	encoder, err := hash.New(hash.Options{Dimension: o.Dimensions})
	if err != nil {
		return nil, &Error{Kind: KindInvalid, Code: "bad_dimension", Detail: err.Error(), Err: err}
	}
	return encoder, nil
}

// loadLocal opens the directory of a local model. The name is one plain path
// element, and os.Root keeps a link from leading elsewhere.
func (e *Encoders) loadLocal(model, name string, o EncoderOptions) (embed.Encoder, error) {
	if e.root == nil {
		return nil, unknownModel(model, "the server was started without a directory of models; start it with --models DIR")
	}
	info, err := e.root.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, unknownModel(model, fmt.Sprintf("put its files into the directory %q under --models", name))
	case err != nil:
		return nil, &Error{Kind: KindNotReady, Code: "model_unreadable", Detail: fmt.Sprintf("model %q can't be read", model), Remedy: "look at its directory under --models", Err: err}
	case !info.IsDir():
		return nil, unknownModel(model, fmt.Sprintf("%q under --models is no directory", name))
	}
	encoder, err := static.Open(filepath.Join(e.dir, name), staticOptions(model, o))
	if err == nil {
		return encoder, nil
	}
	if o != (EncoderOptions{}) {
		// What the model can't do by itself is no fault of the options.
		if plain, plainErr := static.Open(filepath.Join(e.dir, name), staticOptions(model, EncoderOptions{})); plainErr == nil {
			return nil, errors.Join(&Error{Kind: KindInvalid, Code: "bad_option", Detail: err.Error(), Err: err}, plain.Close())
		}
	}
	return nil, &Error{Kind: KindNotReady, Code: "model_unreadable", Detail: fmt.Sprintf("model %q can't be loaded: %v", model, err), Remedy: "put its files right, then try again", Err: err}
}

// staticOptions are the options in the words of package static.
func staticOptions(model string, o EncoderOptions) static.Options {
	out := static.Options{Name: model, Dimension: o.Dimensions}
	if o.QueryPrompt != nil {
		out.QueryPrompt = *o.QueryPrompt
	}
	if o.DocumentPrompt != nil {
		out.DocumentPrompt = *o.DocumentPrompt
	}
	if o.Normalize != nil {
		out.Normalization = compat.NormalizeNone
		if *o.Normalize {
			out.Normalization = compat.NormalizeL2
		}
	}
	return out
}

// unknownModel is the error for a name that leads to no model.
func unknownModel(model, remedy string) *Error {
	if len(model) > 160 {
		model = model[:160] + "..."
	}
	return &Error{Kind: KindNotFound, Code: "unknown_model", Detail: fmt.Sprintf("there is no model %q", model), Remedy: remedy}
}

// List describes every model that can be named, those that can't be opened
// among them, by name.
func (e *Encoders) List() ([]Model, error) {
	names := []string{ModelHash}
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
		models = append(models, e.describe(name))
	}
	return models, nil
}

// describe opens a model to say what it is.
func (e *Encoders) describe(name string) Model {
	encoder, err := e.Open(name, EncoderOptions{})
	if err != nil {
		return Model{Name: name, Problem: err.Error()}
	}
	return Model{Name: name, Info: encoder.Info(), Space: encoder.Space()}
}

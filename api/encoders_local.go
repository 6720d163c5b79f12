package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/bert"
	"github.com/vecino-db/vecino/embed/blend"
	"github.com/vecino-db/vecino/embed/hash"
	"github.com/vecino-db/vecino/embed/hub"
	"github.com/vecino-db/vecino/embed/static"
)

// OpenLocal opens the model in a directory, a transformer or a static model as
// its files say, and calls it label. A model that was pulled from a hub is
// compared with what was recorded then, every byte of it. threads are those of
// a transformer's batch; 0: GOMAXPROCS. Errors are those of packages bert,
// static and hub, and *Error for options that the model can't take.
func OpenLocal(ctx context.Context, dir, label string, o EncoderOptions, threads int) (embed.Encoder, error) {
	lock, err := pulled(ctx, dir)
	if err != nil {
		return nil, err
	}
	var encoder embed.Encoder
	if bert.Is(dir) {
		encoder, err = bert.Open(dir, bertOptions(label, o, threads))
	} else {
		if o.Precision != "" && o.Precision != compat.PrecisionF32 {
			return nil, noPrecision(label, o.Precision)
		}
		encoder, err = openStatic(dir, label, o)
	}
	if err != nil {
		return nil, err
	}
	if lock == nil {
		return encoder, nil
	}
	return pulledEncoder{encoder, *lock}, nil
}

// openStatic opens a static model, beside builtin:hash where its configuration
// says so.
func openStatic(dir, label string, o EncoderOptions) (embed.Encoder, error) {
	c, blended, err := blend.ReadConfig(dir)
	if err != nil {
		return nil, err
	}
	semantic, err := static.Open(dir, staticOptions(label, o))
	if err != nil || !blended {
		return semantic, err
	}
	lexical, err := hash.New(hash.Options{Dimension: c.Dimension})
	if err != nil {
		return nil, errors.Join(err, semantic.Close())
	}
	info := semantic.Info()
	both, err := blend.New(lexical, semantic, blend.Options{Name: info.Model, Description: info.Description, Licence: info.Licence, Source: dir, Lexical: c.Lexical})
	if err != nil {
		return nil, errors.Join(err, semantic.Close())
	}
	return both, nil
}

// pulled checks a model that has a lock file, and gives it; nil without one.
func pulled(ctx context.Context, dir string) (*hub.Lock, error) {
	if _, err := os.Lstat(filepath.Join(dir, hub.LockName)); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	lock, err := hub.Verify(ctx, dir)
	if err != nil {
		return nil, err
	}
	return &lock, nil
}

// pulledEncoder says where its model comes from by the name on the hub.
type pulledEncoder struct {
	embed.Encoder
	lock hub.Lock
}

// Info implements embed.Encoder.
func (e pulledEncoder) Info() embed.Info {
	info := e.Encoder.Info()
	info.Source = e.lock.Repository + "@" + e.lock.Commit
	if e.lock.Licence != "" {
		info.Licence = e.lock.Licence
	}
	return info
}

// Unwrap is the encoder itself.
func (e pulledEncoder) Unwrap() embed.Encoder { return e.Encoder }

// loadLocal opens the directory of a local model. The name is one plain path
// element, and os.Root keeps a link from leading elsewhere.
func (e *Encoders) loadLocal(ctx context.Context, model string, o EncoderOptions) (embed.Encoder, error) {
	dir, err := e.localDir(model)
	if err != nil {
		return nil, err
	}
	encoder, err := OpenLocal(ctx, dir, model, o, e.options.Threads)
	if err == nil || ctx.Err() != nil {
		return encoder, err
	}
	var refused *Error
	if errors.As(err, &refused) {
		return nil, err
	}
	e.options.Logger.Warn("a model can't be opened", "model", model, "directory", dir, "error", err)
	detail := e.withoutPaths(err, dir, model)
	if errors.Is(err, hub.ErrHash) {
		return nil, &Error{
			Kind: KindNotReady, Code: "model_changed", Detail: fmt.Sprintf("the files of model %q are not what was pulled: %s", model, detail),
			Remedy: "pull it again by vecino models pull --update", Err: err,
		}
	}
	if !o.plain() {
		// What the model can't do by itself is no fault of the options.
		if plain, plainErr := OpenLocal(ctx, dir, model, EncoderOptions{}, e.options.Threads); plainErr == nil {
			return nil, errors.Join(&Error{Kind: KindInvalid, Code: "bad_option", Detail: detail, Err: err}, plain.Close())
		}
	}
	return nil, &Error{Kind: KindNotReady, Code: "model_unreadable", Detail: fmt.Sprintf("model %q can't be loaded: %s", model, detail), Remedy: "put its files right, then try again", Err: err}
}

// localDir is the directory of a model, which is there.
func (e *Encoders) localDir(model string) (string, error) {
	name, ok := strings.CutPrefix(model, localPrefix)
	if !ok || !localName.MatchString(name) {
		return "", unknownModel(model, `models are called "builtin:blend", "builtin:static", "builtin:hash", "local:NAME", where NAME is a directory under --models, or "openai:NAME", "ollama:NAME", "tei:NAME" as the operator configured them; GET /v1/models lists them`)
	}
	if e.root == nil {
		return "", unknownModel(model, "the server was started without a directory of models; start it with --models DIR")
	}
	info, err := e.root.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", unknownModel(model, fmt.Sprintf("put its files into the directory %q under --models, or get it by vecino models pull", name))
	case err != nil:
		return "", &Error{Kind: KindNotReady, Code: "model_unreadable", Detail: fmt.Sprintf("model %q can't be read", model), Remedy: "look at its directory under --models", Err: err}
	case !info.IsDir():
		return "", unknownModel(model, fmt.Sprintf("%q under --models is no directory", name))
	}
	return filepath.Join(e.options.Models, name), nil
}

// withoutPaths is an error's text with the model's label in place of where it
// lies: paths are the operator's affair, and stand in the log.
func (e *Encoders) withoutPaths(err error, dir, model string) string {
	text := err.Error()
	for _, path := range []string{dir, filepath.Clean(dir)} {
		text = strings.ReplaceAll(text, path, model)
	}
	return strings.ReplaceAll(text, filepath.Clean(e.options.Models)+string(filepath.Separator), "")
}

// bertOptions are the options in the words of package bert.
func bertOptions(model string, o EncoderOptions, threads int) bert.Options {
	return bert.Options{
		Name: model, Dimension: o.Dimensions, QueryPrompt: o.QueryPrompt, DocumentPrompt: o.DocumentPrompt,
		Normalization: normalization(o.Normalize), Precision: o.Precision, Threads: threads,
	}
}

// staticOptions are the options in the words of package static.
func staticOptions(model string, o EncoderOptions) static.Options {
	out := static.Options{Name: model, Dimension: o.Dimensions, Normalization: normalization(o.Normalize)}
	if o.QueryPrompt != nil {
		out.QueryPrompt = *o.QueryPrompt
	}
	if o.DocumentPrompt != nil {
		out.DocumentPrompt = *o.DocumentPrompt
	}
	return out
}

// normalization is what a wish means; "" keeps the model's own.
func normalization(normalize *bool) compat.Normalization {
	switch {
	case normalize == nil:
		return ""
	case *normalize:
		return compat.NormalizeL2
	}
	return compat.NormalizeNone
}

// description is what was found when a model was opened to be described.
type description struct {
	files [sha256.Size]byte // names, sizes and times of its files
	model Model
}

// Describe says what a model is. A local one that nobody uses is opened for it
// and closed again, once for each state of its files. Errors are those of Open.
func (e *Encoders) Describe(ctx context.Context, name string) (Model, error) {
	if r, ok := e.remote(name); ok {
		return e.describeRemote(name, r), nil
	}
	if Builtin(name) {
		encoder, err := e.get(ctx, name, EncoderOptions{})
		if err != nil {
			return Model{}, err
		}
		defer encoder.release()
		return Model{Name: name, Info: encoder.Info(), Space: encoder.Space()}, nil
	}
	dir, err := e.localDir(name)
	if err != nil {
		return Model{}, err
	}
	files, err := filesOf(dir)
	if err != nil {
		return Model{}, &Error{Kind: KindNotReady, Code: "model_unreadable", Detail: fmt.Sprintf("model %q can't be read", name), Remedy: "look at its directory under --models", Err: err}
	}
	e.describing.Lock()
	defer e.describing.Unlock()
	if known, ok := e.described[name]; ok && known.files == files {
		return known.model, nil
	}
	encoder, err := e.loadLocal(ctx, name, EncoderOptions{})
	if err != nil {
		return Model{}, err
	}
	m := Model{Name: name, Info: encoder.Info(), Space: encoder.Space()}
	e.described[name] = description{files, m}
	return m, encoder.Close()
}

// maxListed bounds the files of a model's directory that filesOf looks at.
const maxListed = 1000

// filesOf is a digest over the names, sizes and times of a directory's files.
func filesOf(dir string) (sum [sha256.Size]byte, err error) {
	var lines []string
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if len(lines) == maxListed {
			return fs.SkipAll
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		lines = append(lines, fmt.Sprintf("%q %d %d", path, info.Size(), info.ModTime().UnixNano()))
		return nil
	})
	slices.Sort(lines)
	return sha256.Sum256([]byte(strings.Join(lines, "\n"))), err
}

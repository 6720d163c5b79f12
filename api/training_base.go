package api

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/vecino-db/vecino/embed/blend"
	"github.com/vecino-db/vecino/embed/builtin"
	"github.com/vecino-db/vecino/embed/hash"
	"github.com/vecino-db/vecino/embed/static"
	"github.com/vecino-db/vecino/embed/train"
	"github.com/vecino-db/vecino/embed/train/adapt"
)

// TrainingBase is the table that a training begins with.
type TrainingBase struct {
	name      string
	encoder   *static.Encoder
	tokenizer []byte
	extra     map[string]any // for the new model's config.json: the lexical half of a blend
}

// TrainingBase opens the model that a training is to begin with; the caller
// closes it. Errors: KindInvalid for one that can't be gone on training,
// KindNotFound, and KindNotReady where its files are not what was pulled.
func (e *Encoders) TrainingBase(ctx context.Context, name string) (b TrainingBase, err error) {
	b.name = name
	asBlend := func(c blend.Config) map[string]any { return map[string]any{blend.ConfigName: c} }
	switch {
	case name == ModelHash:
		return b, notTrainable(name, "it has no table")
	case Builtin(name):
		if name == ModelBlend {
			b.extra = asBlend(blend.Config{Lexical: blend.DefaultLexical, Dimension: hash.DefaultDimension})
		}
		if b.tokenizer, err = builtin.Tokenizer(); err != nil {
			return b, err
		}
		b.encoder, err = builtin.OpenStatic(builtin.Options{})
		return b, err
	}
	dir, err := e.localDir(name)
	if err != nil {
		return b, err
	}
	if _, err := pulled(ctx, dir); err != nil {
		return b, &Error{Kind: KindNotReady, Code: "model_changed", Detail: fmt.Sprintf("the files of model %q are not what was pulled", name), Remedy: "pull it again by vecino models pull --update", Err: err}
	}
	c, blended, err := blend.ReadConfig(dir)
	if err != nil {
		return b, notTrainable(name, e.withoutPaths(err, dir, name))
	}
	if blended {
		b.extra = asBlend(c)
	}
	// Rows of other models are not what is averaged for unknown words, and their
	// vectors may be of any length: the layout of Model2Vec, normalized, is kept.
	if b.encoder, err = static.Open(dir, static.Options{Name: name}); err != nil {
		return b, notTrainable(name, e.withoutPaths(err, dir, name))
	}
	if b.tokenizer, err = os.ReadFile(filepath.Join(dir, "tokenizer.json")); err != nil {
		return b, errors.Join(notTrainable(name, e.withoutPaths(err, dir, name)), b.encoder.Close())
	}
	return b, nil
}

// Close lets go of its table.
func (b TrainingBase) Close() error { return b.encoder.Close() }

// Train adapts it to documents; see adapt.Run. The result has the figures also
// where the error is that it is no better.
func (b TrainingBase) Train(ctx context.Context, documents []adapt.Document, o adapt.Options) (adapt.Result, error) {
	return adapt.Run(ctx, b.encoder, b.tokenizer, documents, o)
}

// Pack makes the files of an accepted model, local:NAME, with its card: whose
// documents it was trained on, by which version of the program, from which seed.
func (b TrainingBase) Pack(name, collection, program string, seed uint64, r adapt.Result) (train.Files, error) {
	card := adapt.Card{Name: localPrefix + name, Base: b.name, Collection: collection, Program: program, Seed: seed}
	return train.Pack(r.Model, b.tokenizer, b.encoder.Info().Matryoshka, card.Markdown(r), b.extra)
}

// notTrainable is the refusal of a model that can't be gone on training.
func notTrainable(name, why string) *Error {
	e := invalid("not_trainable", "/base", "a training can't begin with the model %q: %s", name, why)
	e.Remedy = "give builtin:blend, builtin:static, or local:NAME of a static model"
	return e
}

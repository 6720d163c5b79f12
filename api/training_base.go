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
)

// trainingBase is the table that a training begins with.
type trainingBase struct {
	encoder   *static.Encoder
	tokenizer []byte
	extra     map[string]any // for the new model's config.json: the lexical half of a blend
}

// trainingBase opens it; the caller closes its encoder.
func (s *Service) trainingBase(ctx context.Context, name string) (b trainingBase, err error) {
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
	dir, err := s.encoders.localDir(name)
	if err != nil {
		return b, err
	}
	if _, err := pulled(ctx, dir); err != nil {
		return b, &Error{Kind: KindNotReady, Code: "model_changed", Detail: fmt.Sprintf("the files of model %q are not what was pulled", name), Remedy: "pull it again by vecino models pull --update", Err: err}
	}
	c, blended, err := blend.ReadConfig(dir)
	if err != nil {
		return b, notTrainable(name, s.encoders.withoutPaths(err, dir, name))
	}
	if blended {
		b.extra = asBlend(c)
	}
	// Rows of other models are not what is averaged for unknown words, and their
	// vectors may be of any length: the layout of Model2Vec, normalized, is kept.
	if b.encoder, err = static.Open(dir, static.Options{Name: name}); err != nil {
		return b, notTrainable(name, s.encoders.withoutPaths(err, dir, name))
	}
	if b.tokenizer, err = os.ReadFile(filepath.Join(dir, "tokenizer.json")); err != nil {
		return b, errors.Join(notTrainable(name, s.encoders.withoutPaths(err, dir, name)), b.encoder.Close())
	}
	return b, nil
}

// notTrainable is the refusal of a model that can't be gone on training.
func notTrainable(name, why string) *Error {
	e := invalid("not_trainable", "/base", "a training can't begin with the model %q: %s", name, why)
	e.Remedy = "give builtin:blend, builtin:static, or local:NAME of a static model"
	return e
}

package api

import (
	"slices"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/builtin"
	"github.com/vecino-db/vecino/embed/hash"
)

// The models that are in the program.
const (
	ModelHash   = hash.Model
	ModelStatic = builtin.Static
	ModelBlend  = builtin.Blend
)

// builtins are all of them, by name.
func builtins() []string { return []string{ModelBlend, ModelHash, ModelStatic} }

// Builtin reports whether a model is in the program.
func Builtin(model string) bool { return slices.Contains(builtins(), model) }

// OpenBuiltin opens a model that is in the program. Errors are *Error, for
// options that it doesn't have.
func OpenBuiltin(model string, o EncoderOptions) (embed.Encoder, error) {
	switch {
	case o.QueryPrompt != nil && *o.QueryPrompt != "" || o.DocumentPrompt != nil && *o.DocumentPrompt != "":
		return nil, invalid("no_prompts", "", "model %q takes no prompts; leave them out", model)
	case o.Normalize != nil && !*o.Normalize:
		return nil, invalid("always_normalized", "", "model %q always normalizes its vectors; leave normalize out", model)
	case o.Precision != "" && o.Precision != compat.PrecisionF32:
		return nil, noPrecision(model, o.Precision)
	}
	var encoder embed.Encoder
	var err error
	switch model {
	case ModelHash:
		encoder, err = hash.New(hash.Options{Dimension: o.Dimensions})
	case ModelStatic:
		encoder, err = builtin.OpenStatic(builtin.Options{Dimension: o.Dimensions})
	case ModelBlend:
		encoder, err = builtin.OpenBlend()
		if err == nil && o.Dimensions != 0 && o.Dimensions != encoder.Space().Dimension {
			return nil, invalid("bad_dimension", "", "model %q has %d dimensions and can't be cut; leave dimensions out, or take %s, which can", model, encoder.Space().Dimension, ModelStatic)
		}
	default:
		return nil, unknownModel(model, "GET /v1/models lists them")
	}
	if err != nil {
		return nil, &Error{Kind: KindInvalid, Code: "bad_dimension", Detail: err.Error(), Err: err}
	}
	return encoder, nil
}

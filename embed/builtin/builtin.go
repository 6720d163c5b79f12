package builtin

import (
	_ "embed" // the table's files
	"errors"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/blend"
	"github.com/vecino-db/vecino/embed/hash"
	"github.com/vecino-db/vecino/embed/static"
)

// The encoders' names in the API.
const (
	Static = "builtin:static"
	Blend  = "builtin:blend"
)

// Licence of the table.
const Licence = "apache-2.0"

//go:embed table/model.safetensors.zst
var packedWeights []byte

//go:embed table/tokenizer.json.zst
var packedTokenizer []byte

//go:embed table/config.json
var config []byte

// Card is the table's model card, Markdown.
//
//go:embed table/README.md
var Card string

// table opens the table once for the process. What it holds is never closed.
var table = sync.OnceValues(func() (*static.Encoder, error) {
	weights, err := unpack(packedWeights)
	if err != nil {
		return nil, err
	}
	tokenizer, err := unpack(packedTokenizer)
	if err != nil {
		return nil, err
	}
	base, err := static.OpenMemory(static.Memory{
		Name: Static, Weights: weights, Tokenizer: tokenizer, Config: config,
		Card: embed.Card{
			Licence: Licence,
			Summary: "Trained on openly licensed documentation, books and a dictionary, in English: texts of other scripts have no words that it knows.",
		},
	}, static.Options{Name: Static})
	if err != nil {
		return nil, err
	}
	// The rows are decoded; what they were read from need not stay in memory.
	return base, base.Close()
})

// unpack decompresses one file.
func unpack(packed []byte) ([]byte, error) {
	r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("built-in table: %w", err)
	}
	defer r.Close()
	content, err := r.DecodeAll(packed, nil)
	if err != nil {
		return nil, fmt.Errorf("built-in table: %w", err)
	}
	return content, nil
}

// Options of OpenStatic. The zero value is 256 dimensions.
type Options struct {
	Dimension int // 64, 128 or 256; 0: 256
}

// OpenStatic opens builtin:static. An error is that of the dimension.
func OpenStatic(o Options) (*static.Encoder, error) {
	base, err := table()
	if err != nil {
		return nil, err
	}
	return base.With(static.Options{Name: Static, Dimension: o.Dimension})
}

// OpenBlend opens builtin:blend.
func OpenBlend() (*blend.Encoder, error) {
	lexical, err := hash.New(hash.Options{})
	if err != nil {
		return nil, err
	}
	semantic, err := OpenStatic(Options{})
	if err != nil {
		return nil, err
	}
	e, err := blend.New(lexical, semantic, blend.Options{
		Name: Blend, Licence: Licence,
		Description: "Words and meaning beside each other: builtin:hash finds words that match, in any language; builtin:static finds what is about the same, in English.",
	})
	if err != nil {
		return nil, errors.Join(err, semantic.Close(), lexical.Close())
	}
	return e, nil
}

// Tokenizer is the file of the table's tokenizer (tokenizer.json).
func Tokenizer() ([]byte, error) { return unpack(packedTokenizer) }

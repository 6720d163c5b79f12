package api

import (
	"context"
	"fmt"
	"slices"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
)

// Limits of one Embed.
const (
	MaxEmbedInputs = 2048
	MaxEmbedTokens = 300_000
)

// EmbedRequest asks for the vectors of texts.
type EmbedRequest struct {
	Model      string
	Texts      []string
	Role       embed.Role
	Dimensions int              // 0: the model's own
	Precision  compat.Precision // of a transformer; "": f32
	NoTruncate bool             // refuse texts that are longer than the model takes
}

// Embed encodes texts outside any collection.
func (s *Service) Embed(ctx context.Context, r EmbedRequest) (embed.Encoded, error) {
	if n := len(r.Texts); n < 1 || n > MaxEmbedInputs {
		return embed.Encoded{}, invalid("bad_input", "/input", "%d inputs; allowed is 1 to %d", n, MaxEmbedInputs)
	}
	encoder, err := s.embedder(ctx, r)
	if err != nil {
		return embed.Encoded{}, err
	}
	defer encoder.release()
	if err := checkTokens(encoder, r); err != nil {
		return embed.Encoded{}, err
	}
	encoded, err := encoder.Encode(ctx, r.Role, r.Texts)
	if err != nil {
		return encoded, textError(err, func(i int) string { return fmt.Sprintf("/input/%d", i) })
	}
	if i := slices.Index(encoded.Truncated, true); r.NoTruncate && i >= 0 {
		return embed.Encoded{}, invalid("text_too_long", fmt.Sprintf("/input/%d", i), "input %d is longer than the %d tokens that %s takes, and truncate is false", i, encoder.Space().MaxTokens, r.Model)
	}
	return encoded, nil
}

// embedder opens the model; dimensions are for models that can be cut.
func (s *Service) embedder(ctx context.Context, r EmbedRequest) (*served, error) {
	encoder, err := s.encoders.get(ctx, r.Model, EncoderOptions{Precision: r.Precision})
	if err != nil || r.Dimensions == 0 || r.Dimensions == encoder.Space().Dimension {
		return encoder, err
	}
	defer encoder.release()
	allowed := encoder.Info().Matryoshka
	if r.Model != ModelHash && !slices.Contains(allowed, r.Dimensions) {
		what := "it can't be cut"
		if len(allowed) > 0 {
			what = fmt.Sprintf("it can be cut to %v", allowed)
		}
		return nil, invalid("bad_dimension", "/dimensions", "model %q gives %d dimensions: %s", r.Model, encoder.Space().Dimension, what)
	}
	return s.encoders.get(ctx, r.Model, EncoderOptions{Dimensions: r.Dimensions, Precision: r.Precision})
}

// tokenSlack is how many tokens a text may have beyond one a byte: the special
// ones and a prompt's.
const tokenSlack = 64

// checkTokens refuses what is too much for one request. Tokens are counted
// only where the bytes leave it open.
func checkTokens(encoder embed.Encoder, r EmbedRequest) error {
	most := 0
	for _, text := range r.Texts {
		most += len(text) + tokenSlack
	}
	if most <= MaxEmbedTokens {
		return nil
	}
	total := 0
	for _, n := range encoder.CountTokens(r.Role, r.Texts) {
		total += n
	}
	if total > MaxEmbedTokens {
		return &Error{
			Kind: KindTooLarge, Code: "too_many_tokens", Detail: fmt.Sprintf("the inputs have %d tokens together; one request may have %d", total, MaxEmbedTokens),
			Remedy: "send fewer inputs at once",
		}
	}
	return nil
}

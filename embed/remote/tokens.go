package remote

import (
	"context"
	"errors"
	"unicode"

	"github.com/vecino-db/vecino/embed"
)

// Texts beyond these are estimated even where the endpoint could count: its
// answer would be many times as long as the text.
const (
	maxCountedText  = 64 << 10 // bytes of a text
	maxCountedBatch = 1 << 20  // bytes of a request
)

// CountTokens implements embed.Encoder. It asks a text-embeddings-inference
// that offers /tokenize, and estimates otherwise, and for texts of more than
// 64 KiB, and when the endpoint gives no answer.
func (e *Encoder) CountTokens(role embed.Role, texts []string) []int {
	ctx, cancel := context.WithTimeout(context.Background(), e.options.Timeout)
	defer cancel()
	return e.count(ctx, e.prompted(role, texts))
}

// count numbers the tokens of texts that have their prompts.
func (e *Encoder) count(ctx context.Context, texts []string) []int {
	counts := make([]int, len(texts))
	var asked []string
	var at []int
	bytes := 0
	flush := func() {
		if len(asked) > 0 && !e.noTokenize.Load() {
			got, err := e.tokenize(ctx, asked)
			var status *StatusError
			if errors.As(err, &status) && errors.Is(err, ErrModel) {
				e.noTokenize.Store(true) // there is no such route
			}
			for j, n := range got {
				counts[at[j]] = max(n, 1)
			}
		}
		asked, at, bytes = nil, nil, 0
	}
	for i, text := range texts {
		counts[i] = estimate(text)
		if e.options.Kind != KindTEI || e.options.EstimateTokens || len(text) > maxCountedText || !embeddable(text) {
			continue
		}
		if len(asked) == e.maxTexts || bytes+len(text) > maxCountedBatch {
			flush()
		}
		asked, at, bytes = append(asked, text), append(at, i), bytes+len(text)
	}
	flush()
	return counts
}

// estimate guesses the number of tokens: English has about four characters to
// a token, other scripts about one.
func estimate(text string) int {
	ascii, other := 0, 0
	for _, r := range text {
		if r < 0x80 {
			ascii++
		} else {
			other++
		}
	}
	return max((ascii+3)/4+other, 1)
}

// embeddable reports whether a text has a character that can be seen. What has
// none is refused here: endpoints treat it in ways of their own.
func embeddable(text string) bool {
	for _, r := range text {
		if !unicode.IsSpace(r) && !unicode.In(r, unicode.Cc, unicode.Cf) && r != unicode.ReplacementChar {
			return true
		}
	}
	return false
}

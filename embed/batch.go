package embed

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/vecino-db/vecino/compat"
)

// Budget bounds one batch of an encoder. The zero value means the defaults.
type Budget struct {
	Tokens int // tokens of a batch after truncation; 0: 16384
	Texts  int // texts of a batch; 0: 256
}

// The defaults of Budget: enough to keep the kernels busy, little enough that
// a cancelled batch ends soon.
const (
	DefaultBudgetTokens = 16384
	DefaultBudgetTexts  = 256
)

// Validate refuses negative bounds.
func (b Budget) Validate() error {
	if b.Tokens < 0 || b.Texts < 0 {
		return fmt.Errorf("batch budget of %d tokens and %d texts: want positive numbers, or 0 for the defaults", b.Tokens, b.Texts)
	}
	return nil
}

// withDefaults takes what is not positive as not given.
func (b Budget) withDefaults() Budget {
	if b.Tokens <= 0 {
		b.Tokens = DefaultBudgetTokens
	}
	if b.Texts <= 0 {
		b.Texts = DefaultBudgetTexts
	}
	return b
}

// Batches cuts a sequence of texts into batches: counts[i] is the number of
// tokens of text i, and a batch is the texts [from, to). The batches are
// consecutive, cover the sequence, are as long as the budget lets them be, and
// have one text at least: a text above the budget is a batch of its own. A text
// counts as one token at least.
func Batches(counts []int, budget Budget) [][2]int {
	budget = budget.withDefaults()
	var batches [][2]int
	from, tokens := 0, 0
	for i, n := range counts {
		n = max(n, 1) // nothing is encoded for nothing
		// budget - tokens, not tokens + n: the sum could overflow.
		if i > from && (n > budget.Tokens-tokens || i-from == budget.Texts) {
			batches = append(batches, [2]int{from, i})
			from, tokens = i, 0
		}
		tokens += min(n, budget.Tokens)
	}
	if from < len(counts) {
		batches = append(batches, [2]int{from, len(counts)})
	}
	return batches
}

// EncodeAll encodes any number of texts in batches of the budget and returns
// them as one Encoded in the order of texts. Texts of like length share a
// batch, the longest first. After each batch progress, if it is not nil, is
// told how many texts are done; between batches EncodeAll looks at ctx and
// returns its error. A *TextError names the text by its index in texts;
// nothing is returned beside an error.
func EncodeAll(ctx context.Context, enc Encoder, role Role, texts []string, budget Budget, progress func(done int)) (Encoded, error) {
	if err := budget.Validate(); err != nil {
		return Encoded{}, err
	}
	if len(texts) == 0 {
		return enc.Encode(ctx, role, texts)
	}
	if err := ctx.Err(); err != nil {
		return Encoded{}, err
	}
	order, counts := byLength(enc, role, texts)
	out := Encoded{Tokens: make([]int, len(texts)), Truncated: make([]bool, len(texts))}
	var parts []compat.Vectors
	var batch []string
	for _, b := range Batches(counts, budget) {
		if err := ctx.Err(); err != nil {
			return Encoded{}, err
		}
		at := order[b[0]:b[1]]
		batch = batch[:0]
		for _, i := range at {
			batch = append(batch, texts[i])
		}
		part, err := enc.Encode(ctx, role, batch)
		if err != nil {
			return Encoded{}, renumber(err, at)
		}
		if part.Vectors.Len() != len(at) || len(part.Tokens) != len(at) || len(part.Truncated) != len(at) {
			return Encoded{}, fmt.Errorf("encoder %s: %d vectors for %d texts", enc.Info().Model, part.Vectors.Len(), len(at))
		}
		for j, i := range at {
			out.Tokens[i], out.Truncated[i] = part.Tokens[j], part.Truncated[j]
		}
		parts = append(parts, part.Vectors)
		if progress != nil {
			progress(b[1])
		}
	}
	joined, err := compat.Concat(parts...)
	if err != nil {
		return Encoded{}, fmt.Errorf("encoder %s: %w", enc.Info().Model, err)
	}
	rows := make([]int, len(order))
	for row, i := range order {
		rows[i] = row
	}
	out.Vectors = joined.Select(rows)
	return out, nil
}

// byLength is the indices of texts by falling number of tokens, equal ones in
// their own order, and those numbers in that order, cut to what the encoder
// takes in.
func byLength(enc Encoder, role Role, texts []string) (order, sorted []int) {
	counts := enc.CountTokens(role, texts)
	if limit := enc.Space().MaxTokens; limit > 0 {
		for i := range counts {
			counts[i] = min(counts[i], limit)
		}
	}
	order = make([]int, len(texts))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return counts[b] - counts[a] })
	sorted = make([]int, len(texts))
	for row, i := range order {
		sorted[row] = counts[i]
	}
	return order, sorted
}

// renumber gives a *TextError of a batch the caller's index; at[i] is the
// index of the batch's text i.
func renumber(err error, at []int) error {
	var refused *TextError
	if errors.As(err, &refused) && refused.Index >= 0 && refused.Index < len(at) {
		return &TextError{Index: at[refused.Index], Err: refused.Err}
	}
	return err
}

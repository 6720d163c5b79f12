package static

import (
	"fmt"

	"github.com/vecino-db/vecino/compat"
)

// Options of Open. The zero Options take everything from the model.
type Options struct {
	// Name is the model's name in the API ("local:NAME"); empty: the name of
	// its directory.
	Name string
	// Dimension cuts vectors to their first components; 0: not at all. Only a
	// dimension that the model's config.json declares is taken
	// (matryoshka_dimensions): the components of other models are of equal
	// weight, and a cut would only lose.
	Dimension int
	// MaxTokens truncates texts; 0: at the model's seq_length.
	MaxTokens int
	// Normalization of the vectors; empty: as the model says.
	Normalization compat.Normalization
	// QueryPrompt and DocumentPrompt are put before texts of the role.
	QueryPrompt, DocumentPrompt string
}

// Validate reports the first value that no model could take.
func (o Options) Validate() error {
	switch {
	case o.Dimension < 0 || o.Dimension > compat.MaxDimension:
		return fmt.Errorf("static model: dimension %d is outside 1..%d; choose one that the model declares, or 0 for all of it", o.Dimension, compat.MaxDimension)
	case o.MaxTokens < 0 || o.MaxTokens > compat.MaxTokensLimit:
		return fmt.Errorf("static model: max tokens %d is outside 1..%d; choose one inside, or 0 for the model's own", o.MaxTokens, compat.MaxTokensLimit)
	case o.Normalization != "" && o.Normalization != compat.NormalizeNone && o.Normalization != compat.NormalizeL2:
		return fmt.Errorf("static model: normalization %q is unknown; choose %q or %q, or leave it out for the model's own", o.Normalization, compat.NormalizeNone, compat.NormalizeL2)
	}
	return nil
}

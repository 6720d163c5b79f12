package bert

import (
	"fmt"
	"slices"

	"github.com/vecino-db/vecino/compat"
)

// maxThreads bounds Options.Threads.
const maxThreads = 1024

// Options of Open. The zero Options take everything from the model.
type Options struct {
	// Name is the model's name in the API ("local:NAME"); empty: the name of
	// its directory.
	Name string
	// Dimension cuts vectors to their first components; 0: as the model says.
	// Only dimensions that the model's files or Matryoshka declare are taken:
	// of other models a cut would only lose.
	Dimension int
	// Matryoshka declares dimensions that the model was trained to be cut to,
	// for models whose files don't.
	Matryoshka []int
	// QueryPrompt and DocumentPrompt are put before texts of the role; nil: the
	// model's own.
	QueryPrompt, DocumentPrompt *string
	// MaxTokens truncates texts, special tokens included; 0: as the model says.
	// It can't exceed what the model has positions for.
	MaxTokens int
	// Pooling replaces the model's own, or says it for a model without
	// modules.json; empty: the model's own, or mean.
	Pooling compat.Pooling
	// Normalization of the vectors; empty: as the model says.
	Normalization compat.Normalization
	// Precision of the weights and of the products with them; empty: f32.
	Precision compat.Precision
	// Threads is the most goroutines that one call of Encode works on; 0:
	// GOMAXPROCS.
	Threads int
}

// Validate reports the first value that no model could take.
func (o Options) Validate() error {
	pooling := []compat.Pooling{"", compat.PoolingMean, compat.PoolingCLS, compat.PoolingMax, compat.PoolingLast}
	switch {
	case o.Dimension < 0 || o.Dimension > compat.MaxDimension:
		return fmt.Errorf("transformer: dimension %d is outside 1..%d; choose one that the model declares, or 0 for all of it", o.Dimension, compat.MaxDimension)
	case slices.ContainsFunc(o.Matryoshka, func(d int) bool { return d < 1 || d > compat.MaxDimension }):
		return fmt.Errorf("transformer: the Matryoshka dimensions %v are not all in 1..%d", o.Matryoshka, compat.MaxDimension)
	case o.MaxTokens < 0 || o.MaxTokens > compat.MaxTokensLimit:
		return fmt.Errorf("transformer: max tokens %d is outside 1..%d; choose one inside, or 0 for the model's own", o.MaxTokens, compat.MaxTokensLimit)
	case !slices.Contains(pooling, o.Pooling):
		return fmt.Errorf("transformer: pooling %q is unknown; choose one of %q, or leave it out for the model's own", o.Pooling, pooling[1:])
	case o.Normalization != "" && o.Normalization != compat.NormalizeNone && o.Normalization != compat.NormalizeL2:
		return fmt.Errorf("transformer: normalization %q is unknown; choose %q or %q, or leave it out for the model's own", o.Normalization, compat.NormalizeNone, compat.NormalizeL2)
	case o.Precision != "" && o.Precision != compat.PrecisionF32 && o.Precision != compat.PrecisionInt8:
		return fmt.Errorf("transformer: precision %q is unknown; choose %q or %q", o.Precision, compat.PrecisionF32, compat.PrecisionInt8)
	case o.Threads < 0 || o.Threads > maxThreads:
		return fmt.Errorf("transformer: %d threads is outside 1..%d; choose some inside, or 0 for one a core", o.Threads, maxThreads)
	}
	return nil
}

package embed

import "github.com/vecino-db/vecino/compat"

// NewStamper makes the stamper with which an encoder stamps its vectors. An
// encoder does not know under which metric they will be compared, so the
// stamper is as strict as the strictest: it refuses zero rows, which have no
// direction under cosine. An encoder that could make one refuses the text with
// ErrNoTokens before. NewStamper refuses a space that does not validate, with
// *compat.InvalidError.
func NewStamper(space compat.Space) (*compat.Stamper, error) {
	m := compat.Manifest{Space: space, Metric: compat.MetricCosine}.WithDefaults()
	return m.Stamper()
}

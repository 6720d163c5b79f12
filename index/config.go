package index

import (
	"errors"
	"fmt"

	"github.com/vecino-db/vecino/compat"
)

// WithDefaults fills in what is zero with the defaults of a manifest.
func (c Config) WithDefaults() Config {
	if c.Build.M == 0 {
		c.Build.M = compat.DefaultM
	}
	if c.Build.EfConstruction == 0 {
		c.Build.EfConstruction = compat.DefaultEfConstruction
	}
	if c.Build.Encoding == "" {
		c.Build.Encoding = compat.EncodingF32
	}
	if c.Search.Ef == 0 {
		c.Search.Ef = compat.DefaultEf
	}
	if c.Seed == 0 {
		c.Seed = 0x9e3779b97f4a7c15
	}
	return c
}

// Validate says what no engine can be built of. Zero values that WithDefaults
// fills in are refused: call it first.
func (c Config) Validate() error {
	switch {
	case c.Fingerprint.IsZero() || c.Stored.IsZero():
		return fmt.Errorf("index: a zero fingerprint names no space; take it from a validated manifest")
	case c.Dimension < 1 || c.Dimension > compat.MaxDimension:
		return fmt.Errorf("index: dimension %d is not in 1..%d", c.Dimension, compat.MaxDimension)
	case c.Metric != compat.MetricCosine && c.Metric != compat.MetricDot && c.Metric != compat.MetricL2:
		return fmt.Errorf("index: unknown metric %q; use cosine, dot or l2", c.Metric)
	case c.Build.M < compat.MinM || c.Build.M > compat.MaxM:
		return fmt.Errorf("index: m %d is not in %d..%d", c.Build.M, compat.MinM, compat.MaxM)
	case c.Build.EfConstruction < 1 || c.Build.EfConstruction > compat.MaxEf:
		return fmt.Errorf("index: ef_construction %d is not in 1..%d", c.Build.EfConstruction, compat.MaxEf)
	case c.Search.Ef < 1 || c.Search.Ef > compat.MaxEf:
		return fmt.Errorf("index: ef %d is not in 1..%d", c.Search.Ef, compat.MaxEf)
	case c.Build.Encoding == compat.EncodingF32:
	case c.Build.Encoding != compat.EncodingInt8 && c.Build.Encoding != compat.EncodingLVQ4x8:
		return fmt.Errorf("index: unknown encoding %q; use f32, int8 or lvq4x8", c.Build.Encoding)
	case c.Build.Engine != "" && c.Build.Engine != compat.EngineHNSW && c.Build.Engine != compat.EngineAuto:
		return fmt.Errorf("index: engine %q keeps no vectors as %q; use %q", c.Build.Engine, c.Build.Encoding, compat.EncodingF32)
	}
	return nil
}

// CheckInsert says whether v may be inserted under ordinals.
func (c Config) CheckInsert(ordinals []uint32, v compat.Vectors) error {
	if len(ordinals) != v.Len() {
		return fmt.Errorf("index: %d ordinals for %d vectors; give one for each", len(ordinals), v.Len())
	}
	if v.Len() == 0 {
		return nil
	}
	return c.checkSpace("insert", v)
}

// CheckQuery says whether q can be answered.
func (c Config) CheckQuery(q Query) error {
	if q.Vector == nil {
		return errors.New("index: a query has exactly one vector, this one has none")
	}
	if n := q.Vector.Len(); n != 1 {
		return fmt.Errorf("index: a query has exactly one vector, this one has %d", n)
	}
	return c.checkSpace("search", q.Vector)
}

func (c Config) checkSpace(op string, v compat.Searchable) error {
	if !v.Fingerprint().Matches(c.Fingerprint) {
		return fmt.Errorf("index: %s: %w: they are stamped %.12s, the index holds %.12s; encode them with the encoder of this index", op, ErrSpace, v.Fingerprint(), c.Fingerprint)
	}
	if v.Dim() != c.Dimension {
		return fmt.Errorf("index: %s: %w: dimension %d, the index holds %d", op, ErrSpace, v.Dim(), c.Dimension)
	}
	return nil
}

package index

import (
	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index/internal/measure"
)

// Scorer compares one query with vectors as they were stored, whatever an
// engine has made of them. Not safe for concurrent use.
type Scorer struct {
	measure measure.Measure
	query   []float32 // prepared
	row     []float32
}

// NewScorer is for the first row of a query that CheckQuery would take.
func NewScorer(cfg Config, query compat.Searchable) *Scorer {
	s := &Scorer{measure: measure.Of(cfg.Metric), query: make([]float32, cfg.Dimension), row: make([]float32, cfg.Dimension)}
	s.measure.Prepare(s.query, query.Row(0))
	return s
}

// Score is that of a vector of the index's dimension, summed in float64: the
// one that the exact engine gives.
func (s *Scorer) Score(vector []float32) float32 {
	s.measure.Prepare(s.row, vector)
	return s.measure.Score(s.measure.Wide(s.query, s.row))
}

// Rough is Score but for its last bits, faster.
func (s *Scorer) Rough(vector []float32) float32 {
	s.measure.Prepare(s.row, vector)
	return s.measure.Score(float64(s.measure.Raw(s.query, s.row)))
}

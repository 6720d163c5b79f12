package train

import (
	"fmt"
	"math/rand/v2"

	"github.com/vecino-db/vecino/embed/token"
)

// Fresh is an untrained model: rows drawn from a normal distribution of
// deviation .1, and scaled by 1e-3/(1e-3+p), p being the token's share of the
// set's tokens, so that words that stand everywhere begin with little say.
func Fresh(t *token.Tokenizer, dim int, s *Set, seed uint64) (*Model, error) {
	if dim < 1 || dim > maxDimension {
		return nil, fmt.Errorf("train: %d dimensions: give 1..%d", dim, maxDimension)
	}
	m := &Model{Tokenizer: t, Dimension: dim, Rows: make([]float32, t.Size()*dim)}
	counts := make([]int, t.Size())
	for _, id := range s.ids {
		counts[id]++
	}
	const (
		deviation = 0.1
		common    = 1e-3
	)
	random := rand.New(rand.NewPCG(seed, 0x5eed))
	for i, n := range counts {
		share := float64(n) / float64(max(1, len(s.ids)))
		scale := deviation * common / (common + share)
		row := m.Rows[i*dim : (i+1)*dim]
		for j := range row {
			row[j] = float32(random.NormFloat64() * scale)
		}
	}
	return m, nil
}

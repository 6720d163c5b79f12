package dataset

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/kernels/f32"
)

// Clustered says how to make vectors as embeddings lie: gaussian clusters in a
// latent space of fewer dimensions, mapped to all of them by one random matrix,
// with a tenth of noise, of length 1. The more latent dimensions, the harder
// the set.
type Clustered struct {
	N       int
	Queries int // drawn from the same clusters, behind the N
	Dim     int
	Latent  int // 0: a quarter of Dim, at most 96
	// Clusters: 0 is 300.
	Clusters int
	// Spread of a cluster, where its centre's components have a spread of 1; 0 is 1.2.
	Spread float64
	Seed   uint64
}

// WithDefaults fills in what is zero.
func (c Clustered) WithDefaults() Clustered {
	if c.Latent == 0 {
		c.Latent = max(1, min(96, c.Dim/4))
	}
	if c.Clusters == 0 {
		c.Clusters = 300
	}
	if c.Spread == 0 {
		c.Spread = 1.2
	}
	return c
}

// Validate says what can't be made. Zero values that WithDefaults fills in are
// refused: call it first.
func (c Clustered) Validate() error {
	switch {
	case c.N < 1 || c.N > MaxRows || c.Queries < 0 || c.Queries > MaxRows:
		return fmt.Errorf("%d vectors and %d queries; make 1 to %d", c.N, c.Queries, MaxRows)
	case c.Dim < 1 || c.Dim > compat.MaxDimension:
		return fmt.Errorf("dimension %d is not in 1..%d", c.Dim, compat.MaxDimension)
	case c.Latent < 1 || c.Latent > compat.MaxDimension:
		return fmt.Errorf("%d latent dimensions are not in 1..%d", c.Latent, compat.MaxDimension)
	case c.Clusters < 1 || c.Clusters > 1<<20:
		return fmt.Errorf("%d clusters are not in 1..%d", c.Clusters, 1<<20)
	case !(c.Spread >= 0) || c.Spread > 1e3:
		return errors.New("the spread of the clusters is not in 0..1000")
	}
	return nil
}

// blockRows of vectors come from one generator, so that the set is the same
// however many threads make it.
const blockRows = 512

// Make makes the vectors and the queries, on so many threads. The same values
// give the same numbers, on machines of the same kernels to the last bit.
func (c Clustered) Make(threads int) (base, queries Set, err error) {
	c = c.WithDefaults()
	if err := c.Validate(); err != nil {
		return Set{}, Set{}, fmt.Errorf("clustered vectors: %w", err)
	}
	rng := rand.New(rand.NewPCG(c.Seed, math.MaxUint64))
	matrix := gaussian(rng, c.Latent*c.Dim, 1/math.Sqrt(float64(c.Latent)))
	centres := gaussian(rng, c.Clusters*c.Latent, 1)
	all := Set{Dim: c.Dim, Data: make([]float32, (c.N+c.Queries)*c.Dim)}
	blocks := (all.Len() + blockRows - 1) / blockRows
	var next atomic.Int64
	var wg sync.WaitGroup
	for range max(1, threads) {
		wg.Go(func() {
			z := make([]float32, c.Latent)
			for b := int(next.Add(1)) - 1; b < blocks; b = int(next.Add(1)) - 1 {
				rng := rand.New(rand.NewPCG(c.Seed, uint64(b)))
				for i := b * blockRows; i < min((b+1)*blockRows, all.Len()); i++ {
					c.draw(rng, all.Row(i), z, matrix, centres)
				}
			}
		})
	}
	wg.Wait()
	return all.Slice(0, c.N), all.Slice(c.N, all.Len()), nil
}

// draw makes one vector.
func (c Clustered) draw(rng *rand.Rand, row, z, matrix, centres []float32) {
	centre := rng.IntN(c.Clusters) * c.Latent
	for l := range z {
		z[l] = centres[centre+l] + float32(c.Spread*rng.NormFloat64())
	}
	for j := range row {
		row[j] = float32(0.1 * rng.NormFloat64())
	}
	for l, x := range z {
		f32.Axpy(row, x, matrix[l*c.Dim:(l+1)*c.Dim])
	}
	f32.Normalize(row)
}

// gaussian draws n numbers of a spread.
func gaussian(rng *rand.Rand, n int, spread float64) []float32 {
	g := make([]float32, n)
	for i := range g {
		g[i] = float32(spread * rng.NormFloat64())
	}
	return g
}

package indextest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
)

// Clustered draws n vectors (row-major, n x dim) around clusters centres, with
// a spread of sigma about them.
func Clustered(seed uint64, n, dim, clusters int, sigma float64) []float32 {
	rng := rand.New(rand.NewPCG(seed, 1))
	centres := make([]float64, clusters*dim)
	for i := range centres {
		centres[i] = rng.NormFloat64()
	}
	rows := make([]float32, n*dim)
	for i := range n {
		centre := rng.IntN(clusters) * dim
		for j := range dim {
			rows[i*dim+j] = float32(centres[centre+j] + sigma*rng.NormFloat64())
		}
	}
	return rows
}

// Space is a raw space to test in, its configuration and its stamp.
type Space struct {
	Config  index.Config
	stamper *compat.Stamper
}

// Manifold draws n unit vectors as embeddings lie: gaussian clusters of spread
// sigma in a latent space, mapped to dim dimensions by one random matrix, with
// a tenth of noise. Harder for a graph than Clustered, whose clusters lie apart.
func Manifold(seed uint64, n, dim, latent, clusters int, sigma float64) []float32 {
	rng := rand.New(rand.NewPCG(seed, 2))
	gaussian := func(n int) []float32 {
		g := make([]float32, n)
		for i := range g {
			g[i] = float32(rng.NormFloat64())
		}
		return g
	}
	matrix := gaussian(latent * dim)
	centres := gaussian(clusters * latent)
	rows := gaussian(n * dim)
	scale := float32(1 / math.Sqrt(float64(latent)))
	for i := range n {
		row := rows[i*dim : (i+1)*dim]
		for j := range row {
			row[j] *= 0.1
		}
		centre := rng.IntN(clusters) * latent
		for l := range latent {
			z := scale * (centres[centre+l] + float32(sigma*rng.NormFloat64()))
			for j, a := range matrix[l*dim : (l+1)*dim] {
				row[j] += z * a
			}
		}
		var sum float64
		for _, x := range row {
			sum += float64(x) * float64(x)
		}
		inverse := float32(1 / math.Sqrt(sum))
		for j := range row {
			row[j] *= inverse
		}
	}
	return rows
}

// NewSpace makes the space of one dimension and metric. Spaces of different
// names have different fingerprints.
func NewSpace(t testing.TB, name string, dim int, metric compat.Metric) *Space {
	t.Helper()
	m := compat.Manifest{
		Space: compat.Space{
			Encoder:       "raw/1",
			Pooling:       compat.PoolingNone,
			Normalization: compat.NormalizeNone,
			Precision:     compat.PrecisionF32,
			Dimension:     dim,
			FullDimension: dim,
		},
		Metric: metric,
	}.WithDefaults()
	copy(m.Space.Weights[:], fmt.Sprintf("%-32s", name))
	stamper, err := m.Stamper()
	if err != nil {
		t.Fatalf("manifest of the test space: %v", err)
	}
	return &Space{
		Config: index.Config{
			Fingerprint: m.Space.Fingerprint(),
			Stored:      m.Space.Fingerprint(),
			Dimension:   dim,
			Metric:      metric,
			Build:       compat.IndexBuild{M: 16, EfConstruction: 200},
			Search:      compat.SearchDefaults{Ef: 64},
		},
		stamper: stamper,
	}
}

// Stamp makes rows vectors of the space.
func (s *Space) Stamp(t testing.TB, rows []float32) compat.Vectors {
	t.Helper()
	v, err := s.stamper.Stamp(rows)
	if err != nil {
		t.Fatalf("stamping: %v", err)
	}
	return v
}

// Ordinals are n ordinals from first on.
func Ordinals(first uint32, n int) []uint32 {
	o := make([]uint32, n)
	for i := range o {
		o[i] = first + uint32(i)
	}
	return o
}

// Set is a filter of listed ordinals, ascending.
type Set struct {
	list []uint32
	in   map[uint32]bool
}

// NewSet filters by these ordinals, which must ascend.
func NewSet(ordinals []uint32) *Set {
	s := &Set{list: ordinals, in: make(map[uint32]bool, len(ordinals))}
	for _, o := range ordinals {
		s.in[o] = true
	}
	return s
}

// RandomSet admits each of n ordinals with probability p.
func RandomSet(rng *rand.Rand, n int, p float64) *Set {
	var list []uint32
	for o := range uint32(n) {
		if rng.Float64() < p {
			list = append(list, o)
		}
	}
	return NewSet(list)
}

// Contains is index.Filter's.
func (s *Set) Contains(ordinal uint32) bool { return s.in[ordinal] }

// Count is index.Filter's.
func (s *Set) Count() int { return len(s.list) }

// Each is index.Filter's.
func (s *Set) Each(f func(ordinal uint32) bool) {
	for _, o := range s.list {
		if !f(o) {
			return
		}
	}
}

// Oracle is the truth: vectors by ordinal, compared one by one in float64.
type Oracle struct {
	metric  compat.Metric
	vectors map[uint32][]float32
}

// NewOracle is an oracle without vectors.
func NewOracle(metric compat.Metric) *Oracle {
	return &Oracle{metric: metric, vectors: map[uint32][]float32{}}
}

// Put sets vectors (row-major) of ordinals.
func (o *Oracle) Put(ordinals []uint32, rows []float32) {
	if len(ordinals) == 0 {
		return
	}
	dim := len(rows) / len(ordinals)
	for i, ordinal := range ordinals {
		o.vectors[ordinal] = rows[i*dim : (i+1)*dim]
	}
}

// Delete forgets ordinals.
func (o *Oracle) Delete(ordinals []uint32) {
	for _, ordinal := range ordinals {
		delete(o.vectors, ordinal)
	}
}

// Len is how many vectors there are.
func (o *Oracle) Len() int { return len(o.vectors) }

// Score is the true score of an ordinal.
func (o *Oracle) Score(query []float32, ordinal uint32) float64 {
	var dot, qq, vv, l2 float64
	for i, x := range o.vectors[ordinal] {
		q, v := float64(query[i]), float64(x)
		dot += q * v
		qq += q * q
		vv += v * v
		l2 += (q - v) * (q - v)
	}
	switch o.metric {
	case compat.MetricCosine:
		return dot / math.Sqrt(qq) / math.Sqrt(vv)
	case compat.MetricL2:
		return math.Sqrt(l2)
	default:
		return dot
	}
}

// nearer reports whether score a is nearer than b by more than slack.
func (o *Oracle) nearer(a, b, slack float64) bool {
	if o.metric == compat.MetricL2 {
		return a < b-slack
	}
	return a > b+slack
}

// Kth is the score of the k-th nearest of what the filter admits, and how many
// that filter admits.
func (o *Oracle) Kth(query []float32, k int, filter index.Filter) (kth float64, matches int) {
	var scores []float64
	for ordinal := range o.vectors {
		if filter == nil || filter.Contains(ordinal) {
			scores = append(scores, o.Score(query, ordinal))
		}
	}
	if k <= 0 || len(scores) == 0 {
		return 0, len(scores)
	}
	slices.Sort(scores)
	if o.metric != compat.MetricL2 {
		slices.Reverse(scores)
	}
	return scores[min(k, len(scores))-1], len(scores)
}

package train

import (
	"math"

	"github.com/vecino-db/vecino/kernels/f32"
	"github.com/vecino-db/vecino/kernels/gemm"
)

// Accuracy says how well a model finds the document of each pair among the
// documents of all pairs of a set.
type Accuracy struct {
	Pairs      int
	Candidates int     // documents that a query was searched among, itself included
	First      float64 // share of queries whose document comes first
	Ten        float64 // share of queries whose document is among the first ten
	Reciprocal float64 // mean of 1/rank
}

// better compares by the mean of 1/rank, which moves with both other numbers.
func (a Accuracy) better(than Accuracy) bool { return a.Reciprocal > than.Reciprocal }

// maxMeasured bounds the pairs that Measure looks at: time goes with the square.
const maxMeasured = 8192

// Measure searches the documents of a set by its queries, exactly. Sides that
// were cut out of the query's own document don't count. Of a set of
// more than 8192 pairs, that many are taken, evenly spread.
func Measure(m *Model, s *Set, threads int) Accuracy {
	return AccuracyOf(Ranks(m, s, threads))
}

// AccuracyOf is the accuracy of ranks.
func AccuracyOf(ranks []int) Accuracy {
	n := len(ranks)
	if n == 0 {
		return Accuracy{}
	}
	a := Accuracy{Pairs: n, Candidates: n}
	for _, rank := range ranks {
		if rank == 1 {
			a.First++
		}
		if rank <= 10 {
			a.Ten++
		}
		a.Reciprocal += 1 / float64(rank)
	}
	for _, x := range []*float64{&a.First, &a.Ten, &a.Reciprocal} {
		*x = math.Round(*x/float64(n)*1e6) / 1e6
	}
	return a
}

// Ranks are the places, from 1, at which Measure finds the documents.
func Ranks(m *Model, s *Set, threads int) []int {
	n := min(s.Len(), maxMeasured)
	if n == 0 {
		return nil
	}
	w := workers(max(1, threads))
	t := &table{dim: m.Dimension, rows: m.Rows, workers: w}
	pairs := make(batch, n)
	for i := range pairs {
		pairs[i] = uint32(i * s.Len() / n)
	}
	queries, documents := make([]float32, n*m.Dimension), make([]float32, n*m.Dimension)
	t.gather(queries, documents, s, pairs)
	w.blocks(n, rowBlock, func(_, from, to int) {
		for i := from; i < to; i++ {
			f32.Normalize(queries[i*m.Dimension : (i+1)*m.Dimension])
			f32.Normalize(documents[i*m.Dimension : (i+1)*m.Dimension])
		}
	})
	packed := gemm.PackBT(documents, n, m.Dimension, m.Dimension)
	ranks := make([]int, n)
	for i := range ranks {
		ranks[i] = 1
	}
	w.blocks(n, rowBlock, func(_, from, to int) {
		scores := make([]float32, (to-from)*n)
		gemm.Mul(scores, n, queries[from*m.Dimension:], m.Dimension, to-from, packed, gemm.Epilogue{})
		for i := from; i < to; i++ {
			row := scores[(i-from)*n : (i-from+1)*n]
			own := row[i] + tie
			for j, x := range row {
				if x > own && s.groups[pairs[i]] != s.groups[pairs[j]] {
					ranks[i]++
				}
			}
		}
	})
	return ranks
}

// tie is the difference of cosines below which two documents are equally near:
// equal documents must not stand above each other by rounding.
const tie = 1e-6

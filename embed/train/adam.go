package train

import (
	"math"

	"github.com/vecino-db/vecino/kernels/f32"
)

// Adam's constants (Kingma and Ba 2014).
const (
	beta1   = 0.9
	beta2   = 0.999
	epsilon = 1e-8
)

// table is a model in training: its rows and Adam's moments of them. Rows that
// no token of a batch touches stay as they are, moments included, so a step
// costs what the batch touches; the correction of a row's bias counts its own
// steps.
type table struct {
	dim           int
	rows          []float32 // n x dim
	first, second []float32 // n x dim: the moments
	steps         []uint32  // of each row
	workers       workers

	// What a batch touches: its distinct tokens, ascending in the order of their
	// first occurrence, and for each of them the sides that have it.
	place   []int32 // of each token, its place in touched; -1
	touched []uint32
	ends    []uint32
	sides   []uint32
}

func newTable(rows []float32, dim int, w workers) *table {
	n := len(rows) / dim
	t := &table{dim: dim, rows: rows, workers: w, first: make([]float32, len(rows)), second: make([]float32, len(rows)), steps: make([]uint32, n), place: make([]int32, n)}
	for i := range t.place {
		t.place[i] = -1
	}
	return t
}

// sum sets dst to the sum of the tokens' rows.
func (t *table) sum(dst []float32, tokens []uint32) {
	clear(dst)
	for _, id := range tokens {
		at := int(id) * t.dim
		f32.Axpy(dst, 1, t.rows[at:at+t.dim])
	}
}

// gather sums the tokens of a batch's pairs: a for queries, b for documents.
func (t *table) gather(a, b []float32, s *Set, pairs batch) {
	t.workers.blocks(len(pairs), rowBlock, func(_, from, to int) {
		for i := from; i < to; i++ {
			t.sum(a[i*t.dim:(i+1)*t.dim], s.tokens(2*pairs[i]))
			t.sum(b[i*t.dim:(i+1)*t.dim], s.tokens(2*pairs[i]+1))
		}
	})
}

// index finds the distinct tokens of a batch and where they stand. Side 2i is
// the query of the batch's pair i.
func (t *table) index(s *Set, pairs batch) {
	t.touched, t.ends = t.touched[:0], t.ends[:0]
	total := 0
	for _, pair := range pairs {
		for side := range uint32(2) {
			for _, id := range s.tokens(2*pair + side) {
				p := t.place[id]
				if p < 0 {
					p = int32(len(t.touched))
					t.place[id] = p
					t.touched, t.ends = append(t.touched, id), append(t.ends, 0)
				}
				t.ends[p]++
				total++
			}
		}
	}
	at := uint32(0)
	for i, n := range t.ends {
		t.ends[i] = at // the beginning; it becomes the end as sides are filled in
		at += n
	}
	t.sides = room(t.sides, total)
	for i, pair := range pairs {
		for side := range uint32(2) {
			for _, id := range s.tokens(2*pair + side) {
				p := t.place[id]
				t.sides[t.ends[p]] = uint32(2*i) + side
				t.ends[p]++
			}
		}
	}
	for _, id := range t.touched {
		t.place[id] = -1
	}
}

// step moves every touched row against its gradient, which is the sum of those
// of the sides that have its token.
func (t *table) step(da, db []float32, rate float64) {
	const rows = 64
	t.workers.blocks(len(t.touched), rows, func(_, from, to int) {
		gradient := make([]float32, t.dim)
		for i := from; i < to; i++ {
			clear(gradient)
			begin := uint32(0)
			if i > 0 {
				begin = t.ends[i-1]
			}
			for _, side := range t.sides[begin:t.ends[i]] {
				of, at := da, int(side/2)*t.dim
				if side&1 == 1 {
					of = db
				}
				f32.Axpy(gradient, 1, of[at:at+t.dim])
			}
			t.move(int(t.touched[i]), gradient, rate)
		}
	})
}

// move is Adam's step of one row.
func (t *table) move(row int, gradient []float32, rate float64) {
	t.steps[row]++
	n := float64(t.steps[row])
	scale := float32(rate * math.Sqrt(1-math.Pow(beta2, n)) / (1 - math.Pow(beta1, n)))
	at := row * t.dim
	x, m, v := t.rows[at:at+t.dim], t.first[at:at+t.dim], t.second[at:at+t.dim]
	x, m, v = x[:len(gradient)], m[:len(gradient)], v[:len(gradient)]
	for i, g := range gradient {
		mi := beta1*m[i] + (1-beta1)*g
		vi := beta2*v[i] + (1-beta2)*g*g
		m[i], v[i] = mi, vi
		x[i] -= scale * mi / (float32(math.Sqrt(float64(vi))) + epsilon)
	}
}

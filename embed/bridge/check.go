package bridge

import (
	"context"
	"math"
	"slices"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/kernels/f32"
)

// checking finds neighbours by exact search among the stored vectors of all
// pairs; row i of it is pair order[i].
type checking struct {
	pairs  Pairs
	order  []int
	stored []float32 // row-major, len(order) x q; of length 1 under cosine
	rows   []uint32
	scores []float32
	truth  map[int][]int // neighbours of a row's stored vector
}

func newChecking(pairs Pairs, order []int) *checking {
	q := pairs.To.Dim()
	c := &checking{
		pairs: pairs, order: order, stored: make([]float32, 0, len(order)*q),
		rows: upTo(len(order)), scores: make([]float32, len(order)), truth: map[int][]int{},
	}
	for _, i := range order {
		row := pairs.To.Row(i)
		c.stored = append(c.stored, row...)
		if pairs.Metric == "" || pairs.Metric == compat.MetricCosine {
			normalize(c.stored[len(c.stored)-q:])
		}
	}
	return c
}

// recall is that of the bridge on rows from..to-1, 0 to 1.
func (c *checking) recall(ctx context.Context, b *Bridge, from, to int) (float64, error) {
	carried, all := make([]float32, b.q), upTo(b.q)
	found, wanted := 0, 0
	for row := from; row < to; row++ {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if c.truth[row] == nil {
			c.truth[row] = c.nearest(c.pairs.To.Row(c.order[row]), row)
		}
		b.carry(carried, c.pairs.From.Row(c.order[row]), all)
		for _, other := range c.nearest(carried, row) {
			if slices.Contains(c.truth[row], other) {
				found++
			}
		}
		wanted += len(c.truth[row])
	}
	return float64(found) / float64(wanted), nil
}

// nearest are the rows of the nearest stored vectors but one, nearest first.
func (c *checking) nearest(query []float32, but int) []int {
	if c.pairs.Metric == compat.MetricL2 {
		f32.SquaredL2Rows(c.scores, query, c.stored, c.rows)
		for i := range c.scores {
			c.scores[i] = -c.scores[i]
		}
	} else {
		f32.DotRows(c.scores, query, c.stored, c.rows)
	}
	best := make([]int, 0, depth+1)
	for row, score := range c.scores {
		if row == but || len(best) == depth && score <= c.scores[best[depth-1]] {
			continue
		}
		at := len(best)
		for at > 0 && score > c.scores[best[at-1]] {
			at--
		}
		best = slices.Insert(best, at, row)
		best = best[:min(len(best), depth)]
	}
	return best
}

// normalize scales a row to length 1 where it has one.
func normalize(row []float32) {
	var squares float64
	for _, v := range row {
		squares += float64(v) * float64(v)
	}
	if squares == 0 {
		return
	}
	scale := 1 / math.Sqrt(squares)
	for i := range row {
		row[i] = float32(float64(row[i]) * scale)
	}
}

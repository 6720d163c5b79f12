package bridge

import (
	"context"
	"math"
	"slices"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/kernels/gemm"
)

// together is the number of queries whose scores are computed in one product.
const together = 32

// checking finds neighbours by exact search among the stored vectors of all
// pairs; row i of it is pair order[i].
type checking struct {
	pairs  Pairs
	order  []int
	stored *gemm.Packed // q x len(order); of length 1 under cosine
	// half has half of each stored vector's squared length under L2, where
	// x.y - |y|^2/2 is the greater the nearer y is to x; otherwise nil.
	half   []float32
	scores []float32     // together x len(order)
	truth  map[int][]int // neighbours of a row's stored vector
}

func newChecking(pairs Pairs, order []int) *checking {
	q := pairs.To.Dim()
	c := &checking{pairs: pairs, order: order, scores: make([]float32, together*len(order)), truth: map[int][]int{}}
	rows := make([]float32, 0, len(order)*q)
	for _, i := range order {
		rows = append(rows, pairs.To.Row(i)...)
		row := rows[len(rows)-q:]
		switch pairs.Metric {
		case "", compat.MetricCosine:
			normalize(row)
		case compat.MetricL2:
			c.half = append(c.half, float32(squares(row)/2))
		}
	}
	c.stored = gemm.PackBT(rows, len(order), q, q)
	return c
}

// recall is that of the bridge on rows from..to-1, 0 to 1.
func (c *checking) recall(ctx context.Context, b *Bridge, from, to int) (float64, error) {
	all := upTo(b.q)
	found, wanted := 0, 0
	for ; from < to; from += together {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		rows := make([]int, 0, together)
		var stored, carried []float32
		for row := from; row < min(from+together, to); row++ {
			rows = append(rows, row)
			stored = append(stored, c.pairs.To.Row(c.order[row])...)
			carried = append(carried, make([]float32, b.q)...)
			b.carry(carried[len(carried)-b.q:], c.pairs.From.Row(c.order[row]), all)
		}
		if c.truth[from] == nil {
			for i, near := range c.nearest(stored, rows) {
				c.truth[rows[i]] = near
			}
		}
		for i, near := range c.nearest(carried, rows) {
			truth := c.truth[rows[i]]
			wanted += len(truth)
			for _, other := range near {
				if slices.Contains(truth, other) {
					found++
				}
			}
		}
	}
	return float64(found) / float64(wanted), nil
}

// nearest gives for each of up to together queries, row-major, the rows of the
// nearest stored vectors without the one of its number in but, nearest first.
func (c *checking) nearest(queries []float32, but []int) [][]int {
	n, q := len(c.order), c.pairs.To.Dim()
	gemm.Mul(c.scores, n, queries, q, len(but), c.stored, gemm.Epilogue{})
	out := make([][]int, len(but))
	for i := range but {
		scores := c.scores[i*n : (i+1)*n]
		for row, half := range c.half {
			scores[row] -= half
		}
		best := make([]int, 0, depth+1)
		for row, score := range scores {
			if row == but[i] || len(best) == depth && score <= scores[best[depth-1]] {
				continue
			}
			at := len(best)
			for at > 0 && score > scores[best[at-1]] {
				at--
			}
			best = slices.Insert(best, at, row)
			best = best[:min(len(best), depth)]
		}
		out[i] = best
	}
	return out
}

// normalize scales a row to length 1 where it has one.
func normalize(row []float32) {
	sum := squares(row)
	if sum == 0 {
		return
	}
	scale := 1 / math.Sqrt(sum)
	for i := range row {
		row[i] = float32(float64(row[i]) * scale)
	}
}

// squares is the squared length of a row.
func squares(row []float32) (sum float64) {
	for _, v := range row {
		sum += float64(v) * float64(v)
	}
	return sum
}

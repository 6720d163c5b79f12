package dataset

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/internal/measure"
)

// NearestOptions say what true neighbours are.
type NearestOptions struct {
	Metric  compat.Metric
	K       int
	Threads int // 0: one
	// Admit says which rows may be neighbours of which query; nil: all. It is
	// called from several goroutines.
	Admit func(query, row int) bool
	// Report is told from time to time how many of the queries' comparisons are
	// done, as a share; nil: nobody. It is called from several goroutines.
	Report func(share float64)
}

// Validate says what can't be meant.
func (o NearestOptions) Validate() error {
	switch {
	case o.Metric != compat.MetricCosine && o.Metric != compat.MetricDot && o.Metric != compat.MetricL2:
		return fmt.Errorf("unknown metric %q; use cosine, dot or l2", o.Metric)
	case o.K < 1:
		return fmt.Errorf("%d neighbours; ask for one at least", o.K)
	}
	return nil
}

const (
	// tileBytes of vectors stay in the cache while all queries pass.
	tileBytes = 256 << 10
	// spare neighbours beyond K are compared again in float64.
	spare = 16
)

// Nearest compares every query with every vector: the neighbours that an index
// should find, by the vectors' true scores summed in float64, ties by ascending
// row. Queries that fewer than K rows are admitted for are refused.
func Nearest(ctx context.Context, base, queries compat.Vectors, o NearestOptions) (Neighbours, error) {
	if err := o.Validate(); err != nil {
		return Neighbours{}, fmt.Errorf("true neighbours: %w", err)
	}
	if base.Dim() != queries.Dim() || base.Len() < o.K {
		return Neighbours{}, fmt.Errorf("true neighbours: %d x %d vectors have no %d nearest to %d x %d queries", base.Len(), base.Dim(), o.K, queries.Len(), queries.Dim())
	}
	n := &nearest{NearestOptions: o, base: base, measure: measure.Of(o.Metric), rows: max(8, tileBytes/(4*base.Dim()))}
	n.queries = make([][]float32, queries.Len())
	for i := range n.queries {
		n.queries[i] = make([]float32, base.Dim())
		n.measure.Prepare(n.queries[i], queries.Row(i))
	}
	threads := max(1, o.Threads)
	found := make([][]index.TopK, threads)
	var wg sync.WaitGroup
	for t := range found {
		wg.Go(func() { found[t] = n.scan(ctx) })
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return Neighbours{}, err
	}
	return n.join(found)
}

// nearest is a scan on its way. Threads take tiles of the base in turn.
type nearest struct {
	NearestOptions
	base    compat.Vectors
	queries [][]float32 // prepared
	measure measure.Measure
	rows    int          // of a tile
	next    atomic.Int64 // tile
}

// scan compares tiles with all queries, and gives the best for each query.
func (n *nearest) scan(ctx context.Context) []index.TopK {
	best := make([]index.TopK, len(n.queries))
	for i := range best {
		best[i].Reset(n.K+spare, n.Metric)
	}
	tile := make([]float32, n.rows*n.base.Dim())
	raw := make([]float32, n.rows)
	numbers := make([]uint32, n.rows)
	for i := range numbers {
		numbers[i] = uint32(i)
	}
	tiles := (n.base.Len() + n.rows - 1) / n.rows
	for t := int(n.next.Add(1)) - 1; t < tiles && ctx.Err() == nil; t = int(n.next.Add(1)) - 1 {
		from, to := t*n.rows, min((t+1)*n.rows, n.base.Len())
		for i := from; i < to; i++ {
			n.measure.Prepare(tile[(i-from)*n.base.Dim():(i-from+1)*n.base.Dim()], n.base.Row(i))
		}
		for q, query := range n.queries {
			n.measure.Rows(raw[:to-from], query, tile, numbers[:to-from])
			n.offer(&best[q], q, from, raw[:to-from])
		}
		if n.Report != nil {
			n.Report(float64(t+1) / float64(tiles))
		}
	}
	return best
}

// offer keeps what is near enough among the raw values of rows from..
func (n *nearest) offer(best *index.TopK, query, from int, raw []float32) {
	farthest, full := best.Farthest()
	for i, x := range raw {
		if full && n.measure.Distance(x) > n.measure.Distance(farthest) || n.Admit != nil && !n.Admit(query, from+i) {
			continue
		}
		best.Offer(index.Hit{Ordinal: uint32(from + i), Score: x})
		farthest, full = best.Farthest()
	}
}

// join ranks what the threads found once more in float64.
func (n *nearest) join(found [][]index.TopK) (Neighbours, error) {
	out := Neighbours{K: n.K, IDs: make([]uint32, 0, len(n.queries)*n.K)}
	row := make([]float32, n.base.Dim())
	for q, query := range n.queries {
		var hits []index.Hit
		for t := range found {
			hits = append(hits, found[t][q].Take()...)
		}
		for i := range hits {
			n.measure.Prepare(row, n.base.Row(int(hits[i].Ordinal)))
			hits[i].Score = n.measure.Score(n.measure.Wide(query, row))
		}
		index.SortHits(hits, n.Metric)
		if len(hits) < n.K {
			return Neighbours{}, fmt.Errorf("true neighbours: query %d: %w", q, ErrFew)
		}
		for _, h := range hits[:n.K] {
			out.IDs = append(out.IDs, h.Ordinal)
		}
	}
	return out, nil
}

// ErrFew is the error where there are fewer vectors than neighbours asked for.
var ErrFew = errors.New("fewer vectors are admitted than neighbours wanted; ask for fewer, or admit more")

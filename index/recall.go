package index

import (
	"context"
	"time"

	"github.com/vecino-db/vecino/compat"
)

// MeasureRecall asks every query twice, by the engine's own plan and by a scan,
// and says which share of the true k nearest the engine gave; 1 when there was
// nothing to find. A hit that is as near as the k-th counts, whichever of equal
// ones it is. ef 0 is the index's default.
func MeasureRecall(ctx context.Context, x Index, queries compat.Vectors, k, ef int) (compat.MeasuredRecall, error) {
	m := compat.MeasuredRecall{K: k, Ef: ef, Queries: queries.Len(), Recall: 1, At: time.Now().UTC()}
	found, wanted := 0, 0
	for i := range queries.Len() {
		q := Query{Vector: queries.Slice(i, i+1), K: k, Ef: ef}
		got, err := x.Search(ctx, q)
		if err != nil {
			return m, err
		}
		q.Exact = true
		truth, err := x.Search(ctx, q)
		if err != nil {
			return m, err
		}
		wanted += len(truth.Hits)
		found += common(got.Hits, truth.Hits)
	}
	if wanted > 0 {
		m.Recall = float64(found) / float64(wanted)
	}
	return m, nil
}

// common counts the hits that are among the true ones, or tie with the last.
func common(got, truth []Hit) int {
	if len(truth) == 0 {
		return 0
	}
	in := make(map[uint32]bool, len(truth))
	for _, h := range truth {
		in[h.Ordinal] = true
	}
	last := truth[len(truth)-1].Score
	n := 0
	for _, h := range got {
		if in[h.Ordinal] || h.Score == last {
			n++
		}
	}
	return min(n, len(truth))
}

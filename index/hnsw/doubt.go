package hnsw

import (
	"runtime"

	"github.com/vecino-db/vecino/index"
)

// Scores of codes are off by the rounding of their fine layer, whose step each
// row has for itself. So an answer knows its own error, and who has the vectors
// as they were given can decide what it leaves open.

// doubtful hits are those that lie behind the K-th by no more than so many
// standard errors. Both are off; and of many that lie closer together than the
// error, the K-th is one whose error has brought it near.
const doubtful = 5

// steps are those of the fine layer of some rows.
type steps struct {
	sum float64 // of squares
	n   int
}

// noteSteps takes in the steps of rows.
func (r *search) noteSteps(a *arrays, ids []uint32) {
	if r.spare == 0 || a.book == nil {
		return
	}
	for _, id := range ids {
		step := float64(a.book.FineStep(a.rows, id))
		r.steps.sum += step * step
	}
	r.steps.n += len(ids)
}

// addDoubtful adds the hits of r.kept that can't be told from the last one of an
// answer of k hits, and the error that is to blame.
func (r *search) addDoubtful(answer *index.Answer, k int) {
	a := r.core.arrays.Load()
	defer runtime.KeepAlive(a)
	if len(answer.Hits) < k || r.steps.n == 0 || a.book == nil {
		return
	}
	last := answer.Hits[k-1]
	link := r.table.Get(last.Ordinal)
	if link == 0 {
		return // it is gone; whoever reads the hits finds that out
	}
	r.target.prepare(a)
	answer.Error = a.book.Error(&r.target.coded, r.steps.sum/float64(r.steps.n), a.rows, link-1)
	own := r.measure.Distance(last.Score)
	bound := own + doubtful*answer.Error
	for _, h := range r.kept {
		at := r.measure.Distance(h.Score)
		if at <= bound && (at > own || at == own && h.Ordinal > last.Ordinal) {
			answer.Hits = append(answer.Hits, h)
		}
	}
	if more := answer.Hits[k:]; len(more) > 1 {
		index.SortHits(more, r.cfg.Metric)
	}
	answer.Hits = answer.Hits[:min(len(answer.Hits), k+r.spare)]
}

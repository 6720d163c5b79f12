package api

import (
	"context"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/store"
)

// RecallWish asks how much of the true nearest a collection's index finds.
type RecallWish struct {
	Queries []Query // with text, vector or id; none: Sample of the stored vectors
	Sample  int     // 0: 100
	Seed    uint64
	K       int  // 0: 10
	Ef      int  // 0: the manifest's
	Keep    bool // write the result into the manifest's evidence
}

// RecallResult is what was measured.
type RecallResult struct {
	Recall  float64 `json:"recall"`
	Low     float64 `json:"low"` // 95 % interval
	High    float64 `json:"high"`
	K       int     `json:"k"`
	Ef      int     `json:"ef"`
	Queries int     `json:"queries"`
	Vectors int     `json:"vectors"` // that each query was compared with
	Seconds float64 `json:"seconds"`
	Kept    bool    `json:"kept"` // it stands in the manifest now
}

// Recall measures, and stops with the context. See store.MeasureRecall.
func (s *Service) Recall(ctx context.Context, c *Collection, w RecallWish) (RecallResult, error) {
	return c.recall(ctx, w, nil)
}

// StartRecall is Recall as a job.
func (s *Service) StartRecall(c *Collection, w RecallWish) (Job, error) {
	return s.jobs.start("recall", c.Name(), func(ctx context.Context, progress func(done, total int)) (any, error) {
		return c.recall(ctx, w, progress)
	})
}

func (c *Collection) recall(ctx context.Context, w RecallWish, progress func(done, total int)) (RecallResult, error) {
	q := store.RecallQuery{Sample: w.Sample, Seed: w.Seed, K: w.K, Ef: w.Ef, Progress: progress}
	if err := q.Validate(); err != nil {
		return RecallResult{}, err
	}
	g := c.serving()
	q.Generation = g.number
	for _, one := range w.Queries {
		v, _, err := c.queryVector(ctx, g, one)
		if err != nil {
			return RecallResult{}, err
		}
		q.Queries = append(q.Queries, v)
	}
	r, err := c.stored.MeasureRecall(ctx, q)
	if err != nil {
		return RecallResult{}, err
	}
	result := RecallResult{
		Recall: r.Recall, Low: r.Low, High: r.High, K: r.K, Ef: r.Ef, Queries: r.Queries, Vectors: r.Vectors, Seconds: r.Took.Seconds(),
	}
	if w.Keep && r.Queries > 0 {
		// The rest stays: an adoption may have given the generation other evidence.
		if err := c.stored.SetEvidenceOf(ctx, g.number, func(e *compat.Evidence) { e.Recall = &r.MeasuredRecall }); err != nil {
			return RecallResult{}, err
		}
		if now := c.now().of(g.number); now != nil {
			m := now.manifest
			m.Evidence.Recall = &r.MeasuredRecall
			tag := manifestTag(m)
			now.etag.Store(&tag)
		}
		result.Kept = true
	}
	return result, nil
}

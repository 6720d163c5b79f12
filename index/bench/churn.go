package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/dataset"
)

// Churn is what deletes and inserts leave behind, beside a fresh build of the
// same vectors.
type Churn struct {
	Name        string  `json:"name"`
	Share       float64 `json:"share"` // deleted, and as many inserted
	Vectors     int     `json:"vectors"`
	Ef          int     `json:"ef"`
	Recall      float64 `json:"recall"`
	QPS         float64 `json:"queries_per_second"`
	FreshRecall float64 `json:"fresh_recall"`
	FreshQPS    float64 `json:"fresh_queries_per_second"`
	Tombstones  int     `json:"tombstones"`
	// Compacted is what it is after index.Compacter's Compact; zero for engines
	// without one.
	CompactSeconds   float64 `json:"compact_seconds,omitempty"` // on the wall
	CompactedRecall  float64 `json:"compacted_recall,omitempty"`
	CompactedQPS     float64 `json:"compacted_queries_per_second,omitempty"`
	CompactedPending int     `json:"compacted_tombstones,omitempty"`
}

// churnSteps is in how many portions the share is exchanged.
const churnSteps = 10

// churn is an index whose ordinals change their vectors.
type churn struct {
	data  *Data
	rng   *rand.Rand
	rowOf []int // by ordinal
	next  int   // the first vector that has not been in
}

// Churn fills an index with some of the vectors, then deletes a share of them
// and inserts as many others under the same ordinals, in ten portions; and
// compares it, at each ef, with a fresh one of what is in it at the end.
func (d *Data) Churn(ctx context.Context, e Engine, share float64, efs []int, passes int, seed uint64, report func(done int)) (out []Churn, err error) {
	if !(share > 0 && share <= 1) {
		return nil, fmt.Errorf("bench: a share above 0, at most 1, is exchanged, not %v", share)
	}
	n := int(float64(d.Base.Len()) / (1 + share))
	c := &churn{data: d, rng: rand.New(rand.NewPCG(seed, 4)), rowOf: make([]int, n), next: n}
	for i := range c.rowOf {
		c.rowOf[i] = i
	}
	x, err := d.open(e)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, end(x)) }()
	if err := d.insert(ctx, x, 0, n, d.threads(), report); err != nil {
		return nil, err
	}
	if err := c.exchange(ctx, x, int(share*float64(n)), report); err != nil {
		return nil, err
	}
	fresh, err := d.open(e)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, end(fresh)) }()
	for ordinal, row := range c.rowOf {
		if err := fresh.Insert(ctx, ordinals(ordinal, 1), d.Base.Slice(row, row+1)); err != nil {
			return nil, err
		}
		if report != nil && ordinal%1000 == 0 {
			report(c.next + ordinal)
		}
	}
	if s, ok := index.As[index.Settler](fresh); ok {
		if err := s.Settle(ctx); err != nil {
			return nil, err
		}
	}
	truth, err := c.truth(ctx)
	if err != nil {
		return nil, err
	}
	if !e.Graph() {
		efs = []int{0}
	}
	out = make([]Churn, len(efs))
	measure := func(x index.Index, set func(o *Churn, p Point)) error {
		for i, ef := range efs {
			p, err := truth.point(ctx, &Built{Engine: e, Index: x}, ef, passes)
			if err != nil {
				return err
			}
			set(&out[i], p)
		}
		return nil
	}
	for i, ef := range efs {
		out[i] = Churn{Name: e.String(), Share: share, Vectors: n, Ef: ef, Tombstones: x.Stats().Deleted}
	}
	if err := measure(fresh, func(o *Churn, p Point) { o.FreshRecall, o.FreshQPS = p.Recall, p.QPS }); err != nil {
		return nil, err
	}
	if err := measure(x, func(o *Churn, p Point) { o.Recall, o.QPS = p.Recall, p.QPS }); err != nil {
		return nil, err
	}
	compacter, ok := index.As[index.Compacter](x)
	if !ok {
		return out, nil
	}
	begun := time.Now()
	if err := compacter.Compact(ctx); err != nil {
		return out, err
	}
	took := time.Since(begun).Seconds()
	err = measure(x, func(o *Churn, p Point) {
		o.CompactSeconds, o.CompactedRecall, o.CompactedQPS, o.CompactedPending = took, p.Recall, p.QPS, x.Stats().Deleted
	})
	return out, err
}

// exchange deletes so many and inserts others in their place.
func (c *churn) exchange(ctx context.Context, x index.Index, total int, report func(done int)) error {
	order := c.rng.Perm(len(c.rowOf))[:total]
	for step := range churnSteps {
		var gone []uint32
		for _, ordinal := range order[step*total/churnSteps : (step+1)*total/churnSteps] {
			gone = append(gone, uint32(ordinal))
		}
		x.Delete(gone)
		for _, ordinal := range gone {
			if c.next == c.data.Base.Len() {
				return fmt.Errorf("bench: %d vectors are too few to exchange %d of %d", c.data.Base.Len(), total, len(c.rowOf))
			}
			if err := x.Insert(ctx, []uint32{ordinal}, c.data.Base.Slice(c.next, c.next+1)); err != nil {
				return err
			}
			c.rowOf[ordinal] = c.next
			c.next++
		}
		if report != nil {
			report(c.next)
		}
	}
	return nil
}

// truth is the data with the neighbours among what is in, by ordinal.
func (c *churn) truth(ctx context.Context) (*Data, error) {
	ordinalOf := make(map[int]uint32, len(c.rowOf))
	for ordinal, row := range c.rowOf {
		ordinalOf[row] = uint32(ordinal)
	}
	d := *c.data
	var err error
	d.Truth, err = dataset.Nearest(ctx, d.Base, d.Queries, dataset.NearestOptions{
		Metric: d.params.Metric, K: d.params.K, Threads: d.threads(), Admit: func(_, row int) bool { _, in := ordinalOf[row]; return in },
	})
	for i, row := range d.Truth.IDs {
		d.Truth.IDs[i] = ordinalOf[int(row)]
	}
	return &d, err
}

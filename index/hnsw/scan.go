package hnsw

import (
	"context"
	"runtime"
	"slices"
	"sync/atomic"

	"github.com/vecino-db/vecino/index"
)

const (
	// spare hits beyond k are kept by a scan, whose kernel may differ in the
	// last bits from the one that decides, and where replacements beside it
	// can make a hit appear twice.
	spare = 32
	// askScan nodes a scan looks at its context.
	askScan = 1 << 14
)

// scan compares every live vector that the filter admits, and leaves the best
// in r.best: as many as the query asks for, which may be more than were live
// when it began. What is deleted beside the scan stays a hit. So an owner that
// inserts a vector's successor before it deletes the vector finds one of the
// two, or both, whatever happens meanwhile.
func (r *search) scan(ctx context.Context) error {
	r.best.Reset(r.most+spare, r.cfg.Metric)
	var err error
	if r.filter != nil && r.filter.Count() < r.live {
		err = r.scanAdmitted(ctx)
	} else {
		err = r.scanAll(ctx)
	}
	if err != nil {
		return err
	}
	r.settle()
	return nil
}

// settle scores what a scan kept by the vectors that its ordinals have now,
// each once, and leaves the best in r.best.
func (r *search) settle() {
	hits := r.best.Take()
	gone := false
	for i, h := range hits {
		link := r.table.Get(h.Ordinal)
		if link == 0 {
			hits[i].Score, gone = r.measure.Score(float64(h.Score)), true
			continue
		}
		a := r.core.arrays.Load()
		hits[i].Score = r.score(a, link-1)
		runtime.KeepAlive(a)
	}
	index.SortHits(hits, r.cfg.Metric)
	if gone { // one may have been replaced before it was deleted
		met := make(map[uint32]bool, len(hits))
		hits = slices.DeleteFunc(hits, func(h index.Hit) bool {
			twice := met[h.Ordinal]
			met[h.Ordinal] = true
			return twice
		})
	}
	hits = slices.Compact(hits)
	r.best.Reset(r.most, r.cfg.Metric)
	for _, h := range hits {
		r.best.Offer(h)
	}
}

// scanAll goes by node. A replacement has a higher number than what it
// replaces, so going up to the last node there is misses none.
func (r *search) scanAll(ctx context.Context) error {
	done := 0
	for {
		total := int(r.nodes.Load())
		if done == total {
			return nil
		}
		a := r.core.arrays.Load()
		n := 0
		for ; done < total; done++ {
			if done%askScan == 0 {
				if err := ctx.Err(); err != nil {
					return err
				}
			}
			id := uint32(done)
			if !r.isLive(a, id) || r.filter != nil && !r.filter.Contains(atomic.LoadUint32(&a.ordinals[id])) {
				continue
			}
			r.ids[n] = id
			if n++; n == scanBatch {
				r.offer(a, n)
				n = 0
			}
		}
		r.offer(a, n)
		runtime.KeepAlive(a)
	}
}

// scanAdmitted goes by the filter's ordinals.
func (r *search) scanAdmitted(ctx context.Context) error {
	var err error
	a := r.core.arrays.Load()
	n, seen := 0, 0
	r.filter.Each(func(ordinal uint32) bool {
		if seen++; seen%askScan == 0 {
			if err = ctx.Err(); err != nil {
				return false
			}
		}
		link := r.table.Get(ordinal)
		if link == 0 {
			return true
		}
		if int(link) > a.capacity {
			r.offer(a, n)
			n, a = 0, r.core.arrays.Load()
		}
		r.ids[n] = link - 1
		if n++; n == scanBatch {
			r.offer(a, n)
			n = 0
		}
		return true
	})
	r.offer(a, n)
	runtime.KeepAlive(a)
	return err
}

// offer compares the first n nodes of r.ids.
func (r *search) offer(a *arrays, n int) {
	r.fine(r.raw[:n], a, &r.target, r.ids[:n])
	for i, raw := range r.raw[:n] {
		r.best.Offer(index.Hit{Ordinal: atomic.LoadUint32(&a.ordinals[r.ids[i]]), Score: raw})
	}
}

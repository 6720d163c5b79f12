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

// scan compares every live vector that the filter admits: by both layers of the
// encoding where the query is exact, else by the second one only where the first
// leaves a doubt. It leaves the best in r.best: as many as the query asks for, which may be more than were live
// when it began. What is deleted beside the scan stays a hit. So an owner that
// inserts a vector's successor before it deletes the vector finds one of the
// two, or both, whatever happens meanwhile.
func (r *search) scan(ctx context.Context) error {
	r.best.Reset(r.most+max(spare, r.spare), r.cfg.Metric)
	r.noise, r.steps = noise{}, steps{}
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
// each once, and leaves the best in r.best, and all of them in r.kept.
func (r *search) settle() {
	r.kept = r.best.AppendTo(r.kept[:0])
	hits := r.kept
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
	r.kept = hits
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

// admittance is a scan by the filter's ordinals on its way.
type admittance struct {
	ctx    context.Context
	err    error
	arrays *arrays
	n      int // nodes in r.ids
	seen   int // ordinals
}

// scanAdmitted goes by the filter's ordinals.
func (r *search) scanAdmitted(ctx context.Context) error {
	m := &r.admittance
	*m = admittance{ctx: ctx, arrays: r.core.arrays.Load()}
	r.filter.Each(r.each)
	r.offer(m.arrays, m.n)
	runtime.KeepAlive(m.arrays)
	err := m.err
	*m = admittance{}
	return err
}

// meet takes the next ordinal that the filter admits.
func (r *search) meet(ordinal uint32) bool {
	m := &r.admittance
	if m.seen++; m.seen%askScan == 0 {
		if m.err = m.ctx.Err(); m.err != nil {
			return false
		}
	}
	link := r.table.Get(ordinal)
	if link == 0 {
		return true
	}
	if int(link) > m.arrays.capacity {
		r.offer(m.arrays, m.n)
		runtime.KeepAlive(m.arrays)
		m.n, m.arrays = 0, r.core.arrays.Load()
	}
	r.ids[m.n] = link - 1
	if m.n++; m.n == scanBatch {
		r.offer(m.arrays, m.n)
		m.n = 0
	}
	return true
}

// offer compares the first n nodes of r.ids.
func (r *search) offer(a *arrays, n int) {
	if a.book != nil && !r.exact {
		n = r.narrow(a, n)
		copy(r.rough, r.raw[:n])
	}
	r.fine(r.raw[:n], a, &r.target, r.ids[:n])
	if a.book != nil && !r.exact {
		for i, raw := range r.raw[:n] {
			r.noise.add(r.rough[i], raw)
		}
	}
	for i, raw := range r.raw[:n] {
		r.best.Offer(index.Hit{Ordinal: atomic.LoadUint32(&a.ordinals[r.ids[i]]), Score: raw})
	}
}

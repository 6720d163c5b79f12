package hnsw

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sync/atomic"
)

// What a filter admits is found by a walk that passes through everything and
// counts only what is admitted, or by a scan of what is admitted. Which of them
// is cheaper is up to where the admitted vectors lie, and no number tells that
// before: a tenth of all may be the tenth that is nearest to the query, where a
// walk finds nothing else, or the farthest, where it finds nothing. So a walk
// begins, and goes on as long as what it meets promises that it ends before a
// scan would.
//
// Walks over what is admitted alone, by way of neighbours' neighbours (Patel et
// al., "ACORN", 2024), were slower than one or the other: at 10 % of 100,000 x 384
// they took 0.8 ms where the walk took 0.4 and the scan 0.2 (lvq4x8). Asking the
// filter for a thousand nodes a step costs more than comparing codes.
const (
	// walkCost is what a walk costs, in scanned vectors, for each of its ef
	// admitted results and each node that it must meet to find one: it looks at
	// some 8 nodes for each that stays, and a look takes as long as 5 rows of a
	// scan (100,000 x 384, in f32 and lvq4x8).
	walkCost = 40
	// lookCost is a look by itself.
	lookCost = 5
	// askAdmitting hops it looks at its context: they take longer than others.
	askAdmitting = 16
	// probe is the part of a scan's cost that a walk may take before it must
	// promise something.
	probe = 1. / 40
)

// scanIsCheaper compares the plans before anything is known of the filter but
// its size. A scan of everything goes through memory in order: a walk took as
// long as a scan of 1.4 ef M (20,000 x 384) to 1.8 ef M (10,000 x 128) vectors.
func (r *search) scanIsCheaper(admitted int) bool {
	if r.filter == nil {
		return float64(admitted) <= 1.25*float64(r.ef)*float64(r.cfg.Build.M)
	}
	// Where all that a walk meets is admitted it takes half of a scan at least,
	// and finding out is a part of that.
	return float64(admitted) <= 2*walkCost*float64(r.ef)
}

// outlook is what an admitting walk has met.
type outlook struct {
	scan     float64 // what a scan costs, in its rows
	looked   int     // nodes compared
	asked    int     // of these, those that the filter was asked for
	admitted int     // and that it admits
	next     float64 // when to look again, in looks
}

// poor reports whether a scan is the better way from here on.
func (o *outlook) poor(ef int, full bool) bool {
	if float64(o.looked) < o.next {
		return false
	}
	o.next = 2 * float64(o.looked)
	if full {
		return lookCost*float64(o.looked) > o.scan
	}
	return walkCost*float64(ef)*float64(o.asked+1) > o.scan*(float64(o.admitted)+0.5)
}

// walkAdmitting is walk that counts only nodes with a live, admitted hit, so
// that ef of them are found however few there are; they are left in r.results.
// It reports false when a scan is cheaper than what it has before it.
func (r *search) walkAdmitting(ctx context.Context, a *arrays, from []item, admitted int) (complete bool, err error) {
	s := r.scratch
	n := r.visitable(a)
	s.unvisit(n)
	s.candidates, s.results = s.candidates[:0], s.results[:0]
	for _, it := range from {
		s.visit(it.id())
		s.candidates.push(it)
		if r.admits(a, it.id()) {
			s.results.push(^it)
		}
	}
	o := outlook{scan: float64(admitted), next: max(probe*float64(admitted)/lookCost, 64)}
	for hops := 1; ; hops++ {
		if hops%askAdmitting == 0 {
			if err := ctx.Err(); err != nil {
				return false, err
			}
		}
		found := r.expandNearest(a, n)
		if found < 0 {
			break
		}
		o.looked += found
		if o.poor(r.ef, len(s.results) >= r.ef) {
			return false, nil
		}
		r.core.keys(a, s, found)
		for i, key := range s.near[:found] {
			it := newItem(key, s.ids[i])
			full := len(s.results) >= r.ef
			if full && it.key() >= (^s.results[0]).key() {
				continue
			}
			s.candidates.push(it)
			o.asked++
			if r.admits(a, it.id()) {
				o.admitted++
				s.results.push(^it)
				if full {
					s.results.pop()
				}
			}
		}
	}
	for i, it := range s.results {
		s.results[i] = ^it
	}
	return true, nil
}

// expandNearest gathers the neighbours of the nearest candidates into s.ids: of
// several at once where vectors are codes, as walk does. It gives their number;
// -1: no candidate is nearer than the results.
func (r *search) expandNearest(a *arrays, n int) int {
	s := r.scratch
	blocks, most := 0, 1
	if a.book != nil {
		most = together
	}
	for ; blocks < most && len(s.candidates) > 0; blocks++ {
		if len(s.results) >= r.ef && s.candidates[0].key() > (^s.results[0]).key() {
			break
		}
		s.blocks[blocks] = a.block(s.candidates.pop().id(), 0)
		// These loads wait for nothing, and for them only gather does.
		s.fetched += atomic.LoadUint32(&s.blocks[blocks][0]) + atomic.LoadUint32(&s.blocks[blocks][len(s.blocks[blocks])/2])
	}
	if blocks == 0 {
		return -1
	}
	found := 0
	for _, block := range s.blocks[:blocks] {
		found = s.gather(block, n, found)
	}
	return found
}

// admits reports whether a node or one of its twins may be returned.
func (r *search) admits(a *arrays, id uint32) bool {
	for link := id + 1; link != 0; link = atomic.LoadUint32(&a.twins[link-1]) {
		if r.returns(a, link) {
			return true
		}
	}
	return false
}

// settled reports whether nothing beyond the results of an admitting walk can
// be expected among the best: the last of them is farther than the k-th hit by
// twice the noise of the coarse layer. A filter that goes along with nearness
// leaves thousands of nodes equally far.
func (r *search) settled(a *arrays) bool {
	if len(r.results) < r.ef || len(r.results) < 2 {
		return true
	}
	n := min(len(r.results), scanBatch)
	for i, it := range r.results[:n] {
		r.ids[i] = it.id()
	}
	r.fine(r.raw[:n], a, &r.target, r.ids[:n])
	var sum float64
	for i, it := range r.results[:n] {
		d := float64(r.raw[i] - r.measure.RawOf(it.key()))
		sum += d * d
	}
	noise := float32(2 * math.Sqrt(sum/float64(n)))
	slices.SortFunc(r.raw[:n], func(x, y float32) int { return cmp.Compare(r.measure.Distance(x), r.measure.Distance(y)) })
	kth := r.measure.Distance(r.raw[min(r.k, n)-1])
	return r.measure.Distance(r.measure.RawOf(r.results[len(r.results)-1].key())) >= kth+noise
}

// noise is how far the coarse layer lies from the fine one.
type noise struct {
	sum float64 // of squares
	n   int
}

// add notes one row's raw values.
func (o *noise) add(coarse, fine float32) {
	d := float64(fine - coarse)
	o.sum += d * d
	o.n++
}

// margin is what hardly any row is off by: four standard deviations.
func (o *noise) margin() float32 {
	if o.n == 0 {
		return float32(math.Inf(1))
	}
	return float32(4 * math.Sqrt(o.sum/float64(o.n)))
}

// narrow leaves those of the first n nodes of r.ids that may be nearer than the
// hits that a scan has, by their coarse layer, and gives their number. The others
// are not worth a look at their fine layer, which is most of a row.
func (r *search) narrow(a *arrays, n int) int {
	r.target.prepare(a)
	r.coarse(r.raw[:n], a, &r.target, r.ids[:n])
	bound := float32(math.Inf(1))
	if worst, full := r.best.Farthest(); full {
		bound = r.measure.Distance(worst) + r.noise.margin()
	}
	kept := 0
	for i, raw := range r.raw[:n] {
		if r.measure.Distance(raw) <= bound {
			r.ids[kept], r.raw[kept] = r.ids[i], raw
			kept++
		}
	}
	return kept
}

package hnsw

import (
	"context"
	"math"
	"runtime"
	"sync/atomic"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
)

// Search answers one query; see index.Index and the plans in the package
// comment.
func (g *Graph) Search(ctx context.Context, q index.Query) (index.Answer, error) {
	answer := index.Answer{Plan: index.PlanGraph}
	if err := g.cfg.CheckQuery(q); err != nil {
		return answer, err
	}
	if err := ctx.Err(); err != nil {
		return answer, err
	}
	c := g.core.Load()
	s := c.scratch.Get().(*scratch)
	defer c.scratch.Put(s)
	c.measure.Prepare(s.target.vector, q.Vector.Row(0))
	s.target.set()
	s.search = search{core: c, scratch: s, filter: q.Filter, ef: q.Ef, live: int(c.live.Load())}
	err := s.search.answer(ctx, q, &answer)
	s.search = search{}
	return answer, err
}

// search is one query on its way.
type search struct {
	*core
	*scratch
	filter index.Filter
	k, ef  int
	most   int // hits that a scan may give
	live   int
	whole  bool   // everything is live and admitted
	exact  bool   // a scan compares both layers of every row
	noise  noise  // of the coarse layer, as a scan has met it
	seen   []item // the nodes behind r.best, after a walk
	spare  int    // hits beyond the last that the query takes where codes leave a doubt
	steps  steps  // of the fine layer of the rows that were compared by it

	apart    float64 // of rescore: sum of squares of what the layers are apart
	compared int     // rows that it is over
}

// answer plans and runs.
func (r *search) answer(ctx context.Context, q index.Query, answer *index.Answer) error {
	admitted := r.live
	if r.filter != nil {
		admitted = min(admitted, r.filter.Count())
	}
	r.k = min(q.K, admitted)
	if r.k <= 0 {
		return nil
	}
	r.most = min(q.K, maxNodes)
	if r.ef <= 0 {
		r.ef = r.cfg.Search.Ef
	}
	r.ef = max(r.ef, r.k)
	r.exact = q.Exact
	if !q.Exact {
		r.spare = min(max(q.Spare, 0), maxNodes)
	}
	switch {
	case q.Exact, r.scanIsCheaper(admitted):
		answer.Plan = index.PlanExact
	case r.filter != nil && admitted < r.live:
		answer.Plan = index.PlanGraphFiltered
	}
	for tries := 0; ; tries++ {
		changed := r.changed.Load()
		enough, err := r.run(ctx, answer.Plan, admitted)
		if err != nil {
			return err
		}
		quiet := changed == r.changed.Load()
		switch {
		case answer.Plan == index.PlanExact, enough && quiet:
			answer.Hits = r.best.Take()
			r.addDoubtful(answer, q.K)
			return nil
		case !enough:
			answer.Plan = index.PlanExact
		default:
			if answer.Hits = r.mend(); len(answer.Hits) == r.k {
				return nil
			}
			if tries >= maxTries {
				answer.Plan = index.PlanExact
			}
		}
	}
}

// maxTries bounds how often a walk is repeated because hits went away.
const maxTries = 2

// run carries out a plan and leaves the hits in r.best. It reports false when
// there may be more matches than it found.
func (r *search) run(ctx context.Context, plan index.Plan, admitted int) (enough bool, err error) {
	r.whole = false
	if plan == index.PlanExact {
		return true, r.scan(ctx)
	}
	// In this order: the arrays hold every node that was numbered before.
	entry := r.entry.Load()
	a := r.core.arrays.Load()
	defer runtime.KeepAlive(a)
	if entry == 0 {
		return true, nil
	}
	r.target.prepare(a)
	starts := r.enter(a, r.scratch, entry)
	if plan == index.PlanGraph {
		// Tombstones take places in the pool.
		ef := r.ef
		if dead := int(r.nodes.Load()) - r.live; dead > 0 && r.live > 0 {
			ef = min(ef+ef*dead/r.live, 4*ef)
		}
		if err := r.walk(ctx, a, r.scratch, 0, ef, starts...); err != nil {
			return false, err
		}
		found := r.collect(a, r.scratch.pool.found())
		if r.blind(a, ef) {
			if found, err = r.walkFine(ctx, a, ef); err != nil {
				return false, err
			}
		}
		if found >= min(r.live, max(r.k, r.ef/2)) {
			return true, nil
		}
	}
	if complete, err := r.walkAdmitting(ctx, a, starts, admitted); err != nil || !complete {
		return false, err
	}
	nearestFirst(r.results)
	r.collect(a, r.results)
	return r.best.Len() >= r.k && (a.book == nil || r.settled(a)), nil
}

// collect offers the hits that stand behind nodes, in any order, to r.best, and
// gives their number.
func (r *search) collect(a *arrays, items []item) (found int) {
	if a.book != nil {
		return r.rescore(a, items)
	}
	r.best.Reset(r.k, r.cfg.Metric)
	r.seen = items
	for _, it := range items {
		var score float32
		scored := false
		farthest, full := r.best.Farthest()
		// The raw value of another kernel may differ in the last bits from the
		// one in the key: what is clearly farther need not be computed again.
		skip := full && r.clearlyFarther(it.key(), farthest)
		for link := it.id() + 1; link != 0; link = atomic.LoadUint32(&a.twins[link-1]) {
			ordinal := atomic.LoadUint32(&a.ordinals[link-1])
			if !r.returns(a, link) {
				continue
			}
			found++
			if skip {
				continue
			}
			if !scored {
				score, scored = r.score(a, it.id()), true
			}
			r.best.Offer(index.Hit{Ordinal: ordinal, Score: score})
		}
	}
	return found
}

// clearlyFarther reports whether a key lies beyond a score by more than
// rounding.
func (r *search) clearlyFarther(key uint32, score float32) bool {
	const slack = 1e-4
	s := r.measure.Score(float64(r.measure.RawOf(key)))
	if r.measure.Distance(1) > 0 {
		return s > score*(1+slack)
	}
	return s < score-slack*max(score, -score)-1e-6
}

// mend makes the answer right after replacements and deletes that ran beside
// the walk: every ordinal that it met, once, by the vector that it has now.
func (r *search) mend() []index.Hit {
	met := map[uint32]bool{}
	a := r.core.arrays.Load()
	for _, it := range r.seen {
		for link := it.id() + 1; link != 0; link = atomic.LoadUint32(&a.twins[link-1]) {
			ordinal := atomic.LoadUint32(&a.ordinals[link-1])
			if r.filter == nil || r.filter.Contains(ordinal) {
				met[ordinal] = true
			}
		}
	}
	hits := make([]index.Hit, 0, len(met))
	for ordinal := range met {
		link := r.table.Get(ordinal)
		if link == 0 {
			continue
		}
		now := r.core.arrays.Load()
		hits = append(hits, index.Hit{Ordinal: ordinal, Score: r.score(now, link-1)})
		runtime.KeepAlive(now)
	}
	runtime.KeepAlive(a)
	index.SortHits(hits, r.cfg.Metric)
	return hits[:min(r.k, len(hits))]
}

// score is that of one node, by the same kernel for all of them, so that equal
// vectors have equal scores.
func (r *search) score(a *arrays, id uint32) float32 {
	if a.book == nil {
		return r.measure.Score(float64(r.measure.Raw(r.target.vector, a.vector(id))))
	}
	r.self[0] = id
	r.fine(r.compare[:1], a, &r.target, r.self[:])
	r.noteSteps(a, r.self[:])
	return r.measure.Score(float64(r.compare[0]))
}

// rescore is collect for encoded vectors, given nearest first: the nearest in
// the coarse layer are compared again in both.
func (r *search) rescore(a *arrays, items []item) (found int) {
	r.best.Reset(r.k, r.cfg.Metric)
	r.kept, r.steps = r.kept[:0], steps{}
	r.seen = items
	want := r.k + max(r.k/2, 5)
	if r.cfg.Build.Encoding == compat.EncodingLVQ4x8 {
		want = r.k + max(r.k*3/2, 15)
	}
	want = int(min(float64(want)*max(r.cfg.Search.Oversampling, 1), float64(len(items))))
	n := min(want, len(items), len(r.ids))
	for i, it := range items[:n] {
		r.ids[i] = it.id()
	}
	a.fetch(r.ids[:n])
	// Where nothing is dead, whatever is beyond what is wanted need not be looked
	// at. In this order: what the walk has met was live when live was read.
	live := int(r.core.live.Load())
	r.whole = r.filter == nil && int(r.nodes.Load()) == live
	// Beyond what is wanted it goes on while the next may still be among the best:
	// where many are about equally near, the coarse layer has no order to rely on.
	n = 0
	more, step := true, max(want/2, 1)
	r.apart, r.compared = 0, 0
	for i, it := range items {
		if more && found >= want {
			r.offerFine(a, n)
			n = 0
			want += step
			more = r.promises(it, promising)
		}
		if r.whole && !more {
			found += len(items) - i
			break
		}
		live := 0
		for link := it.id() + 1; link != 0; link = atomic.LoadUint32(&a.twins[link-1]) {
			if r.returns(a, link) {
				live++
			}
		}
		if live > 0 && more {
			r.ids[n], r.guess[n] = it.id(), r.measure.Score(float64(r.measure.RawOf(it.key())))
			if n++; n == scanBatch {
				r.offerFine(a, n)
				n = 0
			}
		}
		found += live
	}
	r.offerFine(a, n)
	return found
}

// promises reports whether a node may be among the best although all of those
// that are nearer in the coarse layer have been compared in both: it is not
// farther than the last of the best by some times what the layers were apart.
func (r *search) promises(it item, times float32) bool {
	kth, full := r.best.Farthest()
	if !full {
		return true
	}
	slack := times * float32(math.Sqrt(r.apart/float64(max(r.compared, 1))))
	guess := r.measure.Score(float64(r.measure.RawOf(it.key())))
	if r.cfg.Metric == compat.MetricL2 {
		return guess-slack < kth
	}
	return guess+slack > kth
}

// returns reports whether the node behind a link is live and admitted.
func (r *search) returns(a *arrays, link uint32) bool {
	if r.whole {
		return true
	}
	ordinal := atomic.LoadUint32(&a.ordinals[link-1])
	return r.table.Get(ordinal) == link && (r.filter == nil || r.filter.Contains(ordinal))
}

// offerFine scores the first n nodes of r.ids and offers them with their twins.
// r.guess has their scores in the coarse layer.
func (r *search) offerFine(a *arrays, n int) {
	r.fine(r.raw[:n], a, &r.target, r.ids[:n])
	r.noteSteps(a, r.ids[:n])
	r.compared += n
	for i, id := range r.ids[:n] {
		score := r.measure.Score(float64(r.raw[i]))
		d := float64(score - r.guess[i])
		r.apart += d * d
		for link := id + 1; link != 0; link = atomic.LoadUint32(&a.twins[link-1]) {
			if r.returns(a, link) {
				h := index.Hit{Ordinal: atomic.LoadUint32(&a.ordinals[link-1]), Score: score}
				r.best.Offer(h)
				if r.spare > 0 {
					r.kept = append(r.kept, h)
				}
			}
		}
	}
}

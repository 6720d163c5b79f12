package exact

import (
	"context"

	"github.com/vecino-db/vecino/index"
)

// Search scans every live vector that the filter admits.
func (x *Index) Search(ctx context.Context, q index.Query) (index.Answer, error) {
	answer := index.Answer{Plan: index.PlanExact}
	if err := x.cfg.CheckQuery(q); err != nil {
		return answer, err
	}
	if err := ctx.Err(); err != nil {
		return answer, err
	}
	if q.K <= 0 {
		return answer, nil
	}
	s := x.scratch.Get().(*scratch)
	defer x.scratch.Put(s)
	x.measure.Prepare(s.query, q.Vector.Row(0))

	x.mu.RLock()
	defer x.mu.RUnlock()
	k := min(q.K, len(x.slots))
	if q.Filter != nil {
		k = min(k, q.Filter.Count())
	}
	if k <= 0 {
		return answer, nil
	}
	s.best.Reset(k+spare, x.cfg.Metric)
	var err error
	if q.Filter != nil && q.Filter.Count() < len(x.slots) {
		err = x.scanAdmittedLocked(ctx, s, q.Filter)
	} else {
		err = x.scanLocked(ctx, s, q.Filter)
	}
	if err != nil {
		return answer, err
	}
	answer.Hits = x.rescoreLocked(s, k)
	return answer, nil
}

// scanLocked compares all rows, in their order.
func (x *Index) scanLocked(ctx context.Context, s *scratch, filter index.Filter) error {
	n, asked := 0, 0
	for number, r := range x.rows {
		if n == batch || n > 0 && number%x.perSlab == 0 {
			x.flushLocked(s, n)
			n = 0
		}
		if number-asked >= checkEvery {
			asked = number
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		if r.dead || filter != nil && !filter.Contains(r.ordinal) {
			continue
		}
		s.numbers[n] = uint32(number)
		n++
	}
	x.flushLocked(s, n)
	return nil
}

// scanAdmittedLocked compares the rows of the ordinals that a filter admits.
func (x *Index) scanAdmittedLocked(ctx context.Context, s *scratch, filter index.Filter) error {
	var err error
	n, seen := 0, 0
	filter.Each(func(ordinal uint32) bool {
		if seen++; seen%checkEvery == 0 {
			if err = ctx.Err(); err != nil {
				return false
			}
		}
		number, ok := x.slots[ordinal]
		if !ok {
			return true
		}
		if n == batch || n > 0 && int(number)/x.perSlab != int(s.numbers[0])/x.perSlab {
			x.flushLocked(s, n)
			n = 0
		}
		s.numbers[n] = number
		n++
		return true
	})
	x.flushLocked(s, n)
	return err
}

// flushLocked compares the first n of s.numbers, which lie in one slab.
func (x *Index) flushLocked(s *scratch, n int) {
	if n == 0 {
		return
	}
	slab := int(s.numbers[0]) / x.perSlab
	for i, number := range s.numbers[:n] {
		s.rows[i] = number - uint32(slab*x.perSlab)
	}
	x.measure.Rows(s.raw[:n], s.query, x.slabs[slab], s.rows[:n])
	farthest, full := s.best.Farthest()
	for i, raw := range s.raw[:n] {
		// Nearly every row ends here.
		if full && x.measure.Distance(raw) > x.measure.Distance(farthest) {
			continue
		}
		s.best.Offer(index.Hit{Ordinal: x.rows[s.numbers[i]].ordinal, Score: raw})
		farthest, full = s.best.Farthest()
	}
}

// rescoreLocked computes what was kept once more in float64, and gives the
// best k of it.
func (x *Index) rescoreLocked(s *scratch, k int) []index.Hit {
	hits := s.best.Take()
	for i := range hits {
		v := x.vector(x.slabs, x.slots[hits[i].Ordinal])
		hits[i].Score = x.measure.Score(x.measure.Wide(s.query, v))
	}
	index.SortHits(hits, x.cfg.Metric)
	return hits[:min(k, len(hits)):min(k, len(hits))]
}

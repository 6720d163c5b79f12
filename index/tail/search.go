package tail

import (
	"context"

	"github.com/vecino-db/vecino/index"
)

const (
	// batch rows go to the kernel at once.
	batch = 256
	// spare rows beyond k are scored in float64.
	spare = 32
	// askEvery rows a scan looks at its context.
	askEvery = 1 << 14
)

// scratch is what one search needs.
type scratch struct {
	query []float32
	rows  [batch]uint32 // of one block
	raw   [batch]float32
	best  index.TopK
	at    map[uint32]candidate
}

// candidate is a row that may be a hit.
type candidate struct {
	block *block
	row   uint32
}

// Search asks the engine, then the tail; see index.Index and the package
// comment.
func (x *Index) Search(ctx context.Context, q index.Query) (index.Answer, error) {
	x.searching.Add(1)
	defer x.searching.Add(-1)
	// In this order: what is skipped by them is in the engine now.
	now := x.clock.Load()
	b := x.head.Load()
	from := b.settled.Load()
	answer, err := x.engine.Search(ctx, q)
	if err != nil || q.K <= 0 || from == b.length.Load() && b.next.Load() == nil {
		return answer, err
	}
	s := x.scratch.Get().(*scratch)
	defer x.scratch.Put(s)
	x.measure.Prepare(s.query, q.Vector.Row(0))
	if err := x.scan(ctx, s, q, now, b, from); err != nil {
		return answer, err
	}
	answer.Hits = x.merge(s, answer.Hits, q.K)
	return answer, nil
}

// scan leaves the nearest of the tail in s.best and says in s.at where they
// are. Rows that were linked until now are left out.
func (x *Index) scan(ctx context.Context, s *scratch, q index.Query, now uint64, b *block, from int64) error {
	keep := q.K
	if keep < 1<<30 {
		keep += spare
	}
	s.best.Reset(keep, x.cfg.Metric)
	s.at = make(map[uint32]candidate)
	seen := 0
	for b != nil {
		to := b.length.Load()
		if seen += int(to - from); seen >= askEvery {
			seen = 0
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		n := 0
		for i := from; i < to; i++ {
			if state := b.states[i].Load(); state != pending && (state == dead || state <= now) {
				continue
			}
			if q.Filter != nil && !q.Filter.Contains(b.ordinals[i]) {
				continue
			}
			s.rows[n] = uint32(i)
			if n++; n == batch {
				x.offer(s, b, n)
				n = 0
			}
		}
		x.offer(s, b, n)
		switch {
		case b.full(to):
			b, from = b.next.Load(), 0
		case to == b.length.Load():
			return nil
		default: // what replaces a row that was met dead stands behind it
			from = to
		}
	}
	return nil
}

// offer compares the first n of s.rows. Of an ordinal that was deleted and
// inserted again there may be two rows; the later one counts.
func (x *Index) offer(s *scratch, b *block, n int) {
	x.measure.Rows(s.raw[:n], s.query, b.rows, s.rows[:n])
	for i, row := range s.rows[:n] {
		h := index.Hit{Ordinal: b.ordinals[row], Score: x.measure.Score(float64(s.raw[i]))}
		if farthest, full := s.best.Farthest(); full && x.measure.Distance(h.Score) > x.measure.Distance(farthest) {
			continue
		}
		s.best.Offer(h)
		s.at[h.Ordinal] = candidate{b, row}
	}
}

// merge gives the best of the engine's hits and those of the tail, each ordinal
// once: k, and as many more as the engine has given beyond them.
func (x *Index) merge(s *scratch, hits []index.Hit, k int) []index.Hit {
	met := make(map[uint32]bool, s.best.Len())
	var merged []index.Hit
	for _, h := range s.best.Take() {
		if met[h.Ordinal] {
			continue
		}
		met[h.Ordinal] = true
		at, dim := s.at[h.Ordinal], uint32(x.cfg.Dimension)
		h.Score = x.measure.Score(x.measure.Wide(s.query, at.block.rows[at.row*dim:(at.row+1)*dim]))
		merged = append(merged, h)
	}
	s.at = nil
	for _, h := range hits {
		if !met[h.Ordinal] {
			merged = append(merged, h)
		}
	}
	k = max(k, len(hits))
	index.SortHits(merged, x.cfg.Metric)
	return merged[:min(k, len(merged)):min(k, len(merged))]
}

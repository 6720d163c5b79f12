package embed

import (
	"errors"
	"slices"
	"time"
)

// wakeLocked starts a worker of each group of which something waits and a place
// is free. Each
// worker that finds more than its own batch wakes the next.
func (s *Scheduler) wakeLocked() {
	for g := range groups {
		if s.running[g] < s.options.Workers && s.waitsLocked(g) {
			s.running[g]++
			go s.work(g)
		}
	}
}

// waitsLocked reports whether anything of a group waits.
func (s *Scheduler) waitsLocked(g group) bool {
	for p := range s.lines {
		if s.groupOf(Priority(p)) == g && s.lines[p].requests.Len() > 0 {
			return true
		}
	}
	return false
}

// work encodes batches of a group until nothing of it waits. Close waits for it.
func (s *Scheduler) work(g group) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for b := s.takeLocked(g); b != nil; b = s.takeLocked(g) {
		s.wakeLocked()
		s.mu.Unlock()
		s.run(b)
		s.mu.Lock()
		s.flying[g] -= b.tokens
	}
	s.running[g]--
	s.restLocked()
}

// run encodes a batch and hands out its rows.
func (s *Scheduler) run(b *batch) {
	defer b.cancel()
	out, took, err := s.encode(b.ctx, b.priority, b.role, b.texts)
	if err != nil && len(b.pieces) > 1 && isolated(err) {
		s.runApart(b, err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.observeLocked(len(b.texts), b.tokens, took)
	}
	for _, piece := range b.pieces {
		if err != nil {
			s.endLocked(piece.request, piece.renumber(err, piece.at), false)
			continue
		}
		s.deliverLocked(b, piece, Encoded{
			Vectors:   out.Vectors.Slice(piece.at, piece.at+piece.n),
			Tokens:    out.Tokens[piece.at : piece.at+piece.n : piece.at+piece.n],
			Truncated: out.Truncated[piece.at : piece.at+piece.n : piece.at+piece.n],
		})
	}
}

// runApart encodes the requests of a batch one by one, after one text failed
// the batch: that costs no more than twice the work, whatever else is wrong.
func (s *Scheduler) runApart(b *batch, failure error) {
	guilty := -1
	var refused *TextError
	if errors.As(failure, &refused) {
		guilty = refused.Index
	}
	s.mu.Lock()
	s.counts.isolated++
	s.mu.Unlock()
	for _, piece := range b.pieces {
		if guilty >= piece.at && guilty < piece.at+piece.n {
			s.mu.Lock()
			s.endLocked(piece.request, piece.renumber(failure, piece.at), false)
			s.mu.Unlock()
			continue
		}
		s.mu.Lock()
		ended := piece.request.ended
		s.mu.Unlock()
		if ended {
			continue
		}
		out, took, err := s.encode(b.ctx, b.priority, b.role, b.texts[piece.at:piece.at+piece.n])
		s.mu.Lock()
		if err != nil {
			s.endLocked(piece.request, piece.renumber(err, 0), false)
		} else {
			s.observeLocked(piece.n, piece.tokens(), took)
			s.deliverLocked(b, piece, out)
		}
		s.mu.Unlock()
	}
}

// tokens is the size of a piece.
func (p piece) tokens() int {
	sum := 0
	for _, n := range p.request.counts[p.from : p.from+p.n] {
		sum += n
	}
	return sum
}

// renumber gives a *TextError the index in the request's texts; at is where
// the piece began in what was encoded.
func (p piece) renumber(err error, at int) error {
	var refused *TextError
	if errors.As(err, &refused) && refused.Index >= at && refused.Index < at+p.n {
		return &TextError{Index: p.from + refused.Index - at, Err: refused.Err}
	}
	return err
}

// deliverLocked gives a request the rows of one piece, and ends it with the
// last of them.
func (s *Scheduler) deliverLocked(b *batch, p piece, out Encoded) {
	r := p.request
	if r.ended {
		return
	}
	r.parts[p.part] = out
	r.flying = slices.DeleteFunc(r.flying, func(other *batch) bool { return other == b })
	b.leftLocked()
	if len(r.flying) == 0 && r.place == nil {
		s.endLocked(r, nil, false)
	}
}

// observeLocked measures a batch.
func (s *Scheduler) observeLocked(texts, tokens int, took time.Duration) {
	s.pace.observe(tokens, took)
	s.counts.batchTexts.observe(float64(texts))
	s.counts.batchTokens.observe(float64(tokens))
	s.counts.batchSeconds.observe(took.Seconds())
}

package embed

import (
	"container/list"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/vecino-db/vecino/compat"
)

// request is one call of Encode that waits or is encoded. Its fields from
// next on are guarded by the scheduler's mu until done is closed.
type request struct {
	priority Priority
	role     Role
	texts    []string
	counts   []int // tokens of each text, as many as are encoded, one at least
	came     time.Time
	done     chan struct{}

	next    int           // the first text that is in no batch yet
	waiting int           // tokens of texts[next:]
	place   *list.Element // in its line; nil: it is in none
	parts   []Encoded     // of its pieces, in the order of the texts
	flying  []*batch      // that run with pieces of it
	ended   bool
	err     error
}

// batch is what one call of the encoder encodes.
type batch struct {
	ctx      context.Context // ends when every caller has left
	cancel   context.CancelFunc
	priority Priority
	role     Role
	texts    []string
	tokens   int
	pieces   []piece
	live     int // requests in it that have not ended
}

// piece is the part of a request that is in a batch.
type piece struct {
	request *request
	part    int // index in request.parts
	from    int // index of its first text in request.texts
	at      int // index of its first text in batch.texts
	n       int // texts
}

// line is what waits of one priority.
type line struct {
	requests list.List // of *request
	tokens   int
	passed   int // tokens encoded above it since it led a batch, while it waited
}

// share is how many tokens are encoded above a line for each of its own.
const share = 8

// newRequest counts the tokens of texts, on the caller's goroutine.
func (s *Scheduler) newRequest(p Priority, role Role, texts []string) *request {
	r := &request{priority: p, role: role, texts: texts, counts: s.count(p, role, texts), came: time.Now(), done: make(chan struct{})}
	for i, n := range r.counts {
		if n = max(n, 1); s.limit > 0 {
			n = min(n, s.limit)
		}
		r.counts[i] = n
		r.waiting += n
	}
	return r
}

// countedAtOnce is the texts that are counted between two pauses.
const countedAtOnce = 64

// count is the tokens of each text, or what stands for them.
func (s *Scheduler) count(p Priority, role Role, texts []string) []int {
	if !s.options.Estimate {
		if p == PriorityQuery || !s.yields() {
			return s.encoder.CountTokens(role, texts)
		}
		y := s.options.Traffic.yielding(context.Background(), p)
		counts := make([]int, 0, len(texts))
		for some := range slices.Chunk(texts, countedAtOnce) {
			counts = append(counts, s.encoder.CountTokens(role, some)...)
			y.pause()
		}
		return counts
	}
	counts := make([]int, len(texts))
	for i, text := range texts {
		counts[i] = len(text) / 4
	}
	return counts
}

// admitLocked says why a request of so many tokens may not wait; nil when it
// may, or need not.
func (s *Scheduler) admitLocked(p Priority, tokens int) error {
	if s.closed {
		return ErrClosed
	}
	l := &s.lines[p]
	if p == PriorityMigration || l.requests.Len() == 0 {
		return nil
	}
	bound := s.options.QueryDelay
	if p == PriorityIngest {
		bound = s.options.IngestDelay
	}
	delay := s.delayLocked(p, tokens)
	var reason string
	switch {
	case l.requests.Len() >= s.options.QueueRequests:
		reason = fmt.Sprintf("%d requests of priority %v wait, as many as may", l.requests.Len(), p)
	case tokens > s.options.QueueTokens-l.tokens:
		reason = fmt.Sprintf("%d tokens of priority %v wait, %d may, and the request has %d or more", l.tokens, p, s.options.QueueTokens, tokens)
	case delay > bound:
		reason = fmt.Sprintf("it would take about %v, longer than the %v that priority %v may", delay.Round(10*time.Millisecond), bound, p)
	default:
		return nil
	}
	s.counts.of[p].Rejected++
	if s.pace.tokens == 0 {
		delay = time.Second
	}
	return &OverloadedError{Priority: p, Reason: reason, RetryAfter: min(max(delay, 100*time.Millisecond), time.Minute)}
}

// delayLocked is about how long a request of so many tokens that comes now
// would take to its answer: what waits of its own and higher priorities and
// what runs comes before it, lower ones take their share, and its own batch
// has others in it.
func (s *Scheduler) delayLocked(p Priority, tokens int) time.Duration {
	g := s.groupOf(p)
	ahead := s.flying[g]
	for above := range s.lines[:p+1] {
		if s.groupOf(Priority(above)) == g {
			ahead += s.lines[above].tokens
		}
	}
	own := min(s.lines[p].tokens+tokens, s.budgetLocked().Tokens)
	shared := 1.0
	for below := int(p) + 1; below < len(s.lines); below++ {
		if s.groupOf(Priority(below)) == g && s.lines[below].tokens > 0 {
			shared += 1.0 / share
		}
	}
	work := float64(ahead)/float64(s.options.Workers) + float64(own)
	return time.Duration(min(shared*work*s.pace.perToken(), float64(time.Hour)))
}

// pace is the measured speed: sums over past batches that fade, so that large
// batches count for more than small ones, and late ones for more than early.
type pace struct{ nanoseconds, tokens float64 }

func (p *pace) observe(tokens int, took time.Duration) {
	const fade = 0.95
	p.nanoseconds = fade*p.nanoseconds + float64(took)
	p.tokens = fade*p.tokens + float64(tokens)
}

// perToken is nanoseconds of one worker; 0 when nothing was measured.
func (p *pace) perToken() float64 {
	if p.tokens == 0 {
		return 0
	}
	return p.nanoseconds / p.tokens
}

// budgetLocked bounds the next batch.
func (s *Scheduler) budgetLocked() Budget {
	b := s.options.Batch
	if s.options.BatchTime < 0 {
		return b
	}
	tokens := firstTokens
	if per := s.pace.perToken(); s.pace.tokens > 0 {
		tokens = b.Tokens
		if fit := float64(s.options.BatchTime) / per; fit < float64(b.Tokens) {
			tokens = int(fit)
		}
	}
	b.Tokens = min(max(tokens, leastTokens), b.Tokens)
	return b
}

// enqueueLocked puts a request at the end of its line.
func (s *Scheduler) enqueueLocked(r *request) {
	l := &s.lines[r.priority]
	r.place = l.requests.PushBack(r)
	l.tokens += r.waiting
}

// leadLocked is the line that the next batch of a group is taken from.
func (s *Scheduler) leadLocked(g group, budget Budget) (Priority, bool) {
	lead, found := PriorityQuery, false
	for p := range s.lines {
		l := &s.lines[p]
		switch {
		case s.groupOf(Priority(p)) != g:
		case l.requests.Len() == 0:
			l.passed = 0
		case !found:
			lead, found = Priority(p), true
		case l.passed >= share*min(l.tokens, budget.Tokens):
			return Priority(p), true
		}
	}
	return lead, found
}

// takeLocked forms the next batch of a group; nil when nothing of it waits.
func (s *Scheduler) takeLocked(g group) *batch {
	budget := s.budgetLocked()
	p, ok := s.leadLocked(g, budget)
	if !ok {
		return nil
	}
	l := &s.lines[p]
	b := &batch{priority: p, role: l.requests.Front().Value.(*request).role}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	for e := l.requests.Front(); e != nil; {
		r, next := e.Value.(*request), e.Next()
		if r.role == b.role {
			s.takeFromLocked(r, b, budget)
			if r.place != nil { // it did not fit whole, so the batch is full
				if last := b.pieces[len(b.pieces)-1]; last.request == r {
					l.requests.MoveToBack(e)
				}
				break
			}
		}
		e = next
	}
	l.passed = 0
	for below := int(p) + 1; below < len(s.lines); below++ {
		if s.groupOf(Priority(below)) == g {
			s.lines[below].passed += b.tokens
		}
	}
	s.flying[g] += b.tokens
	return b
}

// takeFromLocked moves the texts of a request into a batch, as many as fit;
// one at least when the batch is empty. A request with none left leaves its
// line.
func (s *Scheduler) takeFromLocked(r *request, b *batch, budget Budget) {
	n, tokens := 0, 0
	for _, count := range r.counts[r.next:] {
		full := count > budget.Tokens-b.tokens-tokens || len(b.texts)+n == budget.Texts
		if full && len(b.texts)+n > 0 {
			break
		}
		n, tokens = n+1, tokens+count
	}
	if n == 0 {
		return
	}
	l := &s.lines[r.priority]
	if r.next == 0 {
		s.counts.waited(r.priority, time.Since(r.came))
	}
	b.pieces = append(b.pieces, piece{request: r, part: len(r.parts), from: r.next, at: len(b.texts), n: n})
	b.texts = append(b.texts, r.texts[r.next:r.next+n]...)
	b.tokens += tokens
	b.live++
	r.parts = append(r.parts, Encoded{})
	r.flying = append(r.flying, b)
	r.next += n
	r.waiting -= tokens
	l.tokens -= tokens
	if r.next == len(r.texts) {
		l.requests.Remove(r.place)
		r.place = nil
	}
}

// endLocked gives a request its outcome, once: it leaves its line, and the
// batches that run only for it are cancelled. left: its caller has gone.
func (s *Scheduler) endLocked(r *request, err error, left bool) {
	if r.ended {
		return
	}
	r.ended, r.err = true, err
	if r.place != nil {
		l := &s.lines[r.priority]
		l.requests.Remove(r.place)
		l.tokens -= r.waiting
		r.place = nil
	}
	for _, b := range r.flying {
		b.leftLocked()
	}
	r.flying = nil
	s.counts.ended(r.priority, err, left)
	close(r.done)
}

// leave ends a request whose caller has gone, unless it has ended already.
func (s *Scheduler) leave(r *request, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endLocked(r, err, true)
}

// leftLocked notes that one request less needs a batch.
func (b *batch) leftLocked() {
	if b.live--; b.live == 0 {
		b.cancel()
	}
}

// result is the outcome of a request that has ended.
func (r *request) result() (Encoded, error) {
	if r.err != nil {
		return Encoded{}, r.err
	}
	if len(r.parts) == 1 {
		return r.parts[0], nil
	}
	out := Encoded{Tokens: make([]int, 0, len(r.texts)), Truncated: make([]bool, 0, len(r.texts))}
	vectors := make([]compat.Vectors, len(r.parts))
	for i, part := range r.parts {
		vectors[i] = part.Vectors
		out.Tokens = append(out.Tokens, part.Tokens...)
		out.Truncated = append(out.Truncated, part.Truncated...)
	}
	var err error
	out.Vectors, err = compat.Concat(vectors...)
	return out, err
}

package embed

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/vecino-db/vecino/compat"
)

// A Scheduler is an Encoder that shares another one among many callers: it
// puts small requests together into batches and cuts large ones, serves
// queries before ingests before migrations, and refuses what would wait too
// long.
//
// # Batches
//
// A batch is of one priority and one role, and within a token budget and a
// number of texts (SchedulerOptions). It is filled from the requests of its
// priority in the order of their coming; one that does not fit whole gives a
// piece and goes to the end of the line, so a small request waits for no large
// one of its own priority longer than a batch. With a worker idle and nothing
// waiting, a request that is one batch is encoded at once on its caller's
// goroutine; nothing ever waits while a worker is idle.
//
// # Who is first
//
// The highest priority that waits leads the next batch, so a query waits for
// the batches that run, never for what waits below it. Lower ones don't
// starve: one that waits leads a batch when eight times that batch's tokens
// were encoded above it, which leaves it a ninth of the work at least.
//
// With SchedulerOptions.Traffic a query does not even wait for the batches that
// run, but for those of queries: it has workers of its own. Ingests and
// migrations that are encoded leave a processor free while queries come in, and
// let them go first between pieces of their work, also those that ask another
// encoder; again a ninth of the time is theirs at least.
//
// Encodings Aside stand in no line: they run on their callers' goroutines, and
// it is their callers' pause that lets others go first. With a negative BatchTime
// (remote encoders) they are as all others.
//
// # What is refused
//
// A request does not wait, and fails with *OverloadedError, when the queue of
// its priority is full by number of requests or tokens, or when the time to its
// answer, estimated from what is before it and the measured speed, is beyond
// the bound. The first in line is never refused, so a request above the bounds
// gets in when nothing waits. PriorityMigration is never refused:
// its callers are the program's own and few.
//
// # Errors and departures
//
// A caller whose context ends leaves at once. What waits of its request is
// dropped; a batch that runs is cancelled when every caller in it has left. A
// *TextError, or a panic of the encoder, in a batch of several requests fails
// only the request whose text it is: the others are encoded again, each by
// itself. Another error fails every request of the batch.
//
// Rows of requests that shared a batch share its memory. A Scheduler is safe
// for concurrent use; it has no goroutines while nothing waits.
type Scheduler struct {
	encoder Encoder
	options SchedulerOptions
	limit   int // tokens that the encoder takes of a text; 0: all

	mu      sync.Mutex
	closed  bool
	running [groups]int // workers in use, by batches or by callers; while it is below Workers, nothing of the group waits
	asides  int         // encodings aside, which hold no worker's place
	stopped *sync.Cond  // on mu: nothing runs
	lines   [priorities]line
	flying  [groups]int // tokens of the batches that workers encode
	pace    pace
	counts  counters
}

var _ Encoder = (*Scheduler)(nil)

// NewScheduler makes the scheduler of an encoder, which it owns from then on:
// Close closes it. The only errors are those of SchedulerOptions.Validate.
func NewScheduler(enc Encoder, o SchedulerOptions) (*Scheduler, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	s := &Scheduler{encoder: enc, options: o.withDefaults(), limit: enc.Space().MaxTokens, counts: newCounters()}
	s.stopped = sync.NewCond(&s.mu)
	for p := range s.lines {
		s.lines[p].requests.Init()
	}
	return s, nil
}

// Space implements Encoder.
func (s *Scheduler) Space() compat.Space { return s.encoder.Space() }

// Info implements Encoder.
func (s *Scheduler) Info() Info { return s.encoder.Info() }

// CountTokens implements Encoder. It is done at once by the caller.
func (s *Scheduler) CountTokens(role Role, texts []string) []int {
	return s.encoder.CountTokens(role, texts)
}

// Encode implements Encoder, for any number of texts. The priority is that of
// WithPriority, or follows from the role. Errors: *OverloadedError,
// ErrClosed, the context's, and those of the encoder; a *TextError has the
// index in texts.
func (s *Scheduler) Encode(ctx context.Context, role Role, texts []string) (Encoded, error) {
	if err := ctx.Err(); err != nil {
		return Encoded{}, err
	}
	if len(texts) == 0 {
		return s.encoder.Encode(ctx, role, texts)
	}
	p := priorityOf(ctx, role)
	if Pauses(ctx) && s.options.BatchTime >= 0 {
		return s.aside(ctx, p, role, texts)
	}
	s.mu.Lock()
	// A request that is refused now costs not even the counting of its tokens.
	if err := s.admitLocked(p, len(texts)); err != nil {
		s.mu.Unlock()
		return Encoded{}, err
	}
	if g := s.groupOf(p); s.running[g] < s.options.Workers && s.oneBatchLocked(texts) {
		s.running[g]++
		s.mu.Unlock()
		return s.direct(ctx, p, role, texts)
	}
	s.mu.Unlock()

	r := s.newRequest(p, role, texts)
	s.mu.Lock()
	if err := s.admitLocked(p, r.waiting); err != nil {
		s.mu.Unlock()
		return Encoded{}, err
	}
	s.enqueueLocked(r)
	s.wakeLocked()
	s.mu.Unlock()

	select {
	case <-r.done:
	case <-ctx.Done():
		s.leave(r, ctx.Err())
	}
	return r.result()
}

// group is priorities that share workers.
type group int

const (
	asked  group = iota // queries, where they have workers of their own
	others              // all the rest
	groups
)

// groupOf is the group of a priority. Queries have workers of their own where
// what else runs lets them go first between pieces of its work.
func (s *Scheduler) groupOf(p Priority) group {
	if p == PriorityQuery && s.yields() {
		return asked
	}
	return others
}

// yields reports whether what is no query goes behind queries while it runs.
func (s *Scheduler) yields() bool { return s.options.Traffic != nil && s.options.BatchTime >= 0 }

// runsLocked is how many encodings run.
func (s *Scheduler) runsLocked() int { return s.running[asked] + s.running[others] + s.asides }

// restLocked tells Close when nothing runs any more.
func (s *Scheduler) restLocked() {
	if s.runsLocked() == 0 {
		s.stopped.Broadcast()
	}
}

// tokenSlack is how many tokens a text may have beyond one a byte: special
// ones and a prompt's.
const tokenSlack = 64

// oneBatchLocked reports whether texts are surely one batch: a single text is,
// and others are when their bytes alone are within the budget.
func (s *Scheduler) oneBatchLocked(texts []string) bool {
	if len(texts) == 1 {
		return true
	}
	budget := s.budgetLocked()
	if len(texts) > budget.Texts {
		return false
	}
	room := budget.Tokens
	for _, text := range texts {
		if room -= len(text) + tokenSlack; room < 0 {
			return false
		}
	}
	return true
}

// direct encodes on the caller's goroutine, which holds a worker's place.
func (s *Scheduler) direct(ctx context.Context, p Priority, role Role, texts []string) (Encoded, error) {
	out, took, err := s.encode(ctx, p, role, texts)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.waited(p, 0)
	s.counts.ended(p, err, ctx.Err() != nil)
	if err == nil {
		tokens := 0
		for _, n := range out.Tokens {
			tokens += n
		}
		s.observeLocked(len(texts), tokens, took)
	}
	// The place goes to what has come to wait meanwhile.
	s.running[s.groupOf(p)]--
	s.wakeLocked()
	s.restLocked()
	return out, err
}

// encode encodes a batch of a priority, and says what that took without its
// waits for others. What is no query leaves a processor to queries, so that the
// next one need not wait until Go takes one from it, and waits for them between
// pieces of its work. The first one behind a second without any meets a batch that
// does not.
func (s *Scheduler) encode(ctx context.Context, p Priority, role Role, texts []string) (out Encoded, took time.Duration, err error) {
	began := time.Now()
	if !s.yields() {
		out, err = s.encodeSafely(ctx, role, texts)
		return out, time.Since(began), err
	}
	t := s.options.Traffic
	defer t.Begin(p)()
	// Small pieces and pauses cost a tenth of the speed.
	if p == PriorityQuery || !t.Busy() {
		out, err = s.encodeSafely(ctx, role, texts)
		return out, time.Since(began), err
	}
	threads := max(1, runtime.GOMAXPROCS(0)-1)
	y := t.yielding(ctx, p)
	out, err = s.encodeSafely(context.WithValue(ctx, asideKey{}, aside{threads, y.pause}), role, texts)
	// Goroutines of it wait at the same time.
	return out, max(0, time.Since(began)-time.Duration(y.waited.Load())/time.Duration(threads)), err
}

// encodeSafely is the one way to the encoder. It checks the shape of the outcome
// and makes an error of a panic, which on a worker's goroutine would end the
// program for a text that only its sender should feel.
func (s *Scheduler) encodeSafely(ctx context.Context, role Role, texts []string) (out Encoded, err error) {
	defer func() {
		if reason := recover(); reason != nil {
			out, err = Encoded{}, &panicError{model: s.encoder.Info().Model, reason: reason, stack: debug.Stack()}
		}
	}()
	out, err = s.encoder.Encode(ctx, role, texts)
	if err != nil {
		return Encoded{}, err
	}
	if out.Vectors.Len() != len(texts) || len(out.Tokens) != len(texts) || len(out.Truncated) != len(texts) {
		return Encoded{}, fmt.Errorf("encoder %s: %d vectors for %d texts", s.encoder.Info().Model, out.Vectors.Len(), len(texts))
	}
	return out, nil
}

// panicError is a panic of the encoder.
type panicError struct {
	model  string
	reason any
	stack  []byte
}

// Error has the stack, which an operator needs: it is a fault of the program.
func (e *panicError) Error() string {
	return fmt.Sprintf("encoder %s panicked: %v\n%s", e.model, e.reason, e.stack)
}

// Close fails what waits with ErrClosed, lets running batches finish, and
// closes the encoder. A second Close does nothing.
func (s *Scheduler) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	for p := range s.lines {
		for e := s.lines[p].requests.Front(); e != nil; e = s.lines[p].requests.Front() {
			s.endLocked(e.Value.(*request), ErrClosed, false)
		}
	}
	for s.runsLocked() > 0 {
		s.stopped.Wait()
	}
	s.mu.Unlock()
	return s.encoder.Close()
}

// isolated reports whether an error of a batch is the fault of one text in it.
func isolated(err error) bool {
	var refused *TextError
	var broken *panicError
	return errors.As(err, &refused) || errors.As(err, &broken)
}

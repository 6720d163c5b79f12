package remote

import (
	"sync"
	"time"
)

// breaker keeps requests from an endpoint that has failed several times in a
// row. Closed, it lets all pass. Open, it lets none pass until the cooldown is
// over; then, half open, a single trial decides: its success closes the
// breaker, its failure opens it anew. It is safe for concurrent use.
type breaker struct {
	endpoint string
	limit    int
	cooldown time.Duration
	now      func() time.Time

	mu       sync.Mutex
	failures int       // in a row
	until    time.Time // open until then; zero: closed
	trial    bool      // one request is out to decide
}

// outcome is what became of a request that was let pass.
type outcome int

const (
	alive   outcome = iota // the endpoint has answered, be it with a refusal
	dead                   // it has not, or not as a working one does
	unknown                // the caller left before either
)

// enter lets a request pass, or says for how long not. Every request that was
// let pass must be reported to leave.
func (b *breaker) enter() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.until.IsZero() {
		return nil
	}
	left := b.until.Sub(b.now())
	if left > 0 || b.trial {
		return &OpenError{Endpoint: b.endpoint, Failures: b.failures, RetryAfter: max(left, time.Second)}
	}
	b.trial = true
	return nil
}

// leave takes the outcome of a request.
func (b *breaker) leave(o outcome) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trial = false
	switch o {
	case alive:
		b.failures, b.until = 0, time.Time{}
	case dead:
		if b.failures++; b.failures >= b.limit {
			b.until = b.now().Add(b.cooldown)
		}
	case unknown:
	}
}

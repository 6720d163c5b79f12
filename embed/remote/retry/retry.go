// Package retry says when a failed request may be tried again: exponential
// backoff with full jitter, which a server's Retry-After overrides.
//
// An operation marks an error that another attempt may mend by Again or After;
// every other error ends the loop at once. Time goes through a Clock, so that
// tests need not wait.
package retry

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Policy bounds the attempts. The zero value means the defaults.
type Policy struct {
	Attempts int           // of one operation; 0: 5
	Base     time.Duration // the first wait is up to twice this, the next up to four times; 0: 250 ms
	Max      time.Duration // the longest wait of our own choice; 0: 10 s
	MaxAfter time.Duration // the longest wait that a Retry-After may ask for; beyond it the error is final. 0: 60 s
}

// Validate refuses what is out of range.
func (p Policy) Validate() error {
	if p.Attempts < 0 || p.Attempts > 100 || p.Base < 0 || p.Max < 0 || p.MaxAfter < 0 {
		return fmt.Errorf("retry policy %+v: want 1..100 attempts and durations that are not negative, or 0 for the defaults", p)
	}
	return nil
}

// WithDefaults fills in what is zero.
func (p Policy) WithDefaults() Policy {
	if p.Attempts == 0 {
		p.Attempts = 5
	}
	if p.Base == 0 {
		p.Base = 250 * time.Millisecond
	}
	if p.Max == 0 {
		p.Max = 10 * time.Second
	}
	if p.MaxAfter == 0 {
		p.MaxAfter = time.Minute
	}
	return p
}

// Clock is time. The zero Clock is the real one.
type Clock struct {
	Now    func() time.Time
	Wait   func(ctx context.Context, d time.Duration) error // returns early, with the context's error
	Jitter func() float64                                   // in [0, 1)
}

// WithDefaults fills in the real time.
func (c Clock) WithDefaults() Clock {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Wait == nil {
		c.Wait = wait
	}
	if c.Jitter == nil {
		c.Jitter = rand.Float64
	}
	return c
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// again marks an error.
type again struct {
	err      error
	after    time.Duration
	asked    bool // the server named after
	progress bool // the attempt got somewhere, so the count starts anew
}

func (a *again) Error() string { return a.err.Error() }
func (a *again) Unwrap() error { return a.err }

// Again marks an error that another attempt may mend.
func Again(err error) error { return &again{err: err} }

// After marks an error after which a server asked to wait.
func After(err error, d time.Duration) error { return &again{err: err, after: d, asked: true} }

// Progress marks an error of an attempt that brought the operation forward:
// attempts are counted anew.
func Progress(err error) error { return &again{err: err, progress: true} }

// Do runs operation until it succeeds, fails for good, or has used up its
// attempts. It returns the last error without its mark, or the context's.
func (p Policy) Do(ctx context.Context, clock Clock, operation func() error) error {
	p, clock = p.WithDefaults(), clock.WithDefaults()
	for attempt := 0; ; attempt++ {
		err := operation()
		var mark *again
		if err == nil || !errors.As(err, &mark) {
			return err
		}
		if mark.progress {
			attempt = 0
		}
		delay := p.delay(attempt, clock)
		if mark.asked {
			if mark.after > p.MaxAfter {
				return mark.err
			}
			delay = max(mark.after, delay)
		}
		if attempt+1 >= p.Attempts {
			return mark.err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := clock.Wait(ctx, delay); err != nil {
			return err
		}
	}
}

// delay is uniform in (0, min(Max, Base*2^(attempt+1))).
func (p Policy) delay(attempt int, clock Clock) time.Duration {
	ceiling := p.Max
	if attempt < 30 {
		if d := p.Base << (attempt + 1); d > 0 && d < p.Max {
			ceiling = d
		}
	}
	return time.Duration(clock.Jitter() * float64(ceiling))
}

// ParseAfter reads a Retry-After header (RFC 9110, 10.2.3): seconds or a date.
// ok is false where there is none that can be read. A date in the past is 0.
func ParseAfter(h http.Header, now time.Time) (d time.Duration, ok bool) {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(value, 10, 32); err == nil {
		return time.Duration(seconds) * time.Second, true
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(at.Sub(now), 0), true
	}
	return 0, false
}

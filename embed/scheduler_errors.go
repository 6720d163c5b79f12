package embed

import (
	"errors"
	"fmt"
	"time"
)

// ErrOverloaded is returned, as *OverloadedError, for a request that a
// Scheduler does not let wait. Nothing was encoded.
var ErrOverloaded = errors.New("too many texts wait to be encoded")

// ErrClosed is returned by a Scheduler that was closed.
var ErrClosed = errors.New("encoder is closed")

// OverloadedError says which bound of the queue was met. It wraps
// ErrOverloaded.
type OverloadedError struct {
	Priority   Priority
	Reason     string        // the bound, and how much waits
	RetryAfter time.Duration // when there should be room: an estimate, 0.1 s to 1 minute
}

// Error says what is full and when to come again.
func (e *OverloadedError) Error() string {
	return fmt.Sprintf("%v: %s; try again in %v", ErrOverloaded, e.Reason, e.RetryAfter.Round(100*time.Millisecond))
}

// Unwrap gives ErrOverloaded.
func (e *OverloadedError) Unwrap() error { return ErrOverloaded }

package remote

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// What can go wrong beside a text that is refused (*embed.TextError) and the
// context's end. Every error wraps one of these; its text says what to do.
var (
	ErrKey         = errors.New("the endpoint refuses the key")
	ErrModel       = errors.New("the endpoint has no such model")
	ErrRefused     = errors.New("the endpoint refuses the request")
	ErrOverloaded  = errors.New("the endpoint is overloaded")
	ErrUnavailable = errors.New("the endpoint can't be reached")
	ErrAnswer      = errors.New("the endpoint's answer makes no sense")
	ErrDimension   = errors.New("the endpoint's vectors have another dimension")
	ErrRedirect    = errors.New("the endpoint leads elsewhere")
)

// StatusError is an answer of the endpoint that is not 200.
type StatusError struct {
	Endpoint   string        // host of the endpoint
	Status     int           // of HTTP
	Message    string        // the endpoint's words, shortened and without the key
	RetryAfter time.Duration // that the endpoint asked for; 0: nothing
}

// Error is the status, the endpoint's words, and what to do.
func (e *StatusError) Error() string {
	says := fmt.Sprintf("%v: %s answers %d", e.Unwrap(), e.Endpoint, e.Status)
	if e.Message != "" {
		says += fmt.Sprintf(" (%s)", e.Message)
	}
	switch e.Unwrap() {
	case ErrKey:
		return says + ": set the API key to one that may use the model"
	case ErrModel:
		return says + ": check the name of the model, and the URL"
	case ErrOverloaded:
		if e.RetryAfter > 0 {
			return fmt.Sprintf("%s: try again in %v", says, e.RetryAfter)
		}
		return says + ": try again later"
	case ErrUnavailable:
		return says + ": try again later, and look at the endpoint if it goes on"
	case ErrRedirect:
		return says + ": give the URL that it leads to, if that is meant"
	}
	return says + ": check the text, the model and the dimensions"
}

// Unwrap gives the sentinel for the status.
func (e *StatusError) Unwrap() error {
	switch {
	case e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden:
		return ErrKey
	case e.Status == http.StatusNotFound:
		return ErrModel
	case e.Status == http.StatusTooManyRequests:
		return ErrOverloaded
	case e.Status >= 300 && e.Status < 400:
		return ErrRedirect
	case e.Status >= 500 || e.Status == http.StatusRequestTimeout || e.Status == http.StatusFailedDependency:
		return ErrUnavailable
	}
	return ErrRefused
}

// text reports whether the texts may be what the endpoint refuses.
func (e *StatusError) text() bool {
	return e.Status == http.StatusBadRequest || e.Status == http.StatusRequestEntityTooLarge || e.Status == http.StatusUnprocessableEntity
}

// OpenError says that the circuit breaker sends nothing at this time.
type OpenError struct {
	Endpoint   string
	Failures   int           // requests in a row that came to nothing
	RetryAfter time.Duration // until one is tried again
}

// Error says when to try again.
func (e *OpenError) Error() string {
	return fmt.Sprintf("%v: the last %d requests to %s came to nothing: try again in %v, and look at the endpoint", ErrUnavailable, e.Failures, e.Endpoint, e.RetryAfter.Round(100*time.Millisecond))
}

// Unwrap gives ErrUnavailable.
func (e *OpenError) Unwrap() error { return ErrUnavailable }

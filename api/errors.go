package api

import (
	"fmt"
	"time"
)

// Kind is what an error means to a caller, whatever the transport.
type Kind int

// The kinds.
const (
	KindMalformed  Kind = iota // the request can't be understood
	KindInvalid                // it is understood, and a value in it can't be used
	KindNotFound               // it names something that isn't there
	KindConflict               // it conflicts with what is there
	KindTooLarge               // it asks for more than one request may
	KindNotReady               // it can't be served in the present state
	KindFull                   // the disk has no room for it
	KindOverloaded             // there is too much to do; it may come again
)

// Error is a refusal of the service.
type Error struct {
	Kind   Kind
	Code   string // stable, for programs: "unknown_model"
	Detail string // what is wrong, for people
	Remedy string // what to do next; may be empty
	Fields []Field
	// RetryAfter is when to come again; 0: nothing is known of it.
	RetryAfter time.Duration
	Err        error // the cause, if there is one
}

// Field points at one part of a request.
type Field struct {
	Pointer string `json:"pointer"` // JSON pointer into the request's body
	Reason  string `json:"reason"`
}

// Error is what is wrong and what to do.
func (e *Error) Error() string {
	if e.Remedy == "" {
		return e.Detail
	}
	return fmt.Sprintf("%s; %s", e.Detail, e.Remedy)
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// invalid makes the error for a value at a place of the request.
func invalid(code, pointer, format string, args ...any) *Error {
	reason := fmt.Sprintf(format, args...)
	e := &Error{Kind: KindInvalid, Code: code, Detail: reason}
	if pointer != "" {
		e.Fields = []Field{{Pointer: pointer, Reason: reason}}
	}
	return e
}

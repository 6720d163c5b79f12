// Package embed turns texts into stamped vectors.
//
// An Encoder is one embedding space made callable: it says which Space it is
// (so that the manifest of an index can be compared with it) and encodes
// batches of texts in one of two roles. Encoders live in packages of their
// own: hash (built in, lexical), static (Model2Vec).
//
// Two encoders of this package stand before another one: a Scheduler shares it
// among callers by priority, in batches, and refuses what would wait too long;
// Cached encodes no text twice.
package embed

import (
	"context"
	"errors"

	"github.com/vecino-db/vecino/compat"
)

// Role says what a text is for. Models with prompts encode the two apart.
type Role int

// The roles.
const (
	RoleDocument Role = iota // a text to be stored and found
	RoleQuery                // a text to search with
)

// String is "document" or "query".
func (r Role) String() string {
	if r == RoleQuery {
		return "query"
	}
	return "document"
}

// ErrNoTokens is returned, wrapped in a *TextError, for a text in which the
// encoder finds nothing it could embed.
var ErrNoTokens = errors.New("no words that the encoder knows")

// TextError says which text of a batch was refused, and why.
type TextError struct {
	Index int // index of the text in the batch
	Err   error
}

// Encoded is the outcome of one batch.
type Encoded struct {
	Vectors   compat.Vectors
	Tokens    []int  // tokens of each text that were encoded, prompts and special tokens included
	Truncated []bool // whether a text was longer than the space's MaxTokens
}

// Info is what people are told of an encoder.
type Info struct {
	Model       string // as the API names it: "builtin:hash", "local:NAME"
	Kind        string // "lexical hashing", "static (Model2Vec)"
	Description string // one or two sentences, with what it is not good for
	Source      string // the directory or URL it was loaded from, if any
	Licence     string // as its model card states it, if there is one
	Matryoshka  []int  // dimensions it may be cut to, ascending; empty: none
}

// Encoder encodes texts into the vectors of one space. It is safe for
// concurrent use. An error of one text is a *TextError and fails the batch.
type Encoder interface {
	// Space is the encoder's space; it never changes.
	Space() compat.Space
	// Info describes the encoder for people.
	Info() Info
	// Encode returns one row for each text, in order. It stops early with the
	// context's error when ctx ends.
	Encode(ctx context.Context, role Role, texts []string) (Encoded, error)
	// CountTokens is the number of tokens that Encode would encode of each
	// text before truncation, prompts and special tokens included.
	CountTokens(role Role, texts []string) []int
	// Close releases files and memory. Nothing may be called after it.
	Close() error
}

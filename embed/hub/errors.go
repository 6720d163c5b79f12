package hub

import (
	"errors"
	"fmt"
)

// What can go wrong. Every error of the package wraps one of these, or is the
// context's, or one of the file system; its text says what to do.
var (
	ErrReference    = errors.New("not a model's name")
	ErrNotFound     = errors.New("not on the hub")
	ErrGated        = errors.New("the hub refuses access")
	ErrUnavailable  = errors.New("the hub can't be reached")
	ErrAnswer       = errors.New("the hub's answer makes no sense")
	ErrRedirect     = errors.New("the hub leads elsewhere")
	ErrUnsafeName   = errors.New("unsafe file name")
	ErrTooLarge     = errors.New("too large")
	ErrNoWeights    = errors.New("no weights in the safetensors format")
	ErrHash         = errors.New("not the file that it should be")
	ErrNoSpace      = errors.New("the disk is full")
	ErrOccupied     = errors.New("the name is taken")
	ErrBusy         = errors.New("another pull is running")
	ErrNotInstalled = errors.New("not a pulled model")
)

// unsafe is the error for a name of the hub that must not become a file.
func unsafe(name, reason string) error {
	return fmt.Errorf("%w: the hub lists %.100q, which %s: don't use this repository, and tell those who run the hub", ErrUnsafeName, name, reason)
}

// noSpace is the error for a full disk.
func noSpace(need int64, err error) error {
	return fmt.Errorf("%w (%w): free at least %s and pull again; what has been downloaded is kept", ErrNoSpace, err, size(need))
}

// size is a number of bytes for people.
func size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	default:
		return fmt.Sprintf("%d bytes", n)
	}
}

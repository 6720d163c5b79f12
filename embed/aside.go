package embed

import (
	"context"
	"errors"

	"github.com/vecino-db/vecino/compat"
)

// asideKey is the key of an aside in a context.
type asideKey struct{}

type aside struct {
	threads int
	pause   func()
}

// Aside is ctx for encodings that go on beside those that somebody waits for:
// they run on the goroutine of their caller alone, take none of a Scheduler's
// places, and call pause between pieces of their work, a millisecond or less
// where the model allows it. The caller decides there whether it waits, and can
// measure its thread.
func Aside(ctx context.Context, pause func()) context.Context {
	return context.WithValue(ctx, asideKey{}, aside{1, pause})
}

// Threads is how many threads an encoder that would take most of them may take
// for an encoding.
func Threads(ctx context.Context, most int) int {
	if a, ok := ctx.Value(asideKey{}).(aside); ok {
		return min(a.threads, most)
	}
	return most
}

// Pause is what an encoder calls between pieces of its work; all threads of an
// encoding may. It does nothing where nobody asked for it.
func Pause(ctx context.Context) func() {
	if a, ok := ctx.Value(asideKey{}).(aside); ok {
		return a.pause
	}
	return func() {}
}

// Pauses reports whether anybody asked for pauses.
func Pauses(ctx context.Context) bool {
	_, ok := ctx.Value(asideKey{}).(aside)
	return ok
}

// aside encodes on the caller's goroutine, which holds no worker's place.
func (s *Scheduler) aside(ctx context.Context, p Priority, role Role, texts []string) (out Encoded, err error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return Encoded{}, ErrClosed
	}
	s.asides++
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.counts.waited(p, 0)
		s.counts.ended(p, err, ctx.Err() != nil)
		s.asides--
		s.restLocked()
	}()
	// A text has no more tokens than bytes, its special ones apart.
	sizes := make([]int, len(texts))
	for i, text := range texts {
		sizes[i] = len(text) + tokenSlack
	}
	var vectors []compat.Vectors
	for _, span := range Batches(sizes, s.options.Batch) {
		part, err := s.encodeSafely(ctx, role, texts[span[0]:span[1]])
		if err != nil {
			var refused *TextError
			if errors.As(err, &refused) {
				return Encoded{}, &TextError{Index: refused.Index + span[0], Err: refused.Err}
			}
			return Encoded{}, err
		}
		vectors = append(vectors, part.Vectors)
		out.Tokens = append(out.Tokens, part.Tokens...)
		out.Truncated = append(out.Truncated, part.Truncated...)
	}
	out.Vectors, err = compat.Concat(vectors...)
	return out, err
}

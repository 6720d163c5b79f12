package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// document is one text on its way to the server.
type document struct {
	ID      any    `json:"id"`
	Text    string `json:"text"`
	Payload any    `json:"payload,omitempty"`
	where   string // "notes.ndjson:17", for reports
	bytes   int    // of the source that it stands for
}

// maxSendBytes bounds the texts of a request.
const maxSendBytes = 4 << 20

// sender sends documents in batches.
type sender struct {
	remote     *remote
	collection string
	size       int
	retries    int
	progress   *progress
	outcome    outcome

	batch []document
	bytes int
}

// add takes a document and sends the batch when it is full.
func (s *sender) add(ctx context.Context, d document) error {
	if len(s.batch) > 0 && (len(s.batch) >= s.size || s.bytes+len(d.Text) > maxSendBytes) {
		if err := s.flush(ctx); err != nil {
			return err
		}
	}
	s.batch, s.bytes = append(s.batch, d), s.bytes+len(d.Text)
	return nil
}

// flush sends what is there.
func (s *sender) flush(ctx context.Context) error {
	batch := s.batch
	s.batch, s.bytes = nil, 0
	if len(batch) == 0 {
		return nil
	}
	return s.send(ctx, batch)
}

// send sends a batch. The server takes all of it or nothing, so a batch that
// it can't use is halved until the documents that are the reason stand alone.
func (s *sender) send(ctx context.Context, batch []document) error {
	tokens, err := s.put(ctx, batch)
	var refused *serverError
	switch {
	case err == nil:
		s.outcome.Documents += len(batch)
		s.outcome.Tokens += tokens
		for _, d := range batch {
			s.progress.add(d.bytes)
		}
		s.progress.documents(s.outcome.Documents)
		return nil
	case !errors.As(err, &refused) || !refused.unusable():
		return err
	case len(batch) == 1:
		s.reject(batch[0].where, errors.New(refused.Detail))
		return nil
	}
	half := len(batch) / 2
	if err := s.send(ctx, batch[:half]); err != nil {
		return err
	}
	return s.send(ctx, batch[half:])
}

// unusable reports whether the server refused what is in the request, rather
// than the request as such.
func (e *serverError) unusable() bool {
	return e.Code != "no_encoder" && (e.status == http.StatusUnprocessableEntity || e.status == http.StatusRequestEntityTooLarge || e.status == http.StatusBadRequest)
}

// The waiting between tries: doubled each time, from the first to the longest.
const (
	firstWait   = 250 * time.Millisecond
	longestWait = 30 * time.Second
)

// put sends some documents.
func (s *sender) put(ctx context.Context, batch []document) (tokens int, err error) {
	var answer struct {
		Usage struct{ Tokens int }
	}
	err = s.call(ctx, http.MethodPut, "/points?wait=true", map[string]any{"points": batch}, &answer)
	return answer.Usage.Tokens, err
}

// call sends one request about the collection, again when the server is busy.
func (s *sender) call(ctx context.Context, method, path string, body, answer any) error {
	wait := firstWait
	for try := 0; ; try++ {
		err := s.remote.call(ctx, method, collection(s.collection, path), body, answer)
		var refused *serverError
		if err == nil || !errors.As(err, &refused) || !refused.temporary() || try == s.retries {
			return err
		}
		s.progress.note(fmt.Sprintf("the server is busy (%s), trying again in %s", refused.Detail, max(wait, refused.retryAfter)))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(max(wait, refused.retryAfter)):
		}
		wait = min(2*wait, longestWait)
	}
}

// reject reports a document that can't be used.
func (s *sender) reject(where string, reason error) {
	s.outcome.Bad++
	s.progress.note(fmt.Sprintf("%s: %v", where, reason))
}

// interrupted says how far an ingest came that did not end well.
func (s *sender) interrupted(err error) error {
	if errors.Is(err, context.Canceled) {
		err = errors.New("interrupted")
	}
	return fmt.Errorf("%w; %d documents are stored, and the same command again goes on from there without storing any twice", err, s.outcome.Documents)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// ingestCmd puts files into a collection.
type ingestCmd struct {
	connection
	Collection string   `short:"c" required:"" help:"Collection; made when it isn't there." placeholder:"NAME"`
	Model      string   `short:"m" help:"Model of a new collection; a collection that is there must have it." placeholder:"MODEL"`
	Batch      int      `help:"Documents in a request." default:"128"`
	Retries    int      `help:"How often a request is tried again when the server is busy." default:"8"`
	JSON       bool     `help:"Print the outcome as JSON."`
	Paths      []string `arg:"" help:"Files (.ndjson, .jsonl, .txt, .md), directories of them, or - for NDJSON from the standard input."`
}

// Help teaches.
func (ingestCmd) Help() string {
	return `Examples:
  vecino ingest -c notes README.md docs/
  vecino ingest -c articles --model local:potion articles.ndjson
  export-everything | vecino ingest -c articles -

A line of NDJSON is {"id": 7, "text": "...", "payload": {...}}; without an id it
gets one made of its content. Markdown is cut at its headings, plain text at its
empty lines; their payload says source and heading or paragraph, and their ids
are made of these, so that the same files again replace what they brought
before, and what a file has no more is removed. (A file that is gone is not
noticed.) A line that can't be used and a file that can't be read are reported,
the rest goes on, and the exit status is 1.`
}

// outcome is what an ingest came to.
type outcome struct {
	Documents int     `json:"documents"`
	Bad       int     `json:"bad"`
	Unread    int     `json:"unread"`  // files
	Removed   int     `json:"removed"` // documents that their files have no more
	Tokens    int     `json:"tokens"`
	Seconds   float64 `json:"seconds"`
}

// Run ingests.
func (c *ingestCmd) Run(ctx context.Context, out *output) error {
	if c.Batch < 1 || c.Batch > 10_000 || c.Retries < 0 {
		return usageError{errors.New("--batch is 1 to 10000, and --retries is not negative")}
	}
	sources, err := findSources(c.Paths)
	if err != nil {
		return err
	}
	c.create = true
	return c.with(ctx, func(r *remote) error { return c.ingest(ctx, r, out, sources) })
}

// ingest reads and sends.
func (c *ingestCmd) ingest(ctx context.Context, r *remote, out *output, sources []source) error {
	made, err := c.prepare(ctx, r)
	if err != nil {
		return err
	}
	progress := newProgress(out, sources)
	defer progress.finish()
	begun := time.Now()
	s := &sender{remote: r, collection: c.Collection, size: c.Batch, retries: c.Retries, progress: progress}
	old := &leftovers{sender: s, none: made}
	for _, src := range sources {
		if err := c.ingestSource(ctx, src, out.input, s, old); err != nil {
			return s.interrupted(err)
		}
	}
	if err := old.remove(ctx); err != nil {
		return s.interrupted(err)
	}
	progress.finish()
	s.outcome.Seconds = time.Since(begun).Seconds()
	if c.JSON {
		if err := out.JSON(s.outcome); err != nil {
			return err
		}
	} else if _, err := fmt.Fprintf(out, "%d documents (%d tokens) in %.1f s, %d removed that their files have no more\n", s.outcome.Documents, s.outcome.Tokens, s.outcome.Seconds, s.outcome.Removed); err != nil {
		return err
	}
	switch o := s.outcome; {
	case o.Unread > 0:
		return fmt.Errorf("%d files could not be read, and %d documents could not be used; the lines above say which and why", o.Unread, o.Bad)
	case o.Bad > 0:
		return fmt.Errorf("%d documents could not be used; the lines above say where and why", o.Bad)
	}
	return nil
}

// ingestSource reads one source and sends what is in it. An error is one of the
// sending; a source that can't be read, to its end or at all, is reported.
func (c *ingestCmd) ingestSource(ctx context.Context, src source, in io.Reader, s *sender, old *leftovers) error {
	var ids []string
	var failed error
	whole := true
	err := src.read(in, func(d document, bad error) error {
		if failed = ctx.Err(); failed != nil {
			return failed
		}
		if bad != nil {
			whole = false
			s.reject(d.where, bad)
			return nil
		}
		if id, ok := d.ID.(string); ok && src.name != "" {
			ids = append(ids, id)
		}
		failed = s.add(ctx, d)
		return failed
	})
	switch {
	case failed != nil:
		return failed
	case err != nil:
		s.outcome.Unread++
		s.progress.note(fmt.Sprintf("%s: %v", src.path, err))
		return nil
	case src.name == "" || !whole:
		return nil
	}
	return old.of(ctx, src.name, ids)
}

// prepare makes the collection, and says so, or makes sure that it has the model
// asked for: another embedding space is a refusal.
func (c *ingestCmd) prepare(ctx context.Context, r *remote) (made bool, err error) {
	var there struct{ Exists bool }
	if err := r.result(ctx, http.MethodGet, collection(c.Collection, "/exists"), nil, &there); err != nil {
		return false, err
	}
	if there.Exists && c.Model == "" {
		return false, nil
	}
	wish := map[string]any{}
	if c.Model != "" {
		wish["embedding"] = map[string]any{"model": c.Model}
	}
	err = r.result(ctx, http.MethodPut, collection(c.Collection, ""), wish, &made)
	var refused *serverError
	if errors.As(err, &refused) && refused.Code == "collection_exists" && !refused.anotherSpace() {
		return false, nil // the server compared: it is what was asked for
	}
	return made, err
}

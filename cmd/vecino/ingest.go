package main

import (
	"context"
	"errors"
	"fmt"
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
before. A line that can't be used is reported with its place, the rest goes on,
and the exit status is 1.`
}

// outcome is what an ingest came to.
type outcome struct {
	Documents int     `json:"documents"`
	Bad       int     `json:"bad"`
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
	return c.with(ctx, func(r *remote) error { return c.ingest(ctx, r, out, sources) })
}

// ingest reads and sends.
func (c *ingestCmd) ingest(ctx context.Context, r *remote, out *output, sources []source) error {
	if err := c.prepare(ctx, r); err != nil {
		return err
	}
	progress := newProgress(out, sources)
	defer progress.finish()
	begun := time.Now()
	s := &sender{remote: r, collection: c.Collection, size: c.Batch, retries: c.Retries, progress: progress}
	for _, src := range sources {
		err := src.read(out.input, func(d document, bad error) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			if bad != nil {
				s.reject(d.where, bad)
				return nil
			}
			return s.add(ctx, d)
		})
		if err != nil {
			return s.interrupted(err)
		}
	}
	if err := s.flush(ctx); err != nil {
		return s.interrupted(err)
	}
	progress.finish()
	s.outcome.Seconds = time.Since(begun).Seconds()
	if c.JSON {
		if err := out.JSON(s.outcome); err != nil {
			return err
		}
	} else if _, err := fmt.Fprintf(out, "%d documents (%d tokens) in %.1f s\n", s.outcome.Documents, s.outcome.Tokens, s.outcome.Seconds); err != nil {
		return err
	}
	if s.outcome.Bad > 0 {
		return fmt.Errorf("%d documents could not be used; the lines above say where and why", s.outcome.Bad)
	}
	return nil
}

// prepare makes the collection, or makes sure that it has the model asked for.
func (c *ingestCmd) prepare(ctx context.Context, r *remote) error {
	var there struct{ Exists bool }
	if err := r.result(ctx, http.MethodGet, collection(c.Collection, "/exists"), nil, &there); err != nil {
		return err
	}
	if there.Exists && c.Model == "" {
		return nil
	}
	wish := map[string]any{}
	if c.Model != "" {
		wish["embedding"] = map[string]any{"model": c.Model}
	}
	var made bool
	err := r.result(ctx, http.MethodPut, collection(c.Collection, ""), wish, &made)
	var refused *serverError
	if errors.As(err, &refused) && refused.Code == "collection_exists" && !refused.anotherSpace() {
		return nil // it is what was asked for, or was made by someone else just now
	}
	return err
}

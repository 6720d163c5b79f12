package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/vecino-db/vecino/compat"
)

// quickstartOptions is what a run of the quickstart may be told.
type quickstartOptions struct {
	Data   string // data directory; "" for a temporary one that is removed at the end
	Listen string // host:port; "" for a free port, with Serve for serveAddress if that is free
	Serve  bool   // keep serving until the context ends

	Migrate bool     // show a migration to another model
	Adapt   bool     // show a model that is trained on the collection's own texts
	From    string   // with Adapt: NDJSON of the user's texts; "" for the project's own
	Ask     []string // with From: what to ask
	Models  string   // with Adapt: directory of models; "" for defaultModels, or a temporary one
}

// serveAddress is where a server listens unless it is told otherwise.
const serveAddress = "127.0.0.1:7747"

// closeTimeout bounds the shutdown: requests in progress and the checkpoint.
const closeTimeout = 20 * time.Second

// quickstart shows the service to a newcomer: it starts a real server over a
// real store and then speaks to it as a client, over REST alone. It ends when
// the tour is over, or, with o.Serve, when ctx ends.
func quickstart(ctx context.Context, w io.Writer, o quickstartOptions) (err error) {
	scratch, err := os.MkdirTemp("", "vecino-quickstart-")
	if err != nil {
		return fmt.Errorf("make a temporary directory: %w; set TMPDIR to a directory that can be written to", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	temporary := o.Data == ""
	if temporary {
		o.Data = filepath.Join(scratch, "data")
	}
	if o.Adapt {
		if o.Models, err = quickstartModels(o.Models, scratch, temporary); err != nil {
			return err
		}
	}
	server, err := quickstartServer(ctx, o)
	if err != nil {
		return err
	}
	defer func() {
		// The context of the tour may have ended; the shutdown has its own.
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		err = errors.Join(err, server.Close(closing))
	}()

	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	t := &tour{p: newPrinter(w), rest: &restClient{base: server.URL, http: &http.Client{Transport: transport}}, scratch: scratch, progress: io.Discard}
	if out, ok := w.(*output); ok && out.terminal() {
		t.progress = out.errors
	}
	switch {
	case o.Migrate:
		err = t.migrate(ctx, o, temporary)
	case o.Adapt:
		err = t.adapt(ctx, o, temporary)
	default:
		t.p.title("vecino " + version() + ": text in, nearest texts out")
		if err = t.run(ctx, o.Data); err == nil {
			t.goOn(server.URL, o, temporary)
		}
	}
	if err != nil {
		return fmt.Errorf("quickstart: %w", err)
	}
	if t.p.err != nil || !o.Serve {
		return t.p.err
	}
	select {
	case <-ctx.Done():
		t.p.line("")
		t.p.line("Stopping.")
		return t.p.err
	case err := <-server.Failed():
		return err
	}
}

// quickstartModels makes the directory of models.
func quickstartModels(dir, scratch string, temporary bool) (string, error) {
	switch {
	case dir != "":
	case temporary:
		dir = filepath.Join(scratch, "models")
	default:
		dir = defaultModels
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("directory of models: %w; name another one by --models", err)
	}
	return dir, nil
}

// quickstartServer starts the server. The usual address is preferred for a
// server that stays, so that the lines a newcomer copies work tomorrow too.
func quickstartServer(ctx context.Context, o quickstartOptions) (*runningServer, error) {
	listen := o.Listen
	if listen == "" && o.Serve {
		if s, err := startServer(ctx, serveOptions{Data: o.Data, Listen: serveAddress, Models: o.Models}); err == nil {
			return s, nil
		}
	}
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	return startServer(ctx, serveOptions{Data: o.Data, Listen: listen, Models: o.Models})
}

// tour is the sequence of what is shown.
type tour struct {
	p       *printer
	rest    *restClient
	scratch string // directory that is removed at the end
	steps   int    // that were shown

	progress io.Writer // of commands that take long: a terminal, or nothing
}

// run goes through the steps.
func (t *tour) run(ctx context.Context, data string) error {
	t.p.step(1, "A store and a server")
	t.p.fact("data", data)
	t.p.fact("server", t.rest.base)
	for _, step := range []func(context.Context) error{t.create, t.ingest, t.ask, t.manifest, t.refuse} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return t.p.err
}

// collectionPath is the collection's path and what follows it.
func collectionPath(rest string) string { return "/collections/" + quickstartCollection + rest }

// create makes the collection, or takes the one that an earlier run made.
func (t *tour) create(ctx context.Context) error {
	t.p.step(2, "A collection, and texts into it")
	var there struct {
		Exists bool `json:"exists"`
	}
	if _, err := t.rest.result(ctx, http.MethodGet, collectionPath("/exists"), nil, &there); err != nil {
		return err
	}
	call := "PUT " + collectionPath("")
	if there.Exists {
		t.p.fact(call, "is there from an earlier run")
		return nil
	}
	wish := map[string]any{"embedding": map[string]any{"model": "builtin:blend"}}
	var made any
	if _, err := t.rest.result(ctx, http.MethodPut, collectionPath(""), wish, &made); err != nil {
		return err
	}
	t.p.fact(call, "encoder builtin:blend, which needs no download")
	return nil
}

// ingest upserts the corpus.
func (t *tour) ingest(ctx context.Context) error {
	points, err := readFieldguide()
	if err != nil {
		return err
	}
	var done any
	took, err := t.rest.result(ctx, http.MethodPut, collectionPath("/points?wait=true"), map[string]any{"points": points}, &done)
	if err != nil {
		return err
	}
	t.p.fact("PUT "+collectionPath("/points"), fmt.Sprintf("%d texts embedded, indexed and on disk in %s", len(points), milliseconds(took)))
	return nil
}

// guideHit is a hit as the server sends it.
type guideHit struct {
	ID      any            `json:"id"`
	Score   float64        `json:"score"`
	Payload guideEntryInfo `json:"payload"`
}

// search asks one query and returns its hits, best first.
func (t *tour) search(ctx context.Context, q guideQuery, limit int) ([]guideHit, time.Duration, error) {
	body := map[string]any{"query": map[string]any{"text": q.text}, "limit": limit, "with_payload": true}
	if q.topic != "" {
		body["filter"] = map[string]any{"must": []any{map[string]any{"key": "topic", "match": map[string]any{"value": q.topic}}}}
	}
	var found struct {
		Points []guideHit `json:"points"`
	}
	took, err := t.rest.result(ctx, http.MethodPost, collectionPath("/points/query"), body, &found)
	return found.Points, took, err
}

// ask shows the queries.
func (t *tour) ask(ctx context.Context) error {
	t.p.step(3, "Five queries")
	t.p.line("builtin:blend finds words that match, in any language, and English texts that are about the same.")
	for _, q := range guideQueries() {
		hits, took, err := t.search(ctx, q, 3)
		if err != nil {
			return err
		}
		where := ""
		if q.topic != "" {
			where = "  only topic = " + q.topic
		}
		t.p.query(q.text, where, milliseconds(took))
		for i, h := range hits {
			t.p.hit(i == 0, h.Score, h.Payload.Title, h.Payload.Topic)
		}
	}
	return nil
}

// manifest shows what the collection's vectors are.
func (t *tour) manifest(ctx context.Context) error {
	t.p.step(4, "The manifest: what these vectors are")
	var got struct {
		Manifest    compat.Manifest `json:"manifest"`
		Fingerprint string          `json:"fingerprint"`
	}
	if _, err := t.rest.result(ctx, http.MethodGet, collectionPath("/manifest"), nil, &got); err != nil {
		return err
	}
	m := got.Manifest
	t.p.fact("model", fmt.Sprintf("%s (%s), %d dimensions, normalization %s", m.Provenance.Model, m.Space.Encoder, m.Space.Dimension, m.Space.Normalization))
	t.p.fact("index", fmt.Sprintf("%s, %s, M %d, efConstruction %d, ef %d", m.Index.Engine, m.Metric, m.Index.M, m.Index.EfConstruction, m.Search.Ef))
	t.p.fact("probes", fmt.Sprintf("%d texts, re-embedded at every start to prove that the encoder is the same", len(m.Evidence.Probes)))
	t.p.fact("fingerprint", got.Fingerprint)
	return nil
}

// refuse brings a second encoder to the same collection and shows the answer.
func (t *tour) refuse(ctx context.Context) error {
	t.p.step(5, "Another encoder for the same collection is refused")
	wish := map[string]any{"embedding": map[string]any{"model": "builtin:hash"}}
	answer, err := t.rest.call(ctx, http.MethodPut, collectionPath(""), wish)
	if err != nil {
		return err
	}
	if answer.status != http.StatusConflict {
		return fmt.Errorf("a collection of another space was answered by %s, not refused: %s", answer.line, answer.body)
	}
	t.p.line(`PUT ` + collectionPath("") + ` {"embedding": {"model": "builtin:hash"}}`)
	t.p.bad(answer.line)
	t.p.json(answer.body)
	return nil
}

// goOn says where the server is, or how to have it again, and what to try.
func (t *tour) goOn(url string, o quickstartOptions, temporary bool) {
	t.p.step(6, "Go on")
	switch {
	case o.Serve:
		t.p.line("The server keeps running at " + url + " until Ctrl-C. In another terminal:")
	case temporary:
		url = "http://" + serveAddress
		t.p.line("This server ends now and its temporary data goes with it. This one stays:")
		t.p.command("go run ./cmd/vecino quickstart --serve")
		t.p.line("and answers, in another terminal:")
	default:
		url = "http://" + serveAddress
		t.p.line("This server ends now; the data stays. Start one over it:")
		t.p.command("go run ./cmd/vecino serve --data " + o.Data)
		t.p.line("and ask it, in another terminal:")
	}
	const asJSON = ` -H 'Content-Type: application/json' -d `
	t.p.command("curl -s " + url + collectionPath("/points/query") + asJSON + `'{"query": {"text": "tuning a guitar"}, "limit": 3, "with_payload": true}'`)
	t.p.command("curl -s -X PUT '" + url + collectionPath("/points?wait=true'") + asJSON + `'{"points": [{"id": 1001, "text": "Rye bread keeps for a week.", "payload": {"topic": "cooking"}}]}'`)
	t.p.command("curl -s " + url + collectionPath("/manifest/diff") + asJSON + `'{"embedding": {"model": "builtin:static", "dimensions": 128}}'`)
}

package main

import (
	"context"
	_ "embed"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"github.com/vecino-db/vecino/api"
)

// judgedFieldguide is sixty queries over the corpus, each with the texts that
// answer it: judged by reading, before any model was asked.
//
//go:embed corpus/fieldguide-judged.jsonl
var judgedFieldguide []byte

// migrateCollection is the collection of quickstart --migrate: it begins with
// another model than quickstartCollection, so it is another one.
const migrateCollection = "fieldnotes"

// migrate shows a change of the model from beginning to end.
func (t *tour) migrate(ctx context.Context, o quickstartOptions, temporary bool) error {
	t.p.title("vecino " + version() + ": another model for a collection that serves")
	t.section("A collection on " + api.ModelHash + ", which finds words that match")
	t.where(o.Data)
	points, err := readFieldguide()
	if err != nil {
		return err
	}
	if err := t.fill(ctx, migrateCollection, api.ModelHash, points); err != nil {
		return err
	}
	judged := filepath.Join(t.scratch, "judged.jsonl")
	if err := os.WriteFile(judged, judgedFieldguide, 0o600); err != nil {
		return err
	}
	u := &upgrade{
		tour: t, collection: migrateCollection, from: api.ModelHash, to: api.ModelBlend,
		// Slow enough to be seen: without a bound it is done in an instant.
		start:   []string{"--qrels", judged, "--tokens-per-second", "2000", "--batch", "6"},
		queries: []string{"which vessel has to give way", "why is it misty in the morning", "two goroutines write the same variable"},
	}
	if err := u.first(ctx); err != nil {
		return err
	}
	if err := u.run(ctx); err != nil {
		return err
	}
	t.end(o, temporary, migrateCollection, "quickstart --adapt")
	return t.p.err
}

// fill makes a collection and puts texts into it, as files of NDJSON.
func (t *tour) fill(ctx context.Context, name, model string, points []guidePoint) error {
	file := filepath.Join(t.scratch, name+".ndjson")
	if err := writeNDJSON(file, points); err != nil {
		return err
	}
	return t.ingestFile(ctx, name, model, file)
}

// ingestFile makes a collection of a file.
func (t *tour) ingestFile(ctx context.Context, name, model, file string) error {
	var there struct {
		Exists bool `json:"exists"`
	}
	if _, err := t.rest.result(ctx, http.MethodGet, collection(name, "/exists"), nil, &there); err != nil {
		return err
	}
	if there.Exists {
		return fmt.Errorf("there is a collection %s already, from an earlier run: give another --data, or none", name)
	}
	return t.vecino(ctx, 0, "ingest", "-c", name, "--model", model, file)
}

// end says how to go on.
func (t *tour) end(o quickstartOptions, temporary bool, name, next string) {
	t.section("Go on")
	switch {
	case o.Serve:
		t.p.line("The server keeps running at " + t.rest.base + " until Ctrl-C.")
	case temporary:
		t.p.line("This server ends now and its temporary data goes with it. To keep both: --data DIR --serve")
	default:
		models := ""
		if o.Models != "" {
			models = " --models " + o.Models
		}
		t.p.line("This server ends now; the data stays. Start one over it:")
		t.p.command("$ vecino serve --data " + o.Data + models)
	}
	if o.Serve || !temporary {
		t.p.command("$ " + typed([]string{"migrate", "status", "-c", name, "--report", "./report"}))
	}
	t.p.line("What comes next: vecino " + next)
}

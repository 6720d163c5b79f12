package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/vecino-db/vecino/api"
	"github.com/vecino-db/vecino/embed/train/adapt"
)

// ownCollection is the collection of quickstart --adapt --from.
const ownCollection = "mine"

// handbookQueries ask the project's own documentation.
func handbookQueries() []string {
	return []string{
		"can I go back to the old model after the switch",
		"what happens to the data when the process is killed",
		"how are texts cut into tokens",
	}
}

// adapt shows a model that is trained on a collection's own texts, and the
// migration to it.
func (t *tour) adapt(ctx context.Context, o quickstartOptions, temporary bool) error {
	t.p.title("vecino " + version() + ": a model that is trained on your own texts")
	u := &upgrade{tour: t, collection: handbookCollection, from: api.ModelBlend, queries: handbookQueries(), excerpts: true}
	if o.From == "" {
		t.section("A collection on " + api.ModelBlend + ": vecino's own documentation, passage by passage")
		t.where(o.Data)
		points, err := handbook()
		if err != nil {
			return err
		}
		if err := t.fill(ctx, u.collection, u.from, points); err != nil {
			return err
		}
		// Slow enough to be seen.
		u.start = []string{"--tokens-per-second", "12000", "--batch", "32"}
	} else {
		t.section("A collection on " + api.ModelBlend + ": the texts of " + o.From)
		t.where(o.Data)
		u.collection, u.queries = ownCollection, o.Ask
		if err := t.ingestFile(ctx, u.collection, u.from, o.From); err != nil {
			return err
		}
		if len(u.queries) == 0 {
			var err error
			if u.queries, err = t.sampleQueries(ctx, u.collection); err != nil {
				return err
			}
		}
	}
	u.to = "local:" + u.collection + "-adapted"
	if err := u.first(ctx); err != nil {
		return err
	}
	t.section("Train: pairs of texts cut out of these documents, one document in ten held out")
	err := t.vecino(ctx, 0, "models", "train", "-c", u.collection, "--base", u.from, "--title", "title", "--models", o.Models)
	var worse *adapt.NotBetterError
	switch {
	case errors.As(err, &worse):
		t.refused(worse)
	case errors.Is(err, adapt.ErrTooFew):
		t.refused(err)
	default:
		if err == nil {
			err = u.run(ctx)
		}
		if err != nil {
			return err
		}
	}
	t.end(o, temporary, u.collection, "ingest -c notes ./my-notes, and models train -c notes")
	return t.p.err
}

// refused teaches what it means that no model was installed.
func (t *tour) refused(reason error) {
	t.p.bad(reason.Error())
	t.p.line("")
	for _, line := range []string{
		"This is an answer, not an accident: a model is installed only when it finds the held-out pairs, which it",
		"never saw, better than its base does, by more than chance explains. These texts are too few, or have too",
		"little in common, to teach " + api.ModelBlend + " what it doesn't know. The collection stays as it is.",
		"It takes some hundred documents of one subject; questions that people asked, with the texts that answer",
		"them, help most:",
	} {
		t.p.line(line)
	}
	t.p.command("$ vecino models train -c NAME --pairs questions.tsv")
}

// sampleQueries are the ends of some texts of a collection.
func (t *tour) sampleQueries(ctx context.Context, name string) ([]string, error) {
	var page struct {
		Points []upgradeHit `json:"points"`
	}
	body := map[string]any{"limit": 100, "with_payload": []string{}}
	if _, err := t.rest.result(ctx, http.MethodPost, collection(name, "/points/scroll"), body, &page); err != nil {
		return nil, err
	}
	var queries []string
	const words = 7
	for i := 0; i < len(page.Points) && len(queries) < 3; i += max(1, len(page.Points)/3) {
		if text := strings.Fields(page.Points[i].Text); len(text) > 0 {
			queries = append(queries, line(strings.Join(text[max(0, len(text)-words):], " "), 100))
		}
	}
	if len(queries) == 0 {
		return nil, fmt.Errorf("%s has no text to ask for: give lines of {\"id\", \"text\"} by --from", name)
	}
	return queries, nil
}

// writeNDJSON writes points, one a line.
func writeNDJSON(path string, points []guidePoint) (err error) {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() {
		if closed := file.Close(); err == nil {
			err = closed
		}
	}()
	w := bufio.NewWriter(file)
	if err := encodeLines(w, points); err != nil {
		return err
	}
	return w.Flush()
}

func encodeLines(w io.Writer, points []guidePoint) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	for _, p := range points {
		if err := e.Encode(p); err != nil {
			return err
		}
	}
	return nil
}

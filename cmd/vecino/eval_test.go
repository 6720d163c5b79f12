package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vecino-db/vecino/embed/evaluate"
)

// judgedCollection writes sixty documents and as many queries in BEIR's form;
// every query has two words of its document, half of them in other cases.
func judgedCollection(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	var corpus, queries, judgements strings.Builder
	judgements.WriteString("query-id\tcorpus-id\tscore\n")
	for i := range 60 {
		a, b := fmt.Sprintf("w%dq", i), fmt.Sprintf("v%dz", i)
		fmt.Fprintf(&corpus, "{\"_id\":\"d%d\",\"title\":\"about %s\",\"text\":\"some words and %s with others\"}\n", i, a, b)
		fmt.Fprintf(&queries, "{\"_id\":\"q%d\",\"text\":\"%s or %s\"}\n", i, strings.ToUpper(a), b)
		fmt.Fprintf(&judgements, "q%d\td%d\t1\n", i, i)
	}
	judgements.WriteString("q0\tgone\t1\n")
	if err := os.Mkdir(filepath.Join(dir, "qrels"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"corpus.jsonl": corpus.String(), "queries.jsonl": queries.String(), "qrels/test.tsv": judgements.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestEval measures two models, and compares the figures with the library's.
func TestEval(t *testing.T) {
	dir := judgedCollection(t)
	training := filepath.Join(t.TempDir(), "training.tsv")
	if err := os.WriteFile(training, []byte("a question\tsomething else entirely here\nABOUT w7q some words and v7z with others!\tb\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	status, out, errors := vecino(t, "eval", dir, "builtin:hash?dimensions=64", "builtin:hash", "--training", training, "--json")
	var found evaluation
	if err := json.Unmarshal([]byte(out), &found); err != nil || status != exitOK {
		t.Fatalf("status %d, %v, %s %s", status, err, out, errors)
	}
	if found.Documents != 60 || found.Queries != 60 || found.Missing != 1 || len(found.Models) != 2 || found.Models[0].Gain != nil || found.Models[1].Gain == nil {
		t.Fatalf("%+v", found)
	}
	collection, err := evaluate.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range found.Models {
		ref, err := parseModelRef(m.Model)
		if err != nil {
			t.Fatal(err)
		}
		encoder, err := ref.open(t.Context(), "", 0)
		if err != nil {
			t.Fatal(err)
		}
		want, err := evaluate.Retrieve(t.Context(), encoder, collection)
		if err != nil {
			t.Fatal(err)
		}
		q := m.Quality.NDCG10
		if d := q.Mean - want.NDCG10; d > 1e-9 || d < -1e-9 || q.Low > q.Mean || q.High < q.Mean || m.Dimension != encoder.Space().Dimension {
			t.Errorf("model %d: %+v, want nDCG@10 %g", i, m, want.NDCG10)
		}
	}
	if d := found.Models[1].Gain.NDCG10.Mean - (found.Models[1].Quality.NDCG10.Mean - found.Models[0].Quality.NDCG10.Mean); d > 1e-9 || d < -1e-9 {
		t.Errorf("the gain is off the difference by %g", d)
	}
	if l := found.Leakage; l == nil || l.Clean() || l.DocumentsSeen != 1 || l.TrainingTexts != 4 {
		t.Errorf("leakage %+v", found.Leakage)
	}
	status, out, errors = vecino(t, "eval", dir)
	if status != exitOK {
		t.Fatalf("status %d, %s", status, errors)
	}
	for _, want := range []string{"builtin:static", "builtin:blend", "OVER BUILTIN:HASH", "60 documents, 60 queries", "warning: 1 judgements are of documents that are not there"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	status, out, errors = vecino(t, "eval", dir, "builtin:hash", "builtin:static", "--fuse")
	if status != exitOK || !strings.Contains(out, "all 2 by rrf") || !strings.Contains(out, "all 2 by zscore") {
		t.Errorf("status %d, %s %s", status, out, errors)
	}
	if status, _, errors := vecino(t, "eval", t.TempDir()); status != exitFailed || !strings.Contains(errors, "corpus.jsonl") {
		t.Errorf("an empty directory: status %d, %s", status, errors)
	}
}

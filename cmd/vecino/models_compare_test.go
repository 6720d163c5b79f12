package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestModelsCompareStored ranks the documents of a collection by two models.
func TestModelsCompareStored(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	var stdout, stderr strings.Builder
	if status := run(t.Context(), []string{"ingest", "-c", "notes", "--data", data, "-"}, strings.NewReader(fieldTexts(40)), &stdout, &stderr); status != exitOK {
		t.Fatal(status, stderr.String())
	}
	qrels := filepath.Join(t.TempDir(), "judged.jsonl")
	if err := os.WriteFile(qrels, []byte("{\"id\":\"a\",\"text\":\"Number 7\",\"relevant\":{\"8\":1}}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{}, {"--qrels", qrels}, {"--title", "name"}} {
		status, out, errors := vecino(t, append([]string{"models", "compare", "builtin:hash", "builtin:hash?dimensions=1024", "-c", "notes", "--data", data, "--json"}, args...)...)
		var got comparison
		if err := json.Unmarshal([]byte(out), &got); err != nil || status != exitOK {
			t.Fatalf("%q: status %d, %v, %s %s", args, status, err, out, errors)
		}
		queries := 40
		if len(args) > 0 && args[0] == "--qrels" {
			if queries = 1; got.A.Retrieval.MRR10 != 1 {
				t.Errorf("the only document with the number is not first: %+v", got.A.Retrieval)
			}
		}
		if got.Agreement == nil || got.Agreement.Queries != queries || got.Agreement.Overlap <= 0.3 || got.Agreement.Overlap > 1 || got.B.VectorBytes != 4096 || got.A.Retrieval.Documents != 40 {
			t.Errorf("%q: %+v", args, got)
		}
	}
	status, out, errors := vecino(t, "models", "compare", "builtin:hash", "builtin:hash", "-c", "notes", "--data", data)
	if status != exitOK || !strings.Contains(out, "agreement@10") || !strings.Contains(out, "1.0000 of 40 queries") || !strings.Contains(out, "bytes a vector") {
		t.Errorf("status %d, %s %s", status, out, errors)
	}
	if status, _, _ := vecino(t, "models", "compare", "builtin:hash", "builtin:hash", "--qrels", qrels); status != exitUsage {
		t.Errorf("--qrels without a collection: status %d", status)
	}
}

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMigrateJudged: judged queries come as a file of lines or in BEIR's form,
// an error names the line of the file, and the status warns of what is wrong with
// them.
func TestMigrateJudged(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	command := func(want int, words ...string) string {
		t.Helper()
		status, out, errors := vecino(t, append(words, "-c", "notes", "--data", filepath.Join(dir, "data"))...)
		if status != want {
			t.Fatalf("%v: exit %d, want %d\n%s%s", words, status, want, out, errors)
		}
		return out + errors
	}
	judgement := func() (judged struct {
		State      string
		Evaluation struct {
			Judgement struct {
				Queries int
				Old     struct {
					NDCG10 struct{ Mean float64 } `json:"ndcg_at_10"`
				}
			}
		}
	},
	) {
		t.Helper()
		if err := json.Unmarshal([]byte(command(0, "migrate", "status", "--json")), &judged); err != nil {
			t.Fatal(err)
		}
		return judged
	}
	var texts strings.Builder
	for i := range 20 {
		fmt.Fprintf(&texts, "{\"id\":%d,\"text\":\"harbour %d with ferry %d and storm %d\"}\n", i, i, i*7, i*13)
	}
	command(0, "ingest", "--model", "builtin:hash", write("texts.jsonl", texts.String()))
	start := []string{"migrate", "start", "--model", "builtin:hash", "--dimensions", "128", "--qrels"}

	bad := write("bad.jsonl", "\n\n{\"id\":\"q\",\"text\":\"ferry 35\",\"relevant\":{\"5\":1}}\n\n{\"id\":\"q\",\"text\":\"again\"}\n")
	if said := command(1, append(start, bad)...); !strings.Contains(said, "bad.jsonl") || !strings.Contains(said, "line 5") || !strings.Contains(said, "stands in line 3 already") {
		t.Errorf("a query that is there twice: %s", said)
	}
	gone := write("gone.jsonl", `{"id":"q","text":"ferry 35","relevant":{"doc-5":1}}`)
	if said := command(1, append(start, gone)...); !strings.Contains(said, "none of the 1 judged documents is in the collection") || !strings.Contains(said, "warning: 1 of 1 judgements are of documents that are not in the collection") {
		t.Errorf("documents that are not there: %s", said)
	}
	if got := judgement(); got.State != "failed" || got.Evaluation.Judgement.Queries != 1 {
		t.Errorf("documents that are not there: %+v", got)
	}
	write("beir/queries.jsonl", "{\"_id\":\"a\",\"text\":\"harbour 5 with ferry 35 and storm 65\"}\n{\"_id\":\"b\",\"text\":\"harbour 6 with ferry 42 and storm 78\"}\n")
	write("beir/qrels/test.tsv", "query-id\tcorpus-id\tscore\na\t5\t1\nb\t6\t2\n")
	if said := command(0, "migrate", "evaluate", "--qrels", filepath.Join(dir, "beir")); !strings.Contains(said, "warning: only 2 queries have a relevant document") {
		t.Errorf("few queries: %s", said)
	}
	if got := judgement(); got.State != "ready" || got.Evaluation.Judgement.Queries != 2 || got.Evaluation.Judgement.Old.NDCG10.Mean != 1 {
		t.Errorf("BEIR's form: %+v", got)
	}
	if said := command(1, "migrate", "evaluate", "--qrels", dir); !strings.Contains(said, "queries.jsonl") {
		t.Errorf("a directory without queries: %s", said)
	}
}

// TestMigratePrompt: a change of the query prompt by which judged queries do
// worse has failed with a report, and nothing is left but to abort it.
func TestMigratePrompt(t *testing.T) {
	dir := t.TempDir()
	models := filepath.Join(dir, "models")
	if err := os.MkdirAll(filepath.Join(models, "colours"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range colours(t) {
		if err := os.WriteFile(filepath.Join(models, "colours", name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := func(want int, words ...string) string {
		t.Helper()
		status, out, errors := vecino(t, append(words, "-c", "notes", "--data", filepath.Join(dir, "data"), "--models", models)...)
		if status != want {
			t.Fatalf("%v: exit %d, want %d\n%s%s", words, status, want, out, errors)
		}
		return out + errors
	}
	file := func(name, content string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	command(0, "ingest", "--model", "local:colours", file("texts.jsonl", "{\"id\":1,\"text\":\"red\"}\n{\"id\":2,\"text\":\"blue\"}\n"))
	judged := file("judged.jsonl", `{"id":"q","text":"red","relevant":{"1":1}}`)
	start := func(want int, prompt string) string {
		t.Helper()
		return command(want, "migrate", "start", "--model", "local:colours", "--query-prompt", prompt, "--qrels", judged)
	}
	if said := start(1, "blue blue "); !strings.Contains(said, "failed (recheck, generation 1 to 1)") || !strings.Contains(said, "NOT PASSED") || !strings.Contains(said, "Next: vecino migrate abort -c notes") {
		t.Errorf("a worse prompt: %s", said)
	}
	report := filepath.Join(dir, "report")
	command(0, "migrate", "status", "--report", report)
	if md, err := os.ReadFile(filepath.Join(report, "report.md")); err != nil || !strings.Contains(string(md), "space.query_prompt") || !strings.Contains(string(md), "1 judged queries") {
		t.Errorf("its report: %v\n%s", err, md)
	}
	command(0, "migrate", "abort")
	if said := start(0, "red "); !strings.Contains(said, "committed (recheck, generation 1 to 1)") || !strings.Contains(said, "judgement") {
		t.Errorf("a prompt as good: %s", said)
	}
	command(1, "migrate", "start", "--ef", "99", "--qrels", judged)
}

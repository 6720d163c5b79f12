package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMigrateCommands leads a collection through a migration by the command
// line, each command on the stopped store of the one before.
func TestMigrateCommands(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	var lines strings.Builder
	for i := range 40 {
		fmt.Fprintf(&lines, "{\"id\":%d,\"text\":\"harbour %d with ferry %d and storm %d\"}\n", i, i, i*7, i*13)
	}
	texts := filepath.Join(dir, "texts.jsonl")
	if err := os.WriteFile(texts, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	do := func(want int, args ...string) string {
		t.Helper()
		var out, errs strings.Builder
		if code := run(t.Context(), args, strings.NewReader(""), &out, &errs); code != want {
			t.Fatalf("%v: exit %d, want %d\n%s%s", args, code, want, out.String(), errs.String())
		}
		return out.String() + errs.String()
	}
	at := []string{"-c", "notes", "--data", data}
	command := func(want int, words string, more ...string) string {
		t.Helper()
		return do(want, append(append(strings.Fields(words), at...), more...)...)
	}
	do(0, "ingest", "-c", "notes", "--data", data, "--model", "builtin:hash", texts)
	command(2, "migrate plan")
	command(2, "migrate start --dimensions 64")
	plan := command(0, "migrate plan --model builtin:hash --dimensions 128")
	for _, want := range []string{"reembed", "tokens", "exactly", "disk until the commit", "vecino migrate start -c notes --model builtin:hash --dimensions 128"} {
		if !strings.Contains(plan, want) {
			t.Errorf("the plan does not say %q:\n%s", want, plan)
		}
	}
	command(0, "manifest diff --engine exact")
	if s := command(0, "migrate start --model builtin:hash --dimensions 128 --require-card"); !strings.Contains(s, "ready") || !strings.Contains(s, "coverage") || !strings.Contains(s, "card") {
		t.Errorf("started: %s", s)
	}
	report := filepath.Join(dir, "report")
	command(0, "migrate status", "--report", report)
	if md, err := os.ReadFile(filepath.Join(report, "report.md")); err != nil || !strings.Contains(string(md), "All gates passed") || !strings.Contains(string(md), "- Bridge: none was asked for") || strings.Contains(string(md), "training texts") {
		t.Errorf("the report: %v %.400s", err, md)
	}
	command(1, "migrate commit")
	command(0, "migrate cutover --require-card")
	command(0, "migrate rollback")
	command(0, "migrate cutover")
	command(0, "migrate commit")
	var history struct{ Generations []any }
	if err := json.Unmarshal([]byte(command(0, "manifest history --json")), &history); err != nil || len(history.Generations) != 2 {
		t.Errorf("history: %+v %v", history, err)
	}
	if s := command(0, "migrate start --engine exact --auto"); !strings.Contains(s, "rollback_window") {
		t.Errorf("automatic: %s", s)
	}
	command(0, "migrate commit")
	command(0, "migrate start --ef 300 --oversampling 2.5")
	command(1, "migrate abort")
	if s := command(0, "manifest show"); !strings.Contains(s, "ef 300, oversampling 2.5") || !strings.Contains(s, "vecino's own") {
		t.Errorf("the manifest: %s", s)
	}
	said := strings.Split(command(0, "manifest history"), "\n")
	for i, line := range said {
		if strings.Contains(line, "migration 2, rebuild: committed, ") && !strings.Contains(said[i+1], "  migration 3, tune, not evaluated: search.ef 100 to 300, search.oversampling 1 to 2.5") {
			t.Errorf("under the third generation: %s", said[i+1])
		}
	}
	if all := strings.Join(said, "\n"); !strings.Contains(all, "migration 2, rebuild: committed, ") || !strings.Contains(all, "the first ") || strings.Contains(all, "0 of 0") {
		t.Errorf("history: %s", all)
	}
	for _, args := range [][]string{{"migrate", "list", "--data", data}, {"migrate", "list", "--data", data, "-c", "notes"}} {
		s := do(0, args...)
		for _, want := range []string{"notes", "tune", "3 to 3", "rebuild", "2 to 3", "reembed", "1 to 2", "committed"} {
			if !strings.Contains(s, want) {
				t.Errorf("%v does not list %q:\n%s", args, want, s)
			}
		}
	}
	do(1, "migrate", "list", "--data", data, "-c", "other")
	var listed struct{ Migrations []struct{ ID string } }
	if err := json.Unmarshal([]byte(command(0, "migrate list --json")), &listed); err != nil || len(listed.Migrations) != 3 || listed.Migrations[0].ID != "3" {
		t.Errorf("as JSON: %+v %v", listed, err)
	}
}

// TestMigrateLive: shares are given at the start and changed, a canary of all
// queries answers one, and the status shows it.
func TestMigrateLive(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	var lines strings.Builder
	for i := range 60 {
		fmt.Fprintf(&lines, "{\"id\":%d,\"text\":\"harbour %d with ferry %d and storm %d\"}\n", i, i, i*7, i*13)
	}
	texts := filepath.Join(filepath.Dir(data), "texts.jsonl")
	if err := os.WriteFile(texts, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	command := func(want int, words ...string) string {
		t.Helper()
		var out, errs strings.Builder
		args := append(words, "-c", "notes", "--data", data)
		if code := run(t.Context(), args, strings.NewReader(""), &out, &errs); code != want {
			t.Fatalf("%v: exit %d, want %d\n%s%s", args, code, want, out.String(), errs.String())
		}
		return out.String() + errs.String()
	}
	start := []string{"migrate", "start", "--model", "builtin:hash", "--dimensions", "128"}
	command(0, "ingest", "--model", "builtin:hash", texts)
	for _, bad := range []string{"110%", "-1", "x", "5 percent"} {
		if said := command(2, append(start, "--canary="+bad)...); !strings.Contains(said, "10% or 0.1") {
			t.Errorf("--canary %s: %s", bad, said)
		}
	}
	command(1, append(start, "--canary", "5%", "--auto")...)
	if s := command(0, append(start, "--canary", "5%", "--shadow", "0.25")...); !strings.Contains(s, "25 % of the queries: 0 compared") || !strings.Contains(s, "5 % of the queries: 0 answered") {
		t.Errorf("started: %s", s)
	}
	command(2, "migrate", "set")
	if s := command(0, "migrate", "set", "--canary", "100%", "--shadow", "0"); !strings.Contains(s, "100 % of the queries") || strings.Contains(s, "compared") {
		t.Errorf("set: %s", s)
	}
	if s := command(0, "query", "harbour 3 with ferry 21"); !strings.Contains(s, "by the canary: ") || strings.Contains(s, "bridge") {
		t.Errorf("an answer of the canary: %s", s)
	}
	if s := command(0, "migrate", "status"); !strings.Contains(s, "1 answered, 0 failed") || strings.Contains(s, "new -") {
		t.Errorf("status: %s", s)
	}
	var got struct{ Canary struct{ Queries int } }
	if err := json.Unmarshal([]byte(command(0, "migrate", "status", "--json")), &got); err != nil || got.Canary.Queries != 1 {
		t.Errorf("as JSON: %+v %v", got, err)
	}
	var answer struct{ Usage struct{ Canary bool } }
	if err := json.Unmarshal([]byte(command(0, "query", "--json", "harbour 3 with ferry 21")), &answer); err != nil || !answer.Usage.Canary {
		t.Errorf("an answer as JSON: %+v %v", answer, err)
	}
	command(0, "migrate", "abort")
	command(1, "migrate", "set", "--canary", "5%")
}

package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// onNotes runs a command on the collection "notes" and wants an exit status.
func onNotes(t *testing.T, want int, words string) (out, errors string) {
	t.Helper()
	status, out, errors := vecino(t, append(strings.Fields(words), "-c", "notes")...)
	if status != want {
		t.Fatalf("%s: exit %d, want %d\n%s%s", words, status, want, out, errors)
	}
	return out, errors
}

// textFile is a file of texts, one a line.
func textFile(t *testing.T, lines string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "texts.ndjson")
	if err := os.WriteFile(path, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestMigrateExitStatus: a script sees that a migration did not get where it
// should, and that it does when the gate is mended.
func TestMigrateExitStatus(t *testing.T) {
	serving(t)
	command := func(want int, words string) (string, string) { t.Helper(); return onNotes(t, want, words) }
	command(exitOK, "ingest --model builtin:hash "+textFile(t, `{"id":1,"text":"the ferry leaves the harbour"}
{"id":2,"text":"bread keeps for a week"}
{"id":3,"text":"木星の衛星"}
`))
	const target = "--model builtin:static --dimensions 64"
	gate := "migration 1 of notes is failed: gates not passed: coverage (2 of 3 documents, without 3, wanted all)"
	out, errors := command(exitFailed, "migrate start --auto "+target)
	if !strings.Contains(out, "NOT PASSED") || !strings.Contains(errors, gate) || !strings.Contains(errors, "what to do: vecino migrate resume|evaluate|abort -c notes") {
		t.Errorf("started: %s%s", out, errors)
	}
	command(exitOK, "migrate status")
	for _, words := range []string{"migrate status --wait --json", "migrate evaluate --json", "migrate resume --wait --json"} {
		out, errors := command(exitFailed, words)
		if !json.Valid([]byte(out)) || !strings.Contains(errors, gate) {
			t.Errorf("%s: %s%s", words, out, errors)
		}
	}
	command(exitOK, "ingest "+textFile(t, `{"id":3,"text":"the moons of Jupiter"}`))
	if out, _ := command(exitOK, "migrate resume --wait"); !strings.Contains(out, "rollback_window") {
		t.Errorf("mended: %s", out)
	}
	command(exitOK, "migrate status --wait")
	command(exitOK, "migrate rollback")
	command(exitOK, "migrate status --wait") // it is automatic no more
	command(exitOK, "migrate abort")

	command(exitOK, "migrate start "+target)
	command(exitOK, "migrate status --wait")
	command(exitOK, "migrate abort")
	if _, errors := command(exitFailed, "migrate status --wait"); !strings.Contains(errors, "migration 2 of notes is aborted") {
		t.Errorf("an aborted one: %s", errors)
	}
	command(exitOK, "migrate start --ef 200 --auto")
}

// TestPlanExitStatus: plan tells whether there is a way, and manifest diff
// whether the vectors would be others.
func TestPlanExitStatus(t *testing.T) {
	s := serving(t)
	r := &remote{base: s.URL, http: http.DefaultClient}
	defer http.DefaultClient.CloseIdleConnections()
	var made bool
	for name, body := range map[string]any{
		"texts": map[string]any{"embedding": map[string]any{"model": "builtin:static", "dimensions": 128}},
		"raw":   map[string]any{"vectors": map[string]any{"size": 128, "distance": "Cosine"}},
	} {
		if err := r.result(t.Context(), http.MethodPut, collection(name, ""), body, &made); err != nil {
			t.Fatal(err)
		}
	}
	vector := make([]float32, 128)
	vector[0] = 1
	point := map[string]any{"points": []any{map[string]any{"id": 1, "vector": vector}}} // without a text
	var put any
	if err := r.result(t.Context(), http.MethodPut, collection("raw", "/points"), point, &put); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		collection, target, verdict string
		plan, diff                  int
	}{
		{"texts", "--model builtin:static --dimensions 128", "same", exitOK, exitOK},
		{"texts", "--ef 200", "tune", exitOK, exitOK},
		{"texts", "--engine exact", "rebuild", exitOK, exitOK},
		{"texts", "--encoding int8", "derive", exitOK, exitOK}, // the space stays
		{"texts", "--model builtin:static --dimensions 64", "derive", exitOK, exitRefused},
		{"texts", "--model builtin:hash --dimensions 64", "reembed", exitOK, exitRefused},
		{"raw", "--model builtin:hash --dimensions 128", "refuse", exitRefused, exitRefused},
	} {
		for command, want := range map[string]int{"migrate plan": c.plan, "manifest diff": c.diff} {
			args := append(strings.Fields(command), "-c", c.collection)
			args = append(args, strings.Fields(c.target)...)
			status, out, errors := vecino(t, args...)
			if status != want || !strings.HasPrefix(out, c.collection+": "+c.verdict+". ") || (errors != "") != (want == exitRefused) {
				t.Errorf("%q: exit %d, want %d\n%s%s", args, status, want, out, errors)
			}
			status, out, _ = vecino(t, append(args, "--json")...)
			if status != want || !json.Valid([]byte(out)) {
				t.Errorf("%q as JSON: exit %d, want %d\n%s", args, status, want, out)
			}
		}
	}
	if status, _, errors := vecino(t, "migrate", "start", "-c", "raw", "--model", "builtin:hash", "--dimensions", "128"); status != exitRefused {
		t.Errorf("a start without a way: exit %d, %s", status, errors)
	}
}

// TestExitStatusesAreDocumented: each one stands in the help and in the runbook.
func TestExitStatusesAreDocumented(t *testing.T) {
	runbook, err := os.ReadFile("../../docs/MIGRATION.md")
	if err != nil {
		t.Fatal(err)
	}
	_, help, _ := vecino(t, "--help")
	for status, said := range map[int][2]string{
		exitOK: {"  0  done", "| 0 | done |"}, exitFailed: {"  1  failed;", "| 1 | failed |"},
		exitUsage: {"  2  wrong command line", "| 2 | wrong command line |"}, exitRefused: {"  3  another embedding space, or no way", "| 3 | another embedding space, or no way |"},
	} {
		if !strings.Contains(help, said[0]) || !strings.Contains(string(runbook), said[1]) {
			t.Errorf("status %d is not documented as %q", status, said)
		}
	}
	if refused := (refusedError{errors.New("x")}); report(&strings.Builder{}, errors.Join(refused)) != exitRefused {
		t.Error("a refusal is not 3")
	}
}

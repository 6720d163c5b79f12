package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vecino-db/vecino/api"
	"github.com/vecino-db/vecino/compat/migrate"
)

// TestMigrateBridge: a model is lost. The status says what becomes of the
// bridge from another one, the report has it, and answers say that it gave them.
func TestMigrateBridge(t *testing.T) {
	models, data := t.TempDir(), filepath.Join(t.TempDir(), "data")
	lost := filepath.Join(models, "colours")
	if err := os.Mkdir(lost, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range colours(t) {
		if err := os.WriteFile(filepath.Join(lost, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var lines strings.Builder
	words := []string{"red", "blue", "green", "the"}
	for i := range 1000 { // the least that a bridge is fitted on
		fmt.Fprintf(&lines, "{\"id\":%d,\"text\":\"%s\"}\n", i, strings.Join([]string{words[i%4], words[i/4%4], words[i/16%4], words[i/64%4], words[i/256]}, " "))
	}
	command := func(want int, words string) (string, string) { t.Helper(); return onNotes(t, want, words) }
	command(exitOK, "ingest --model local:colours --data "+data+" --models "+models+" "+textFile(t, lines.String()))
	if err := os.RemoveAll(lost); err != nil {
		t.Fatal(err)
	}
	servingOf(t, serveOptions{Data: data, Models: models})
	if _, errors := command(exitFailed, "query red"); !strings.Contains(errors, "bridge") {
		t.Errorf("a lost model: %s", errors)
	}
	const start = "migrate start --model builtin:hash --dimensions 64 "
	wants := func(words, bridge string) {
		t.Helper()
		out, _ := command(exitOK, words)
		if !strings.Contains(out, "  bridge: "+bridge) {
			t.Errorf("%s: no %q in\n%s", words, bridge, out)
		}
	}
	reports := func(says string) {
		t.Helper()
		dir := t.TempDir()
		command(exitOK, "migrate status --report "+dir)
		text, err := os.ReadFile(filepath.Join(dir, "report.md"))
		if err != nil || !strings.Contains(string(text), "## Bridge\n\n"+says) || strings.Contains(string(text), "- Bridge") {
			t.Errorf("the report: %v\n%s", err, text)
		}
	}
	wants(start+"--bridge --tokens-per-second 1 --batch 1 --detach", "waiting; it is fitted when the new generation has 1000 documents")
	command(exitOK, "migrate abort")
	wants(start+"--bridge-recall 1", "refused; texts wait for the cut-over: ")
	reports("Refused: until the cut-over no text is answered: recall@10 0.")
	command(exitFailed, "query red")
	command(exitOK, "migrate abort")
	wants(start+"--bridge-recall 0.001", "serving; it carries texts over to the former generation: ")
	wants("migrate status", "serving; it carries texts over to the former generation: ")
	reports("Until the cut-over, queries of the new encoder are carried into the serving space: recall@10 0.")
	if out, _ := command(exitOK, "query red"); !strings.Contains(out, "by a bridge: ") || strings.Contains(out, "canary") {
		t.Errorf("an answer: %s", out)
	}
	var answer struct {
		Points []queryHit
		Usage  struct {
			Tokens int
			Bridge bool
		}
	}
	if out, _ := command(exitOK, "query --json red"); json.Unmarshal([]byte(out), &answer) != nil || len(answer.Points) != 10 || !answer.Usage.Bridge || answer.Usage.Tokens == 0 {
		t.Errorf("an answer as JSON: %s", out)
	}
	command(exitOK, "migrate cutover")
	wants("migrate status", "not in use any more: ")
	if out, _ := command(exitOK, "query red"); strings.Contains(out, "by a bridge") {
		t.Errorf("an answer of the new generation: %s", out)
	}
}

// TestBridgeLine: what was measured, and what for, stands on the line.
func TestBridgeLine(t *testing.T) {
	m := migrationState{State: string(migrate.Ready)}
	if err := json.Unmarshal([]byte(`{"state":"serving","recall_wanted":0.7,"pairs_wanted":6000,"method":"linear","check":{"recall":0.8634,"k":10,"held_out":300}}`), &m.Bridge); err != nil {
		t.Fatal(err)
	}
	if got, want := m.bridge(), "serving; it carries texts over to the former generation: linear, recall@10 0.863 on 300 held-out documents, at least 0.70 was wanted"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	m.Bridge = &api.BridgeRecord{State: api.BridgeRefused, Reason: "too few pairs"}
	if got, want := m.bridge(), "refused; texts wait for the cut-over: too few pairs"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

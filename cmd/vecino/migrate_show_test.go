package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMigrationProgress: the line of a migration says what is waited for, or how
// long it will take, and neither where nothing goes on.
func TestMigrationProgress(t *testing.T) {
	for _, test := range []struct{ answer, want string }{
		{`{"state":"backfilling","progress":{"done":64,"total":400,"tokens":512,"eta_s":290.4}}`, "backfilling: 64 of 400 documents, 512 tokens, 4m50s left"},
		{`{"state":"backfilling","waiting":"for the migration of collection \"a\"","progress":{"done":0,"total":400}}`, `backfilling: 0 of 400 documents, 0 tokens, waiting for the migration of collection "a"`},
		{`{"state":"backfilling","waiting":"for the endpoint of openai:m:\u001b[2J\n away","progress":{"total":4}}`, "backfilling: 0 of 4 documents, 0 tokens, waiting for the endpoint of openai:m:[2J away"},
		{`{"state":"paused","progress":{"done":64,"total":400,"tokens":512,"eta_s":290.4}}`, "paused: 64 of 400 documents, 512 tokens"},
		{`{"state":"evaluating","progress":{"done":400,"total":400,"tokens":3200,"eta_s":null}}`, "evaluating: 400 of 400 documents, 3200 tokens"},
	} {
		var m migrationState
		if err := json.Unmarshal([]byte(test.answer), &m); err != nil {
			t.Fatal(err)
		}
		if got := m.progress(); got != test.want {
			t.Errorf("%s\n%q, want\n%q", test.answer, got, test.want)
		}
	}
}

// TestMigrateSetLimits: limits that are changed are shown, and let migrations that
// had no end come to one, the one that waits for the other, too.
func TestMigrateSetLimits(t *testing.T) {
	serving(t)
	var lines strings.Builder
	for i := range 20 {
		fmt.Fprintf(&lines, "{\"id\":%d,\"text\":\"harbour %d with ferry %d\"}\n", i, i, i*7)
	}
	texts := filepath.Join(t.TempDir(), "texts.jsonl")
	if err := os.WriteFile(texts, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	command := func(want int, words string, more ...string) string {
		t.Helper()
		status, out, errs := vecino(t, append(strings.Fields(words), more...)...)
		if status != want {
			t.Fatalf("%s: exit %d, want %d\n%s%s", words, status, want, out, errs)
		}
		return out + errs
	}
	for _, name := range []string{"a", "b"} {
		command(0, "ingest --model builtin:hash -c "+name, texts)
		command(0, "migrate start --model builtin:hash --dimensions 128 --tokens-per-second 1 --batch 1 --detach -c "+name)
	}
	said := ""
	for end := time.Now().Add(30 * time.Second); !strings.Contains(said, "left") && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		said = command(0, "migrate status -c a")
	}
	if !strings.Contains(said, "limits: 1 tokens a second, batches of 1") || !strings.Contains(said, " left\n") {
		t.Errorf("the one that works:\n%s", said)
	}
	if said = command(0, "migrate status -c b"); !strings.Contains(said, `waiting for the migration of collection "a"`) {
		t.Errorf("the one behind it:\n%s", said)
	}
	command(2, "migrate set -c a")
	if said = command(1, "migrate set -c a --cpus 0.001"); !strings.Contains(said, "0.01") {
		t.Errorf("a share of no processor:\n%s", said)
	}
	if said = command(0, "migrate set -c a --tokens-per-second 0 --batch 8 --cpus 4"); !strings.Contains(said, "limits: 4 processors, batches of 8") {
		t.Errorf("set:\n%s", said)
	}
	command(0, "migrate set -c b --tokens-per-second 0")
	if said = command(0, "migrate status --wait -c b"); !strings.Contains(said, "ready") {
		t.Errorf("at the end:\n%s", said)
	}
}

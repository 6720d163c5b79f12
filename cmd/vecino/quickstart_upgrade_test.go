package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/vecino-db/vecino/embed/evaluate"
)

// answered are the fingerprints of the answers after each switch, shortened,
// and that of the first answers.
func answered(t *testing.T, text string) (first string, after []string) {
	t.Helper()
	for _, m := range regexp.MustCompile(`fingerprint of the answers  ([0-9a-f]{16})…, of the first ones ([0-9a-f]{16})…`).FindAllStringSubmatch(text, -1) {
		first, after = m[2], append(after, m[1])
	}
	if len(after) != 4 {
		t.Fatalf("%d switches are shown, want 4:\n%s", len(after), text)
	}
	return first, after
}

// checkUpgrade wants in the output of a tour what holds for any migration: the
// new space answers after the cut-over, the old one after the rollback, with
// the same hits, and no write is lost, no delete undone.
func checkUpgrade(t *testing.T, text, from, to string) {
	t.Helper()
	first, after := answered(t, text)
	if after[0] == first || after[1] != first || after[2] != after[0] || after[3] != after[0] {
		t.Errorf("first %s, then answers from %v", first, after)
	}
	whole := regexp.MustCompile(`Written while the migration ran: (\d+) of (\d+) are there; deleted: (\d+) of (\d+) are gone`).FindAllStringSubmatch(text, -1)
	if len(whole) != 2 {
		t.Errorf("writes are counted %d times, want 2", len(whole))
	}
	for _, m := range whole {
		if m[1] != m[2] || m[3] != m[4] || m[1] == "0" || m[3] == "0" {
			t.Errorf("said: %s", m[0])
		}
	}
	for _, want := range []string{
		"3 of 3 queries find what they found at first", "before, " + from, "after, " + to, "Roll back", ": committed",
		"vecino migrate plan -c", "vecino migrate start -c", "vecino migrate status -c", "vecino migrate cutover -c", "vecino migrate rollback -c",
		"vecino migrate commit -c", "vecino manifest history -c", "│ coverage",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in the output", want)
		}
	}
	if strings.Contains(strings.ToLower(text), "not passed") || strings.Contains(text, "\x1b") {
		t.Error("a gate has failed, or there are escape sequences")
	}
}

// TestQuickstartMigrate runs the tour as a process does, and opens the data
// that it leaves.
func TestQuickstartMigrate(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	status, text, errors := vecino(t, "quickstart", "--migrate", "--data", data)
	if status != exitOK {
		t.Fatalf("status %d: %s\n%s", status, errors, text)
	}
	checkUpgrade(t, text, "builtin:hash", "builtin:blend")
	for _, want := range []string{"over 60 judged queries", "the new model is better", "texts written", "serve --data " + data} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	_, found, ok := strings.Cut(text, "? which vessel has to give way")
	if lines := strings.SplitN(found, "\n", 4); !ok || len(lines) < 4 || !strings.HasSuffix(lines[2], "Right of way under sail") || strings.Count(lines[2], "Right of way") != 1 {
		t.Errorf("the new model's first hit isn't beside the old one's: %q", found[:min(len(found), 400)])
	}
	status, text, errors = vecino(t, "manifest", "show", "-c", migrateCollection, "--data", data, "--json")
	if status != exitOK || !strings.Contains(text, `"model": "builtin:blend"`) || !strings.Contains(text, `"generation": 2`) {
		t.Errorf("status %d, %s: the collection is\n%s", status, errors, text)
	}
	if status, _, errors := vecino(t, "quickstart", "--migrate", "--data", data); status != exitFailed || !strings.Contains(errors, "another --data") {
		t.Errorf("a second time: status %d, %s", status, errors)
	}
}

// TestQuickstartAdapt trains on the project's own documentation.
func TestQuickstartAdapt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data, models := filepath.Join(dir, "data"), filepath.Join(dir, "models")
	status, text, errors := vecino(t, "quickstart", "--adapt", "--data", data, "--models", models)
	if status != exitOK {
		t.Fatalf("status %d: %s\n%s", status, errors, text)
	}
	checkUpgrade(t, text, "builtin:blend", "local:handbook-adapted")
	for _, want := range []string{"mean of 1/rank", "held-out pairs", "The query that changes most"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if _, err := os.Stat(filepath.Join(models, "handbook-adapted", "README.md")); err != nil {
		t.Error(err)
	}
	// The model answers in a server over what is left.
	status, text, errors = vecino(t, "query", "-c", handbookCollection, "--data", data, "--models", models, "how is a migration rolled back")
	if status != exitOK || !strings.Contains(text, "0.") {
		t.Errorf("status %d, %s: %s", status, errors, text)
	}
}

// TestQuickstartAdaptRefused: texts that teach nothing end in a lesson, and in
// no new model.
func TestQuickstartAdaptRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	own, models := filepath.Join(dir, "own.ndjson"), filepath.Join(dir, "models")
	if err := os.WriteFile(own, []byte(fieldguide), 0o600); err != nil {
		t.Fatal(err)
	}
	status, text, errors := vecino(t, "quickstart", "--adapt", "--from", own, "--models", models, "--ask", "what is a bowline?", "--data", filepath.Join(dir, "data"))
	if status != exitOK {
		t.Fatalf("status %d: %s\n%s", status, errors, text)
	}
	for _, want := range []string{"no better than its base", "found first", "nothing was installed", "This is an answer", "models train -c NAME --pairs", "what is a bowline?"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	left, err := os.ReadDir(models)
	if err != nil || len(left) != 0 || strings.Contains(text, "migrate cutover") {
		t.Errorf("installed: %v, %v", left, err)
	}
}

// TestQuickstartFlags: what doesn't go together is said.
func TestQuickstartFlags(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"--migrate", "--adapt"},
		{"--from", "quickstart.go"},
		{"--models", "x"},
		{"--ask", "x", "--adapt"},
		{"--adapt", "--from", "there-is-none.ndjson"},
	} {
		if status, _, errors := vecino(t, append([]string{"quickstart"}, args...)...); status != exitUsage || errors == "" {
			t.Errorf("%v: status %d, %s", args, status, errors)
		}
	}
}

// TestJudgedFieldguide: every judged text is there, and no query asks for a
// text by its own words.
func TestJudgedFieldguide(t *testing.T) {
	judged, err := evaluate.ReadJudged(bytes.NewReader(judgedFieldguide))
	if err != nil || len(judged) < 50 {
		t.Fatal(len(judged), err)
	}
	points, err := readFieldguide()
	if err != nil {
		t.Fatal(err)
	}
	check := evaluate.NewCheck(judged)
	for _, p := range points {
		id, _ := json.Marshal(p.ID)
		check.Document(string(id), p.Text)
	}
	if w := check.Warnings(); len(w) != 0 {
		t.Errorf("%+v", w)
	}
}

// TestHandbook holds the passages to what the tour needs of them.
func TestHandbook(t *testing.T) {
	points, err := handbook()
	if err != nil || len(points) < 200 {
		t.Fatal(len(points), err)
	}
	seen := map[string]bool{}
	for i, p := range points {
		if p.ID != uint64(i+1) || p.Payload.Title == "" || !strings.HasPrefix(p.Text, p.Payload.Title+". ") || strings.Contains(p.Text, "\n") || strings.Contains(p.Text, "```") {
			t.Errorf("passage %+v", p)
		}
		seen[p.Payload.Topic] = true
	}
	for _, source := range []string{"README.md", "docs/API.md", "store/doc.go", "embed/train/adapt/doc.go"} {
		if !seen[source] {
			t.Errorf("nothing of %s", source)
		}
	}
}

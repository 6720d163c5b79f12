package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMigrateRequireCard: a model without a card stops an automatic migration
// that wants one, and a cut-over that does.
func TestMigrateRequireCard(t *testing.T) {
	dir := t.TempDir()
	data, models := filepath.Join(dir, "data"), filepath.Join(dir, "models")
	files := colours(t)
	delete(files, "README.md")
	delete(files, "pytorch_model.bin")
	if err := os.MkdirAll(filepath.Join(models, "colours"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(models, "colours", name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	texts := filepath.Join(dir, "texts.jsonl")
	if err := os.WriteFile(texts, []byte("{\"id\":1,\"text\":\"red\"}\n{\"id\":2,\"text\":\"blue\"}\n{\"id\":3,\"text\":\"green\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	command := func(want int, words string, more ...string) string {
		t.Helper()
		status, out, errs := vecino(t, append(append(strings.Fields(words), "-c", "notes", "--data", data, "--models", models), more...)...)
		if status != want {
			t.Fatalf("%s: exit %d, want %d\n%s%s", words, status, want, out, errs)
		}
		return out + errs
	}
	command(0, "ingest --model builtin:hash", texts)
	said := command(1, "migrate start --model local:colours --auto --require-card")
	for _, want := range []string{"failed", "gates not passed: card (there is none: put a README.md", "NOT PASSED"} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q:\n%s", want, said)
		}
	}
	command(0, "migrate abort")
	command(0, "migrate start --model local:colours")
	if said := command(1, "migrate cutover --require-card"); !strings.Contains(said, "carries no model card") || !strings.Contains(said, "README.md") {
		t.Errorf("the cut-over: %s", said)
	}
	command(0, "migrate cutover")
	if said := command(0, "manifest show"); !strings.Contains(said, "none: there is no model card") {
		t.Errorf("the manifest: %s", said)
	}
}

package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vecino-db/vecino/compat"
)

// plannedDiff is what the plan of a wish says of it.
type plannedDiff struct {
	Actual  string
	Changes []compat.Change
	Plan    struct{ Command string }
}

// startTyped is a line of a shell that starts a migration, as the command
// line's own parser reads it.
func startTyped(t *testing.T, command string) *migrateStartCmd {
	t.Helper()
	out, err := exec.Command("sh", "-c", "printf '%s\\0' "+command).Output()
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	words := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	var c cli
	parser, err := grammar(&c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(words[1:]); words[0] != "vecino" || err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return &c.Migrate.Start
}

// TestBridgeFlags: each asks for a bridge.
func TestBridgeFlags(t *testing.T) {
	for flags, want := range map[string]string{
		"": "null", "--bridge": "{}", "--bridge --bridge-recall 0.8": `{"recall":0.8}`, "--bridge-pairs 2000": `{"pairs":2000}`,
		"--bridge-pairs 2000 --bridge-recall 0.8": `{"pairs":2000,"recall":0.8}`,
	} {
		body, err := startTyped(t, "vecino migrate start -c c --model builtin:hash "+flags).body()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := json.Marshal(body["bridge"]); err != nil || string(got) != want {
			t.Errorf("%q asks for %s, want %s: %v", flags, got, want, err)
		}
	}
}

// TestSuggestedCommand: the command that a plan suggests asks for what was
// planned, whatever that was.
func TestSuggestedCommand(t *testing.T) {
	dir := t.TempDir()
	files := colours(t)
	files["config.json"] = []byte(`{"model_type":"model2vec","architectures":["StaticModel"],"normalize":true,"matryoshka_dimensions":[2]}`)
	if err := os.MkdirAll(filepath.Join(dir, "models", "colours"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, "models", "colours", name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := startServer(t.Context(), serveOptions{Data: filepath.Join(dir, "data"), Listen: "127.0.0.1:0", Models: filepath.Join(dir, "models")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(t.Context())
	r := &remote{base: s.URL, http: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	ask := func(method, path string, body, answer any) {
		t.Helper()
		if err := r.result(t.Context(), method, path, body, answer); err != nil {
			t.Fatalf("%s %v: %v", path, body, err)
		}
	}
	have := map[string]string{
		"hash":  `{"embedding":{"model":"builtin:hash","dimensions":64}}`,
		"plain": `{"embedding":{"model":"local:colours"}}`,
		"set":   `{"embedding":{"model":"local:colours","normalize":false,"query_prompt":"q: ","document_prompt":"d: ","text_field":"text"},"search":{"oversampling":3}}`,
	}
	wishes := []string{
		`{"embedding":{"model":"local:colours"}}`,
		`{"embedding":{"model":"local:colours","normalize":false}}`,
		`{"embedding":{"model":"local:colours","normalize":true}}`,
		`{"embedding":{"model":"local:colours","normalize":false,"dimensions":2}}`,
		`{"embedding":{"model":"local:colours","dimensions":2,"query_prompt":"q: "}}`,
		`{"embedding":{"model":"local:colours","precision":"f32","query_prompt":"","document_prompt":"it's: "}}`,
		`{"embedding":{"model":"local:colours","normalize":false,"query_prompt":"q: ","document_prompt":"d: ","text_field":"body"}}`,
		`{"embedding":{"model":"builtin:hash"}}`,
		`{"embedding":{"model":"builtin:hash","dimensions":128,"text_field":"body text"},"index":{"m":8}}`,
		`{"vectors":{"distance":"Dot"}}`,
		`{"vectors":{"size":2}}`,
		`{"index":{"engine":"auto","m":24,"ef_construct":99,"encoding":"int8"}}`,
		`{"search":{"ef":77}}`,
		`{"search":{"oversampling":2.5}}`,
	}
	for name, wish := range have {
		var ignored any
		ask(http.MethodPut, collection(name, ""), json.RawMessage(wish), &ignored)
		for _, wish := range wishes {
			if name == "hash" && strings.Contains(wish, "size") {
				continue // a hash is not cut
			}
			var first, again plannedDiff
			ask(http.MethodPost, collection(name, "/manifest/diff"), json.RawMessage(wish), &first)
			if len(first.Changes) == 0 {
				continue
			}
			if first.Plan.Command == "" {
				t.Errorf("%s, %s: no command", name, wish)
				continue
			}
			start := startTyped(t, first.Plan.Command)
			asked, err := start.wish()
			if err != nil || start.Collection != name {
				t.Fatalf("%s: %v", first.Plan.Command, err)
			}
			ask(http.MethodPost, collection(name, "/manifest/diff"), asked, &again)
			one, _ := json.Marshal(first)
			other, _ := json.Marshal(again)
			if !bytes.Equal(one, other) {
				t.Errorf("%s, %s:\n%s\nasks for\n%s", name, wish, one, other)
			}
		}
	}
}

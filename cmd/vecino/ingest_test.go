package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// write makes a file below a directory.
func write(t *testing.T, dir, name, content string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestIngestIntoAnotherSpace: a model that is not the collection's is refused,
// known or not, and nothing is stored; the same one goes on.
func TestIngestIntoAnotherSpace(t *testing.T) {
	s := serving(t)
	r := &remote{base: s.URL, http: http.DefaultClient}
	defer http.DefaultClient.CloseIdleConnections()
	for name, wish := range map[string]any{
		"hashed": map[string]any{"embedding": map[string]any{"model": "builtin:hash"}},
		"raw":    map[string]any{"vectors": map[string]any{"size": 512, "distance": "Cosine"}},
	} {
		var made bool
		if err := r.result(t.Context(), http.MethodPut, "/collections/"+name, wish, &made); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	write(t, dir, "x.txt", "a text")
	file := filepath.Join(dir, "x.txt")
	for _, c := range []struct {
		collection, model string
		status            int
		says              string
	}{
		{"hashed", "local:potion", exitFailed, `no model "local:potion"`},
		{"hashed", "nonsense", exitFailed, `no model "nonsense"`},
		{"raw", "builtin:hash", exitRefused, "space.weights"},
		{"hashed", "builtin:hash", exitOK, ""},
	} {
		status, out, errors := vecino(t, "ingest", "-c", c.collection, "-m", c.model, file)
		if status != c.status || !strings.Contains(errors, c.says) || c.status != exitOK && (out != "" || !strings.Contains(errors, "what to do") && c.status == exitRefused) {
			t.Errorf("%s into %s: status %d, %s %s", c.model, c.collection, status, out, errors)
		}
	}
	for name, want := range map[string]float64{"raw": 0, "hashed": 1} {
		var count struct{ Count float64 }
		if err := r.result(t.Context(), http.MethodPost, "/collections/"+name+"/points/count", map[string]any{}, &count); err != nil || count.Count != want {
			t.Errorf("%s has %v documents, want %v: %v", name, count.Count, want, err)
		}
	}
}

// idsOf are the ids of a collection's documents, without the directory.
func idsOf(t *testing.T, s *runningServer, name, dir string) []string {
	t.Helper()
	r := &remote{base: s.URL, http: http.DefaultClient}
	var page struct {
		Points []struct{ ID json.RawMessage }
	}
	if err := r.result(t.Context(), http.MethodPost, "/collections/"+name+"/points/scroll", map[string]any{"limit": 10_000}, &page); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, p := range page.Points {
		ids = append(ids, strings.TrimPrefix(strings.Trim(string(p.ID), `"`), filepath.ToSlash(dir)+"/"))
	}
	slices.Sort(ids)
	return ids
}

// TestIngestAgainRemoves what a file has no more, and nothing else.
func TestIngestAgainRemoves(t *testing.T) {
	s := serving(t)
	defer http.DefaultClient.CloseIdleConnections()
	dir := t.TempDir()
	write(t, dir, "a.md", "# One\n\nfirst\n\n# Two\n\nsecond\n\n# "+strings.Repeat("Long ", 120)+"\n\nthird\n")
	write(t, dir, "b.txt", "one paragraph\n\nanother\n\na third\n")
	write(t, dir, "c.md", "# Stays\n\nas it is\n")
	write(t, dir, "own.ndjson", fmt.Sprintf(`{"id":18446744073709551615,"text":"by hand","payload":{"source":%q}}`+"\n"+`{"id":"mine","text":"by hand","payload":{"source":%[1]q}}`, dir+"/a.md"))
	ingest := func(want int, paths ...string) outcome {
		t.Helper()
		status, out, errors := vecino(t, append([]string{"ingest", "-c", "notes", "--json"}, paths...)...)
		var got outcome
		if err := json.Unmarshal([]byte(out), &got); err != nil || status != want {
			t.Fatalf("status %d, %s %s", status, out, errors)
		}
		return got
	}
	if got := ingest(exitOK, dir); got.Documents != 9 || got.Removed != 0 {
		t.Fatalf("%+v", got)
	}
	before := idsOf(t, s, "notes", dir)

	write(t, dir, "a.md", "# Two\n\nsecond, changed\n\n# Three\n\nnew\n")
	write(t, dir, "b.txt", "one paragraph\n")
	if err := os.Remove(filepath.Join(dir, "c.md")); err != nil {
		t.Fatal(err)
	}
	if got := ingest(exitOK, dir); got.Removed != 4 {
		t.Errorf("%+v", got)
	}
	want := []string{"18446744073709551615", "a.md#Three", "a.md#Two", "b.txt#1", "c.md#Stays", "mine"}
	if got := idsOf(t, s, "notes", dir); !slices.Equal(fold(got), fold(want)) {
		t.Errorf("%q, want %q; before %q", got, want, before)
	}

	// What can't be read whole removes nothing; an emptied file removes its all.
	write(t, dir, "a.md", "\xff\xfe")
	write(t, dir, "b.txt", "")
	if got := ingest(exitFailed, filepath.Join(dir, "a.md"), filepath.Join(dir, "b.txt")); got.Removed != 1 || got.Bad != 1 {
		t.Errorf("%+v", got)
	}
	want = []string{"18446744073709551615", "a.md#Three", "a.md#Two", "c.md#Stays", "mine"}
	if got := idsOf(t, s, "notes", dir); !slices.Equal(fold(got), fold(want)) {
		t.Errorf("%q, want %q", got, want)
	}
}

// fold sorts a copy.
func fold(list []string) []string { return slices.Sorted(slices.Values(list)) }

// TestUnreadableFilesEndNothing: they are reported and the others go on.
func TestUnreadableFilesEndNothing(t *testing.T) {
	serving(t)
	dir := t.TempDir()
	write(t, dir, "a.md", "# A\n\nfirst\n")
	write(t, dir, "b.md", "# B\n\ngone before its turn\n")
	write(t, dir, "c.md", "# C\n\nlast\n")
	sources, err := findSources([]string{dir})
	if err != nil || len(sources) != 3 {
		t.Fatal(sources, err)
	}
	// Permissions don't stop root, so the file becomes a directory.
	if err := os.Remove(filepath.Join(dir, "b.md")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "b.md"), 0o755); err != nil {
		t.Fatal(err)
	}
	var out, errs strings.Builder
	c := &ingestCmd{Collection: "notes", Batch: 10}
	c.Server = os.Getenv("VECINO_SERVER")
	o := &output{Writer: &out, errors: &errs, input: strings.NewReader("")}
	err = c.with(t.Context(), func(r *remote) error { return c.ingest(t.Context(), r, o, sources) })
	if err == nil || !strings.Contains(err.Error(), "1 files could not be read") || !strings.Contains(out.String(), "2 documents") || !strings.Contains(errs.String(), "b.md") {
		t.Errorf("%v\n%s%s", err, out.String(), errs.String())
	}
	if status, _, errors := vecino(t, "ingest", "-c", "notes", filepath.Join(dir, "none.md")); status != exitFailed || !strings.Contains(errors, "none.md") {
		t.Errorf("a path that is not there: status %d, %s", status, errors)
	}
}

// TestServerOrData: which of the two a command works on.
func TestServerOrData(t *testing.T) {
	s := serving(t)
	t.Setenv("VECINO_SERVER", "")
	os.Unsetenv("VECINO_SERVER")
	stopped, elsewhere := filepath.Join(t.TempDir(), "stopped"), filepath.Join(t.TempDir(), "elsewhere")
	dir := t.TempDir()
	write(t, dir, "x.txt", "rye bread")
	write(t, dir, "vecino.yaml", "data: "+elsewhere+"\n")
	write(t, dir, "own.yaml", "query:\n  data: "+stopped+"\n")
	file := filepath.Join(dir, "x.txt")
	if status, _, errors := vecino(t, "ingest", "-c", "served", "--server", s.URL, file); status != exitOK {
		t.Fatal(errors)
	}
	if status, _, errors := vecino(t, "ingest", "-c", "stopped", "--data", stopped, file); status != exitOK {
		t.Fatal(errors)
	}
	t.Setenv("VECINO_DATA", elsewhere)
	general, own := filepath.Join(dir, "vecino.yaml"), filepath.Join(dir, "own.yaml")
	for _, c := range []struct {
		args   []string
		status int
	}{
		{[]string{"query", "-c", "served", "--server", s.URL, "bread"}, exitOK},
		{[]string{"--config", general, "query", "-c", "served", "--server", s.URL, "bread"}, exitOK},
		{[]string{"--config", own, "query", "-c", "served", "--server", s.URL, "bread"}, exitOK},
		{[]string{"--config", own, "query", "-c", "stopped", "bread"}, exitOK},
		{[]string{"query", "-c", "stopped", "--data", stopped, "bread"}, exitOK},
		{[]string{"query", "-c", "stopped", "--data", stopped, "--server", s.URL, "bread"}, exitUsage},
	} {
		if status, out, errors := vecino(t, c.args...); status != c.status || c.status == exitOK && !strings.Contains(out, "rye bread") {
			t.Errorf("%q: status %d, %s %s", c.args, status, out, errors)
		}
	}
	t.Setenv("VECINO_SERVER", s.URL)
	if status, out, errors := vecino(t, "query", "-c", "served", "bread"); status != exitOK || !strings.Contains(out, "rye bread") {
		t.Errorf("VECINO_SERVER beside VECINO_DATA: status %d, %s %s", status, out, errors)
	}
	if status, out, errors := vecino(t, "--config", general, "query", "-c", "served", "bread"); status != exitOK || !strings.Contains(out, "rye bread") {
		t.Errorf("VECINO_SERVER beside data in the file: status %d, %s %s", status, out, errors)
	}
	if status, out, errors := vecino(t, "query", "-c", "stopped", "--data", stopped, "bread"); status != exitOK || !strings.Contains(out, "rye bread") {
		t.Errorf("--data beside VECINO_SERVER: status %d, %s %s", status, out, errors)
	}
	if status, out, errors := vecino(t, "quickstart"); status != exitOK || strings.Contains(out, elsewhere) {
		t.Errorf("quickstart: status %d, %s %s", status, out, errors)
	}
	if _, err := os.Stat(elsewhere); !os.IsNotExist(err) {
		t.Errorf("a command wrote into VECINO_DATA, which is serve's: %v", err)
	}
}

// TestMisspeltDataMakesNothing: only ingest makes a store where there is none.
func TestMisspeltDataMakesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "typo")
	for _, args := range [][]string{{"query", "-c", "c", "x"}, {"embed", "x"}, {"manifest", "show", "-c", "c"}, {"models", "list"}} {
		status, _, errors := vecino(t, append(args, "--data", dir)...)
		if status != exitFailed || !strings.Contains(errors, dir) {
			t.Errorf("%q: status %d, %s", args, status, errors)
		}
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Fatalf("%q made %s", args, dir)
		}
	}
}

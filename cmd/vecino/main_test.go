package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		os.Exit(run(context.Background(), os.Args[1:], strings.NewReader(""), os.Stdout, os.Stderr))
	}
	goleak.VerifyTestMain(m)
}

// vecino runs a command line and gives status, output and error output.
func vecino(t *testing.T, args ...string) (int, string, string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	status := run(t.Context(), args, strings.NewReader(""), &stdout, &stderr)
	return status, stdout.String(), stderr.String()
}

// serving starts a server for commands and points VECINO_SERVER at it.
func serving(t *testing.T) *runningServer {
	t.Helper()
	return servingOf(t, serveOptions{Data: filepath.Join(t.TempDir(), "data")})
}

// servingOf is serving with options.
func servingOf(t *testing.T, o serveOptions) *runningServer {
	t.Helper()
	o.Listen = "127.0.0.1:0"
	s, err := startServer(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("VECINO_SERVER", s.URL)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{},
		{"nope"},
		{"serve", "--nope"},
		{"query", "x"},
		{"query", "-c", "a"},
		{"serve", "--listen", "0.0.0.0:1"},
		{"serve", "--listen", ":7747"},
		{"serve", "--listen", "nonsense"},
		{"serve", "--max-body", "many"},
		{"serve", "--log", "xml"},
		{"query", "-c", "a", "--server", "nonsense", "x"},
		{"ingest", "-c", "a", "--batch", "0", "-"},
		{"--config", "/does/not/exist", "version"},
	} {
		status, out, errors := vecino(t, args...)
		if status != exitUsage || out != "" || errors == "" {
			t.Errorf("%q: status %d, %q, %q", args, status, out, errors)
		}
	}
	for _, args := range [][]string{{"--help"}, {"serve", "--help"}, {"ingest", "--help"}, {"manifest", "show", "--help"}, {"version"}, {"version", "--json"}} {
		if status, out, errors := vecino(t, args...); status != exitOK || out == "" {
			t.Errorf("%q: status %d, %q, %q", args, status, out, errors)
		}
	}
	if status, _, errors := vecino(t, "query", "-c", "a", "--server", "http://127.0.0.1:1", "x"); status != exitFailed || !strings.Contains(errors, "vecino serve") {
		t.Errorf("no server: status %d, %s", status, errors)
	}
}

func TestIngestQueryAndRefusal(t *testing.T) {
	serving(t)
	dir := t.TempDir()
	for name, content := range map[string]string{
		"a.md":         "intro\n\n# Bread\n\nYeast makes it rise.\n\n```\n# no heading\n```\n\n## Rye\n\nKeeps for a week.\n",
		"b.txt":        "The ferry leaves at seven.\n\nSailors read the clouds.\n",
		"c.ndjson":     "{\"id\":1,\"text\":\"copper wires\",\"payload\":{\"n\":1}}\n\nnot json\n{\"id\":2}\n{\"text\":\"no id\"}\n{\"id\":3,\"text\":\"\"}\n{\"id\":4,\"text\":\"a\",\"text\":\"b\"}\n{\"id\":5,\"text\":\"the last line has no line feed\"}",
		".hidden.txt":  "never",
		".git/x.txt":   "never",
		"picture.jpeg": "never",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for run := range 2 { // the second run replaces what the first one brought
		status, out, errors := vecino(t, "ingest", "-c", "notes", "--json", dir)
		var got outcome
		if err := json.Unmarshal([]byte(out), &got); err != nil || status != exitFailed || got.Documents != 8 || got.Bad != 4 {
			t.Fatalf("run %d: status %d, %s, %s", run, status, out, errors)
		}
		for _, place := range []string{"c.ndjson:3: ", "c.ndjson:4: the line has no text", "c.ndjson:6: ", "c.ndjson:7: "} {
			if !strings.Contains(errors, place) {
				t.Errorf("run %d: no report of %s in %s", run, place, errors)
			}
		}
		_, out, _ = vecino(t, "query", "-c", "notes", "--json", "-n", "100", "rye keeps")
		var found struct{ Points []queryHit }
		if err := json.Unmarshal([]byte(out), &found); err != nil || len(found.Points) != 8 {
			t.Fatalf("run %d: %d documents: %v", run, len(found.Points), err)
		}
		first := found.Points[0]
		var payload struct{ Heading, Source string }
		if err := json.Unmarshal(first.Payload, &payload); err != nil {
			t.Fatal(err)
		}
		if id, _ := first.ID.(string); id != payload.Source+"#Bread > Rye" || payload.Heading != "Bread > Rye" || filepath.Base(payload.Source) != "a.md" || !strings.HasPrefix(first.Text, "Rye\n") {
			t.Errorf("the first hit is %v %s %q", first.ID, first.Payload, first.Text)
		}
	}
	for _, args := range [][]string{{"manifest", "show", "-c", "notes"}, {"models", "list"}, {"query", "-c", "notes", "bread"}, {"embed", "-m", "builtin:static", "--dimensions", "64", "a", "b"}} {
		if status, out, errors := vecino(t, args...); status != exitOK || out == "" {
			t.Errorf("%q: status %d, %s", args, status, errors)
		}
		if args[0] == "embed" {
			continue
		}
		status, out, errors := vecino(t, append(args, "--json")...)
		if status != exitOK || !json.Valid([]byte(out)) {
			t.Errorf("%q --json: status %d, %s %s", args, status, out, errors)
		}
	}
	if status, _, errors := vecino(t, "query", "-c", "none", "x"); status != exitFailed || !strings.Contains(errors, `no collection "none"`) {
		t.Errorf("an unknown collection: status %d, %s", status, errors)
	}
	if status, _, errors := vecino(t, "ingest", "-c", "raw", "--model", "local:none", dir); status != exitFailed || !strings.Contains(errors, "local:none") {
		t.Errorf("an unknown model: status %d, %s", status, errors)
	}
}

// TestRefusedSpaceIsThree: mixing spaces has an exit status of its own.
func TestRefusedSpaceIsThree(t *testing.T) {
	s := serving(t)
	r := &remote{base: s.URL, http: http.DefaultClient}
	defer http.DefaultClient.CloseIdleConnections()
	var made bool
	if err := r.result(t.Context(), http.MethodPut, "/collections/small", map[string]any{"embedding": map[string]any{"model": "builtin:hash", "dimensions": 64}}, &made); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "x.txt")
	if err := os.WriteFile(file, []byte("a text"), 0o600); err != nil {
		t.Fatal(err)
	}
	status, _, errors := vecino(t, "ingest", "-c", "small", "--model", "builtin:hash", file)
	if status != exitRefused || !strings.Contains(errors, "space.dimension: 64, asked for 512 (reembed)") {
		t.Errorf("another space: status %d, %s", status, errors)
	}
	if status, _, errors := vecino(t, "ingest", "-c", "small", file); status != exitOK {
		t.Errorf("without a wish: status %d, %s", status, errors)
	}
}

// TestStoppedStore: --data works without a server, and what it wrote is there
// the next time.
func TestStoppedStore(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	var stdout, stderr bytes.Buffer
	if status := run(t.Context(), []string{"ingest", "-c", "n", "--data", data, "-"}, strings.NewReader(`{"id":7,"text":"rye bread"}`), &stdout, &stderr); status != exitOK {
		t.Fatalf("status %d: %s", status, stderr.String())
	}
	status, out, errors := vecino(t, "query", "-c", "n", "--data", data, "bread")
	if status != exitOK || !strings.Contains(out, "rye bread") {
		t.Errorf("status %d: %s %s", status, out, errors)
	}
}

// TestConfiguration: flags go before variables, variables before the file.
func TestConfiguration(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	if status, _, errors := vecino(t, "ingest", "--data", data, "-c", "other", "-"); status != exitOK {
		t.Fatalf("status %d: %s", status, errors)
	}
	file := filepath.Join(t.TempDir(), "vecino.yaml")
	write := func(content string) {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	asked := func(args ...string) string {
		_, _, errors := vecino(t, append(append([]string{"--config", file, "query", "--data", data}, args...), "x")...)
		_, name, _ := strings.Cut(errors, `no collection "`)
		name, _, _ = strings.Cut(name, `"`)
		return name
	}
	write("collection: everywhere\n")
	if got := asked(); got != "everywhere" {
		t.Errorf("the file's value: %q", got)
	}
	write("collection: everywhere\nquery:\n  collection: here\n")
	if got := asked(); got != "here" {
		t.Errorf("the command's value in the file: %q", got)
	}
	t.Setenv("VECINO_COLLECTION", "environment")
	if got := asked(); got != "environment" {
		t.Errorf("the variable: %q", got)
	}
	if got := asked("-c", "flag"); got != "flag" {
		t.Errorf("the flag: %q", got)
	}
	write("colection: typo\n")
	if status, _, errors := vecino(t, "--config", file, "version"); status != exitUsage || !strings.Contains(errors, "colection") {
		t.Errorf("a misspelt name: status %d, %s", status, errors)
	}
}

// TestShutdownDrains: a request in progress is answered, then the store is
// closed, and nothing is accepted any more.
func TestShutdownDrains(t *testing.T) {
	s, err := startServer(t.Context(), serveOptions{Data: filepath.Join(t.TempDir(), "data"), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	host := strings.TrimPrefix(s.URL, "http://")
	conn, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("PUT /collections/late HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond) // the server has read the header
	closed := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		closed <- s.Close(ctx)
	}()
	time.Sleep(50 * time.Millisecond)
	if _, err := conn.Write([]byte("}")); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 512)
	n, err := conn.Read(answer)
	if err != nil || !bytes.HasPrefix(answer[:n], []byte("HTTP/1.1 200")) {
		t.Errorf("the request in progress: %v %.200s", err, answer[:n])
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", host); err == nil {
		t.Error("the server still accepts")
	}
	if err, open := <-s.Failed(); open || err != nil {
		t.Errorf("Failed after Close: %v", err)
	}
}

// TestShutdownIsBounded: a request that never ends is cut off.
func TestShutdownIsBounded(t *testing.T) {
	s, err := startServer(t.Context(), serveOptions{Data: filepath.Join(t.TempDir(), "data"), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("PUT /collections/late HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	begun := time.Now()
	if err := s.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a request that was cut off must be said: %v", err)
	}
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("closing took %v", took)
	}
}

func TestLoopbackOnly(t *testing.T) {
	for address, ok := range map[string]bool{
		"127.0.0.1:1": true, "127.8.9.1:0": true, "[::1]:1": true, "localhost:1": true,
		"0.0.0.0:1": false, ":1": false, "[::]:1": false, "10.0.0.1:1": false, "example.org:1": false, "127.0.0.1": false, "localhost.example.org:1": false,
	} {
		if err := loopbackOnly(address); (err == nil) != ok {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestCutting(t *testing.T) {
	text := "before\n# One #\nbody\n### Deep\nmore\n## Two\n~~~\n# code\n```\n~~~~\nend\n#hash\n# One\nagain\n# Empty\n"
	var got [][2]string
	for _, p := range markdownSections(text) {
		got = append(got, [2]string{p.key, p.text})
	}
	want := [][2]string{
		{"", "before"}, {"One", "One\n\nbody"}, {"One > Deep", "Deep\n\nmore"}, {"One > Two", "Two\n\n~~~\n# code\n```\n~~~~\nend\n#hash"}, {"One (2)", "One\n\nagain"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Markdown:\n%q, want\n%q", got, want)
	}
	if p := paragraphs("\n\na\nb\n \n\nc"); len(p) != 2 || p[0].text != "a\nb" || p[0].line != 3 || p[1].text != "c" || p[1].line != 7 {
		t.Errorf("paragraphs: %+v", p)
	}
	if got := line("a\x1b[31m\n b\u202e"+strings.Repeat("x", 50), 10); strings.ContainsAny(got, "\x1b\u202e\n") || len([]rune(got)) > 10 {
		t.Errorf("line: %q", got)
	}
}

package main

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// TestQuickstart runs the tour twice over one data directory, as a newcomer
// may: the second run finds the collection of the first.
func TestQuickstart(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	for run := range 2 {
		var out bytes.Buffer
		begun := time.Now()
		if err := quickstart(t.Context(), &out, quickstartOptions{Data: data}); err != nil {
			t.Fatalf("run %d: %v\n%s", run, err, out.String())
		}
		if took := time.Since(begun); took > 10*time.Second {
			t.Errorf("run %d took %v; a newcomer waits a few seconds", run, took)
		}
		text := out.String()
		for _, want := range []string{
			"72 texts", "1. ", "2. ", "3. ", "4. ", "5. ", "6. ", "about the same", "768 dimensions", "fingerprint",
			"409 Conflict", `"changes"`, "builtin:hash", "serve --data " + data, "http://127.0.0.1:",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("run %d: no %q in the output", run, want)
			}
		}
		if n := strings.Count(text, "curl -s "); n != 3 {
			t.Errorf("run %d: %d curl lines, want 3", run, n)
		}
		if strings.Contains(text, "\x1b") || !utf8.ValidString(text) {
			t.Errorf("run %d: escape sequences in output that is no terminal", run)
		}
		checkFirstHits(t, text)
	}
}

// checkFirstHits wants below each query the text that answers it, first.
func checkFirstHits(t *testing.T, text string) {
	t.Helper()
	for _, q := range guideQueries() {
		_, after, found := strings.Cut(text, "? "+q.text)
		lines := strings.SplitN(after, "\n", 3)
		if !found || len(lines) < 3 {
			t.Errorf("query %q isn't shown", q.text)
			continue
		}
		if !strings.Contains(lines[1], q.first) {
			t.Errorf("%q finds first %q, want %q", q.text, strings.TrimSpace(lines[1]), q.first)
		}
	}
}

// TestQuickstartTemporary wants nothing left of a run without --data.
func TestQuickstartTemporary(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var out bytes.Buffer
	if err := quickstart(t.Context(), &out, quickstartOptions{}); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	left, err := os.ReadDir(os.TempDir())
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if !strings.Contains(out.String(), "quickstart --serve") {
		t.Error("doesn't say how to go on")
	}
}

// TestQuickstartServe wants the server to stay until it is told to stop.
func TestQuickstartServe(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w := &watchWriter{url: make(chan string, 1)}
	done := make(chan error, 1)
	go func() {
		done <- quickstart(ctx, w, quickstartOptions{Data: t.TempDir(), Listen: "127.0.0.1:0", Serve: true})
	}()
	select {
	case url := <-w.url:
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		response, err := client.Get(url + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Errorf("healthz: %s", response.Status)
		}
	case err := <-done:
		t.Fatalf("ended by itself: %v\n%s", err, w.text.String())
	case <-time.After(20 * time.Second):
		t.Fatal("no server after 20 s")
	}
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("still running 20 s after the interrupt")
	}
}

// watchWriter keeps what is written, and says where the server is once the
// tour is over.
type watchWriter struct {
	text bytes.Buffer
	url  chan string
}

// Write is called from the quickstart's goroutine alone.
func (w *watchWriter) Write(b []byte) (int, error) {
	w.text.Write(b)
	if _, after, ok := strings.Cut(string(b), "keeps running at "); ok {
		w.url <- strings.Fields(after)[0]
	}
	return len(b), nil
}

// TestFieldguide holds the corpus to what the project promises of it.
func TestFieldguide(t *testing.T) {
	points, err := readFieldguide()
	if err != nil {
		t.Fatal(err)
	}
	if len(points) < 64 {
		t.Errorf("%d texts, want at least 64", len(points))
	}
	titles, topics := map[string]bool{}, map[string]int{}
	for i, p := range points {
		if p.ID != uint64(i+1) || p.Payload.Title == "" || titles[p.Payload.Title] || len(p.Text) < 100 || len(p.Text) > 600 || !strings.HasPrefix(p.Text, p.Payload.Title) {
			t.Errorf("entry %d is odd: %+v", i+1, p)
		}
		titles[p.Payload.Title] = true
		topics[p.Payload.Topic]++
	}
	for topic, n := range topics {
		if n != 8 {
			t.Errorf("%d texts on %s", n, topic)
		}
	}
	for _, q := range guideQueries() {
		if !titles[q.first] {
			t.Errorf("query %q expects %q, which isn't in the corpus", q.text, q.first)
		}
	}
}

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSnapshot(t *testing.T) {
	dir := t.TempDir()
	data, other, file := filepath.Join(dir, "data"), filepath.Join(dir, "other"), filepath.Join(dir, "notes.snapshot")
	var stdout, stderr bytes.Buffer
	if status := run(t.Context(), []string{"ingest", "-c", "notes", "--data", data, "-"}, strings.NewReader("{\"id\":7,\"text\":\"rye bread\"}\n{\"id\":\"x\",\"text\":\"a ferry\"}"), &stdout, &stderr); status != exitOK {
		t.Fatal(status, stderr.String())
	}
	must := func(want int, args ...string) string {
		t.Helper()
		status, out, errors := vecino(t, args...)
		if status != want {
			t.Fatalf("%q: status %d, %s %s", args, status, out, errors)
		}
		return out + errors
	}
	must(exitOK, "snapshot", "create", "--data", data, "-c", "notes", file)
	if out := must(exitFailed, "snapshot", "create", "--data", data, "-c", "notes", file); !strings.Contains(out, "there already") {
		t.Error(out)
	}
	must(exitFailed, "snapshot", "create", "--data", data, "-c", "none", file+"2")
	var info snapshotReport
	if err := json.Unmarshal([]byte(must(exitOK, "snapshot", "verify", "--json", file)), &info); err != nil || info.Points != 2 || info.Collection != "notes" || info.Model != "builtin:blend" || info.Bytes == 0 {
		t.Errorf("%+v %v", info, err)
	}
	must(exitOK, "snapshot", "restore", "--data", other, file)
	must(exitOK, "snapshot", "restore", "--data", other, "-c", "again", file)
	if out := must(exitFailed, "snapshot", "restore", "--data", other, file); !strings.Contains(out, "--replace") {
		t.Error(out)
	}
	must(exitOK, "snapshot", "restore", "--data", other, "--replace", file)
	for _, name := range []string{"notes", "again"} {
		if out := must(exitOK, "query", "-c", name, "--data", other, "bread"); !strings.Contains(out, "rye bread") {
			t.Error(out)
		}
	}
	must(exitOK, "check", "--data", other)
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)/2] ^= 1
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	must(exitFailed, "snapshot", "verify", file)
	must(exitFailed, "snapshot", "restore", "--data", other, "-c", "damaged", file)
	must(exitFailed, "snapshot", "verify", dir)
	if left, _ := filepath.Glob(filepath.Join(dir, ".snapshot-*")); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
}

// TestSnapshotServer: the same with a server that runs.
func TestSnapshotServer(t *testing.T) {
	s, err := startServer(t.Context(), serveOptions{Data: filepath.Join(t.TempDir(), "data"), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(t.Context())
	file := filepath.Join(t.TempDir(), "n.snapshot")
	var stdout, stderr bytes.Buffer
	if status := run(t.Context(), []string{"ingest", "-c", "notes", "--server", s.URL, "-"}, strings.NewReader(`{"id":7,"text":"rye bread"}`), &stdout, &stderr); status != exitOK {
		t.Fatal(status, stderr.String())
	}
	for _, step := range []struct {
		want int
		args []string
	}{
		{exitOK, []string{"create", "--server", s.URL, "-c", "notes", file}},
		{exitOK, []string{"list", "--server", s.URL, "-c", "notes"}},
		{exitOK, []string{"verify", file}},
		{exitFailed, []string{"restore", "--server", s.URL, file}},
		{exitOK, []string{"restore", "--server", s.URL, "--replace", file}},
		{exitOK, []string{"restore", "--server", s.URL, "-c", "again", file}},
	} {
		if status, out, errors := vecino(t, append([]string{"snapshot"}, step.args...)...); status != step.want {
			t.Errorf("%q: status %d, %s %s", step.args, status, out, errors)
		}
	}
	if status, out, errors := vecino(t, "query", "-c", "again", "--server", s.URL, "bread"); status != exitOK || !strings.Contains(out, "rye bread") {
		t.Error(status, out, errors)
	}
}

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	var stdout, stderr bytes.Buffer
	if status := run(t.Context(), []string{"ingest", "-c", "notes", "--data", data, "-"}, strings.NewReader(`{"id":7,"text":"rye bread"}`), &stdout, &stderr); status != exitOK {
		t.Fatal(status, stderr.String())
	}
	status, out, errors := vecino(t, "check", "--data", data, "--json")
	var r checkReport
	if err := json.Unmarshal([]byte(out), &r); err != nil || status != exitOK || !r.Sound || len(r.Collections) != 1 {
		t.Fatalf("status %d, %v, %s %s", status, err, out, errors)
	}
	if c := r.Collections[0]; c.Name != "notes" || c.Points != 1 || c.Model != "builtin:blend" || c.Damage != "" || c.Dimension != 768 {
		t.Errorf("%+v", c)
	}
	if status, out, _ := vecino(t, "check", "--data", data); status != exitOK || !strings.Contains(out, "1 collections, all sound") {
		t.Errorf("status %d, %s", status, out)
	}

	// The high-water file says that there was more.
	if err := os.RemoveAll(filepath.Join(data, "db")); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"check", "--data", data}, {"check", "--data", data, "--json"}} {
		if status, out, _ := vecino(t, args...); status != exitFailed || !strings.Contains(out, "database is gone") {
			t.Errorf("%q: status %d, %s", args, status, out)
		}
	}
	if status, out, errors := vecino(t, "check", "--data", t.TempDir()); status != exitFailed || out != "" || !strings.Contains(errors, "no store") {
		t.Errorf("an empty directory: status %d, %s %s", status, out, errors)
	}
	if status, _, _ := vecino(t, "check"); status != exitUsage {
		t.Errorf("no directory: status %d", status)
	}
}

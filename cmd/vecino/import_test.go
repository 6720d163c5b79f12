package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// fvecs makes a file of n random vectors, and gives them.
func fvecs(t *testing.T, n, dim int) (path string, rows [][]float32) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 1))
	var b bytes.Buffer
	for range n {
		row := make([]float32, dim)
		for j := range row {
			row[j] = float32(rng.NormFloat64())
		}
		rows = append(rows, row)
		binary.Write(&b, binary.LittleEndian, int32(dim))
		binary.Write(&b, binary.LittleEndian, row)
	}
	path = filepath.Join(t.TempDir(), "v.fvecs")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, rows
}

// savedGraph writes two layers as github.com/coder/hnsw does, with keys that
// are strings; the test of package coder reads what the library itself writes.
func savedGraph(t *testing.T, distance string, keys []string, rows [][]float32) string {
	t.Helper()
	number := func(b []byte, n int) []byte { return binary.AppendVarint(b, int64(n)) }
	text := func(b []byte, s string) []byte { return append(number(b, len(s)), s...) }
	b := number(number(nil, 1), 16)
	b = append(b, make([]byte, 8)...)
	b = number(text(number(b, 20), distance), 2)
	for _, nodes := range []int{len(keys), 1} {
		b = number(b, nodes)
		for i := range nodes {
			b = number(text(b, keys[i]), len(rows[i]))
			for _, x := range rows[i] {
				b, _ = binary.Append(b, binary.LittleEndian, x)
			}
			b = text(number(b, 1), keys[(i+1)%len(keys)])
		}
	}
	path := filepath.Join(t.TempDir(), "graph.bin")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// stored gives points of a collection by their ids.
func stored(t *testing.T, s *runningServer, name string, ids ...any) []struct {
	ID      any
	Vector  []float32
	Payload map[string]any
} {
	t.Helper()
	r := &remote{base: s.URL, http: http.DefaultClient}
	defer http.DefaultClient.CloseIdleConnections()
	var points []struct {
		ID      any
		Vector  []float32
		Payload map[string]any
	}
	if err := r.result(t.Context(), http.MethodPost, collection(name, "/points"), map[string]any{"ids": ids, "with_vector": true, "with_payload": true}, &points); err != nil {
		t.Fatal(err)
	}
	return points
}

// importing runs a command line and reads its outcome.
func importing(t *testing.T, want int, args ...string) (imported, string) {
	t.Helper()
	status, out, errors := vecino(t, append(append([]string{"import"}, args...), "--json")...)
	var got imported
	if out != "" {
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Fatal(err)
		}
	}
	if status != want {
		t.Fatalf("%q: status %d, %s %s", args, status, out, errors)
	}
	return got, errors
}

func TestImportVectors(t *testing.T) {
	s := serving(t)
	path, rows := fvecs(t, 300, 7)
	if got, _ := importing(t, exitOK, "-c", "plain", "--vectors", path, "--distance", "Euclid"); got.Points != 300 || got.Dim != 7 {
		t.Errorf("%+v", got)
	}
	points := stored(t, s, "plain", 0, 123, 299)
	if len(points) != 3 || !slices.Equal(points[1].Vector, rows[123]) {
		t.Errorf("%+v, want %v", points, rows[123])
	}
	// The same again changes nothing; a part of it adds nothing.
	importing(t, exitOK, "-c", "plain", "--vectors", path)
	if got, _ := importing(t, exitOK, "-c", "plain", "--vectors", path, "--skip", "290"); got.Points != 10 {
		t.Errorf("%+v", got)
	}
	if _, out, _ := vecino(t, "manifest", "show", "-c", "plain"); !strings.Contains(out, "l2") || !strings.Contains(out, "unverified") {
		t.Errorf("the manifest: %s", out)
	}
	importing(t, exitOK, "-c", "plain", "--vectors", path, "--first-id", "1000")
	r := &remote{base: s.URL, http: http.DefaultClient}
	defer http.DefaultClient.CloseIdleConnections()
	var count struct{ Count int }
	if err := r.result(t.Context(), http.MethodPost, collection("plain", "/points/count"), map[string]any{}, &count); err != nil || count.Count != 600 {
		t.Errorf("%d points, %v", count.Count, err)
	}

	// With ids and payloads beside them.
	lines := make([]string, len(rows))
	for i := range lines {
		lines[i] = fmt.Sprintf(`{"id":"p%d","payload":{"n":%d}}`, i, i)
	}
	lines[5], lines[6] = `{"payload":{"n":5}}`, `{"id":1,"id":2}`
	beside := filepath.Join(t.TempDir(), "rows.ndjson")
	write := func(lines []string) {
		if err := os.WriteFile(beside, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(lines)
	if got, errors := importing(t, exitFailed, "-c", "rows", "--vectors", path, "--points", beside); got.Points != 299 || got.Bad != 1 || !strings.Contains(errors, "vector 6: line 7") {
		t.Errorf("%+v %s", got, errors)
	}
	if points := stored(t, s, "rows", "p9", 5); len(points) != 2 || points[0].Payload["n"] != 9.0 || points[1].Payload["n"] != 5.0 {
		t.Errorf("%+v", points)
	}
	write(lines[:200])
	if _, errors := importing(t, exitFailed, "-c", "rows", "--vectors", path, "--points", beside); !strings.Contains(errors, "ends after 200 lines") {
		t.Error(errors)
	}
	write(append(slices.Clone(lines), `{"id":1}`))
	if _, errors := importing(t, exitFailed, "-c", "rows", "--vectors", path, "--points", beside); !strings.Contains(errors, "more lines") {
		t.Error(errors)
	}
	// Another dimension, and a collection with a model.
	other, _ := fvecs(t, 3, 4)
	if _, errors := importing(t, exitFailed, "-c", "plain", "--vectors", other); !strings.Contains(errors, "4 dimensions") {
		t.Error(errors)
	}
	var made bool
	if err := r.result(t.Context(), http.MethodPut, "/collections/texts", map[string]any{"embedding": map[string]any{"model": "builtin:hash", "dimensions": 64}}, &made); err != nil {
		t.Fatal(err)
	}
	wide, _ := fvecs(t, 3, 64)
	_, errors := importing(t, exitFailed, "-c", "texts", "--vectors", wide)
	if !strings.Contains(errors, "--fingerprint") {
		t.Error(errors)
	}
	_, have, _ := strings.Cut(errors, "X-Vecino-Fingerprint: ")
	unit := make([]byte, 64*4)
	binary.LittleEndian.PutUint32(unit[12:], 0x3f800000) // 1
	if err := os.WriteFile(wide+".f32", unit, 0o600); err != nil {
		t.Fatal(err)
	}
	importing(t, exitOK, "-c", "texts", "--vectors", wide+".f32", "--dim", "64", "--fingerprint", have[:64])
	importing(t, exitRefused, "-c", "texts", "--vectors", wide+".f32", "--dim", "64", "--fingerprint", strings.Repeat("ab", 32))
}

func TestImportSavedGraph(t *testing.T) {
	s := serving(t)
	_, rows := fvecs(t, 40, 5)
	keys := make([]string, len(rows))
	for i := range keys {
		keys[i] = fmt.Sprint("k", i)
	}
	keys[3], keys[4] = "17", strings.Repeat("x", 600)
	rows[7] = make([]float32, 5) // has no direction
	path := savedGraph(t, "cosine", keys, rows)
	got, errors := importing(t, exitFailed, "-c", "saved", "--coder-hnsw", path)
	if got.Points != 38 || got.Bad != 2 || !strings.Contains(errors, "vector 4: ") || !strings.Contains(errors, "vector 7: ") {
		t.Errorf("%+v %s", got, errors)
	}
	points := stored(t, s, "saved", "k9", "17")
	if len(points) != 2 || !slices.Equal(points[0].Vector, rows[9]) || points[1].ID != "17" {
		t.Errorf("%+v, want %v", points, rows[9])
	}
	importing(t, exitFailed, "-c", "saved", "--coder-hnsw", path, "--keys", "string")
	if _, errors := importing(t, exitFailed, "-c", "none", "--coder-hnsw", path, "--keys", "uint8"); !strings.Contains(errors, "--keys") {
		t.Error(errors)
	}
	own := savedGraph(t, "manhattan", keys[:2], rows[:2])
	if _, errors := importing(t, exitFailed, "-c", "own", "--coder-hnsw", own); !strings.Contains(errors, "--distance") {
		t.Error(errors)
	}
	importing(t, exitOK, "-c", "own", "--coder-hnsw", own, "--distance", "Dot")
	// A damaged file brings nothing.
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data[:len(data)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	importing(t, exitFailed, "-c", "cut", "--coder-hnsw", path)
	if status, _, errors := vecino(t, "manifest", "show", "-c", "cut"); status != exitFailed {
		t.Errorf("a damaged file made a collection: %s", errors)
	}
}

func TestImportUsage(t *testing.T) {
	path, _ := fvecs(t, 2, 2)
	for _, args := range [][]string{
		{"-c", "a"},
		{"-c", "a", "--vectors", path, "--coder-hnsw", path},
		{"-c", "a", "--coder-hnsw", path, "--points", path},
		{"-c", "a", "--vectors", path, "--skip", "-1"},
		{"-c", "a", "--vectors", path, "--distance", "Manhattan"},
	} {
		importing(t, exitUsage, args...)
	}
	importing(t, exitFailed, "-c", "a", "--vectors", filepath.Join(t.TempDir(), "absent.npy"))
}

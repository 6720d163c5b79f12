package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// broughtFiles are the vectors of a built-in model in a file, and the points in
// another, their texts in the payload.
func broughtFiles(t *testing.T, n int) (vectors, points string) {
	t.Helper()
	s := serving(t)
	r := &remote{base: s.URL, http: http.DefaultClient}
	defer http.DefaultClient.CloseIdleConnections()
	var texts []string
	for i := range n {
		texts = append(texts, fmt.Sprintf("harbour %d with ferry %d and storm %d", i, i*7, i*13))
	}
	var got struct {
		Data []struct{ Embedding []float32 }
	}
	if err := r.call(t.Context(), http.MethodPost, "/v1/embeddings", map[string]any{"model": "builtin:hash", "dimensions": 256, "input": texts, "input_type": "document"}, &got); err != nil {
		t.Fatal(err)
	}
	var rows, lines bytes.Buffer
	for i, text := range texts {
		binary.Write(&rows, binary.LittleEndian, int32(256))
		binary.Write(&rows, binary.LittleEndian, got.Data[i].Embedding)
		fmt.Fprintf(&lines, "{\"id\":%d,\"payload\":{\"body\":%q}}\n", i, text)
	}
	dir := t.TempDir()
	vectors, points = filepath.Join(dir, "v.fvecs"), filepath.Join(dir, "p.ndjson")
	for path, data := range map[string][]byte{vectors: rows.Bytes(), points: lines.Bytes()} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return vectors, points
}

// TestManifestAdopt: on a server and on a stopped store, another model is
// refused with exit 3, and the true one is found, tried and taken.
func TestManifestAdopt(t *testing.T) {
	vectors, points := broughtFiles(t, 30)
	data := filepath.Join(t.TempDir(), "data")
	for _, at := range [][]string{nil, {"--data", data}} {
		do := func(want int, words string, says ...string) string {
			t.Helper()
			status, out, errors := vecino(t, append(strings.Fields(words), at...)...)
			if status != want {
				t.Fatalf("%s: exit %d, want %d\n%s%s", words, status, want, out, errors)
			}
			for _, word := range says {
				if !strings.Contains(out+errors, word) {
					t.Errorf("%s does not say %q:\n%s%s", words, word, out, errors)
				}
			}
			return out
		}
		do(exitOK, "import -c docs --vectors "+vectors+" --points "+points)
		adopt := "manifest adopt -c docs --text-field body --model "
		do(exitRefused, adopt+"builtin:static", "refused", "30 of 30", "what to do: another model", "WORST POINTS", "did not make the vectors")
		do(exitRefused, adopt+"builtin:hash", "256 dimensions")
		do(exitRefused, "manifest adopt -c docs --model builtin:hash --dimensions 256", "text_field")
		do(exitRefused, adopt+"builtin:static --dry-run", "refused", "not adopted", "what to do")
		do(exitUsage, "manifest adopt -c docs")
		for _, n := range []string{"-1", "0", "9", "10001"} {
			do(exitUsage, adopt+"builtin:hash --sample="+n, "10 to 10000")
		}
		do(exitOK, "manifest adopt --help", "10 to 10000")
		do(exitFailed, adopt+"builtin:hash --dimensions 256 --no-normalize", "builtin:hash")
		do(exitFailed, adopt+"local:nothing", "there is no model")
		do(exitOK, adopt+"builtin:hash --dimensions 256 --dry-run", "proved", "not adopted", "none: every text was compared")
		do(exitOK, "manifest show -c docs", "unverified")
		var got adoption
		if err := json.Unmarshal([]byte(do(exitOK, adopt+"builtin:hash --dimensions 256 --sample 20 --json")), &got); err != nil || !got.Adopted || got.Sampled != 20 || got.Points != 30 {
			t.Errorf("%+v, %v", got, err)
		}
		if shown := do(exitOK, "manifest show -c docs", got.To, "adopted", "20 of 30 points compared", "builtin:hash"); strings.Contains(shown, "nothing is known") {
			t.Errorf("it is unverified still:\n%s", shown)
		}
		do(exitOK, "manifest history -c docs", "the first; adopted", "20 of 30 points compared")
		do(exitFailed, adopt+"builtin:hash --dimensions 256", "already")
		do(exitOK, "query -c docs storm", "harbour")
	}
}

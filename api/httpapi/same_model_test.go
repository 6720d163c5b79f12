package httpapi

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/vecino-db/vecino/api"
)

// sharedModel locates a real model, or skips.
func sharedModel(t *testing.T, name string) string {
	t.Helper()
	root := os.Getenv("VECINO_SHARED")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "data")
	}
	path := filepath.Join(root, "models", name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no shared data: %v (set VECINO_SHARED to its directory)", err)
	}
	return path
}

// install copies a model to a directory of models, in place of what is there.
func install(t *testing.T, from, to string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// TestSameModel: a model is its files and not its name. With real models: the
// same one under another name is the same; another one under the same name, of
// the same dimension, is another space, also to a server that finds it when it
// starts.
func TestSameModel(t *testing.T) {
	one, other := sharedModel(t, "model2vec-test-model-float32"), sharedModel(t, "model2vec-test-model-int8")
	data, models := t.TempDir(), t.TempDir()
	install(t, one, filepath.Join(models, "a"))
	install(t, one, filepath.Join(models, "renamed"))
	install(t, other, filepath.Join(models, "b"))
	s := startWith(t, data, api.Options{Models: models})
	s.must(200, "PUT", "/collections/c", `{"embedding":{"model":"local:a"}}`)
	points := `{"points":[{"id":1,"text":"the harbour in the morning"},{"id":2,"text":"bread and yeast"}]}`
	s.must(200, "PUT", "/collections/c/points?wait=true", points)
	query := `{"query":{"text":"the ferry of the harbour"},"limit":2}`
	before := s.must(200, "POST", "/collections/c/points/query", query)

	diff := func(model string) reply {
		return s.must(200, "POST", "/collections/c/manifest/diff", `{"embedding":{"model":"`+model+`"}}`)
	}
	if r := diff("local:renamed"); r.at(t, "result", "verdict") != "same" || r.at(t, "result", "plan", "calls_encoder") != false {
		t.Errorf("the same files under another name: %s", r.body)
	}
	r := diff("local:b")
	if r.at(t, "result", "verdict") != "reembed" || r.at(t, "result", "plan", "documents") != 2.0 || r.at(t, "result", "plan", "calls_encoder") != true {
		t.Errorf("another model: %s", r.body)
	}
	for _, c := range r.at(t, "result", "changes").([]any) {
		if field := c.(map[string]any)["field"]; field == "space.dimension" {
			t.Fatalf("the two models differ in dimension, so this proves little: %s", r.body)
		}
	}
	s.stop()

	// The other model takes the name, while nobody looks.
	install(t, other, filepath.Join(models, "a"))
	s = startWith(t, data, api.Options{Models: models})
	if r := s.must(409, "POST", "/collections/c/points/query", query); r.at(t, "changes", 0, "field") != "space.weights" || r.at(t, "changes", 0, "verdict") != "reembed" || r.at(t, "remedy") == "" {
		t.Errorf("another model under the same name: %s", r.body)
	}
	s.must(409, "PUT", "/collections/c/points?wait=true", points)
	s.must(200, "POST", "/collections/c/points/query", `{"query":1,"limit":2}`)
	s.stop()

	// And gives it back.
	install(t, one, filepath.Join(models, "a"))
	s = startWith(t, data, api.Options{Models: models})
	after := s.must(200, "POST", "/collections/c/points/query", query)
	if before.at(t, "result", "points", 0, "score") != after.at(t, "result", "points", 0, "score") {
		t.Errorf("with its model again: %s, before %s", after.body, before.body)
	}
}

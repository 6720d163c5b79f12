package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed/weights"
	"github.com/vecino-db/vecino/index/filter"
	"github.com/vecino-db/vecino/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// writeModel makes a static model of three colours; scale tells variants apart
// that share name, tokenizer and dimension.
func writeModel(t *testing.T, dir string, red []float32) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	put := func(name string, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// Every probe text has a character of this vocabulary or [UNK].
	words := []string{"[PAD]", "[UNK]", "red", "blue", "green", ".", "the"}
	rows := append([]float32{9, 9, 9, 0.1, 0.2, 0.3}, red...)
	rows = append(rows, 0, 1, 0, 0, 0, 1, 0.3, 0.1, 0.2, 0.2, 0.2, 0.1)
	var tensors bytes.Buffer
	if err := weights.Write(&tensors, []weights.Entry{weights.Float32Entry("embeddings", []int{len(words), 3}, rows)}, nil); err != nil {
		t.Fatal(err)
	}
	ids := map[string]int{}
	for i, w := range words {
		ids[w] = i
	}
	tokenizer, err := json.Marshal(map[string]any{
		"normalizer": map[string]any{"type": "BertNormalizer"}, "pre_tokenizer": map[string]any{"type": "BertPreTokenizer"},
		"model": map[string]any{"type": "WordPiece", "vocab": ids, "unk_token": "[UNK]"},
	})
	if err != nil {
		t.Fatal(err)
	}
	put("model.safetensors", tensors.Bytes())
	put("tokenizer.json", tokenizer)
	put("config.json", []byte(`{"model_type":"model2vec","architectures":["StaticModel"],"normalize":true}`))
}

// open opens a service over directories.
func open(t *testing.T, data, models string) *Service {
	t.Helper()
	opened, err := store.Open(t.Context(), store.Options{Dir: data, Create: true, MinFreeBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(t.Context(), Options{Store: opened, Models: models, Program: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// shut closes it.
func shut(t *testing.T, s *Service) {
	t.Helper()
	if err := s.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// collectionOf finds a collection that must be there.
func collectionOf(t *testing.T, s *Service, name string) *Collection {
	t.Helper()
	c, err := s.Collection(name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func textQuery(text string) Query { return Query{Text: &text, Limit: 3, Pointer: "/query"} }

// TestModelThatIsGoneOrChanged: the collection stays readable, texts are
// refused with the reason, and all is well again with the model.
func TestModelThatIsGoneOrChanged(t *testing.T) {
	data, models := filepath.Join(t.TempDir(), "data"), t.TempDir()
	dir := filepath.Join(models, "colours")
	writeModel(t, dir, []float32{1, 0, 0})
	s := open(t, data, models)
	c, err := s.Create(t.Context(), "c", Wish{Embedding: &EmbeddingWish{Model: "local:colours"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Upsert(t.Context(), []Point{{ID: store.NumID(1), Text: "red", HasText: true}, {ID: store.NumID(2), Text: "blue", HasText: true}}); err != nil {
		t.Fatal(err)
	}
	shut(t, s)

	readable := func(c *Collection) {
		t.Helper()
		if found, err := c.Points(t.Context(), []store.ID{store.NumID(1)}, true); err != nil || len(found) != 1 || found[0].Text != "red" {
			t.Errorf("Points: %v %v", found, err)
		}
		id := store.NumID(1)
		if a, err := c.Query(t.Context(), Query{ID: &id, Limit: 3}); err != nil || len(a.Hits) != 1 {
			t.Errorf("a query by id: %v %v", a, err)
		}
		if a, err := c.Query(t.Context(), Query{Vector: []float32{0, 1, 0}, Limit: 1}); err != nil || a.Hits[0].ID != store.NumID(2) {
			t.Errorf("a query by vector: %v %v", a, err)
		}
	}

	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	s = open(t, data, models)
	c = collectionOf(t, s, "c")
	readable(c)
	var refused *Error
	if _, err := c.Query(t.Context(), textQuery("red")); !errors.As(err, &refused) || refused.Kind != KindNotReady || refused.Code != "encoder_missing" || refused.Remedy == "" {
		t.Errorf("a text without its model: %v", err)
	}
	if _, err := c.Upsert(t.Context(), []Point{{ID: store.NumID(3), Text: "green", HasText: true}}); !errors.As(err, &refused) || refused.Code != "encoder_missing" {
		t.Errorf("an upsert without the model: %v", err)
	}
	shut(t, s)

	// The same name, tokenizer and dimension, other weights.
	writeModel(t, dir, []float32{0, 0.6, 0.8})
	s = open(t, data, models)
	c = collectionOf(t, s, "c")
	readable(c)
	var mismatch *compat.MismatchError
	if _, err := c.Query(t.Context(), textQuery("red")); !errors.As(err, &mismatch) || len(mismatch.Changes) == 0 || mismatch.Changes[0].Field != "space.weights" {
		t.Errorf("a changed model: %v", err)
	}
	shut(t, s)

	writeModel(t, dir, []float32{1, 0, 0})
	s = open(t, data, models)
	defer shut(t, s)
	c = collectionOf(t, s, "c")
	if a, err := c.Query(t.Context(), textQuery("red")); err != nil || a.Hits[0].ID != store.NumID(1) || a.Tokens != 1 {
		t.Errorf("with its model again: %+v %v", a, err)
	}
}

// TestDriftedEncoder: probes notice at start an encoder that says it is the
// same and gives other vectors.
func TestDriftedEncoder(t *testing.T) {
	data := t.TempDir()
	s := open(t, data, "")
	if _, err := s.Create(t.Context(), "same", Wish{}); err != nil {
		t.Fatal(err)
	}
	m := collectionOf(t, s, "same").Manifest()
	m.Evidence.Probes = slices.Clone(m.Evidence.Probes)
	row := slices.Clone(m.Evidence.Probes[0].Document)
	row[0], row[1], row[2] = row[0]+0.2, row[1]-0.2, row[2]+0.2
	m.Evidence.Probes[0].Document = row
	if _, err := s.store.Create(t.Context(), "drifted", m); err != nil {
		t.Fatal(err)
	}
	shut(t, s)
	s = open(t, data, "")
	defer shut(t, s)
	if _, err := collectionOf(t, s, "same").Query(t.Context(), textQuery("ferry")); err != nil {
		t.Errorf("the same encoder: %v", err)
	}
	var refused *Error
	if _, err := collectionOf(t, s, "drifted").Query(t.Context(), textQuery("ferry")); !errors.As(err, &refused) || refused.Code != "encoder_changed" || refused.Kind != KindConflict {
		t.Errorf("a drifted encoder passed: %v", err)
	}
	if _, err := collectionOf(t, s, "drifted").Query(t.Context(), Query{Vector: row, Limit: 1}); err == nil {
		t.Error("a vector that is not normalized passed")
	}
	if _, err := collectionOf(t, s, "drifted").Query(t.Context(), Query{Vector: m.Evidence.Probes[1].Query, Limit: 1}); err != nil {
		t.Errorf("a query by vector: %v", err)
	}
}

func TestModelNames(t *testing.T) {
	models := t.TempDir()
	outside := t.TempDir()
	writeModel(t, filepath.Join(models, "good"), []float32{1, 0, 0})
	writeModel(t, filepath.Join(outside, "secret"), []float32{1, 0, 0})
	if err := os.Symlink(filepath.Join(outside, "secret"), filepath.Join(models, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(models, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := NewEncoders(EncodersOptions{Models: models})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for _, name := range []string{
		"", "hash", "builtin:", "builtin:HASH", "local:", "local:.", "local:..", "local:../" + filepath.Base(outside), "local:good/../good", "local:/etc", `local:a\b`,
		"local:good\x00", "local:link", "local:file", "local:none", "http://x", "local:.hidden",
	} {
		var refused *Error
		if _, err := e.Open(t.Context(), name, EncoderOptions{}); !errors.As(err, &refused) || refused.Kind != KindNotFound && refused.Kind != KindNotReady || refused.Remedy == "" {
			t.Errorf("%q: %v", name, err)
		}
	}
	a, err := e.Open(t.Context(), "local:good", EncoderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if b, err := e.Open(t.Context(), "local:good", EncoderOptions{}); err != nil || a != b {
		t.Errorf("opened twice: %v", err)
	}
	prompt := "find: "
	p, err := e.Open(t.Context(), "local:good", EncoderOptions{QueryPrompt: &prompt})
	if err != nil || p.Space().QueryPrompt != prompt || p.Space().Fingerprint() == a.Space().Fingerprint() {
		t.Errorf("a prompt: %v", err)
	}
	var refused *Error
	if _, err := e.Open(t.Context(), "local:good", EncoderOptions{Dimensions: 2}); !errors.As(err, &refused) || refused.Kind != KindInvalid {
		t.Errorf("a model that can't be cut: %v", err)
	}
	list, err := e.List(t.Context())
	if err != nil || len(list) != 5 || list[0].Name != ModelBlend || list[1].Name != ModelHash || list[2].Name != ModelStatic || list[3].Name != "local:good" || list[4].Problem == "" {
		t.Errorf("list: %+v %v", list, err)
	}
}

// TestMixedBatch: texts and vectors in one batch end at the right points.
func TestMixedBatch(t *testing.T) {
	models := t.TempDir()
	writeModel(t, filepath.Join(models, "m"), []float32{1, 0, 0})
	s := open(t, t.TempDir(), models)
	defer shut(t, s)
	c, err := s.Create(t.Context(), "c", Wish{Embedding: &EmbeddingWish{Model: "local:m"}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Upsert(t.Context(), []Point{
		{ID: store.NumID(1), Vector: []float32{0, 0, 1}},
		{ID: store.NumID(2), Text: "red", HasText: true},
		{ID: store.NumID(3), Vector: []float32{0, 1, 0}},
		{ID: store.NumID(4), Text: "green", HasText: true},
		{ID: store.NumID(2), Text: "blue", HasText: true}, // the last of two with one id wins
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[uint64][]float32{1: {0, 0, 1}, 2: {0, 1, 0}, 3: {0, 1, 0}, 4: {0, 0, 1}}
	for n, row := range want {
		found, err := c.Points(t.Context(), []store.ID{store.NumID(n)}, true)
		if err != nil || len(found) != 1 {
			t.Fatal(n, err)
		}
		for i := range row {
			if d := found[0].Vector[i] - row[i]; d > 1e-6 || d < -1e-6 {
				t.Errorf("point %d has %v, want %v", n, found[0].Vector, row)
				break
			}
		}
	}
	f, err := filter.Parse([]byte(`{"must":[{"has_id":[1,2]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if d, err := c.Delete(t.Context(), Selection{Filter: f}, true); err != nil || d.Count != 2 {
		t.Errorf("dry run: %+v %v", d, err)
	}
	if d, err := c.Delete(t.Context(), Selection{Filter: f}, false); err != nil || d.Count != 2 {
		t.Errorf("delete: %+v %v", d, err)
	}
	if n, err := c.Count(t.Context(), nil); err != nil || n != 2 {
		t.Errorf("count: %d %v", n, err)
	}
	if err := s.Drop(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Count(t.Context(), nil); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a dropped collection: %v", err)
	}
}

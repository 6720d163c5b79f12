package api

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed/hub"
	"github.com/vecino-db/vecino/store"
)

// sharedModels is the directory of other people's models, or the test skips.
func sharedModels(t *testing.T) string {
	t.Helper()
	root := os.Getenv("VECINO_SHARED")
	if root == "" {
		root = filepath.Join("..", "..", "shared", "data")
	}
	dir, err := filepath.Abs(filepath.Join(root, "models"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no shared data: %v (set VECINO_SHARED to its directory)", err)
	}
	return dir
}

// TestTransformers: collections of a transformer in both precisions, which are
// two spaces; its texts come from the cache the second time; all again after a
// restart.
func TestTransformers(t *testing.T) {
	const name = "local:bert-random-2l-32"
	models, data := sharedModels(t), filepath.Join(t.TempDir(), "data")
	opened := func() *Service {
		inner, err := store.Open(t.Context(), store.Options{Dir: data, Create: true, MinFreeBytes: -1})
		if err != nil {
			t.Fatal(err)
		}
		s, err := New(t.Context(), Options{Store: inner, Models: models, Program: "test", CacheBytes: 4 << 20})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := opened()
	prompt := "find: "
	wishes := map[string]EmbeddingWish{
		"plain": {Model: name}, "int8": {Model: name, Precision: compat.PrecisionInt8}, "prompt": {Model: name, QueryPrompt: &prompt, Precision: compat.PrecisionF32},
	}
	seen := map[compat.Fingerprint]string{}
	for collection, wish := range wishes {
		c, err := s.Create(t.Context(), collection, Wish{Embedding: &wish})
		if err != nil {
			t.Fatal(err)
		}
		if other := seen[c.Fingerprint()]; other != "" {
			t.Errorf("%s and %s have one space", collection, other)
		}
		seen[c.Fingerprint()] = collection
		for range 2 {
			if _, err := c.Upsert(t.Context(), []Point{{ID: store.NumID(1), Text: "a red bicycle", HasText: true}, {ID: store.NumID(2), Text: "the ferry leaves", HasText: true}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if stats := s.CacheStats(); stats.Hits != 6 || stats.Misses != 6 {
		t.Errorf("cache: %+v, want 6 hits and 6 misses", stats)
	}
	var refused *Error
	if _, err := s.Create(t.Context(), "cut", Wish{Embedding: &EmbeddingWish{Model: name, Dimensions: 16}}); !errors.As(err, &refused) || refused.Kind != KindInvalid || strings.Contains(err.Error(), models) {
		t.Errorf("a model that is no Matryoshka: %v", err)
	}
	for _, static := range []string{ModelHash, "local:glove-6b-50d-5k"} {
		if _, err := s.Encoders().Open(t.Context(), static, EncoderOptions{Precision: compat.PrecisionInt8}); !errors.As(err, &refused) || refused.Code != "no_precision" {
			t.Errorf("%s in int8: %v", static, err)
		}
	}
	shut(t, s)

	s = opened()
	defer shut(t, s)
	for collection := range wishes {
		c := collectionOf(t, s, collection)
		if a, err := c.Query(t.Context(), textQuery("a red bicycle")); err != nil || c.Problem() != nil || len(a.Hits) != 2 {
			t.Errorf("%s after a restart: %v %v", collection, err, c.Problem())
		}
	}
	// What the collections have open is what a request without options gets.
	if _, err := s.Encoders().Open(t.Context(), name, EncoderOptions{}); err != nil {
		t.Fatal(err)
	}
	if n := len(s.Encoders().Queues()); n != 3 {
		t.Errorf("%d encoders are open, want 3", n)
	}
}

// TestPulledModels: files that are not what was pulled are refused, with the
// model's label and no path.
func TestPulledModels(t *testing.T) {
	models := t.TempDir()
	dir := filepath.Join(models, "colours")
	writeModel(t, dir, []float32{1, 0, 0})
	lock := hub.Lock{Schema: hub.LockSchema, Hub: "https://hub.example", Repository: "org/colours", Revision: "main", Commit: strings.Repeat("ab", 20), Licence: "mit"}
	for _, name := range []string{"config.json", "model.safetensors", "tokenizer.json"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(content)
		lock.Files = append(lock.Files, hub.File{Path: name, Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:])})
	}
	text, err := json.Marshal(lock)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, hub.LockName), text, 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, t.TempDir(), models)
	defer shut(t, s)
	m, err := s.Encoders().Describe(t.Context(), "local:colours")
	if err != nil || m.Info.Licence != "mit" || m.Info.Source != "org/colours@"+lock.Commit {
		t.Fatalf("%+v %v", m, err)
	}
	writeModel(t, dir, []float32{0, 1, 0})
	var refused *Error
	_, err = s.Create(t.Context(), "c", Wish{Embedding: &EmbeddingWish{Model: "local:colours"}})
	if !errors.As(err, &refused) || refused.Kind != KindNotReady || refused.Code != "model_changed" || !strings.Contains(refused.Remedy, "models pull") {
		t.Errorf("changed files: %v", err)
	}
	if strings.Contains(fmt.Sprint(err), models) {
		t.Errorf("the error tells a path: %v", err)
	}
	if m, err := s.Encoders().Describe(t.Context(), "local:colours"); err == nil {
		t.Errorf("described all the same: %+v", m)
	}
}

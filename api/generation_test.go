package api

import (
	"path/filepath"
	"testing"

	"github.com/vecino-db/vecino/compat"
)

// TestGenerationModels: a model that is another than the one that made the
// vectors is told from the others.
func TestGenerationModels(t *testing.T) {
	data, models := filepath.Join(t.TempDir(), "data"), t.TempDir()
	dir := filepath.Join(models, "colours")
	writeModel(t, dir, []float32{1, 0, 0})
	s := open(t, data, models)
	filled(t, s, "a", 3)
	if _, err := s.Create(t.Context(), "b", Wish{Embedding: &EmbeddingWish{Model: "local:colours"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(t.Context(), "raw", Wish{Vectors: &VectorsWish{Size: 4, Metric: compat.MetricDot}}); err != nil {
		t.Fatal(err)
	}
	shut(t, s)
	writeModel(t, dir, []float32{0, 1, 0})
	s = open(t, data, models)
	defer func() { shut(t, s) }()
	want := []GenerationModel{{"a", 1, ModelHash, false}, {"b", 1, "local:colours", true}}
	if got := s.GenerationModels(); len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("%+v, want %+v", got, want)
	}
}

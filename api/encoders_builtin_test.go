package api

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
)

// TestBuiltins: collections of every built-in model, open again after a
// restart, and refused to each other.
func TestBuiltins(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "data"), "")
	defer shut(t, s)
	no, prompt := false, "query: "
	for model, dimension := range map[string]int{ModelHash: 512, ModelStatic: 256, ModelBlend: 768} {
		c, err := s.Create(t.Context(), model[len("builtin:"):], Wish{Embedding: &EmbeddingWish{Model: model}})
		if err != nil {
			t.Fatal(err)
		}
		m := c.Manifest()
		if m.Space.Dimension != dimension || m.Provenance.Model != model || !m.Provenance.Verified {
			t.Errorf("%s: manifest %+v", model, m)
		}
		// The encoder that a manifest names is the one that it was made with.
		again, err := s.encoderOf(t.Context(), m)
		if err != nil || !again.Space().Fingerprint().Matches(m.Space.Fingerprint()) {
			t.Errorf("%s: opened again: %v", model, err)
		}
		again.release()
		for what, o := range map[string]EncoderOptions{"prompt": {QueryPrompt: &prompt}, "plain": {Normalize: &no}, "int8": {Precision: compat.PrecisionInt8}, "odd": {Dimensions: 63}} {
			var refused *Error
			if _, err := s.Encoders().Open(t.Context(), model, o); !errors.As(err, &refused) || refused.Kind != KindInvalid {
				t.Errorf("%s, %s: %v", model, what, err)
			}
		}
	}
	short, err := s.Create(t.Context(), "short", Wish{Embedding: &EmbeddingWish{Model: ModelStatic, Dimensions: 64}})
	if err != nil || short.Manifest().Space.Dimension != 64 || short.Manifest().Space.FullDimension != 256 {
		t.Fatalf("64 dimensions: %v", err)
	}
	if e, err := s.encoderOf(t.Context(), short.Manifest()); err != nil || e.Space() != short.Manifest().Space {
		t.Errorf("64 dimensions, opened again: %v", err)
	} else if _, err := e.Encode(t.Context(), embed.RoleQuery, []string{"a text"}); err != nil {
		t.Error(err)
	}
}

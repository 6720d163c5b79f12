package api

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/store"
)

// TestVariantsGoWhenNothingNeedsThem: more variants than may be open can be
// asked for, one after the other and at the same time, and those of collections
// stay.
func TestVariantsGoWhenNothingNeedsThem(t *testing.T) {
	s := open(t, t.TempDir(), "")
	defer shut(t, s)
	c, err := s.Create(t.Context(), "c", Wish{Embedding: &EmbeddingWish{Model: ModelHash, Dimensions: 64}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Upsert(t.Context(), []Point{{ID: store.NumID(1), Text: "rye bread", HasText: true}}); err != nil {
		t.Fatal(err)
	}
	embedAt := func(dimensions int) {
		if got, err := s.Embed(t.Context(), EmbedRequest{Model: ModelHash, Texts: []string{"a"}, Role: embed.RoleQuery, Dimensions: dimensions}); err != nil || got.Vectors.Dim() != dimensions {
			t.Errorf("%d dimensions: %v", dimensions, err)
		}
	}
	for i := range 3 * maxOpenEncoders {
		embedAt(65 + i)
	}
	var group sync.WaitGroup
	for g := range 4 {
		group.Go(func() {
			for i := range maxOpenEncoders {
				embedAt(300 + (i*7+g*31)%(2*maxOpenEncoders))
			}
		})
	}
	group.Wait()
	if n := len(s.encoders.open); n > maxOpenEncoders {
		t.Errorf("%d variants are open", n)
	}
	if a, err := c.Query(t.Context(), textQuery("bread")); err != nil || len(a.Hits) != 1 {
		t.Errorf("the collection lost its encoder: %+v %v", a, err)
	}

	// Collections alone can hold every place; a deleted one gives its own back.
	for i := range maxOpenEncoders - 1 {
		if _, err := s.Create(t.Context(), fmt.Sprint("c", i), Wish{Embedding: &EmbeddingWish{Model: ModelHash, Dimensions: 1000 + i}}); err != nil {
			t.Fatal(i, err)
		}
	}
	var refused *Error
	if _, err := s.Create(t.Context(), "more", Wish{Embedding: &EmbeddingWish{Model: ModelHash, Dimensions: 2000}}); !errors.As(err, &refused) || refused.Code != "too_many_encoders" || refused.Remedy == "" {
		t.Errorf("one more than there is room for: %v", err)
	}
	if err := s.Drop(t.Context(), "c7"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(t.Context(), "more", Wish{Embedding: &EmbeddingWish{Model: ModelHash, Dimensions: 2000}}); err != nil {
		t.Errorf("after a deletion: %v", err)
	}
	for key, slot := range s.encoders.open {
		if n := slot.encoder.hold.n; n != 1 {
			t.Errorf("%s is needed %d times, by one collection", key, n)
		}
	}
}

package api

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/store"
)

// TestWishesThatNobodyCanFulfil: over a collection that is there they fail as
// at its creation, instead of passing for what is there.
func TestWishesThatNobodyCanFulfil(t *testing.T) {
	s := open(t, t.TempDir(), t.TempDir())
	defer shut(t, s)
	if _, err := s.Create(t.Context(), "c", Wish{Embedding: &EmbeddingWish{Model: ModelHash}}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		wish EmbeddingWish
		kind Kind
		code string
	}{
		{EmbeddingWish{Model: "local:none"}, KindNotFound, "unknown_model"},
		{EmbeddingWish{Model: "nonsense"}, KindNotFound, "unknown_model"},
		{EmbeddingWish{Model: ModelHash, Dimensions: 63}, KindInvalid, "bad_dimension"},
		{EmbeddingWish{Model: ModelHash, Dimensions: 64}, KindConflict, "collection_exists"},
		{EmbeddingWish{Model: ModelHash}, KindConflict, "collection_exists"},
	} {
		var refused *Error
		_, err := s.Create(t.Context(), "c", Wish{Embedding: &c.wish})
		if !errors.As(err, &refused) || refused.Kind != c.kind || refused.Code != c.code {
			t.Errorf("%+v: %v", c.wish, err)
		}
		if want := c.wish.Dimensions == 64; errors.Is(err, compat.ErrMismatch) != want {
			t.Errorf("%+v: a mismatch must be said, %v: %v", c.wish, want, err)
		}
	}
}

// stuck is a context at whose first look an operation stays until it may leave.
type stuck struct {
	context.Context
	once           sync.Once
	entered, leave chan struct{}
}

func (c *stuck) Err() error {
	c.once.Do(func() { close(c.entered); <-c.leave })
	return c.Context.Err()
}

// TestDropStallsNobodyElse: while a deletion waits for an operation in its
// collection, the others answer and nobody finds the one that goes.
func TestDropStallsNobodyElse(t *testing.T) {
	s := open(t, t.TempDir(), "")
	defer shut(t, s)
	for _, name := range []string{"goes", "stays"} {
		c, err := s.Create(t.Context(), name, Wish{Embedding: &EmbeddingWish{Model: ModelHash, Dimensions: 64}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Upsert(t.Context(), []Point{{ID: store.NumID(1), Text: "rye bread", HasText: true}}); err != nil {
			t.Fatal(err)
		}
	}
	goes := collectionOf(t, s, "goes")
	ctx := &stuck{Context: t.Context(), entered: make(chan struct{}), leave: make(chan struct{})}
	var group sync.WaitGroup
	group.Go(func() {
		if _, _, err := goes.Scroll(ctx, store.ScrollQuery{Limit: 1}); err != nil {
			t.Errorf("the operation under way: %v", err)
		}
	})
	<-ctx.entered
	dropped := make(chan error, 1)
	go func() { dropped <- s.Drop(context.Background(), "goes") }()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := s.Collection("goes"); errors.Is(err, store.ErrNotFound) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the collection is found while it goes")
		}
	}
	answered := make(chan error, 1)
	go func() {
		c, err := s.Collection("stays")
		if err == nil {
			_, err = c.Query(t.Context(), textQuery("bread"))
		}
		answered <- err
	}()
	select {
	case err := <-answered:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Error("a query of another collection waits for the deletion")
	}
	select {
	case err := <-dropped:
		t.Errorf("the deletion did not wait for the operation: %v", err)
	default:
	}
	close(ctx.leave)
	group.Wait()
	if err := <-dropped; err != nil {
		t.Error(err)
	}
	if _, err := s.Create(t.Context(), "goes", Wish{}); err != nil {
		t.Errorf("again after the deletion: %v", err)
	}
}

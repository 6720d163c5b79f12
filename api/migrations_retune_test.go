package api

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/vecino-db/vecino/compat/migrate"
	"github.com/vecino-db/vecino/store"
)

// TestRetuneBesideAScan: a query prompt changes while the graph is compared with
// a scan, which may last for minutes. Texts are asked and written meanwhile.
func TestRetuneBesideAScan(t *testing.T) {
	models := t.TempDir()
	writeModel(t, filepath.Join(models, "one"), []float32{1, 0, 0})
	s := open(t, t.TempDir(), models)
	defer func() { shut(t, s) }()
	wish := EmbeddingWish{Model: "local:one"}
	c, err := s.Create(t.Context(), "c", Wish{Embedding: &wish})
	if err != nil {
		t.Fatal(err)
	}
	red := []Point{{ID: store.NumID(1), Text: "red", HasText: true}, {ID: store.NumID(2), Text: "blue", HasText: true}}
	if _, err := c.Upsert(t.Context(), red); err != nil {
		t.Fatal(err)
	}
	scanning, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	var work sync.WaitGroup
	work.Go(func() {
		_, err := c.stored.MeasureRecall(t.Context(), store.RecallQuery{Sample: 10, K: 1, Breathe: func() {
			once.Do(func() { close(scanning) })
			<-release
		}})
		if err != nil && !errors.Is(err, store.ErrGeneration) {
			t.Error(err)
		}
	})
	<-scanning
	prompt := "the "
	wish.QueryPrompt = &prompt
	work.Go(func() {
		if m, err := s.Migrate(t.Context(), c, MigrationWish{Wish: Wish{Embedding: &wish}}); err != nil || m.State != migrate.Committed {
			t.Errorf("%s %v", m.State, err)
		}
	})
	for c.Manifest().Space.QueryPrompt != prompt {
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	text := "red"
	if a, err := c.Query(ctx, Query{Text: &text, Limit: 1}); err != nil || len(a.Hits) != 1 || a.Hits[0].ID != store.NumID(1) {
		t.Errorf("a text: %+v %v", a.Hits, err)
	}
	if _, err := c.Upsert(ctx, red); err != nil {
		t.Errorf("a write: %v", err)
	}
	close(release)
	work.Wait()
}

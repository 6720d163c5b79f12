package api

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/compat/migrate"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/store"
)

// TestSwappedModel: another model behind the name is noticed before one vector
// of it is stored, searched with or cached, though the next comparison by
// schedule is an hour away.
func TestSwappedModel(t *testing.T) {
	data, e := filepath.Join(t.TempDir(), "data"), newEndpoint(t)
	s := openRemote(t, data, e, time.Hour)
	c := remoteCollection(t, s, "written")
	asked := remoteCollection(t, s, "asked")
	d, err := s.Create(t.Context(), "migrated", hashWish(64))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Upsert(t.Context(), seasons(0, 200)); err != nil {
		t.Fatal(err)
	}
	vector := c.Manifest().Evidence.Probes[0].Document
	stored := func(c *Collection) (rows [][]float32) {
		t.Helper()
		for _, id := range []uint64{1, 2} {
			v, err := c.stored.Vector(t.Context(), store.NumID(id))
			if err != nil {
				t.Fatal(err)
			}
			rows = append(rows, v.Row(0))
		}
		return rows
	}
	before := fmt.Sprint(stored(c))

	e.set(func() { e.salt = "another model altogether " })
	var refused *Error
	// A write that replaces, and one that is new.
	_, err = c.Upsert(t.Context(), []Point{{ID: store.NumID(1), Text: "green lantern", HasText: true}, {ID: store.NumID(3), Text: "velvet saddle", HasText: true}})
	if !errors.As(err, &refused) || refused.Code != "encoder_changed" || !errors.Is(err, compat.ErrProbe) {
		t.Errorf("the first write: %v", err)
	}
	if n, err := c.Count(t.Context(), nil); n != 2 || err != nil || fmt.Sprint(stored(c)) != before {
		t.Errorf("%d points (%v), or others than before", n, err)
	}
	if _, err := asked.Query(t.Context(), textQuery("copper whistle")); !errors.As(err, &refused) || refused.Code != "encoder_changed" {
		t.Errorf("the first query: %v", err)
	}
	drifted(t, c, vector)
	drifted(t, asked, vector)

	// In the middle of a migration.
	e.set(func() { e.salt = "" })
	for _, r := range s.remoteGenerations() {
		s.checkEndpoint(t.Context(), r.c, r.g)
	}
	m, err := s.Migrate(t.Context(), d, MigrationWish{Wish: Wish{Embedding: &EmbeddingWish{Model: "openai:m"}}, Limits: migrate.Limits{Batch: 8, TokensPerSecond: 4000}})
	if err != nil {
		t.Fatal(err)
	}
	waitUntil(t, func() bool { now, _ := s.Migration(t.Context(), d, m.ID); return now.Progress.Done > 20 })
	e.set(func() { e.salt = "another model altogether " })
	waitUntil(t, func() bool { now, _ := s.Migration(t.Context(), d, m.ID); return now.State == migrate.Failed })
	if now, _ := s.Migration(t.Context(), d, m.ID); !strings.Contains(now.Reason, "probe") || now.Progress.Done >= 200 {
		t.Errorf("the migration: %q, %+v", now.Reason, now.Progress)
	}
	e.set(func() { e.salt = "" })
	for _, r := range s.remoteGenerations() {
		s.checkEndpoint(t.Context(), r.c, r.g)
	}
	if _, err := s.MigrationStep(t.Context(), d, m.ID, migrate.EventResume, StepOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, s, d, m.ID, migrate.Ready)
	finds(t, d, seasons(0, 200))
	shut(t, s)

	// What the other model made is not in the cache either.
	e.set(func() { e.salt = "" })
	s = openRemote(t, data, e, time.Hour)
	defer func() { shut(t, s) }()
	c = collectionOf(t, s, "written")
	if _, err := c.Upsert(t.Context(), []Point{{ID: store.NumID(3), Text: "velvet saddle", HasText: true}}); err != nil {
		t.Fatal(err)
	}
	if a, err := c.Query(t.Context(), textQuery("velvet saddle")); err != nil || a.Hits[0].ID != store.NumID(3) || a.Hits[0].Score < 0.2 {
		t.Errorf("after the first model came back: %+v %v", a.Hits, err)
	}
	want, err := c.encode(t.Context(), c.serving(), embed.RoleDocument, []string{"velvet saddle"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.stored.Vector(t.Context(), store.NumID(3))
	if err != nil || fmt.Sprint(want.Vectors.Row(0)) != fmt.Sprint(got.Row(0)) {
		t.Errorf("the stored vector is not the model's: %v", err)
	}
}

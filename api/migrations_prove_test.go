package api

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/compat/migrate"
	"github.com/vecino-db/vecino/store"
)

// TestRebuildWithoutItsModel: an index is built anew while the model of its
// vectors is away, or another has its name. The vectors stay whose they are: the
// other model never comes in, and the first one is taken when it is back.
func TestRebuildWithoutItsModel(t *testing.T) {
	for _, test := range []struct {
		name string
		code string // of what a text is refused with; "": as of another space
		to   func(t *testing.T, dir string)
	}{
		{"gone", "encoder_missing", func(t *testing.T, dir string) {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}},
		{"replaced", "", func(t *testing.T, dir string) { writeModel(t, dir, []float32{0, 0.6, 0.8}) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			data, models := t.TempDir(), t.TempDir()
			dir := filepath.Join(models, "one")
			writeModel(t, dir, []float32{1, 0, 0})
			s := open(t, data, models)
			again := func() *Collection {
				t.Helper()
				shut(t, s)
				s = open(t, data, models)
				return collectionOf(t, s, "c")
			}
			c, err := s.Create(t.Context(), "c", Wish{Embedding: &EmbeddingWish{Model: "local:one"}})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Upsert(t.Context(), []Point{{ID: store.NumID(1), Text: "red", HasText: true}, {ID: store.NumID(2), Text: "blue", HasText: true}}); err != nil {
				t.Fatal(err)
			}
			probes := c.Manifest().Evidence.Probes
			test.to(t, dir)
			c = again()
			refuses := func(when string) {
				t.Helper()
				_, err := c.Query(t.Context(), textQuery("red"))
				var refused *Error
				var mismatch *compat.MismatchError
				if errors.As(err, &refused) && refused.Code == test.code || test.code == "" && errors.As(err, &mismatch) {
					return
				}
				t.Errorf("%s: a text is answered by %v", when, err)
			}
			refuses("before")
			m, err := s.Migrate(t.Context(), c, MigrationWish{Wish: Wish{Index: IndexWish{M: 24}}, Auto: true})
			if err != nil {
				t.Fatal(err)
			}
			await(t, s, c, m.ID, migrate.RollbackWindow)
			refuses("behind the cut-over")
			if _, err := s.MigrationStep(t.Context(), c, m.ID, migrate.EventCommit, StepOptions{}); err != nil {
				t.Fatal(err)
			}
			if have := c.Manifest(); have.Index.M != 24 || !reflect.DeepEqual(have.Evidence.Probes, probes) {
				t.Errorf("the manifest behind it: %+v", have)
			}
			writeModel(t, dir, []float32{1, 0, 0})
			c = again()
			if ids, _ := idsOf(t, c, "red"); len(ids) != 2 || ids[0] != store.NumID(1) {
				t.Errorf("with the model back: %v", ids)
			}
			shut(t, s)
		})
	}
}

// TestRebuildBesideADeadEndpoint: an index is built anew, or of fewer components,
// while the endpoint of its model is away, and texts are answered when it is back.
func TestRebuildBesideADeadEndpoint(t *testing.T) {
	data, e := t.TempDir(), newEndpoint(t)
	s := openRemote(t, data, e, 20*time.Millisecond)
	defer func() { shut(t, s) }()
	c := remoteCollection(t, s, "c")
	e.set(func() { e.down = true })
	m, err := s.Migrate(t.Context(), c, MigrationWish{Wish: Wish{Index: IndexWish{Encoding: compat.EncodingInt8}}, Auto: true})
	if err != nil {
		t.Fatal(err)
	}
	await(t, s, c, m.ID, migrate.RollbackWindow)
	if _, err := s.MigrationStep(t.Context(), c, m.ID, migrate.EventCommit, StepOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Query(t.Context(), textQuery("red bicycle")); err == nil {
		t.Error("a text is answered without its encoder")
	}
	e.set(func() { e.down = false })
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		a, err := c.Query(t.Context(), textQuery("red bicycle"))
		if err == nil && a.Hits[0].ID == store.NumID(1) {
			break
		}
		if time.Now().After(end) {
			t.Fatal(a.Hits, err)
		}
	}
}

// TestMigrationDerives: vectors that follow from those there are need no encoder,
// and what is written meanwhile follows, too.
func TestMigrationDerives(t *testing.T) {
	data := t.TempDir()
	s := open(t, data, "")
	defer func() { shut(t, s) }()
	c, err := s.Create(t.Context(), "c", Wish{Embedding: &EmbeddingWish{Model: ModelStatic}})
	if err != nil {
		t.Fatal(err)
	}
	texts := func(from, to int) (points []Point) {
		for i := from; i < to; i++ {
			points = append(points, Point{ID: store.NumID(uint64(i)), Text: fmt.Sprint(things[i%len(things)], " and ", others[i/len(things)]), HasText: true})
		}
		return points
	}
	if _, err := c.Upsert(t.Context(), texts(0, 60)); err != nil {
		t.Fatal(err)
	}
	dimension := c.Manifest().Space.Dimension
	for _, test := range []struct {
		name string
		wish Wish
	}{
		{"encoding", Wish{Index: IndexWish{Encoding: compat.EncodingInt8}}},
		{"dimensions", Wish{Embedding: &EmbeddingWish{Model: ModelStatic, Dimensions: dimension / 2}}},
	} {
		m, err := s.Migrate(t.Context(), c, MigrationWish{Wish: test.wish, Limits: migrate.Limits{Batch: 8}})
		if err != nil || m.Verdict != compat.VerdictDerive {
			t.Fatalf("%s: %s %v", test.name, m.Verdict, err)
		}
		if _, err := c.Upsert(t.Context(), texts(50, 70)); err != nil {
			t.Fatal(err)
		}
		m = await(t, s, c, m.ID, migrate.Ready)
		if m.Progress.Encoded != 0 || m.Progress.Tokens != 0 || m.Progress.Done != 70 {
			t.Errorf("%s: %+v", test.name, m.Progress)
		}
		// Rows are those that the model itself makes for the new space.
		target := c.now().standby
		for _, p := range texts(0, 70) {
			a, err := c.queryIn(t.Context(), c.now(), target, Query{Text: &p.Text, Limit: 1})
			if err != nil || len(a.Hits) != 1 || a.Hits[0].ID != p.ID || a.Hits[0].Score < 0.99 {
				t.Errorf("%s: %q finds %+v %v", test.name, p.Text, a.Hits, err)
			}
		}
		for _, e := range []migrate.Event{migrate.EventCutOver, migrate.EventRollBack, migrate.EventCutOver, migrate.EventCommit} {
			if _, err := s.MigrationStep(t.Context(), c, m.ID, e, StepOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	have := c.Manifest()
	if have.Space.Dimension != dimension/2 || have.Index.Encoding != compat.EncodingInt8 {
		t.Errorf("at the end: %+v", have)
	}
	encoder := c.serving().encoding.Load().encoder
	if err := checkProbes(t.Context(), encoder.fresh(), have.Evidence.Probes); err != nil || len(have.Evidence.Probes) == 0 || len(have.Evidence.Probes[0].Document) != dimension/2 {
		t.Errorf("%d probes of the vectors that were cut: %v", len(have.Evidence.Probes), err)
	}
}

// things and others are words that builtin:static tells apart.
var (
	things = []string{"harbour", "bicycle", "violin", "bread", "glacier", "lantern", "orchard", "satellite", "pepper", "castle"}
	others = []string{"winter", "doctor", "river", "piano", "justice", "volcano", "printer"}
)

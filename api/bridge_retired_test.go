package api

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vecino-db/vecino/compat/migrate"
	"github.com/vecino-db/vecino/store"
)

// TestRetiredEndpoint: the provider of a collection's model is gone. The
// collection is led to another model; texts are answered meanwhile, what is
// written is never half there, and a rollback that would hide it is refused.
func TestRetiredEndpoint(t *testing.T) {
	const n = 1200
	for _, configured := range []bool{true, false} {
		t.Run(map[bool]string{true: "it is configured and answers no more", false: "it is no longer configured"}[configured], func(t *testing.T) {
			data, e := t.TempDir(), newEndpoint(t)
			s := openRemote(t, data, e, time.Hour)
			c, err := s.Create(t.Context(), "c", Wish{Embedding: &EmbeddingWish{Model: "openai:m"}})
			if err != nil {
				t.Fatal(err)
			}
			texts := bridgeTexts(rand.New(rand.NewPCG(11, 0)), n+20)
			for points := range slices.Chunk(pointsOf(texts[:n]), 400) {
				if _, err := c.Upsert(t.Context(), points); err != nil {
					t.Fatal(err)
				}
			}
			e.set(func() { e.down = true })
			lost := "endpoint_failed"
			again := func() {
				t.Helper()
				shut(t, s)
				if configured {
					s = openRemote(t, data, e, time.Hour)
				} else {
					s = open(t, data, "")
				}
				c = collectionOf(t, s, "c")
			}
			if !configured {
				lost = "encoder_missing"
				again()
			}
			if refused := refusedWith(t, c, lost); !configured && !strings.Contains(refused.Remedy, "bridge") {
				t.Errorf("the refusal leads nowhere: %s", refused.Remedy)
			}
			m, err := s.Migrate(t.Context(), c, MigrationWish{
				Wish: hashWish(128), Bridge: &BridgeWish{Recall: 0.05, Pairs: 1000}, Limits: migrate.Limits{TokensPerSecond: 30_000, Batch: 32},
			})
			if err != nil {
				t.Fatal(err)
			}
			for b := bridgeOf(t, m); b.State == BridgeWaiting; b = bridgeOf(t, m) {
				if m, err = s.Migration(t.Context(), c, m.ID); err != nil || m.State.Final() || m.State == migrate.Failed {
					t.Fatalf("%+v %v", m, err)
				}
			}
			bridged := func(when string) {
				t.Helper()
				if _, a := idsOf(t, c, texts[5]); a.Bridge.IsZero() || a.Generation != 1 || len(a.Hits) != 10 {
					t.Errorf("%s: %d hits of generation %d by the bridge %v", when, len(a.Hits), a.Generation, a.Bridge)
				}
			}
			bridged("while it backfills")
			again()
			bridged("after a restart")

			// Before the cut-over a text has no vector where it would be looked for.
			late := pointsOf(texts)[n:]
			var refused *Error
			if _, err := c.Upsert(t.Context(), late[:10]); !errors.As(err, &refused) || refused.Kind != KindNotReady || refused.Remedy == "" {
				t.Errorf("texts before the cut-over: %v", err)
			}
			if count, err := c.Count(t.Context(), nil); count != n || err != nil {
				t.Errorf("%d points after a refused write, %v", count, err)
			}
			await(t, s, c, m.ID, migrate.Ready)
			step := func(e migrate.Event) (migrate.Migration, error) {
				return s.MigrationStep(t.Context(), c, m.ID, e, StepOptions{})
			}
			if _, err := step(migrate.EventCutOver); err != nil {
				t.Fatal(err)
			}
			// Nothing was written: back and forth.
			if _, err := step(migrate.EventRollBack); err != nil {
				t.Fatal(err)
			}
			bridged("after a rollback")
			if _, err := step(migrate.EventCutOver); err != nil {
				t.Fatal(err)
			}

			// After it texts are taken, and the former generation lacks them.
			if _, err := c.Upsert(t.Context(), late[:10]); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Upsert(t.Context(), []Point{{ID: store.NumID(0), Text: late[10].Text, HasText: true}}); err != nil {
				t.Fatal(err)
			}
			found := func(when string) {
				t.Helper()
				for _, p := range append([]Point{{ID: store.NumID(0), Text: late[10].Text}}, late[:10]...) {
					if ids, a := idsOf(t, c, p.Text); a.Generation != 2 || !a.Bridge.IsZero() || !slices.Contains(ids, p.ID) {
						t.Errorf("%s: generation %d finds %v, not %v", when, a.Generation, ids, p.ID)
					}
				}
			}
			check := func(when string) {
				t.Helper()
				found(when)
				now, err := step(migrate.EventRollBack)
				if !errors.As(err, &refused) || refused.Kind != KindConflict || refused.Code != "incomplete" || now.State != migrate.RollbackWindow {
					t.Fatalf("%s: a rollback to a generation that lacks documents: %v, %s", when, err, now.State)
				}
				for _, want := range []string{"11 of the 1210 documents", "1200", "6 more"} {
					if !strings.Contains(refused.Detail, want) {
						t.Errorf("%s: %q does not say %q", when, refused.Detail, want)
					}
				}
				if !strings.Contains(refused.Remedy, "bring back the model") || !strings.Contains(refused.Remedy, "commit") {
					t.Errorf("%s: remedy %q", when, refused.Remedy)
				}
				found(when + ", after the refusal")
			}
			check("after the cut-over")
			again()
			check("after a restart")
			if configured {
				// The provider is back: what was lacking comes, and nothing is lost.
				e.set(func() { e.down = false })
				again()
				if _, err := step(migrate.EventRollBack); err != nil {
					t.Fatal(err)
				}
				for _, p := range late[:10] {
					if ids, a := idsOf(t, c, p.Text); a.Generation != 1 || !a.Bridge.IsZero() || ids[0] != p.ID {
						t.Errorf("after the rollback generation %d finds %v first, not %v", a.Generation, ids[0], p.ID)
					}
				}
				if _, err := step(migrate.EventCutOver); err != nil {
					t.Fatal(err)
				}
			}
			if m, err = step(migrate.EventCommit); err != nil || m.State != migrate.Committed {
				t.Fatalf("%s %v", m.State, err)
			}
			found("after the commit")
			shut(t, s)
		})
	}
}

// TestSwappedFormerModel: another model stands behind the endpoint of the
// generation that served before the cut-over. Writes into the one that serves
// are none of its business.
func TestSwappedFormerModel(t *testing.T) {
	e := newEndpoint(t)
	s := openRemote(t, t.TempDir(), e, time.Hour)
	defer func() { shut(t, s) }()
	c := remoteCollection(t, s, "c")
	m, err := s.Migrate(t.Context(), c, MigrationWish{Wish: hashWish(128), Auto: true})
	if err != nil {
		t.Fatal(err)
	}
	await(t, s, c, m.ID, migrate.RollbackWindow)
	e.set(func() { e.salt = "another " })
	for _, r := range s.remoteGenerations() {
		s.checkEndpoint(t.Context(), r.c, r.g)
	}
	if _, err := c.Upsert(t.Context(), []Point{{ID: store.NumID(3), Text: "green tram", HasText: true}}); err != nil {
		t.Fatalf("a write into a generation whose own model is well: %v", err)
	}
	if ids, _ := idsOf(t, c, "green tram"); ids[0] != store.NumID(3) {
		t.Errorf("found %v", ids)
	}
	var refused *Error
	if _, err := s.MigrationStep(t.Context(), c, m.ID, migrate.EventRollBack, StepOptions{}); !errors.As(err, &refused) || refused.Code != "incomplete" {
		t.Errorf("a rollback to a model that is another: %v", err)
	}
}

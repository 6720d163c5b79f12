package api

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vecino-db/vecino/api/report"
	"github.com/vecino-db/vecino/compat/migrate"
	"github.com/vecino-db/vecino/embed/remote"
	"github.com/vecino-db/vecino/store"
)

// threeColours are points that the model of writeModel tells apart.
func threeColours() []Point {
	var points []Point
	for i, text := range []string{"red", "blue", "green"} {
		points = append(points, Point{ID: store.NumID(uint64(i + 1)), Text: text, HasText: true})
	}
	return points
}

// gateOf finds a gate of a migration's evaluation.
func gateOf(t *testing.T, m migrate.Migration, name string) (report.Gate, bool) {
	t.Helper()
	var r report.Report
	if err := json.Unmarshal(m.Evaluation, &r); err != nil {
		t.Fatal(err)
	}
	for _, g := range r.Gates {
		if g.Name == name {
			return g, true
		}
	}
	return report.Gate{}, false
}

// TestCardGate: a migration that requires a card stops at a target without one,
// over a restart too, and goes on when there is one.
func TestCardGate(t *testing.T) {
	data, models := t.TempDir(), t.TempDir()
	writeModel(t, filepath.Join(models, "plain"), []float32{1, 0, 0})
	s := open(t, data, models)
	c, err := s.Create(t.Context(), "c", hashWish(64))
	if err != nil {
		t.Fatal(err)
	}
	if c.Manifest().Evidence.ModelCard == "" {
		t.Error("the first generation has no card")
	}
	if _, err := c.Upsert(t.Context(), threeColours()); err != nil {
		t.Fatal(err)
	}
	m, err := s.Migrate(t.Context(), c, MigrationWish{Wish: *wishFor("local:plain", nil), Auto: true, RequireCard: true})
	if err != nil {
		t.Fatal(err)
	}
	m = await(t, s, c, m.ID, migrate.Failed, migrate.RollbackWindow)
	gate, ok := gateOf(t, m, "card")
	if m.State != migrate.Failed || !ok || gate.Passed || !gate.Decides || !strings.Contains(m.Reason, "card (there is none") || !strings.Contains(m.Reason, "README.md") {
		t.Fatalf("without a card: %s, %+v, %q", m.State, gate, m.Reason)
	}
	var refused *Error
	if _, err := s.MigrationStep(t.Context(), c, m.ID, migrate.EventCutOver, StepOptions{}); !errors.As(err, &refused) || refused.Code != "wrong_state" {
		t.Errorf("a cut-over by hand: %v", err)
	}
	shut(t, s)
	if err := os.WriteFile(filepath.Join(models, "plain", "README.md"), []byte("---\nlicense: mit\n---\n\nKnows three colours.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, data, models)
	defer func() { shut(t, s) }()
	c = collectionOf(t, s, "c")
	if now, err := s.MigrationStep(t.Context(), c, m.ID, migrate.EventEvaluate, StepOptions{}); err != nil || !now.RequireCard {
		t.Fatalf("evaluated after the restart: %+v %v", now, err)
	}
	m = await(t, s, c, m.ID, migrate.RollbackWindow)
	if gate, ok := gateOf(t, m, "card"); !ok || !gate.Passed {
		t.Errorf("with a card: %+v", gate)
	}
	if got := LicenceOf(c.Manifest()); got != "mit" {
		t.Errorf("the licence is %q", got)
	}
}

// TestCutOverWantsCard: a cut-over that wants a card is refused with what to do
// about this kind of model; nobody else is asked for one.
func TestCutOverWantsCard(t *testing.T) {
	models := t.TempDir()
	writeModel(t, filepath.Join(models, "plain"), []float32{1, 0, 0})
	vectors := Wish{Vectors: &VectorsWish{Size: 3}}
	brought := []Point{{ID: store.NumID(1), Vector: []float32{1, 0, 0}}, {ID: store.NumID(2), Vector: []float32{0, 1, 0}}}
	for model, test := range map[string]struct {
		wish   Wish
		points []Point
		remedy string
	}{
		"local:plain": {*wishFor("local:plain", nil), threeColours(), "README.md"},
		"openai:m":    {*wishFor("openai:m", nil), threeColours(), "serve.remotes"},
		"":            {vectors, brought, "manifest/adopt"},
	} {
		t.Run(model, func(t *testing.T) {
			s := openWith(t, models, Remote{Name: "m", Kind: remote.KindOpenAI, URL: newEndpoint(t).url, Model: "their-name", AllowLoopback: true})
			defer shut(t, s)
			c, err := s.Create(t.Context(), "c", test.wish)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Upsert(t.Context(), test.points); err != nil {
				t.Fatal(err)
			}
			m, err := s.Migrate(t.Context(), c, MigrationWish{Wish: Wish{Index: IndexWish{M: 8}}})
			if err != nil {
				t.Fatal(err)
			}
			m = await(t, s, c, m.ID, migrate.Ready)
			if gate, ok := gateOf(t, m, "card"); ok {
				t.Errorf("nobody asked for %+v", gate)
			}
			var refused *Error
			_, err = s.MigrationStep(t.Context(), c, m.ID, migrate.EventCutOver, StepOptions{RequireCard: true})
			if !errors.As(err, &refused) || refused.Code != "no_model_card" || refused.Kind != KindConflict || !strings.Contains(refused.Remedy, test.remedy) || !strings.Contains(refused.Remedy, model) {
				t.Errorf("with require_card: %v", err)
			}
			if _, err := s.MigrationStep(t.Context(), c, m.ID, migrate.EventCutOver, StepOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
}

// openWith opens a service with local models and one behind an endpoint.
func openWith(t *testing.T, models string, r Remote) *Service {
	t.Helper()
	opened, err := store.Open(t.Context(), store.Options{Dir: t.TempDir(), Create: true, MinFreeBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(t.Context(), Options{Store: opened, Models: models, Program: "test", Remotes: []Remote{r}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestRemoteCard: what is configured of a remote model is its card.
func TestRemoteCard(t *testing.T) {
	r := Remote{
		Name: "m", Kind: remote.KindOpenAI, URL: newEndpoint(t).url, Model: "their-name", AllowLoopback: true,
		Licence: "their terms", Description: "Made for tests.", Source: "https://example.com/m",
	}
	s := openWith(t, "", r)
	defer shut(t, s)
	c := remoteCollection(t, s, "c")
	if m := c.Manifest(); LicenceOf(m) != "their terms" || !strings.HasPrefix(m.Evidence.ModelCard, "Made for tests.") || !strings.Contains(m.Evidence.ModelCard, r.Source) || m.Provenance.Source != r.Source {
		t.Errorf("the card is %q, the source %q", m.Evidence.ModelCard, m.Provenance.Source)
	}
	m, err := s.Migrate(t.Context(), c, MigrationWish{Wish: Wish{Index: IndexWish{M: 8}}, Auto: true, RequireCard: true})
	if err != nil {
		t.Fatal(err)
	}
	await(t, s, c, m.ID, migrate.RollbackWindow)
	listed, err := s.Encoders().Describe(t.Context(), "openai:m")
	if err != nil || listed.Info.Licence != r.Licence || listed.Info.Source != r.Source {
		t.Errorf("listed: %+v %v", listed.Info, err)
	}
	for _, text := range []string{"two\nlines", "\xff", strings.Repeat("x", maxCardText+1)} {
		bad := r
		bad.Licence = text
		if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), "licence") {
			t.Errorf("a licence of %d bytes: %v", len(text), err)
		}
	}
}

// TestHistoryOfChanges: what changes a manifest in place stands under the
// generation that it changed, and is not what led to it.
func TestHistoryOfChanges(t *testing.T) {
	s := open(t, t.TempDir(), "")
	defer func() { shut(t, s) }()
	c, err := s.Create(t.Context(), "c", hashWish(64))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Upsert(t.Context(), seasons(0, 5)); err != nil {
		t.Fatal(err)
	}
	for _, w := range []Wish{{Search: SearchWish{Ef: 300}}, {Search: SearchWish{Oversampling: 2.5}}, {Index: IndexWish{M: 8}}, {Search: SearchWish{Ef: 200}}} {
		m, err := s.Migrate(t.Context(), c, MigrationWish{Wish: w})
		if err != nil {
			t.Fatal(err)
		}
		if m.InPlace() {
			continue
		}
		await(t, s, c, m.ID, migrate.Ready)
		for _, e := range []migrate.Event{migrate.EventCutOver, migrate.EventCommit} {
			if _, err := s.MigrationStep(t.Context(), c, m.ID, e, StepOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	list, err := s.History(t.Context(), c)
	if err != nil || len(list) != 2 {
		t.Fatalf("%+v %v", list, err)
	}
	first, second := list[0], list[1]
	if first.Migration != nil || len(first.Changes) != 2 || first.Changes[0].ID != 1 || first.Changes[1].ID != 2 {
		t.Errorf("generation 1: by %+v, changed by %+v", first.Migration, first.Changes)
	}
	if second.Migration == nil || second.Migration.ID != 3 || len(second.Changes) != 1 || second.Changes[0].ID != 4 {
		t.Errorf("generation 2: by %+v, changed by %+v", second.Migration, second.Changes)
	}
	if m := c.Manifest(); m.Search.Ef != 200 || m.Search.Oversampling != 2.5 {
		t.Errorf("search defaults are %+v", m.Search)
	}
}

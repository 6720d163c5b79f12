package api

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/store"
)

// twoModels is a collection of one model, and what leads it over to another
// one of the same dimension, whose vectors nothing but the fingerprint tells
// apart.
type twoModels struct {
	service *Service
	c       *Collection
	before  *generation
	after   *generation
}

func newTwoModels(t *testing.T) *twoModels {
	t.Helper()
	models := t.TempDir()
	writeModel(t, filepath.Join(models, "one"), []float32{1, 0, 0})
	writeModel(t, filepath.Join(models, "two"), []float32{0, 0.6, 0.8})
	s := open(t, t.TempDir(), models)
	t.Cleanup(func() { shut(t, s) })
	c, err := s.Create(t.Context(), "c", Wish{Embedding: &EmbeddingWish{Model: "local:one"}})
	if err != nil {
		t.Fatal(err)
	}
	return &twoModels{service: s, c: c, before: c.serving()}
}

// start gives the collection its second generation, and fills it.
func (m *twoModels) start(t *testing.T) {
	t.Helper()
	wanted, encoder, err := m.service.manifest(t.Context(), Wish{Embedding: &EmbeddingWish{Model: "local:two"}})
	if err != nil {
		t.Fatal(err)
	}
	if wanted.Evidence.Probes, err = m.service.probesFor(t.Context(), encoder); err != nil {
		t.Fatal(err)
	}
	wanted.Evidence.ModelCard = "the card of two"
	number, err := m.c.stored.StartStandby(t.Context(), wanted, store.Record{})
	if err != nil {
		t.Fatal(err)
	}
	if m.after, err = m.service.newGeneration(number, wanted, encoder, nil); err != nil {
		t.Fatal(err)
	}
	if err := m.c.arrange(m.before, m.after); err != nil {
		t.Fatal(err)
	}
	docs, _, _, done, err := m.c.stored.Unfilled(t.Context(), number, 0, 2000, false)
	if err != nil || done {
		t.Fatalf("%d documents, %v", len(docs), err)
	}
	var texts []string
	for _, d := range docs {
		texts = append(texts, d.Text)
	}
	encoded, err := m.c.encode(t.Context(), m.after, embed.RoleDocument, texts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.c.stored.Fill(t.Context(), number, docs, encoded.Vectors, nil); err != nil {
		t.Fatal(err)
	}
}

// cutOver lets it serve; commit ends the first one.
func (m *twoModels) cutOver(t *testing.T, commit bool) {
	t.Helper()
	err := m.c.stored.SwitchTo(t.Context(), m.after.number, store.Record{})
	if err == nil {
		err = m.c.arrange(m.after, m.before)
	}
	if err == nil && commit {
		if err = m.c.stored.Retire(t.Context(), m.before.number, store.Record{}); err == nil {
			err = m.c.arrange(m.after, nil)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestBroughtVectorsKeepTheirSpace: a vector that a client made with the model
// that served when its request began is never taken for one of the model that
// serves when it gets there, though it would fit.
func TestBroughtVectorsKeepTheirSpace(t *testing.T) {
	for _, commit := range []bool{false, true} {
		m := newTwoModels(t)
		texts := []Point{{ID: store.NumID(1), Text: "red", HasText: true}, {ID: store.NumID(2), Text: "blue", HasText: true}}
		if _, err := m.c.Upsert(t.Context(), texts); err != nil {
			t.Fatal(err)
		}
		m.start(t)
		space := m.before.fingerprint()
		brought := []Point{{ID: store.NumID(3), Text: "red", HasText: true, Vector: []float32{1, 0, 0}, Space: space}}
		if _, err := m.c.Upsert(t.Context(), brought); err != nil {
			t.Fatalf("before the cut-over: %v", err)
		}
		m.cutOver(t, commit)

		brought[0].ID = store.NumID(4)
		var refused *Error
		if _, err := m.c.Upsert(t.Context(), brought); !errors.As(err, &refused) || refused.Code != "another_space" || refused.Kind != KindConflict || refused.Remedy == "" {
			t.Errorf("commit %v: a vector of the former model is stored: %v", commit, err)
		}
		if n, err := m.c.Count(t.Context(), nil); n != 3 || err != nil {
			t.Errorf("commit %v: %d points, %v", commit, n, err)
		}
		a, err := m.c.Query(t.Context(), Query{Vector: []float32{1, 0, 0}, Space: space, Limit: 3})
		switch {
		case commit && (!errors.As(err, &refused) || refused.Code != "another_space"):
			t.Errorf("a query by a vector of the former model: %+v, %v", a, err)
		case !commit && (err != nil || a.Fingerprint != space || a.Generation != m.before.number):
			t.Errorf("a query by a vector of the former model, which stands by: answered in %.12s, %v", a.Fingerprint, err)
		}
		// Of the space that serves, and of no space in particular, as ever.
		for _, space := range []compat.Fingerprint{{}, m.after.fingerprint()} {
			if a, err := m.c.Query(t.Context(), Query{Vector: []float32{1, 0, 0}, Space: space, Limit: 3}); err != nil || a.Fingerprint != m.after.fingerprint() || len(a.Hits) != 3 {
				t.Errorf("commit %v: a vector of %.12s: %+v, %v", commit, space, a, err)
			}
		}
		brought[0].Space = m.after.fingerprint()
		if _, err := m.c.Upsert(t.Context(), brought); err != nil {
			t.Errorf("commit %v: a vector of the model that serves: %v", commit, err)
		}
	}
}

// TestRecallBesideACutOver: what was measured in one generation is not written
// over the other's evidence, nor the other's card and probes over its own.
func TestRecallBesideACutOver(t *testing.T) {
	m := newTwoModels(t)
	var points []Point
	for i := range 1100 { // progress is told every 1,024
		text := []string{"red", "blue", "green", "the red", "the blue", "the green"}[i%6]
		points = append(points, Point{ID: store.NumID(uint64(i)), Text: text, HasText: true})
	}
	if _, err := m.c.Upsert(t.Context(), points); err != nil {
		t.Fatal(err)
	}
	m.start(t)
	switched := false
	r, err := m.c.recall(t.Context(), RecallWish{Sample: 5, Keep: true}, func(int, int) {
		if !switched {
			switched = true
			m.cutOver(t, false)
		}
	})
	if err != nil || !switched || !r.Kept {
		t.Fatalf("%+v, %v, switched %v", r, err, switched)
	}
	standby, ok := m.c.stored.Standby()
	if !ok || standby.Generation != m.before.number {
		t.Fatalf("%+v", standby)
	}
	own := standby.Manifest.Evidence
	if own.Recall == nil || len(own.Probes) == 0 || own.ModelCard != "" {
		t.Errorf("the generation that was measured has the evidence %+v", own)
	}
	if other := m.c.Manifest().Evidence; other.Recall != nil {
		t.Errorf("the other generation has the recall %+v", other.Recall)
	}
}

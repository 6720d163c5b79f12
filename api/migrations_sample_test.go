package api

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/vecino-db/vecino/api/report"
	"github.com/vecino-db/vecino/compat/migrate"
)

// TestSampledQueries: where nothing is judged, documents are asked for by their
// beginnings, and found by each other: their own, which every model finds, is
// left out of the comparison and of the scores that thresholds are mapped by.
func TestSampledQueries(t *testing.T) {
	s := open(t, t.TempDir(), "")
	defer shut(t, s)
	c, err := s.Create(t.Context(), "c", hashWish(512))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Upsert(t.Context(), seasons(0, 300)); err != nil {
		t.Fatal(err)
	}
	m, err := s.Migrate(t.Context(), c, MigrationWish{Wish: hashWish(256)})
	if err != nil {
		t.Fatal(err)
	}
	m = await(t, s, c, m.ID, migrate.Ready)
	var r report.Report
	if err := json.Unmarshal(m.Evaluation, &r); err != nil {
		t.Fatal(err)
	}
	if r.Judgement != nil || r.Sample != "sampled documents" || r.Agreement == nil || r.Agreement.Queries != 300 || r.Thresholds == nil || r.Thresholds.Queries() != 300 || r.Kept == nil {
		t.Fatalf("the report: %s", m.Evaluation)
	}
	for _, q := range r.Agreement.MostChanged {
		if len(q.Old) == 0 || len(q.New) == 0 {
			t.Errorf("query %s has no hits", q.ID)
		}
		for _, h := range slices.Concat(q.Old, q.New) {
			if h.ID == q.ID {
				t.Errorf("the query of document %s is found by itself", h.ID)
			}
		}
	}
	if nearest := r.Thresholds.Quantiles()[0]; nearest.Old > 0.99 || nearest.New > 0.99 {
		t.Errorf("the nearest scores are %+v: those of documents with themselves", nearest)
	}
}

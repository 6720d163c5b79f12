package main

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestMigrateEstimate compares what a plan says with what a quiet run then
// takes: tokens are exact. Times are compared in the long form only, by hand:
// other work on the machine is in them.
func TestMigrateEstimate(t *testing.T) {
	ledger := newLedger(7)
	args, documents, chain := []string{}, 400, []stop{{"builtin:hash", 64}, {"builtin:hash", 128}}
	if *longMigration {
		models := filepath.Join("..", "..", "..", "shared", "data", "models")
		if _, err := os.Stat(models); err != nil {
			t.Skip("there are no shared models: ", err)
		}
		args = []string{"--models", models}
		for i, text := range cranfieldTexts(t) {
			ledger.base[i] = text
		}
		ledger.long, documents = true, 6000
		chain = []stop{{"builtin:hash", 512}, {"builtin:hash", 1024}, {"local:model2vec-test-model-vocab-quantized", 0}, {"local:bert-tinybert-hybrid", 0}}
	}
	server := newChildServer(t, filepath.Join(t.TempDir(), "data"), args...)
	l := newLoad(t, server.url, "c", ledger)
	l.must(http.MethodPut, l.path(""), chain[0].wish(), nil)
	l.fill(documents)
	for _, to := range chain[1:] {
		var plan struct {
			Estimate struct {
				Seconds           float64
				Tokens, Documents int
				Exact             bool
			}
		}
		l.must(http.MethodPost, l.path("/manifest/diff?estimate=true"), to.wish(), &plan)
		var m migrationView
		l.must(http.MethodPost, l.path("/migrations"), to.wish(), &m)
		l.await(m.ID, 10*time.Minute, "ready")
		var whole struct {
			Steps []struct {
				At    time.Time
				State string
			}
			Progress struct{ Tokens, Done int }
		}
		l.must(http.MethodGet, l.path("/migrations/"+m.ID), nil, &whole)
		took := whole.Steps[1].At.Sub(whole.Steps[0].At).Seconds() // of the backfill
		t.Logf("%-50s planned %7.2f s, measured %7.2f s (%+.0f %%); planned %d tokens, measured %d", to.model, plan.Estimate.Seconds, took, 100*(plan.Estimate.Seconds/took-1), plan.Estimate.Tokens, whole.Progress.Tokens)
		if !plan.Estimate.Exact || plan.Estimate.Tokens != whole.Progress.Tokens || plan.Estimate.Documents != documents || whole.Progress.Done != documents {
			t.Errorf("planned %+v, measured %+v", plan.Estimate, whole.Progress)
		}
		l.must(http.MethodPost, l.path("/migrations/"+m.ID+"/cutover"), nil, nil)
		l.must(http.MethodPost, l.path("/migrations/"+m.ID+"/commit"), nil, nil)
	}
}

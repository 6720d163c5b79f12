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
		ledger.long, documents = true, 10_000
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
				Low               float64 `json:"seconds_low"`
				High              float64 `json:"seconds_high"`
				Evaluation        float64 `json:"evaluation_seconds"`
				Tokens, Documents int
				Exact             bool
			}
		}
		began := time.Now()
		l.must(http.MethodPost, l.path("/manifest/diff?estimate=true"), to.wish(), &plan)
		planned := time.Since(began)
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
		last := len(whole.Steps) - 1
		filled := whole.Steps[1].At.Sub(whole.Steps[0].At).Seconds()
		ready := whole.Steps[last].At.Sub(whole.Steps[0].At).Seconds()
		e := plan.Estimate
		off := func(planned, measured float64) float64 { return 100 * (planned/measured - 1) }
		t.Logf("%-50s planned in %.1f s: %.2f s (%.2f to %.2f) and an evaluation of %.2f s; measured %.2f s (%+.0f %%), ready after %.2f s (%+.0f %%); planned %d tokens, measured %d",
			to.model, planned.Seconds(), e.Seconds, e.Low, e.High, e.Evaluation, filled, off(e.Seconds, filled), ready, off(e.Seconds+e.Evaluation, ready), e.Tokens, whole.Progress.Tokens)
		if !e.Exact || e.Tokens != whole.Progress.Tokens || e.Documents != documents || whole.Progress.Done != documents {
			t.Errorf("planned %+v, measured %+v", e, whole.Progress)
		}
		if !(e.Low > 0 && e.Low <= e.High && e.Seconds > 0 && e.Evaluation > 0) {
			t.Errorf("planned %+v", e)
		}
		l.must(http.MethodPost, l.path("/migrations/"+m.ID+"/cutover"), nil, nil)
		l.must(http.MethodPost, l.path("/migrations/"+m.ID+"/commit"), nil, nil)
	}
}

package main

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// TestMigrateLatency compares what queries take before a backfill and beside
// it, over REST, with four readers and those who write, whose texts the target
// encodes, too. Times are judged by hand, in the long form: other work on the
// machine is in them.
func TestMigrateLatency(t *testing.T) {
	if !*longMigration {
		t.Skip("a measurement: -migrate.load")
	}
	models := filepath.Join("..", "..", "..", "shared", "data", "models")
	if _, err := os.Stat(models); err != nil {
		t.Skip("there are no shared models: ", err)
	}
	ledger := newLedger(11)
	for i, text := range cranfieldTexts(t) {
		ledger.base[i] = text
	}
	ledger.long = true
	chain := []stop{{"builtin:hash", 512}, {"builtin:hash", 1024}, {"local:model2vec-test-model-vocab-quantized", 0}, {"local:bert-tinybert-hybrid", 0}}
	server := newChildServer(t, filepath.Join(t.TempDir(), "data"), "--models", models)
	l := newLoad(t, server.url, "c", ledger)
	l.pace = 40 * time.Millisecond
	for _, to := range chain {
		l.know(to.model, to.dimensions)
	}
	l.must(http.MethodPut, l.path(""), chain[0].wish(), nil)
	l.fill(8000)
	end := l.run(11, 4)
	defer end()
	for i, to := range chain[1:] {
		before, during := "before "+to.model, "beside the backfill to "+to.model
		l.enter(before)
		time.Sleep(8 * time.Second)
		l.enter(during)
		var m migrationView
		began := time.Now()
		l.must(http.MethodPost, l.path("/migrations"), to.wish(), &m)
		ready := l.await(m.ID, 10*time.Minute, "evaluating", "ready")
		filled := time.Since(began)
		l.enter("beside the evaluation of " + to.model)
		l.await(m.ID, 10*time.Minute, "ready")
		l.enter("cut-over")
		l.mu.Lock()
		a, b := slices.Sorted(slices.Values(l.latency[before])), slices.Sorted(slices.Values(l.latency[during]))
		l.mu.Unlock()
		t.Logf("%-30s filled in %.1f s, ready after %.1f s; p50 x %.2f, p99 x %.2f; %d documents", to.model, filled.Seconds(), time.Since(began).Seconds(),
			percentile(b, 0.5).Seconds()/percentile(a, 0.5).Seconds(), percentile(b, 0.99).Seconds()/percentile(a, 0.99).Seconds(), ready.Progress.Done)
		if i < len(chain)-2 {
			l.must(http.MethodPost, l.path("/migrations/"+m.ID+"/cutover"), nil, nil)
			l.must(http.MethodPost, l.path("/migrations/"+m.ID+"/commit"), nil, nil)
		}
	}
	end()
	l.table()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.problems {
		t.Error(p)
	}
}

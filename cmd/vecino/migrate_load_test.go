package main

import (
	"bufio"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var longMigration = flag.Bool("migrate.load", false, "TestMigrateUnderLoad over Cranfield and 20,000 texts, and a chain of real models")

// stop is a model that a chain of migrations leads to.
type stop struct {
	model      string
	dimensions int // 0: the model's own
}

func (t stop) wish() map[string]any {
	e := map[string]any{"model": t.model}
	if t.dimensions > 0 {
		e["dimensions"] = t.dimensions
	}
	return map[string]any{"embedding": e}
}

// TestMigrateUnderLoad runs a chain of migrations and a rollback under a
// writer, a deleter, a payload editor and four readers. Whatever the server
// acknowledged must be there, whatever it deleted must be gone, every answer is
// of one space, and no query fails.
func TestMigrateUnderLoad(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	ledger := newLedger(seed)
	chain := []stop{{"builtin:hash", 64}, {"builtin:hash", 128}, {"builtin:hash", 256}}
	documents, samples, dwell, pace, patience := 300, 100, 150*time.Millisecond, 4*time.Millisecond, time.Minute
	args := []string{}
	if *longMigration {
		models := filepath.Join("..", "..", "..", "shared", "data", "models")
		if _, err := os.Stat(models); err != nil {
			t.Skip("there are no shared models: ", err)
		}
		args = append(args, "--models", models)
		chain = []stop{{"builtin:hash", 512}, {"builtin:hash", 1024}, {"local:model2vec-test-model-vocab-quantized", 0}, {"local:bert-tinybert-hybrid", 0}}
		for i, text := range cranfieldTexts(t) {
			ledger.base[i] = text
		}
		ledger.long = true
		documents, samples, dwell, pace, patience = 20_000+len(ledger.base), 1000, 15*time.Second, 40*time.Millisecond, 30*time.Minute
	}
	server := newChildServer(t, filepath.Join(t.TempDir(), "data"), args...)
	l := newLoad(t, server.url, "c", ledger)
	l.pace = pace
	for _, to := range chain {
		l.know(to.model, to.dimensions)
	}
	l.must(http.MethodPut, l.path(""), chain[0].wish(), nil)
	l.fill(documents)
	l.compare(samples, seed)
	end := l.run(seed, 4)
	defer func() { end() }()
	l.enter("before")
	time.Sleep(dwell)
	for i, to := range chain[1:] {
		name := fmt.Sprintf("%s %d", to.model, to.dimensions)
		l.enter("backfill to " + name)
		var plan struct {
			Estimate struct{ Seconds, Tokens float64 }
		}
		l.must(http.MethodPost, l.path("/manifest/diff?estimate=true"), to.wish(), &plan)
		var m migrationView
		began := time.Now()
		l.must(http.MethodPost, l.path("/migrations"), to.wish(), &m)
		ready := l.await(m.ID, patience, "ready")
		t.Logf("%s: ready after %.1f s, worked %.1f s, %d documents, %d texts and %d tokens encoded by the run; planned were %.1f s and %.0f tokens", name, time.Since(began).Seconds(), ready.Progress.Worked, ready.Progress.Total, ready.Progress.Encoded, ready.Progress.Tokens, plan.Estimate.Seconds, plan.Estimate.Tokens)
		l.enter("cut-over to " + name)
		l.must(http.MethodPost, l.path("/migrations/"+m.ID+"/cutover"), nil, nil)
		time.Sleep(dwell)
		l.compare(samples, seed+uint64(i))
		if i < len(chain)-2 {
			l.must(http.MethodPost, l.path("/migrations/"+m.ID+"/commit"), nil, nil)
			continue
		}
		l.enter("rollback")
		l.must(http.MethodPost, l.path("/migrations/"+m.ID+"/rollback"), nil, nil)
		time.Sleep(dwell)
		l.compare(samples, seed)
		if now := l.migration(m.ID); now.State != "rolled_back" {
			t.Errorf("after the rollback it is %s", now.State)
		}
	}
	end()
	end = func() {}
	l.compare(samples, seed+77)
	s, ok := l.spaces.Load(l.must(http.MethodPost, l.path("/points/count"), map[string]any{}, nil).Get("X-Vecino-Fingerprint"))
	if !ok || !strings.HasPrefix(s.(*space).name, chain[len(chain)-2].model) {
		t.Errorf("the rollback led to %v", s)
	}
	if *longMigration {
		l.table()
	}
	l.verdict()
}

// cranfieldTexts are the abstracts of the Cranfield collection.
func cranfieldTexts(t *testing.T) (texts []string) {
	t.Helper()
	file, err := os.Open(filepath.Join("..", "..", "..", "shared", "data", "retrieval", "cranfield", "cran.all.1400"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var words []string
	body := false
	end := func() {
		if len(words) > 0 {
			texts = append(texts, strings.Join(words, " "))
		}
		words, body = nil, false
	}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		switch line := lines.Text(); {
		case strings.HasPrefix(line, ".I "):
			end()
		case line == ".W":
			body = true
		case body:
			words = append(words, strings.Fields(line)...)
		}
	}
	end()
	if err := lines.Err(); err != nil || len(texts) < 1300 {
		t.Fatalf("%d texts of Cranfield: %v", len(texts), err)
	}
	return texts
}

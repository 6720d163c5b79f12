package main

import (
	"flag"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"testing"
	"time"
)

var migrationKills = flag.Int("migrate.kills", 3, "kills of TestMigrateKilled")

// TestMigrateKilled ends a server by kill -9 at moments by chance of a migration
// under writes: in its backfill, and around its cut-over and rollback. It goes
// on by itself at each start, ends with all that was acknowledged in both
// generations, and embeds nearly nothing twice.
func TestMigrateKilled(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	kills := *migrationKills
	// A kill costs one batch at most: with 50 of them over so many texts 1.02.
	const batch = 8
	documents := kills * 400
	const least, most = 20 * time.Millisecond, 600 * time.Millisecond
	r := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d, %d kills, %d documents", seed, kills, documents)
	endpoint := newCountingEndpoint(t, 128, 5*time.Millisecond)
	server := newChildServer(t, filepath.Join(t.TempDir(), "data"), "--remotes", endpoint.remotes())
	l := newLoad(t, server.url, "c", newLedger(seed))
	l.pace = 20 * time.Millisecond
	l.know("builtin:hash", 64)
	l.know("openai:m", 0)
	l.must(http.MethodPut, l.path(""), stop{"builtin:hash", 64}.wish(), nil)
	l.fill(documents)
	end := l.run(seed, 1)
	defer func() { end() }()
	var m migrationView
	wish := stop{"openai:m", 0}.wish()
	wish["limits"] = map[string]any{"batch": batch}
	l.must(http.MethodPost, l.path("/migrations"), wish, &m)

	at := map[string]int{}
	for i := range kills {
		if i == kills*4/5 { // the last kills come when the target has all
			l.await(m.ID, 5*time.Minute, "ready")
		}
		pause := least + time.Duration(r.Int64N(int64(most-least)))
		time.Sleep(pause)
		state := l.migration(m.ID).State
		l.down.Store(true)
		stepped := make(chan struct{})
		// Where it is ready, the kill comes into a cut-over or a rollback.
		step := map[string]string{"ready": "cutover", "rollback_window": "rollback", "rolled_back": "cutover"}[state]
		go func() {
			defer close(stepped)
			if step != "" {
				l.send(http.MethodPost, l.path("/migrations/"+m.ID+"/"+step), nil, nil)
			}
		}()
		if step != "" {
			time.Sleep(time.Duration(r.Int64N(int64(40 * time.Millisecond))))
		}
		server.kill()
		<-stepped
		at[state]++
		end()
		server.start()
		l.down.Store(false)
		if i%10 == 9 || i == kills-1 {
			l.compare(20, seed+uint64(i))
		} else {
			l.resolve()
		}
		if now := l.migration(m.ID); now.State == "paused" || now.State == "failed" {
			t.Fatalf("after kill %d in %s it is %s: %s\n%s", i, state, now.State, now.Reason, server.log)
		}
		end = l.run(seed+uint64(i)+1, 1)
	}
	t.Logf("killed in %v", at)
	l.await(m.ID, 2*time.Minute, "ready", "rollback_window", "rolled_back")
	end()
	end = func() {}
	l.compare(100, seed)
	// Both generations have all: each is let serve.
	for range 2 {
		step := "cutover"
		if l.migration(m.ID).State == "rollback_window" {
			step = "rollback"
		}
		l.must(http.MethodPost, l.path("/migrations/"+m.ID+"/"+step), nil, nil)
		l.compare(100, seed)
		if p := l.migration(m.ID).Progress; p.Done != p.Total {
			t.Errorf("after %s the other generation has %d of %d documents", step, p.Done, p.Total)
		}
	}
	l.verdict()
	all, once := endpoint.tokens()
	ratio := float64(all) / float64(once)
	t.Logf("%d tokens were embedded, %d are those of the texts once each: %.4f", all, once, ratio)
	if allowed := 1 + float64(kills*batch)/float64(documents); ratio > allowed {
		t.Errorf("the kills cost %.4f times the tokens of one run, allowed is %.4f", ratio, allowed)
	}
}

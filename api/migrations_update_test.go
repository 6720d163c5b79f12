package api

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vecino-db/vecino/compat/migrate"
)

// filled is a collection of n texts and 64 dimensions.
func filled(t *testing.T, s *Service, name string, n int) *Collection {
	t.Helper()
	c, err := s.Create(t.Context(), name, hashWish(64))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Upsert(t.Context(), seasons(0, n)); err != nil {
		t.Fatal(err)
	}
	return c
}

// slowly starts a migration that has no end to speak of.
func slowly(t *testing.T, s *Service, c *Collection, w Wish) migrate.Migration {
	t.Helper()
	m, err := s.Migrate(t.Context(), c, MigrationWish{Wish: w, Limits: migrate.Limits{TokensPerSecond: 1, Batch: 1}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// now is a migration at this moment.
func nowOf(t *testing.T, s *Service, c *Collection, id uint64) migrate.Migration {
	t.Helper()
	m, err := s.Migration(t.Context(), c, id)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func pointer[T any](x T) *T { return &x }

// TestUpdateLimits: limits change while a migration fills and while it is paused,
// over a restart, and nothing is encoded twice for it.
func TestUpdateLimits(t *testing.T) {
	data := t.TempDir()
	s := open(t, data, "")
	c := filled(t, s, "c", 60)
	id := slowly(t, s, c, hashWish(128)).ID
	waitUntil(t, func() bool { return nowOf(t, s, c, id).Progress.Done > 0 })
	for _, u := range []LimitsUpdate{{TokensPerSecond: pointer(-1)}, {CPUs: pointer(0.001)}, {Batch: pointer(5000)}} {
		var refused *Error
		if _, err := s.UpdateMigration(t.Context(), c, id, MigrationUpdate{Limits: u}); !errors.As(err, &refused) || refused.Kind != KindInvalid || refused.Code != "bad_limits" {
			t.Errorf("%+v: %v", u, err)
		}
	}
	if _, err := s.MigrationStep(t.Context(), c, id, migrate.EventPause, StepOptions{}); err != nil {
		t.Fatal(err)
	}
	want := migrate.Limits{TokensPerSecond: 1, CPUs: 0.5, Batch: 20}
	m, err := s.UpdateMigration(t.Context(), c, id, MigrationUpdate{Limits: LimitsUpdate{CPUs: &want.CPUs, Batch: &want.Batch}})
	if err != nil || m.State != migrate.Paused || m.Limits != want {
		t.Errorf("paused: %s %+v %v", m.State, m.Limits, err)
	}
	shut(t, s)
	s = open(t, data, "")
	defer func() { shut(t, s) }()
	c = collectionOf(t, s, "c")
	if m = nowOf(t, s, c, id); m.State != migrate.Paused || m.Limits != want {
		t.Errorf("after a restart: %s %+v", m.State, m.Limits)
	}
	if _, err := s.MigrationStep(t.Context(), c, id, migrate.EventResume, StepOptions{}); err != nil {
		t.Fatal(err)
	}
	more := m.Progress.Done
	waitUntil(t, func() bool { return nowOf(t, s, c, id).Progress.Done > more })
	if _, err := s.UpdateMigration(t.Context(), c, id, MigrationUpdate{Limits: LimitsUpdate{TokensPerSecond: pointer(0), CPUs: pointer(0.0)}}); err != nil {
		t.Fatal(err)
	}
	m = await(t, s, c, id, migrate.Ready)
	if m.Progress.Encoded != 60 || m.Progress.ETA != nil || m.Limits != (migrate.Limits{Batch: 20}) {
		t.Errorf("ready: %+v under %+v", m.Progress, m.Limits)
	}
	if kept, err := migrationsOf(t.Context(), c.stored); err != nil || kept[0].Limits != m.Limits || kept[0].State != migrate.Ready {
		t.Errorf("kept: %+v %v", kept, err)
	}
}

// TestUpdateWhileEvaluating: neither limits nor shares begin an evaluation anew.
func TestUpdateWhileEvaluating(t *testing.T) {
	e := newEndpoint(t)
	behind, err := url.Parse(e.url)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(behind)
	var asked atomic.Int32
	var first atomic.Pointer[string]
	arrived, release := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		// Probes have no harbour.
		if text := string(body); strings.Contains(text, "query: harbour") {
			if first.CompareAndSwap(nil, &text) {
				close(arrived)
			}
			if *first.Load() == text {
				asked.Add(1)
				<-release
			}
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	s := openRemote(t, t.TempDir(), &endpoint{url: server.URL}, time.Hour)
	defer func() { shut(t, s) }()
	c := filled(t, s, "c", 20)
	m, err := s.Migrate(t.Context(), c, MigrationWish{Wish: Wish{Embedding: &EmbeddingWish{Model: "openai:m"}}})
	if err != nil {
		t.Fatal(err)
	}
	<-arrived
	if now := nowOf(t, s, c, m.ID); now.State != migrate.Evaluating {
		t.Fatalf("it is %s", now.State)
	}
	now, err := s.UpdateMigration(t.Context(), c, m.ID, MigrationUpdate{Canary: pointer(0.5), Limits: LimitsUpdate{CPUs: pointer(4.0)}})
	close(release)
	if err != nil || now.State != migrate.Evaluating || now.Limits.CPUs != 4 {
		t.Errorf("%s %+v %v", now.State, now.Limits, err)
	}
	now = await(t, s, c, m.ID, migrate.Ready)
	if n := asked.Load(); n != 1 {
		t.Errorf("the first query was asked %d times", n)
	}
	if shadow, canary, err := LiveOf(now); err != nil || shadow != nil || canary == nil || canary.Share != 0.5 {
		t.Errorf("canary %+v %v", canary, err)
	}
}

// TestWaitsForTurn: a migration behind another collection's says so, and one that
// works does not.
func TestWaitsForTurn(t *testing.T) {
	s := open(t, t.TempDir(), "")
	defer func() { shut(t, s) }()
	a, b := filled(t, s, "a", 20), filled(t, s, "b", 20)
	first := slowly(t, s, a, hashWish(128))
	waitUntil(t, func() bool { return nowOf(t, s, a, first.ID).Progress.Done > 0 })
	second, err := s.Migrate(t.Context(), b, MigrationWish{Wish: hashWish(128)})
	if err != nil {
		t.Fatal(err)
	}
	const said = `for the migration of collection "a"`
	waitUntil(t, func() bool { return nowOf(t, s, b, second.ID).Waiting == said })
	if now := nowOf(t, s, b, second.ID); now.State != migrate.Backfilling || now.Progress.Done != 0 {
		t.Errorf("queued: %s, %d documents", now.State, now.Progress.Done)
	}
	if now := nowOf(t, s, a, first.ID); now.Waiting != "" || now.Progress.ETA == nil {
		t.Errorf("the one that works waits %q, %v s left", now.Waiting, now.Progress.ETA)
	}
	// A change keeps what is waited for out of the record.
	if _, err := s.UpdateMigration(t.Context(), b, second.ID, MigrationUpdate{Shadow: pointer(0.5)}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.MigrationStep(t.Context(), a, first.ID, migrate.EventAbort, StepOptions{}); err != nil {
		t.Fatal(err)
	}
	if now := await(t, s, b, second.ID, migrate.Ready); now.Waiting != "" {
		t.Errorf("ready, and it waits %s", now.Waiting)
	}
}

// TestWaitsForEndpoint: a migration whose endpoint is away says why, and when it
// is tried next.
func TestWaitsForEndpoint(t *testing.T) {
	e := newEndpoint(t)
	s := openRemote(t, t.TempDir(), e, time.Hour)
	defer func() { shut(t, s) }()
	c := filled(t, s, "c", 20)
	m := slowly(t, s, c, Wish{Embedding: &EmbeddingWish{Model: "openai:m"}})
	waitUntil(t, func() bool { return nowOf(t, s, c, m.ID).Progress.Done > 0 })
	e.set(func() { e.down = true })
	if _, err := s.UpdateMigration(t.Context(), c, m.ID, MigrationUpdate{Limits: LimitsUpdate{TokensPerSecond: pointer(0), Batch: pointer(8)}}); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, func() bool {
		now := nowOf(t, s, c, m.ID)
		return now.State == migrate.Backfilling && now.Progress.ETA == nil && strings.HasPrefix(now.Waiting, "for the endpoint of openai:m: ") && strings.Contains(now.Waiting, "404") && strings.Contains(now.Waiting, "; next try at 2")
	})
	e.set(func() { e.down = false })
	if now := await(t, s, c, m.ID, migrate.Ready); now.Waiting != "" || now.Progress.Encoded != 20 {
		t.Errorf("ready: waits %q, %d encoded", now.Waiting, now.Progress.Encoded)
	}
}

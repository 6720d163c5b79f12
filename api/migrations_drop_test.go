package api

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/vecino-db/vecino/compat/migrate"
	"github.com/vecino-db/vecino/store"
)

// TestDropThatFails: a collection whose deletion did not come to pass has its
// migration as before, at work, and knowing the steps.
func TestDropThatFails(t *testing.T) {
	data := t.TempDir()
	s := open(t, data, "")
	c, err := s.Create(t.Context(), "c", hashWish(64))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Upsert(t.Context(), seasons(0, 40)); err != nil {
		t.Fatal(err)
	}
	m, err := s.Migrate(t.Context(), c, MigrationWish{Wish: hashWish(128), Limits: migrate.Limits{TokensPerSecond: 1, Batch: 1}})
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	fails := func() {
		t.Helper()
		if err := s.Drop(gone, "c"); !errors.Is(err, context.Canceled) {
			t.Fatalf("a deletion by who had gone: %v", err)
		}
		if c = collectionOf(t, s, "c"); s.migrations.of(c) == nil {
			t.Fatal("the migration is forgotten")
		}
	}
	fails()
	// It may fail when the migration is at its end already.
	goOn, err := s.migrations.forget(t.Context(), "c")
	if err != nil || s.migrations.of(c) != nil {
		t.Fatal("it is under way still: ", err)
	}
	goOn()
	if s.migrations.of(c) == nil {
		t.Fatal("the migration is forgotten")
	}
	if _, err := s.MigrationStep(t.Context(), c, m.ID, migrate.EventPause, StepOptions{}); err != nil {
		t.Fatal(err)
	}

	// In the middle of a step it is the same, and the step is over.
	under := s.migrations.of(c)
	if err := under.step.take(t.Context()); err != nil {
		t.Fatal(err)
	}
	step, end := under.untilDropped(t.Context())
	go func() {
		defer under.step.leave()
		defer end()
		<-step.Done()
	}()
	late, stop := context.WithTimeout(t.Context(), time.Millisecond)
	defer stop()
	<-late.Done()
	gone = late
	if err := s.Drop(gone, "c"); err == nil {
		t.Fatal("deleted")
	}
	if c = collectionOf(t, s, "c"); s.migrations.of(c) != under {
		t.Fatal("another migration")
	}
	if _, err := c.Upsert(t.Context(), seasons(40, 45)); err != nil {
		t.Error(err)
	}
	if _, err := s.MigrationStep(t.Context(), c, m.ID, migrate.EventAbort, StepOptions{}); err != nil {
		t.Fatal(err)
	}
	shut(t, s)
	s = open(t, data, "")
	defer func() { shut(t, s) }()
	c = collectionOf(t, s, "c")
	if m, err = s.Migration(t.Context(), c, m.ID); err != nil || m.State != migrate.Aborted {
		t.Errorf("after the restart: %s %v", m.State, err)
	}
	if m, err = s.Migrate(t.Context(), c, MigrationWish{Wish: hashWish(96)}); err != nil {
		t.Fatal(err)
	}
	await(t, s, c, m.ID, migrate.Ready)
	finds(t, c, seasons(38, 45))
}

// TestStandbyThatCannot: what the standby can't encode is not tried without end.
func TestStandbyThatCannot(t *testing.T) {
	s := open(t, t.TempDir(), "")
	defer func() { shut(t, s) }()
	c, err := s.Create(t.Context(), "c", hashWish(64))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Upsert(t.Context(), seasons(0, 30)); err != nil {
		t.Fatal(err)
	}
	m, err := s.Migrate(t.Context(), c, MigrationWish{Wish: hashWish(128)})
	if err != nil {
		t.Fatal(err)
	}
	await(t, s, c, m.ID, migrate.Ready)
	if _, err := c.Upsert(t.Context(), []Point{{ID: store.NumID(999), Vector: make64()}}); err != nil {
		t.Fatal(err)
	}
	stop(t, s, c, m.ID, func() {
		under := s.migrations.of(c)
		soon, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := under.keepCurrent(soon); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if time.Until(under.again) < keepCurrentAgain/2 {
			t.Errorf("it is tried again in %v", time.Until(under.again))
		}
	})
}

package api

import (
	"syscall"
	"testing"
	"time"

	"github.com/vecino-db/vecino/compat/migrate"
)

// processTime is what the process has computed so far.
func processTime(t *testing.T) time.Duration {
	t.Helper()
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		t.Skip("the system does not tell a process its time: ", err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// TestLimitOfProcessors: all that the process computes while a migration works
// under a limit of processor time, encoding, linking and evaluating, is about the
// limit, as the system counts it; and the migration says what it has used.
func TestLimitOfProcessors(t *testing.T) {
	s := open(t, t.TempDir(), "")
	defer func() { shut(t, s) }()
	c, err := s.Create(t.Context(), "c", hashWish(64))
	if err != nil {
		t.Fatal(err)
	}
	points := 3000
	if testing.Short() {
		points = 1000
	}
	for from := 0; from < points; from += 500 {
		if _, err := c.Upsert(t.Context(), seasons(from, from+500)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	const limit = 0.25
	before, began := processTime(t), time.Now()
	// Judged queries are few, and so the evaluation is short.
	m, err := s.Migrate(t.Context(), c, MigrationWish{Wish: hashWish(512), Limits: migrate.Limits{CPUs: limit}, Judged: judgedSeasons("1", "2", "3")})
	if err != nil {
		t.Fatal(err)
	}
	m = await(t, s, c, m.ID, migrate.Ready)
	used, took := processTime(t)-before, time.Since(began)
	t.Logf("%v of processor time in %v, of which the migration counts %.3f s", used, took, m.Progress.CPU)
	// The store's own background, the garbage collector and await are in it, too.
	if most := 2*limit*took.Seconds() + 0.1; used.Seconds() > most {
		t.Errorf("%v of processor time in %v, under a limit of %g processors", used, took, limit)
	}
	// Pieces in which Go moved a goroutine count as if it had computed throughout.
	if m.Progress.CPU < 0.2*used.Seconds() || m.Progress.CPU > 1.25*limit*took.Seconds()+0.2 {
		t.Errorf("the migration counts %.3f s of %v", m.Progress.CPU, used)
	}
}

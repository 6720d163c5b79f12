package embed_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vecino-db/vecino/embed"
)

// inPieces is slow in pieces of a millisecond, between which it pauses.
type inPieces struct{ *slow }

func (e inPieces) Encode(ctx context.Context, role embed.Role, texts []string) (embed.Encoded, error) {
	pause := embed.Pause(ctx)
	for _, text := range texts {
		for range len(text) {
			time.Sleep(time.Millisecond)
			pause()
		}
	}
	return e.slow.Encode(ctx, role, texts)
}

// TestSchedulerTraffic: a query does not wait for the ingest that the only worker
// encodes: that goes on behind it, and where queries never end it gets a ninth of
// the time.
func TestSchedulerTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		traffic := &embed.Traffic{}
		s := schedule(t, inPieces{&slow{}}, embed.SchedulerOptions{Workers: 1, Traffic: traffic})
		began := time.Now()
		timed := func(role embed.Role, size int) chan time.Duration {
			done := make(chan time.Duration, 1)
			go func() {
				if role == embed.RoleQuery {
					defer traffic.Begin(embed.PriorityQuery)()
				}
				if _, err := s.Encode(t.Context(), role, words("t", 1, size)); err != nil {
					t.Error(err)
				}
				done <- time.Since(began)
			}()
			return done
		}
		between := func(what string, took, least, most time.Duration) {
			t.Helper()
			if took < least || took > most {
				t.Errorf("%s ended after %v, want %v to %v", what, took, least, most)
			}
		}
		between("the first query", <-timed(embed.RoleQuery, 3), 3*time.Millisecond, 3*time.Millisecond)
		began = time.Now()
		ingest := timed(embed.RoleDocument, 100)
		time.Sleep(10 * time.Millisecond)
		query := timed(embed.RoleQuery, 8)
		between("a query beside an ingest", <-query, 18*time.Millisecond, 18*time.Millisecond)
		between("the ingest", <-ingest, 107*time.Millisecond, 110*time.Millisecond)

		end := traffic.Begin(embed.PriorityQuery)
		began = time.Now()
		between("an ingest beside queries that never end", <-timed(embed.RoleDocument, 100), 890*time.Millisecond, 920*time.Millisecond)
		end()
		// It waited, and was no slower: queries are not refused for that.
		if speed := s.Metrics().TokensPerSecond; speed < 900 || speed > 1001 {
			t.Errorf("the encoder does %.0f tokens a second, want 1000", speed)
		}
		time.Sleep(time.Second)
		began = time.Now()
		between("an ingest alone", <-timed(embed.RoleDocument, 100), 100*time.Millisecond, 101*time.Millisecond)
	})
}

// TestTraffic: what is under way is told by priority, and queries count for a
// second longer.
func TestTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var none *embed.Traffic
		none.Begin(embed.PriorityQuery)()
		if none.Busy() || none.Above(embed.PriorityMigration) {
			t.Error("something is under way in nil")
		}
		traffic := &embed.Traffic{}
		if traffic.Busy() {
			t.Error("queries are under way in a new one")
		}
		ingest := traffic.Begin(embed.PriorityIngest)
		if traffic.Busy() || !traffic.Above(embed.PriorityMigration) || traffic.Above(embed.PriorityIngest) {
			t.Error("an ingest goes before migrations and nothing else")
		}
		ingest()
		query := traffic.Begin(embed.PriorityQuery)
		if !traffic.Busy() || !traffic.Above(embed.PriorityIngest) || traffic.Above(embed.PriorityQuery) {
			t.Error("a query goes before ingests")
		}
		query()
		if !traffic.Busy() || traffic.Above(embed.PriorityMigration) {
			t.Error("a query that has ended counts as coming in, and not as under way")
		}
		time.Sleep(time.Second)
		if traffic.Busy() {
			t.Error("a second later queries still come in")
		}
		slow := traffic.Begin(embed.PriorityQuery)
		time.Sleep(1900 * time.Millisecond)
		if !traffic.Above(embed.PriorityIngest) {
			t.Error("a query is not under way any more")
		}
		time.Sleep(200 * time.Millisecond)
		if traffic.Above(embed.PriorityIngest) {
			t.Error("a query whose client reads slowly holds all up")
		}
		slow()
		if traffic.Above(embed.PriorityMigration) || traffic.Busy() {
			t.Error("the end of a slow query was counted twice")
		}
	})
}

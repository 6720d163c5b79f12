package api

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/compat/migrate"
	"github.com/vecino-db/vecino/store"
)

// hashWish asks for the built-in model with so many dimensions.
func hashWish(dimensions int) Wish {
	return Wish{Embedding: &EmbeddingWish{Model: ModelHash, Dimensions: dimensions}}
}

// seasons are texts that tell points apart.
func seasons(from, to int) []Point {
	var points []Point
	for i := from; i < to; i++ {
		points = append(points, Point{ID: store.NumID(uint64(i)), Text: fmt.Sprintf("harbour %d with ferry %d and storm %d", i, i*7, i*13), HasText: true})
	}
	return points
}

// await waits until a migration is in one of the states.
func await(t *testing.T, s *Service, c *Collection, id uint64, states ...migrate.State) migrate.Migration {
	t.Helper()
	const long = 3 * time.Minute // of a machine that does much else, under the race detector
	for end := time.Now().Add(long); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		m, err := s.Migration(t.Context(), c, id)
		if err != nil {
			t.Fatal(err)
		}
		for _, state := range states {
			if m.State == state {
				return m
			}
		}
		if m.State == migrate.Failed {
			t.Fatalf("migration %d failed: %s", id, m.Reason)
		}
	}
	m, _ := s.Migration(t.Context(), c, id)
	t.Fatalf("migration %d is %s after %v, want %v: %+v", id, m.State, long, states, m.Steps)
	return m
}

// finds asks for the exact text of each point in every generation.
func finds(t *testing.T, c *Collection, points []Point) {
	t.Helper()
	p := c.now()
	for _, g := range p.each() {
		for _, point := range points {
			a, err := c.queryIn(t.Context(), p, g, Query{Text: &point.Text, Limit: 1})
			if err != nil || len(a.Hits) != 1 || a.Hits[0].ID != point.ID || a.Generation != g.number || !a.Fingerprint.Matches(g.fingerprint()) {
				t.Errorf("generation %d: %q finds %+v: %v", g.number, point.Text, a.Hits, err)
			}
		}
	}
}

// TestMigration is a reembed from its start to its commit, over restarts,
// with writes at each step and a rollback.
func TestMigration(t *testing.T) {
	data := t.TempDir()
	s := open(t, data, "")
	c, err := s.Create(t.Context(), "c", hashWish(512))
	if err != nil {
		t.Fatal(err)
	}
	upsert := func(from, to int) {
		t.Helper()
		if _, err := c.Upsert(t.Context(), seasons(from, to)); err != nil {
			t.Fatal(err)
		}
	}
	step := func(id uint64, e migrate.Event) migrate.Migration {
		t.Helper()
		m, err := s.MigrationStep(t.Context(), c, id, e, StepOptions{})
		if err != nil {
			t.Fatalf("%s: %v", e, err)
		}
		return m
	}
	again := func() {
		t.Helper()
		shut(t, s)
		s = open(t, data, "")
		c = collectionOf(t, s, "c")
	}
	upsert(0, 100)
	m, err := s.Migrate(t.Context(), c, MigrationWish{Wish: hashWish(1024), Limits: migrate.Limits{TokensPerSecond: 600, Batch: 16}})
	if err != nil {
		t.Fatal(err)
	}
	if m.Verdict != compat.VerdictReembed || m.From != 1 || m.To != 2 || m.State != migrate.Backfilling {
		t.Errorf("started: %+v", m)
	}
	var refused *Error
	if _, err := s.Migrate(t.Context(), c, MigrationWish{Wish: hashWish(256)}); !errors.As(err, &refused) || refused.Code != "migration_under_way" {
		t.Errorf("a second migration: %v", err)
	}
	if _, err := s.MigrationStep(t.Context(), c, m.ID, migrate.EventCommit, StepOptions{}); !errors.As(err, &refused) || refused.Code != "wrong_state" {
		t.Errorf("a commit while it backfills: %v", err)
	}
	upsert(90, 110)
	paused := step(m.ID, migrate.EventPause)
	again()
	if now, err := s.Migration(t.Context(), c, m.ID); err != nil || now.State != migrate.Paused || now.Progress.Encoded != paused.Progress.Encoded {
		t.Errorf("paused over a restart: %+v %v", now, err)
	}
	upsert(110, 115)
	step(m.ID, migrate.EventResume)
	again()
	ready := await(t, s, c, m.ID, migrate.Ready)
	if p := ready.Progress; p.Done != 115 || p.Total != 115 || p.Encoded > 100 || ready.Evaluation == nil {
		t.Errorf("ready: %+v", p)
	}
	finds(t, c, seasons(80, 115))
	again()
	cut := step(m.ID, migrate.EventCutOver)
	if cut.State != migrate.RollbackWindow || c.Manifest().Space.Dimension != 1024 {
		t.Errorf("after the cut-over: %s, %d dimensions", cut.State, c.Manifest().Space.Dimension)
	}
	upsert(0, 5)
	upsert(115, 120)
	again()
	finds(t, c, seasons(110, 120))
	if step(m.ID, migrate.EventRollBack); c.Manifest().Space.Dimension != 512 {
		t.Errorf("after the rollback %d dimensions serve", c.Manifest().Space.Dimension)
	}
	upsert(120, 125)
	finds(t, c, seasons(110, 125))
	step(m.ID, migrate.EventCutOver)
	ended := step(m.ID, migrate.EventCommit)
	if ended.State != migrate.Committed || ended.EndedAt == nil || c.now().standby != nil {
		t.Errorf("after the commit: %+v", ended)
	}
	again()
	finds(t, c, seasons(110, 125))
	if c.Manifest().Space.Dimension != 1024 {
		t.Error("the restart serves the former generation")
	}

	// A second one is aborted.
	m, err = s.Migrate(t.Context(), c, MigrationWish{Wish: hashWish(128), Limits: migrate.Limits{TokensPerSecond: 100}})
	if err != nil || m.ID != 2 || m.To != 3 {
		t.Fatalf("%+v %v", m, err)
	}
	if m = step(m.ID, migrate.EventAbort); m.State != migrate.Aborted || c.now().standby != nil {
		t.Errorf("aborted: %+v", m)
	}
	history, err := s.History(t.Context(), c)
	if err != nil || len(history) != 3 || !history[1].Serving || history[1].Migration == nil || history[1].Migration.ID != 1 || history[0].Migration != nil {
		t.Errorf("history: %+v %v", history, err)
	}
	list, err := s.Migrations(t.Context(), c)
	if err != nil || len(list) != 2 || list[0].ID != 2 || list[1].State != migrate.Committed {
		t.Errorf("migrations: %+v %v", list, err)
	}
	if _, err := s.Migration(t.Context(), c, 9); !errors.As(err, &refused) || refused.Kind != KindNotFound {
		t.Errorf("a migration that there is not: %v", err)
	}
	// The name can be made anew while a migration is under way.
	if _, err = s.Migrate(t.Context(), c, MigrationWish{Wish: hashWish(128)}); err != nil {
		t.Fatal(err)
	}
	if err := s.Drop(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	shut(t, s)
}

// TestMigrationVerdicts: what needs no encoder never calls one, and what
// needs no generation is done at once.
func TestMigrationVerdicts(t *testing.T) {
	s := open(t, t.TempDir(), "")
	defer func() { shut(t, s) }()
	c, err := s.Create(t.Context(), "c", hashWish(64))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Upsert(t.Context(), seasons(0, 200)); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		wish    Wish
		verdict compat.Verdict
	}{
		{Wish{Search: SearchWish{Ef: 321}}, compat.VerdictTune},
		{Wish{Index: IndexWish{M: 24}}, compat.VerdictRebuild},
		{Wish{Index: IndexWish{Engine: compat.EngineExact}}, compat.VerdictRebuild},
	} {
		m, err := s.Migrate(t.Context(), c, MigrationWish{Wish: test.wish, Auto: true})
		if err != nil || m.Verdict != test.verdict {
			t.Fatalf("%+v: %s %v", test.wish, m.Verdict, err)
		}
		if m.Verdict.Opens() {
			if m.State != migrate.Committed || c.Manifest().Search.Ef != 321 {
				t.Errorf("%+v: %s, ef %d", test.wish, m.State, c.Manifest().Search.Ef)
			}
			finds(t, c, seasons(190, 200))
			continue
		}
		m = await(t, s, c, m.ID, migrate.RollbackWindow)
		if m.Progress.Encoded != 0 || m.Progress.Done != 200 {
			t.Errorf("%+v: %+v", test.wish, m.Progress)
		}
		finds(t, c, seasons(190, 200))
		if _, err := s.MigrationStep(t.Context(), c, m.ID, migrate.EventCommit, StepOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if m := c.Manifest(); m.Index.Engine != compat.EngineExact || m.Index.M != 24 || m.Search.Ef != 321 {
		t.Errorf("the manifest at the end: %+v %+v", m.Index, m.Search)
	}
	// Points without text are named, and nothing changes.
	if _, err := c.Upsert(t.Context(), []Point{{ID: store.NumID(999), Vector: make64()}}); err != nil {
		t.Fatal(err)
	}
	var mismatch *compat.MismatchError
	if _, err := s.Migrate(t.Context(), c, MigrationWish{Wish: hashWish(128)}); !errors.As(err, &mismatch) || !strings.Contains(mismatch.Error(), "999") {
		t.Errorf("a reembed without a text: %v", err)
	}
}

// TestStopKeepsWhatIsPaid: a stop between the encoding of a batch and its
// storing loses none of its vectors, so that a resume encodes none of them again.
func TestStopKeepsWhatIsPaid(t *testing.T) {
	s := open(t, t.TempDir(), "")
	defer func() { shut(t, s) }()
	c, err := s.Create(t.Context(), "c", hashWish(64))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Upsert(t.Context(), seasons(0, 100)); err != nil {
		t.Fatal(err)
	}
	started, err := s.Migrate(t.Context(), c, MigrationWish{Wish: hashWish(128), Limits: migrate.Limits{TokensPerSecond: 1, Batch: 1}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.MigrationStep(t.Context(), c, started.ID, migrate.EventPause, StepOptions{}); err != nil {
		t.Fatal(err)
	}
	backlog := s.migrations.of(c).backlog(started.To)
	before, _ := backlog.Coverage()
	next, err := backlog.Next(t.Context(), 40)
	if err != nil || next.Len() != 40 {
		t.Fatal(next, err)
	}
	batch := next.(*backlogBatch)
	ctx, stop := context.WithCancel(t.Context())
	vectors, _, done, err := batch.encode(ctx)
	if err != nil || done.Encoded != 40 {
		t.Fatal(done, err)
	}
	stop()
	filled, err := batch.fill(ctx, batch.docs, vectors)
	if have, _ := backlog.Coverage(); err != nil || filled != 40 || have != before+40 {
		t.Errorf("%d filled, %d in the generation of %d before: %v", filled, have, before, err)
	}
}

func make64() []float32 {
	v := make([]float32, 64)
	v[3] = 1
	return v
}

// round is how many points there are before they are written again.
const round = 100

// pace is what lies between two calls of theirs, so that they don't take the
// whole machine.
const pace = 200 * time.Microsecond

// rounds are points of which each round replaces those of the last.
func rounds(from, to int) []Point {
	points := seasons(from, to)
	for i := range points {
		points[i].ID = store.NumID(uint64((from + i) % round))
	}
	return points
}

// TestMigrationRacesWriters: writers that know nothing of migrations lose
// nothing, whatever changes beside them. They write the same points over and
// over, so that what there is to migrate stays the same on any machine.
func TestMigrationRacesWriters(t *testing.T) {
	s := open(t, t.TempDir(), "")
	defer func() { shut(t, s) }()
	c, err := s.Create(t.Context(), "c", hashWish(64))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	type outcome struct {
		n   int
		err error
	}
	writer, reader := make(chan outcome), make(chan outcome)
	go func() {
		for n := 0; ; n++ {
			time.Sleep(pace)
			if ctx.Err() != nil {
				writer <- outcome{n: n}
				return
			}
			if _, err := c.Upsert(t.Context(), rounds(n*3, n*3+3)); err != nil {
				writer <- outcome{n, err}
				return
			}
		}
	}()
	go func() {
		for n := 0; ; n++ {
			time.Sleep(pace)
			text := rounds(n, n+1)[0].Text
			a, err := c.Query(t.Context(), Query{Text: &text, Limit: 3})
			if err != nil || ctx.Err() != nil {
				reader <- outcome{n, err}
				return
			}
			for _, h := range a.Hits {
				if h.Text == text && h.Score < 0.999 {
					reader <- outcome{n, fmt.Errorf("the score of a text with itself is %g: vectors of two spaces were compared", h.Score)}
					return
				}
			}
		}
	}()
	dimensions := []int{128, 96, 256}
	if testing.Short() {
		dimensions = dimensions[:1]
	}
	for _, dim := range dimensions {
		m, err := s.Migrate(t.Context(), c, MigrationWish{Wish: hashWish(dim), Auto: true})
		if err != nil {
			t.Fatal(err)
		}
		await(t, s, c, m.ID, migrate.RollbackWindow)
		for _, e := range []migrate.Event{migrate.EventRollBack, migrate.EventCutOver, migrate.EventCommit} {
			if _, err := s.MigrationStep(t.Context(), c, m.ID, e, StepOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	cancel()
	wrote, read := <-writer, <-reader
	if wrote.err != nil || read.err != nil {
		t.Fatal(wrote.err, read.err)
	}
	n, err := c.Count(t.Context(), nil)
	if err != nil || n != min(3*wrote.n, round) {
		t.Errorf("%d points, %v; of %d writes", n, err, 3*wrote.n)
	}
	t.Logf("%d points written, %d queries", 3*wrote.n, read.n)
	finds(t, c, rounds(max(0, 3*wrote.n-round), 3*wrote.n))
}

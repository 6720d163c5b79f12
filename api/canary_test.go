package api

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/compat/migrate"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/evaluate"
	"github.com/vecino-db/vecino/index/filter"
	"github.com/vecino-db/vecino/store"
)

// liveTexts are few, so that their evaluation is short.
const liveTexts = 100

// liveCollection is a collection of liveTexts in a migration that is ready.
func liveCollection(t *testing.T, data string, w MigrationWish) (*Service, *Collection, migrate.Migration) {
	t.Helper()
	s := open(t, data, "")
	c, err := s.Create(t.Context(), "c", hashWish(128))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Upsert(t.Context(), seasons(0, liveTexts)); err != nil {
		t.Fatal(err)
	}
	if w.Wish.Embedding == nil {
		w.Wish = hashWish(512)
	}
	m, err := s.Migrate(t.Context(), c, w)
	if err != nil {
		t.Fatal(err)
	}
	return s, c, await(t, s, c, m.ID, migrate.Ready)
}

// liveOf reads the figures of a migration.
func liveOf(t *testing.T, s *Service, c *Collection, id uint64) (Shadow, Canary) {
	t.Helper()
	m, err := s.Migration(t.Context(), c, id)
	if err != nil {
		t.Fatal(err)
	}
	shadow, canary, err := LiveOf(m)
	if err != nil {
		t.Fatal(err)
	}
	if shadow == nil {
		shadow = new(Shadow)
	}
	if canary == nil {
		canary = new(Canary)
	}
	return *shadow, *canary
}

// update changes the shares.
func update(t *testing.T, s *Service, c *Collection, id uint64, w MigrationUpdate) {
	t.Helper()
	if _, err := s.UpdateMigration(t.Context(), c, id, w); err != nil {
		t.Fatal(err)
	}
}

// oneSpace says what is wrong with an answer whose parts are not all of its
// generation; hits must be those of that generation, asked by itself.
func oneSpace(ctx context.Context, c *Collection, q Query, a Answer) error {
	p := c.now()
	g := p.of(a.Generation)
	if g == nil {
		return fmt.Errorf("generation %d is not there", a.Generation)
	}
	if !a.Fingerprint.Matches(g.fingerprint()) || a.ETag != *g.etag.Load() {
		return fmt.Errorf("generation %d answers with fingerprint %.12s and tag %s", a.Generation, a.Fingerprint, a.ETag)
	}
	encoded, err := c.encode(ctx, g, embed.RoleQuery, []string{*q.Text})
	if err != nil {
		return err
	}
	want, err := c.stored.Search(ctx, encoded.Vectors, store.SearchQuery{Limit: q.Limit, Offset: q.Offset, Exact: true, Generation: g.number})
	if err != nil {
		return err
	}
	if len(want.Hits) != len(a.Hits) {
		return fmt.Errorf("%d hits, want %d", len(a.Hits), len(want.Hits))
	}
	for i, h := range a.Hits {
		if math.Abs(float64(h.Score-want.Hits[i].Score)) > 1e-4 {
			return fmt.Errorf("hit %d of generation %d has the score %g, want %g", i, a.Generation, h.Score, want.Hits[i].Score)
		}
	}
	return nil
}

// asked is a query of its own for each i.
func asked(i int) Query {
	text := fmt.Sprintf("ferry %d in a storm of %d", i*7, i)
	return Query{Text: &text, Limit: 5, Exact: true}
}

// TestCanary: a share of the texts, always the same ones, is answered by the
// target, all of each answer; and nothing before the target is ready, nothing
// that is bound to the space that serves, and nothing when the target serves.
func TestCanary(t *testing.T) {
	data := t.TempDir()
	s, c, m := liveCollection(t, data, MigrationWish{Canary: 0.3})
	ask := func(q Query) Answer {
		t.Helper()
		a, err := c.Query(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if a.Canary != (a.Generation == m.To) {
			t.Fatalf("generation %d says canary %v", a.Generation, a.Canary)
		}
		return a
	}
	const n = 400
	took := map[int]bool{}
	for i := range n {
		a := ask(asked(i))
		took[i] = a.Canary
		if err := oneSpace(t.Context(), c, asked(i), a); err != nil {
			t.Fatalf("query %d: %v", i, err)
		}
	}
	count := func() (sum int) {
		for _, yes := range took {
			if yes {
				sum++
			}
		}
		return sum
	}
	// The binomial's standard deviation is 0.023.
	if share := float64(count()) / n; share < 0.2 || share > 0.4 {
		t.Errorf("a canary of 0.3 takes %.3f", share)
	}
	_, figures := liveOf(t, s, c, m.ID)
	if figures.Share != 0.3 || figures.Queries != count() || figures.Failed+figures.Held != 0 || figures.New.Queries != count() || figures.Old.Queries != n-count() || figures.New.P99 == nil || *figures.New.P99 < *figures.New.P50 {
		t.Errorf("figures: %+v, %d of %d were taken", figures, count(), n)
	}
	shut(t, s)
	s = open(t, data, "")
	c = collectionOf(t, s, "c")
	for i := range n {
		q := asked(i)
		q.Offset = 5 * (i % 3) // another page
		if a := ask(q); a.Canary != took[i] {
			t.Fatalf("query %d went to another generation after a restart, on page %d", i, i%3)
		}
	}
	if _, figures := liveOf(t, s, c, m.ID); figures.Queries != 2*count() {
		t.Errorf("after the restart %d queries are counted, want %d", figures.Queries, 2*count())
	}
	more := 0.6
	update(t, s, c, m.ID, MigrationUpdate{Canary: &more})
	bound := -1
	for i := range n {
		now := ask(asked(i)).Canary
		if took[i] && !now {
			t.Fatalf("query %d goes back to the former generation though the share was raised", i)
		}
		if took[i] = now; now {
			bound = i
		}
	}
	if share := float64(count()) / n; share < 0.5 || share > 0.7 {
		t.Errorf("a canary of 0.6 takes %.3f", share)
	}
	// What is bound to the space that serves.
	id := store.NumID(3)
	for name, f := range map[string]func(q *Query){
		"a pinned one":     func(q *Query) { q.Serving = true },
		"one for a model":  func(q *Query) { q.Model = ModelHash },
		"one with vectors": func(q *Query) { q.WithVector = true },
		"one by id":        func(q *Query) { q.Text, q.ID = nil, &id },
		"one by vector":    func(q *Query) { q.Text, q.Vector = nil, append(make([]float32, 127), 1) },
		"one of a space":   func(q *Query) { q.Text, q.Vector, q.Space = nil, append(make([]float32, 127), 1), c.Fingerprint() },
	} {
		q := asked(bound)
		if f(&q); ask(q).Generation != m.From {
			t.Errorf("%s is answered by the target", name)
		}
	}
	groups(t, c, m, took)

	// The end of it.
	step := func(e migrate.Event) {
		t.Helper()
		if _, err := s.MigrationStep(t.Context(), c, m.ID, e, StepOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		event      migrate.Event
		generation uint64
	}{{migrate.EventCutOver, m.To}, {migrate.EventRollBack, m.From}, {migrate.EventAbort, m.From}} {
		step(test.event)
		for i := range 50 {
			a, err := c.Query(t.Context(), asked(i))
			if err != nil || a.Generation != test.generation || a.Canary {
				t.Fatalf("after %s generation %d answers, canary %v: %v", test.event, a.Generation, a.Canary, err)
			}
		}
	}
	var refused *Error
	if _, err := s.UpdateMigration(t.Context(), c, m.ID, MigrationUpdate{Canary: &more}); !errors.As(err, &refused) || refused.Code != "wrong_state" {
		t.Errorf("a canary of an aborted migration: %v", err)
	}
	shut(t, s)
}

// groups asks by groups what was asked without.
func groups(t *testing.T, c *Collection, m migrate.Migration, took map[int]bool) {
	t.Helper()
	boats := Selection{IDs: []store.ID{store.NumID(1), store.NumID(2)}}
	if _, err := c.EditPayloads(t.Context(), boats, PayloadEdit{Op: PayloadSet, Payload: []byte(`{"kind":"boat"}`)}); err != nil {
		t.Fatal(err)
	}
	by, err := filter.ParsePath("kind")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		g, err := c.QueryGroups(t.Context(), GroupQuery{Query: asked(i), By: by, Size: 2})
		if err != nil || len(g.Groups) != 1 || g.Canary != took[i] {
			t.Fatalf("query %d by groups: %+v, %v; want canary %v", i, g, err, took[i])
		}
		want := c.now().of(m.From)
		if took[i] {
			want = c.now().of(m.To)
		}
		if !g.Fingerprint.Matches(want.fingerprint()) || g.ETag != *want.etag.Load() {
			t.Errorf("query %d by groups is of %.12s, canary %v", i, g.Fingerprint, g.Canary)
		}
	}
}

// TestCanaryWaits: nothing goes to a target that is not complete.
func TestCanaryWaits(t *testing.T) {
	s := open(t, t.TempDir(), "")
	defer func() { shut(t, s) }()
	c, err := s.Create(t.Context(), "c", hashWish(64))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Upsert(t.Context(), seasons(0, 200)); err != nil {
		t.Fatal(err)
	}
	var refused *Error
	for code, w := range map[string]MigrationWish{"bad_share": {Wish: hashWish(128), Canary: 1.5}, "canary_and_auto": {Wish: hashWish(128), Canary: 0.5, Auto: true}} {
		if _, err := s.Migrate(t.Context(), c, w); !errors.As(err, &refused) || refused.Code != code {
			t.Errorf("%s: %v", code, err)
		}
	}
	m, err := s.Migrate(t.Context(), c, MigrationWish{Wish: hashWish(128), Canary: 1, Shadow: 1, Limits: migrate.Limits{TokensPerSecond: 8000, Batch: 8}})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for ; ; n++ {
		a, err := c.Query(t.Context(), asked(n))
		if err != nil {
			t.Fatal(err)
		}
		if now, err := s.Migration(t.Context(), c, m.ID); err != nil || now.State == migrate.Ready {
			break
		}
		if a.Canary {
			t.Fatal("the target answers while it is filled")
		}
	}
	if n == 0 {
		t.Fatal("the migration was ready before anything was asked")
	}
	if a, err := c.Query(t.Context(), asked(0)); err != nil || !a.Canary {
		t.Errorf("a ready target does not answer: %+v, %v", a, err)
	}
	// The target's encoder fails: the serving generation answers.
	g := c.now().standby
	whole := g.encoding.Load()
	g.encoding.Store(&encoding{nil, errors.New("the disk of the model is gone")})
	before, _ := c.Query(t.Context(), asked(0))
	if _, figures := liveOf(t, s, c, m.ID); before.Generation != m.From || len(before.Hits) != 5 || figures.Failed != 1 {
		t.Errorf("where the target fails: generation %d, %d hits, %+v", before.Generation, len(before.Hits), figures)
	}
	// A point that it lacks: nothing is asked of it until it has it.
	late := seasons(900, 901)
	if _, err := c.Upsert(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	g.encoding.Store(whole)
	stop(t, s, c, m.ID, func() {
		// Whatever the run has brought in meanwhile, asked for by its own text
		// the point is found.
		a, err := c.Query(t.Context(), Query{Text: &late[0].Text, Limit: 1, Exact: true})
		if err != nil || len(a.Hits) != 1 || a.Hits[0].ID != late[0].ID {
			t.Errorf("a point that the target lacked is not found: %+v, %v", a, err)
		}
		if _, figures := liveOf(t, s, c, m.ID); a.Canary == (figures.Held == 1) {
			t.Errorf("canary %v, and %d were held back", a.Canary, figures.Held)
		}
	})
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		a, err := c.Query(t.Context(), Query{Text: &late[0].Text, Limit: 1, Exact: true})
		if err != nil || time.Now().After(end) {
			t.Fatalf("the target is not asked again: %+v, %v", a, err)
		}
		if a.Canary {
			break
		}
	}
}

// stop stops the run of a migration over f.
func stop(t *testing.T, s *Service, c *Collection, id uint64, f func()) {
	t.Helper()
	m := s.migrations.of(c)
	if m == nil || m.id != id {
		t.Fatalf("migration %d is not under way", id)
	}
	if err := m.step.take(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer m.step.leave()
	m.stopLocked()
	f()
	m.startLocked()
}

// TestCanaryThresholds: a threshold keeps meaning what it meant; where there is
// no map, the query stays where it was meant to go.
func TestCanaryThresholds(t *testing.T) {
	s, c, m := liveCollection(t, t.TempDir(), MigrationWish{Canary: 1})
	defer shut(t, s)
	threshold := float32(0.3)
	q := asked(1)
	q.ScoreThreshold = &threshold
	a, err := c.Query(t.Context(), q)
	if err != nil || !a.Canary || a.Threshold == nil || a.Threshold.Given != threshold {
		t.Fatalf("%+v, %v", a, err)
	}
	for _, h := range a.Hits {
		if h.Score < a.Threshold.Used {
			t.Errorf("a hit of %g passes %g", h.Score, a.Threshold.Used)
		}
	}
	q.ScoreSpace = c.Fingerprint() // as a client says it that is ready for the cut-over
	if b, err := c.Query(t.Context(), q); err != nil || b.Threshold == nil || *b.Threshold != *a.Threshold {
		t.Errorf("with the space: %+v, %v", b.Threshold, err)
	}
	q.ScoreSpace = compat.Fingerprint{1}
	var refused *Error
	if _, err := c.Query(t.Context(), q); !errors.As(err, &refused) || refused.Code != "no_threshold_map" {
		t.Errorf("a threshold of nowhere: %v", err)
	}
	if _, figures := liveOf(t, s, c, m.ID); figures.Held != 1 || figures.Failed != 0 {
		t.Errorf("%+v", figures)
	}
	// The same vectors by another metric.
	if _, err := s.MigrationStep(t.Context(), c, m.ID, migrate.EventAbort, StepOptions{}); err != nil {
		t.Fatal(err)
	}
	m, err = s.Migrate(t.Context(), c, MigrationWish{Wish: Wish{Vectors: &VectorsWish{Metric: compat.MetricL2}}, Canary: 1})
	if err != nil {
		t.Fatal(err)
	}
	await(t, s, c, m.ID, migrate.Ready)
	if a, err := c.Query(t.Context(), asked(1)); err != nil || !a.Canary || a.Generation != m.To || len(a.Hits) != 5 || a.Hits[0].Score > a.Hits[4].Score {
		t.Errorf("another metric: %+v, %v", a, err)
	}
	q = asked(1)
	q.ScoreThreshold = &threshold
	if a, err := c.Query(t.Context(), q); err != nil || a.Canary || a.Generation != m.From {
		t.Errorf("a threshold of cosine is taken for a distance: %+v, %v", a, err)
	}
}

// TestCanaryMixesNothing: beside writes, cut-overs and rollbacks every answer
// is of one space, the one that it names.
func TestCanaryMixesNothing(t *testing.T) {
	// Judged queries are few, and so the evaluations are short.
	judged := []evaluate.Judged{{ID: "1", Text: *asked(1).Text, Gains: map[string]float64{"1": 1}}}
	s, c, m := liveCollection(t, t.TempDir(), MigrationWish{Canary: 0.5, Shadow: 0.5, Judged: judged})
	defer func() { shut(t, s) }()
	ctx, cancel := context.WithCancel(t.Context())
	spaces := map[uint64]compat.Fingerprint{m.From: c.now().of(m.From).fingerprint(), m.To: c.now().of(m.To).fingerprint()}
	type outcome struct {
		n, canary int
		err       error
	}
	writer, readers := make(chan outcome), make(chan outcome)
	go func() {
		n := 0
		for ; ctx.Err() == nil; n++ {
			if _, err := c.Upsert(t.Context(), seasons(liveTexts+n%50, liveTexts+1+n%50)); err != nil {
				writer <- outcome{n: n, err: err}
				return
			}
			time.Sleep(2 * time.Millisecond) // the others want some of the machine
		}
		writer <- outcome{n: n}
	}()
	for r := range 2 {
		go func() {
			rng, o := rand.New(rand.NewPCG(uint64(r), 0)), outcome{}
			for ; ctx.Err() == nil && o.err == nil; o.n++ {
				i := rng.IntN(liveTexts)
				text := seasons(i, i+1)[0].Text
				a, err := c.Query(t.Context(), Query{Text: &text, Limit: 3, Exact: true})
				switch {
				case err != nil:
					o.err = err
				case !a.Fingerprint.Matches(spaces[a.Generation]):
					o.err = fmt.Errorf("generation %d answers as %.12s", a.Generation, a.Fingerprint)
				case len(a.Hits) != 3 || a.Hits[0].ID != store.NumID(uint64(i)) || a.Hits[0].Score < 0.999:
					o.err = fmt.Errorf("generation %d, canary %v: %q finds %+v", a.Generation, a.Canary, text, a.Hits)
				}
				if a.Canary {
					o.canary++
				}
				time.Sleep(200 * time.Microsecond)
			}
			readers <- o
		}()
	}
	for round := range 3 {
		time.Sleep(200 * time.Millisecond)
		half := 0.5 - float64(round%2)/4
		update(t, s, c, m.ID, MigrationUpdate{Canary: &half})
		time.Sleep(200 * time.Millisecond)
		for _, e := range []migrate.Event{migrate.EventCutOver, migrate.EventRollBack, migrate.EventEvaluate} {
			if _, err := s.MigrationStep(t.Context(), c, m.ID, e, StepOptions{}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		// Searches beside so much are not always fast enough for the gate.
		for tries := 0; ; tries++ {
			now, err := s.Migration(t.Context(), c, m.ID)
			if err != nil {
				t.Fatal(err)
			}
			if now.State == migrate.Failed && strings.Contains(now.Reason, "latency") && tries < 10_000 {
				_, err = s.MigrationStep(t.Context(), c, m.ID, migrate.EventEvaluate, StepOptions{})
			}
			if now.State == migrate.Ready {
				break
			}
			if err != nil || now.State == migrate.Failed && tries >= 10_000 {
				t.Fatal(err, now.Reason)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	cancel()
	wrote := <-writer
	a, b := <-readers, <-readers
	if err := errors.Join(wrote.err, a.err, b.err); err != nil {
		t.Fatal(err)
	}
	shadow, canary := liveOf(t, s, c, m.ID)
	if a.canary+b.canary == 0 || canary.Queries != a.canary+b.canary || canary.Failed != 0 || shadow.Queries == 0 {
		t.Errorf("%d answers of the canary: %+v %+v", a.canary+b.canary, canary, shadow)
	}
	t.Logf("%d points written, %d queries, %d by the canary, %d held, %d compared, %d dropped", wrote.n, a.n+b.n, canary.Queries, canary.Held, shadow.Queries, shadow.Dropped)
}

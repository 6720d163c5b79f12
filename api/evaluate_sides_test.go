package api

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/vecino-db/vecino/api/report"
	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/compat/migrate"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/evaluate"
)

// picky refuses one text.
type picky struct {
	embed.Encoder
	text string
}

func (p picky) Encode(ctx context.Context, role embed.Role, texts []string) (embed.Encoded, error) {
	for i, text := range texts {
		if text == p.text {
			return embed.Encoded{}, &embed.TextError{Index: i, Err: embed.ErrNoTokens}
		}
	}
	return p.Encoder.Encode(ctx, role, texts)
}

// judgedSeasons ask for the texts of some points.
func judgedSeasons(ids ...string) (list []evaluate.Judged) {
	for _, id := range ids {
		n := int(id[0] - '0')
		list = append(list, evaluate.Judged{ID: "q" + id, Text: seasons(n, n+1)[0].Text, Gains: map[string]float64{id: 1}})
	}
	return list
}

// reportOf is the report of a migration.
func reportOf(t *testing.T, m migrate.Migration) (r report.Report) {
	t.Helper()
	if err := json.Unmarshal(m.Evaluation, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestQueryThatOneSideRefuses: a judged query that the target can't encode counts
// as lost by the target, and as what it was before.
func TestQueryThatOneSideRefuses(t *testing.T) {
	s := open(t, t.TempDir(), "")
	defer func() { shut(t, s) }()
	c, err := s.Create(t.Context(), "c", hashWish(64))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Upsert(t.Context(), seasons(0, 30)); err != nil {
		t.Fatal(err)
	}
	judged := judgedSeasons("1", "2", "3", "4")
	m, err := s.Migrate(t.Context(), c, MigrationWish{Wish: hashWish(128), Judged: judged})
	if err != nil {
		t.Fatal(err)
	}
	m = await(t, s, c, m.ID, migrate.Ready)
	if j := reportOf(t, m).Judgement; j == nil || j.Old.NDCG10.Mean != 1 || j.New.NDCG10.Mean != 1 {
		t.Fatalf("%+v", j)
	}
	standby := c.now().standby
	whole := standby.encoding.Load()
	standby.encoding.Store(&encoding{encoder: &served{Encoder: picky{whole.encoder, judged[1].Text}, queue: whole.encoder.queue}})
	if _, err := s.MigrationStep(t.Context(), c, m.ID, migrate.EventEvaluate, StepOptions{}); err != nil {
		t.Fatal(err)
	}
	m = await(t, s, c, m.ID, migrate.Ready)
	if j := reportOf(t, m).Judgement; j == nil || j.Old.NDCG10.Mean != 1 || j.New.NDCG10.Mean != 0.75 {
		t.Errorf("old %g, new %g, want 1 and 3/4", j.Old.NDCG10.Mean, j.New.NDCG10.Mean)
	}
	standby.encoding.Store(whole)
}

// TestEvaluationWaitsForItsEndpoint: a target whose endpoint is away while judged
// queries are run is judged when it is back; a former model that is away is
// compared with nothing, and the report says so.
func TestEvaluationWaitsForItsEndpoint(t *testing.T) {
	e := newEndpoint(t)
	s := openRemote(t, t.TempDir(), e, time.Hour)
	defer func() { shut(t, s) }()
	c, err := s.Create(t.Context(), "c", hashWish(64))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Upsert(t.Context(), seasons(0, 30)); err != nil {
		t.Fatal(err)
	}
	judged := judgedSeasons("1", "2", "3", "4")
	m, err := s.Migrate(t.Context(), c, MigrationWish{Wish: Wish{Embedding: &EmbeddingWish{Model: "openai:m"}}, Judged: judged})
	if err != nil {
		t.Fatal(err)
	}
	await(t, s, c, m.ID, migrate.Ready)
	// The probes of each evaluation are asked of the endpoint, not of the cache.
	probe := compat.ProbeTexts()[0]
	asked := e.sent(probe)
	if _, err := s.MigrationStep(t.Context(), c, m.ID, migrate.EventEvaluate, StepOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, s, c, m.ID, migrate.Ready)
	if e.sent(probe) == asked {
		t.Error("an evaluation takes the probes from the cache")
	}
	e.set(func() { e.down = true })
	if _, err := s.MigrationStep(t.Context(), c, m.ID, migrate.EventEvaluate, StepOptions{Judged: judgedSeasons("5", "6", "7")}); err != nil {
		t.Fatal(err)
	}
	for m.Waiting == "" {
		time.Sleep(time.Millisecond)
		if m, err = s.Migration(t.Context(), c, m.ID); err != nil || m.State != migrate.Evaluating {
			t.Fatal(m.State, err)
		}
	}
	if !strings.Contains(m.Waiting, "openai:m") {
		t.Errorf("it waits %s", m.Waiting)
	}
	e.set(func() { e.down = false })
	m = await(t, s, c, m.ID, migrate.Ready)
	if j := reportOf(t, m).Judgement; j == nil || j.Queries != 3 || j.New.NDCG10.Mean < 0.9 {
		t.Errorf("judged by %+v", j)
	}

	// The other way round the endpoint is the former model's.
	for _, event := range []migrate.Event{migrate.EventCutOver, migrate.EventCommit} {
		if _, err := s.MigrationStep(t.Context(), c, m.ID, event, StepOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	e.set(func() { e.down = true })
	if m, err = s.Migrate(t.Context(), c, MigrationWish{Wish: hashWish(128), Judged: judgedSeasons("8", "9")}); err != nil {
		t.Fatal(err)
	}
	m = await(t, s, c, m.ID, migrate.Ready)
	if r := reportOf(t, m); r.Judgement != nil || !strings.Contains(r.Reasons["judgement"], "openai:m") {
		t.Errorf("judged by %+v, because %q", r.Judgement, r.Reasons["judgement"])
	}
	if _, err := s.MigrationStep(t.Context(), c, m.ID, migrate.EventAbort, StepOptions{}); err != nil {
		t.Fatal(err)
	}

	// One that cuts over by itself doesn't do so unjudged; and who is away for a
	// moment is waited for.
	auto := MigrationWish{Wish: hashWish(128), Judged: judgedSeasons("8", "9"), Auto: true}
	if m, err = s.Migrate(t.Context(), c, auto); err != nil {
		t.Fatal(err)
	}
	for m.State != migrate.Failed {
		time.Sleep(time.Millisecond)
		if m, err = s.Migration(t.Context(), c, m.ID); err != nil || m.State == migrate.RollbackWindow {
			t.Fatal(m.State, err)
		}
	}
	if !strings.Contains(m.Reason, "nothing to compare with") {
		t.Errorf("it has failed because %s", m.Reason)
	}
	if _, err := s.MigrationStep(t.Context(), c, m.ID, migrate.EventEvaluate, StepOptions{}); err != nil {
		t.Fatal(err)
	}
	for m.Waiting == "" {
		time.Sleep(time.Millisecond)
		if m, err = s.Migration(t.Context(), c, m.ID); err != nil || m.State != migrate.Evaluating {
			t.Fatal(m.State, err)
		}
	}
	e.set(func() { e.down = false })
	m = await(t, s, c, m.ID, migrate.RollbackWindow)
	if j := reportOf(t, m).Judgement; j == nil || j.Queries != 2 {
		t.Errorf("judged by %+v", j)
	}
}

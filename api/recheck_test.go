package api

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vecino-db/vecino/api/report"
	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/compat/migrate"
	"github.com/vecino-db/vecino/embed/evaluate"
	"github.com/vecino-db/vecino/store"
)

// colours are judged queries over the documents of colourCollection.
func colours() []evaluate.Judged {
	return []evaluate.Judged{
		{ID: "r", Text: "red", Gains: map[string]float64{"1": 1}},
		{ID: "rr", Text: "red red", Gains: map[string]float64{"1": 1}},
		{ID: "g", Text: "green", Gains: map[string]float64{"3": 1}},
		{ID: "gg", Text: "green green", Gains: map[string]float64{"3": 1}},
	}
}

// colourCollection has a document of each colour, by the model of writeModel.
func colourCollection(t *testing.T, s *Service) *Collection {
	t.Helper()
	c, err := s.Create(t.Context(), "c", Wish{Embedding: &EmbeddingWish{Model: "local:base"}})
	if err != nil {
		t.Fatal(err)
	}
	var points []Point
	for i, text := range []string{"red", "blue", "green"} {
		points = append(points, Point{ID: store.NumID(uint64(i + 1)), Text: text, HasText: true})
	}
	if _, err := c.Upsert(t.Context(), points); err != nil {
		t.Fatal(err)
	}
	return c
}

// prompted asks for another query prompt.
func prompted(model, prompt string) Wish {
	return Wish{Embedding: &EmbeddingWish{Model: model, QueryPrompt: &prompt}}
}

// first is the first hit of a text.
func first(t *testing.T, c *Collection, text string) string {
	t.Helper()
	a, err := c.Query(t.Context(), textQuery(text))
	if err != nil || len(a.Hits) == 0 {
		t.Fatal(a, err)
	}
	return a.Hits[0].Text
}

// evaluationOf is the report of a migration, and its gate of a name.
func evaluationOf(t *testing.T, m migrate.Migration, gate string) (report.Report, report.Gate) {
	t.Helper()
	var r report.Report
	if err := json.Unmarshal(m.Evaluation, &r); err != nil {
		t.Fatalf("evaluation %.200s: %v", m.Evaluation, err)
	}
	for _, g := range r.Gates {
		if g.Name == gate {
			return r, g
		}
	}
	t.Fatalf("there is no gate %q: %+v", gate, r.Gates)
	return r, report.Gate{}
}

// code is that of a refusal.
func code(err error) string {
	var refused *Error
	if !errors.As(err, &refused) {
		return ""
	}
	return refused.Code
}

// TestRecheckJudged: a query prompt by which judged queries do worse changes
// nothing, also over a restart, and one by which they don't is taken. Both have
// an evaluation.
func TestRecheckJudged(t *testing.T) {
	models, data := t.TempDir(), t.TempDir()
	writeModel(t, filepath.Join(models, "base"), []float32{1, 0, 0})
	s := open(t, data, models)
	defer func() { shut(t, s) }()
	c := colourCollection(t, s)
	before := c.Manifest()
	m, err := s.Migrate(t.Context(), c, MigrationWish{Wish: prompted("local:base", "blue blue blue blue "), Judged: colours(), Limits: migrate.Limits{CPUs: 4}})
	if err != nil {
		t.Fatal(err)
	}
	r, gate := evaluationOf(t, m, "judgement")
	if m.State != migrate.Failed || m.Verdict != compat.VerdictRecheck || gate.Passed || !strings.Contains(m.Reason, "judgement (nDCG@10 -0.") {
		t.Errorf("a worse prompt: %s, %q, %+v", m.State, m.Reason, gate)
	}
	if j := r.Judgement; j == nil || j.Old.NDCG10.Mean != 1 || j.New.NDCG10.Mean > 0.9 || r.Old.Fingerprint == r.New.Fingerprint || r.Migration != "1" || r.Passed() {
		t.Errorf("its report: %+v", r)
	}
	if r.Latency != nil || r.Recall != nil || r.Reasons["recall"] == "" {
		t.Errorf("measured of the index, which stays: %+v %+v %v", r.Recall, r.Latency, r.Reasons)
	}
	for range 2 {
		if got := c.Manifest(); got.Space != before.Space || first(t, c, "red") != "red" {
			t.Error("the refused prompt serves")
		}
		if _, err := s.Migrate(t.Context(), c, MigrationWish{Wish: prompted("local:base", "the ")}); code(err) != "migration_under_way" {
			t.Errorf("another one beside it: %v", err)
		}
		for _, e := range []migrate.Event{migrate.EventResume, migrate.EventEvaluate} {
			if _, err := s.MigrationStep(t.Context(), c, m.ID, e, StepOptions{}); code(err) != "wrong_state" {
				t.Errorf("%s: %v", e, err)
			}
		}
		share := 0.5
		if _, err := s.UpdateMigration(t.Context(), c, m.ID, MigrationUpdate{Shadow: &share}); code(err) != "wrong_state" {
			t.Errorf("a shadow for it: %v", err)
		}
		shut(t, s)
		s = open(t, data, models)
		c = collectionOf(t, s, "c")
	}
	if history, err := s.History(t.Context(), c); err != nil || history[0].Migration != nil {
		t.Errorf("it stands in the history of what serves: %+v %v", history, err)
	}
	if m, err = s.MigrationStep(t.Context(), c, m.ID, migrate.EventAbort, StepOptions{}); err != nil || m.State != migrate.Aborted {
		t.Fatal(m.State, err)
	}

	m, err = s.Migrate(t.Context(), c, MigrationWish{Wish: prompted("local:base", "the "), Judged: colours()})
	if err != nil || m.State != migrate.Committed {
		t.Fatal(m.State, m.Reason, err)
	}
	if m, err = s.Migration(t.Context(), c, m.ID); err != nil {
		t.Fatal(err)
	}
	if r, gate = evaluationOf(t, m, "judgement"); !gate.Passed || !r.Passed() || r.Judgement.New.NDCG10.Mean != 1 || r.New.Fingerprint != c.Manifest().Space.Fingerprint() {
		t.Errorf("a prompt as good: %+v", r)
	}
	if got := c.Manifest().Space.QueryPrompt; got != "the " || first(t, c, "green") != "green" {
		t.Errorf("the prompt that serves is %q", got)
	}
}

// TestRecheckUnjudged: what is made at once takes no judged queries where none
// would be run, and no live ones; and queries that say nothing don't let a
// prompt pass.
func TestRecheckUnjudged(t *testing.T) {
	models := t.TempDir()
	writeModel(t, filepath.Join(models, "base"), []float32{1, 0, 0})
	s := open(t, t.TempDir(), models)
	defer shut(t, s)
	c := colourCollection(t, s)
	before := c.Manifest()
	ef, prompt := Wish{Search: SearchWish{Ef: 99}}, prompted("local:base", "the ")
	for _, test := range []struct {
		wish MigrationWish
		code string
	}{
		{MigrationWish{Wish: ef, Judged: colours()}, "nothing_to_judge"},
		{MigrationWish{Wish: prompted("local:base", ""), Judged: colours()}, "nothing_to_judge"},
		{MigrationWish{Wish: ef, Shadow: 0.5}, "nothing_to_compare"},
		{MigrationWish{Wish: prompt, Shadow: 0.5, Judged: colours()}, "nothing_to_compare"},
		{MigrationWish{Wish: prompt, Canary: 0.5}, "nothing_to_compare"},
	} {
		if _, err := s.Migrate(t.Context(), c, test.wish); code(err) != test.code {
			t.Errorf("%+v: %v", test.wish, err)
		}
	}
	m, err := s.Migrate(t.Context(), c, MigrationWish{Wish: prompt, Judged: []evaluate.Judged{{ID: "q", Text: "red", Gains: map[string]float64{"gone": 1, "lost": 1}}}})
	if err != nil || m.State != migrate.Failed || !strings.Contains(m.Reason, "none of the 2 judged documents is in the collection") {
		t.Errorf("no judged document is there: %s, %q, %v", m.State, m.Reason, err)
	}
	if got := c.Manifest(); got.Space != before.Space || got.Search != before.Search {
		t.Errorf("something has changed: %+v %+v", got.Space, got.Search)
	}
}

// TestTrainedSameModel: a training that comes to the very model that serves has
// nothing to migrate, and its judged queries are in nobody's way.
func TestTrainedSameModel(t *testing.T) {
	models := t.TempDir()
	writeModel(t, filepath.Join(models, "base"), []float32{1, 0, 0})
	writeModel(t, filepath.Join(models, "again"), []float32{1, 0, 0})
	s := open(t, t.TempDir(), models)
	defer shut(t, s)
	run := trainingRun{
		service: s, c: colourCollection(t, s), wish: TrainingWish{Judged: colours()}, tell: func(string, int, int) {}, keep: func(any) {},
		result: Training{Model: "local:again", Collection: "c"},
	}
	if err := run.migrate(t.Context()); err != nil || run.result.Migration.State != migrate.Committed {
		t.Errorf("%+v, %v", run.result.Migration, err)
	}
}

// TestRecheckWaitsForNobody: while judged queries are run others make
// collections, and the end of the request ends it with nothing changed.
func TestRecheckWaitsForNobody(t *testing.T) {
	e := newEndpoint(t)
	s := openRemote(t, t.TempDir(), e, time.Hour)
	defer shut(t, s)
	c := remoteCollection(t, s, "c")
	asked, answer := make(chan struct{}), make(chan struct{})
	var once sync.Once
	e.set(func() {
		e.asked = func(text string) {
			if text == "find: a bicycle" {
				once.Do(func() { close(asked) })
				<-answer
			}
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := s.Migrate(ctx, c, MigrationWish{Wish: prompted("openai:m", "find: "), Judged: []evaluate.Judged{{ID: "q", Text: "a bicycle", Gains: map[string]float64{"1": 1}}}})
		ended <- err
	}()
	select {
	case <-asked:
	case err := <-ended:
		t.Fatalf("it has ended before it asked: %v", err)
	}
	if _, err := s.Create(t.Context(), "other", hashWish(64)); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the request's end: %v", err)
	}
	close(answer)
	if list, err := s.Migrations(t.Context(), c); err != nil || len(list) != 0 || c.Manifest().Space.QueryPrompt != "query: " {
		t.Errorf("it left %d migrations, %v, prompt %q", len(list), err, c.Manifest().Space.QueryPrompt)
	}
}

// TestRecheckEndpointSwapped: another model behind the endpoint in the middle of
// the judged queries says nothing of the prompt: the migration does not begin.
func TestRecheckEndpointSwapped(t *testing.T) {
	e := newEndpoint(t)
	s := openRemote(t, t.TempDir(), e, time.Hour)
	defer shut(t, s)
	c := remoteCollection(t, s, "c")
	e.set(func() {
		e.asked = func(text string) {
			if text == "find: a bicycle" {
				e.salt = "another model altogether "
			}
		}
	})
	judged := []evaluate.Judged{{ID: "b", Text: "a bicycle", Gains: map[string]float64{"1": 1}}, {ID: "f", Text: "a ferry", Gains: map[string]float64{"2": 1}}}
	if _, err := s.Migrate(t.Context(), c, MigrationWish{Wish: prompted("openai:m", "find: "), Judged: judged}); code(err) != "encoder_changed" {
		t.Errorf("queries that were not answered have judged the prompt: %v", err)
	}
	if list, err := s.Migrations(t.Context(), c); err != nil || len(list) != 0 || c.Manifest().Space.QueryPrompt != "query: " {
		t.Errorf("it left %d migrations, %v, prompt %q", len(list), err, c.Manifest().Space.QueryPrompt)
	}
}

// TestJudgementSaysNothing: judged queries that no document answers in either
// generation keep from cutting over; what is missing is counted.
func TestJudgementSaysNothing(t *testing.T) {
	s := open(t, t.TempDir(), "")
	defer shut(t, s)
	c, err := s.Create(t.Context(), "c", hashWish(64))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Upsert(t.Context(), seasons(0, 20)); err != nil {
		t.Fatal(err)
	}
	judged := func(ids ...string) []evaluate.Judged {
		q := evaluate.Judged{ID: "q", Text: "harbour 5 with ferry 35 and storm 65", Gains: map[string]float64{}}
		for _, id := range ids {
			q.Gains[id] = 1
		}
		return []evaluate.Judged{q}
	}
	m, err := s.Migrate(t.Context(), c, MigrationWish{Wish: hashWish(128), Judged: judged("x", "y", "z")})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		judged []evaluate.Judged
		passed bool
		says   string
	}{
		{nil, false, "none of the 3 judged documents is in the collection"}, // those of the start
		{judged(), false, "no query has a relevant document"},
		{[]evaluate.Judged{{ID: "q", Text: " ", Gains: map[string]float64{"5": 1, "x": 1}}}, false, "nDCG@10 of every query is 0 in both; 1 of 2 judged documents are missing"},
		{judged("5", "x"), true, "nDCG@10 +0.0000 (0.0000 to 0.0000); 1 of 2 judged documents are missing"},
		{judged("5"), true, "nDCG@10 +0.0000"},
	} {
		if test.judged != nil {
			if _, err := s.MigrationStep(t.Context(), c, m.ID, migrate.EventEvaluate, StepOptions{Judged: test.judged}); err != nil {
				t.Fatal(err)
			}
		}
		got := settledState(t, s, c, m.ID)
		_, gate := evaluationOf(t, got, "judgement")
		if want := map[bool]migrate.State{true: migrate.Ready, false: migrate.Failed}[test.passed]; got.State != want || gate.Passed != test.passed || !gate.Decides || !strings.Contains(gate.Measured, test.says) {
			t.Errorf("%v: %s, %q, %+v", test.judged, got.State, got.Reason, gate)
		}
	}
}

// settledState waits until a migration is ready or has failed.
func settledState(t *testing.T, s *Service, c *Collection, id uint64) migrate.Migration {
	t.Helper()
	for {
		m, err := s.Migration(t.Context(), c, id)
		if err != nil {
			t.Fatal(err)
		}
		if m.State == migrate.Ready || m.State == migrate.Failed {
			return m
		}
		time.Sleep(5 * time.Millisecond)
	}
}

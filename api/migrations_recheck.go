package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/vecino-db/vecino/api/report"
	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/compat/migrate"
	"github.com/vecino-db/vecino/embed"
)

// Another query prompt leaves the vectors and their index as they are. Judged
// queries that are given with it are run with both prompts in the generation
// that serves, and a prompt by which they do decidedly worse is not taken.

// suits refuses what has no meaning for a change that is made at once.
func (w MigrationWish) suits(verdict compat.Verdict) error {
	if !verdict.Opens() {
		return nil
	}
	for _, share := range []struct {
		name  string
		value float64
	}{{"shadow", w.Shadow}, {"canary", w.Canary}} {
		if share.value > 0 {
			e := invalid("nothing_to_compare", "/"+share.name, "the change is %s: it is made at once, in the generation that serves, and there is no second one for a %s", verdict, share.name)
			e.Remedy = "leave the " + share.name + " out"
			return e
		}
	}
	if len(w.Judged) > 0 && verdict != compat.VerdictRecheck {
		e := invalid("nothing_to_judge", "/judgements", "the change is %s: it is made at once, and no query is run before it", verdict)
		e.Remedy = "leave the judged queries out; another ef can be tried before it is made the default, by params.hnsw_ef of a query"
		return e
	}
	return nil
}

// rechecked is what judged queries say of another query prompt.
type rechecked struct {
	serving *generation // that answered
	report  report.Report
	cpu     time.Duration
}

// recheck runs judged queries with the query prompt that there is and with the
// wanted one; nil: there are none, or the prompt is not what changes. It holds no
// lock: it takes as long as the queries take. Errors are those of the encoder
// and the store; what can't be run says nothing of the prompt.
func (s *Service) recheck(ctx context.Context, c *Collection, w MigrationWish, want compat.Manifest) (*rechecked, error) {
	serving := c.serving()
	changes := compat.Diff(c.Manifest(), want)
	verdict := compat.Worst(changes)
	if len(w.Judged) == 0 || verdict != compat.VerdictRecheck {
		return nil, nil
	}
	if err := w.suits(verdict); err != nil {
		return nil, err
	}
	if err := s.idle(c); err != nil {
		return nil, err
	}
	if now := serving.encoding.Load(); now.encoder == nil {
		return nil, c.noEncoder(serving, now.problem)
	}
	want.Evidence = c.Manifest().Evidence
	encoder, problem, err := s.settled(ctx, c, &want)
	if err != nil {
		return nil, err
	}
	if encoder == nil {
		return nil, c.noEncoder(serving, problem)
	}
	defer encoder.release()
	anew, err := s.newGeneration(serving.number, want, encoder, problem)
	if err != nil {
		return nil, err
	}
	e := evaluation{
		m: &migration{owner: s.migrations, c: c, judged: w.Judged}, c: c, old: serving, anew: anew,
		record: migrate.Migration{Verdict: verdict, Changes: changes, From: serving.number, To: serving.number},
	}
	r := rechecked{serving: serving}
	r.report, r.cpu, err = e.measure(embed.WithPriority(ctx, embed.PriorityMigration), func() migrate.Limits { return w.Limits })
	return &r, err
}

// judgedBy puts what judged queries have said into the record of a migration
// that is about to change the serving generation, and reports whether it may.
func (m *migration) judgedBy(r *rechecked) (passed bool, err error) {
	if len(m.judged) == 0 {
		return true, nil
	}
	if r == nil || r.serving != m.c.serving() {
		return false, &Error{
			Kind: KindConflict, Code: "collection_changed", Detail: fmt.Sprintf("collection %q has changed while the judged queries were run", m.c.Name()),
			Remedy: "start the migration again",
		}
	}
	r.report.Migration = fmt.Sprint(m.record.ID)
	m.record.Progress.CPU = r.cpu.Seconds()
	m.record.Evaluation, err = json.Marshal(r.report)
	return r.report.Passed(), err
}

// refuse keeps a migration that has changed nothing, because a gate has not
// passed.
func (m *migration) refuse(ctx context.Context, r *rechecked) (migrate.Migration, error) {
	record := m.get()
	if err := record.Fail(errors.New(failedGates(r.report.Gates)), time.Now().UTC()); err != nil {
		return migrate.Migration{}, err
	}
	if err := m.Keep(ctx, record); err != nil {
		return migrate.Migration{}, err
	}
	m.owner.enter(m)
	m.owner.service.logger.Info("migration refused", "collection", m.c.Name(), "migration", record.ID, "verdict", record.Verdict.String(), "reason", record.Reason)
	return record, nil
}

// takeInPlace takes a step of a migration that refuse has kept: there is no
// target to go on with, or to end.
func (m *migration) takeInPlace(ctx context.Context, e migrate.Event, record migrate.Migration) error {
	if e != migrate.EventAbort {
		return &Error{
			Kind: KindConflict, Code: "wrong_state", Detail: fmt.Sprintf("migration %d of %q has no target to go on with: it was not to make one, and has changed nothing", record.ID, m.c.Name()),
			Remedy: fmt.Sprintf("abort it (POST /collections/%s/migrations/%d/abort), and start another one", m.c.Name(), record.ID),
		}
	}
	if err := record.Apply(e, time.Now().UTC()); err != nil {
		return err
	}
	if err := m.Keep(ctx, record); err != nil {
		return err
	}
	m.owner.leave(m)
	return nil
}

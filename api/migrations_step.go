package api

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/vecino-db/vecino/compat/migrate"
	"github.com/vecino-db/vecino/embed/evaluate"
	"github.com/vecino-db/vecino/store"
)

// Steps that people take, and the run between them.

// MigrationStep takes a step that people ask for: pause, resume, evaluate,
// cutover, rollback, commit or abort. Errors: KindNotFound, KindConflict for
// a step that the state does not know, and those of the store.
func (s *Service) MigrationStep(ctx context.Context, c *Collection, id uint64, e migrate.Event, o StepOptions) (migrate.Migration, error) {
	m := s.migrations.of(c)
	if m == nil || m.get().ID != id {
		ended, err := s.Migration(ctx, c, id)
		if err != nil {
			return migrate.Migration{}, err
		}
		if err := beingDeleted(ended); err != nil {
			return ended, err
		}
		return ended, stepError(ended.Apply(e, time.Now().UTC()))
	}
	if err := m.step.take(ctx); err != nil {
		return m.get(), err
	}
	defer m.step.leave()
	lasting, end := m.untilDropped(ctx)
	defer end()
	if err := m.take(lasting, e, o); err != nil {
		if lasting.Err() != nil && ctx.Err() == nil {
			err = errors.Join(beingDeleted(m.get()), err)
		}
		return m.get(), stepError(err)
	}
	return m.get(), nil
}

// beingDeleted is why nobody works at a migration that has not ended.
func beingDeleted(m migrate.Migration) error {
	if m.State.Final() {
		return nil
	}
	return &Error{
		Kind: KindConflict, Code: "wrong_state", Detail: fmt.Sprintf("migration %d of %q is %s, and nothing works at it: the collection is being deleted", m.ID, m.Collection, m.State),
		Remedy: "ask again: if the collection stays, the migration goes on",
	}
}

// untilDropped is a context that ends, too, when the collection is to be dropped.
func (m *migration) untilDropped(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	m.mu.Lock()
	stop := context.AfterFunc(m.dropping, cancel)
	m.mu.Unlock()
	return ctx, func() {
		stop()
		cancel()
	}
}

// StepOptions go with a step.
type StepOptions struct {
	// RequireCard refuses a cut-over to a generation without a model card.
	RequireCard bool
	// Judged are judged queries, of EventEvaluate; nil: those that there are.
	Judged []evaluate.Judged
}

// stepError tells a step that is not possible from what went wrong.
func stepError(err error) error {
	switch {
	case errors.Is(err, migrate.ErrStep):
		return &Error{Kind: KindConflict, Code: "wrong_state", Detail: err.Error(), Err: err}
	}
	return err
}

// namedLacking is how many of the documents that a generation lacks are named.
const namedLacking = 5

// incomplete says what a generation lacks that therefore can't serve: nobody
// would find it there. cause is why it could not be brought in, and is given
// back where nothing lacks.
func (m *migration) incomplete(ctx context.Context, number uint64, cause error) error {
	if cause == nil || ctx.Err() != nil {
		return cause
	}
	s, ok := m.c.stored.Standby()
	if !ok || s.Generation != number || s.Filled == s.Documents {
		return cause
	}
	docs, _, _, _, err := m.c.stored.Unfilled(ctx, number, 0, namedLacking, false)
	if err != nil {
		return errors.Join(cause, err)
	}
	var ids []string
	for _, d := range docs {
		ids = append(ids, d.ID.String())
	}
	e := &Error{Kind: KindConflict, Code: "incomplete", Err: cause, Detail: fmt.Sprintf(
		"generation %d has no vector of %d of the %d documents (%s), and they can't be brought in: %v", number, s.Documents-s.Filled, s.Documents, andMore(ids, s.Documents-s.Filled), cause)}
	if g := m.c.now().of(number); g != nil && lostEncoder(g, cause) {
		e.Remedy = fmt.Sprintf("bring back the model of generation %d and take the step again, or delete these documents", number)
	} else {
		e.Remedy = "put these documents again with texts that can be embedded, or delete them"
	}
	if s.Served {
		e.Remedy += "; or stay with the generation that serves and has them: commit"
	}
	return e
}

// andMore lists the first of n names.
func andMore(names []string, n int) string {
	list := strings.Join(names, ", ")
	if n > len(names) {
		list += fmt.Sprintf(" and %d more", n-len(names))
	}
	return list
}

// take takes one step; the caller holds step.
func (m *migration) take(ctx context.Context, e migrate.Event, o StepOptions) error {
	record := m.get()
	if !record.State.Knows(e) {
		return record.Apply(e, time.Now().UTC())
	}
	if record.InPlace() {
		return m.takeInPlace(ctx, e, record)
	}
	m.stopLocked()
	defer m.startLocked()
	record = m.get() // it may have gone on until it stopped
	if err := record.Apply(e, time.Now().UTC()); err != nil {
		return err
	}
	switch e {
	case migrate.EventCutOver:
		if to := m.c.now().of(record.To); o.RequireCard && to != nil && m.targetCard() == "" {
			return m.noCard(to)
		}
		if err := m.switchTo(ctx, record.To, record); err != nil {
			return m.incomplete(ctx, record.To, err)
		}
		if err := record.Apply(migrate.EventSwitched, time.Now().UTC()); err != nil {
			return err
		}
		return m.Keep(context.WithoutCancel(ctx), record) // the other generation serves already
	case migrate.EventRollBack:
		return m.incomplete(ctx, record.From, m.switchTo(ctx, record.From, record))
	case migrate.EventCommit:
		return m.retire(ctx, record.From, record)
	case migrate.EventAbort:
		return m.retire(ctx, record.To, record)
	case migrate.EventEvaluate:
		if o.Judged != nil {
			wish, err := writeJudged(o.Judged)
			if err != nil {
				return err
			}
			m.judged, record.Wish = o.Judged, wish
		}
	}
	return m.Keep(ctx, record)
}

// switchTo lets a generation serve. What it lacks is brought in before.
func (m *migration) switchTo(ctx context.Context, number uint64, record migrate.Migration) error {
	var err error
	for range generationChanges {
		if _, err = m.drain(ctx, number); err != nil {
			return err
		}
		err = m.write(record, func(kept store.Record) error { return m.c.stored.SwitchTo(ctx, number, kept) })
		if !errors.Is(err, store.ErrIncomplete) {
			break
		}
	}
	if err != nil {
		return err
	}
	p := m.c.now()
	if p.serving.number != number {
		return m.c.arrange(p.standby, p.serving)
	}
	return nil
}

// retire ends a generation and with it the migration.
func (m *migration) retire(ctx context.Context, number uint64, record migrate.Migration) error {
	err := m.write(record, func(kept store.Record) error { return m.c.stored.Retire(ctx, number, kept) })
	if err != nil {
		return err
	}
	p := m.c.now()
	if err := m.c.arrange(p.serving, nil); err != nil {
		return err
	}
	p.standby.hold.release()
	m.c.bridge.Store(nil)
	m.owner.leave(m)
	return nil
}

// stopLocked stops the run and waits for its end.
func (m *migration) stopLocked() {
	if m.stop != nil {
		m.stop()
		<-m.done
		m.stop, m.done = nil, nil
	}
}

// startLocked starts the run of a migration that has not ended, unless it
// runs.
func (m *migration) startLocked() {
	if m.stop != nil || m.get().State.Final() || m.owner.ctx.Err() != nil {
		return
	}
	ctx, stop := context.WithCancel(m.owner.ctx)
	m.stop, m.done = stop, make(chan struct{})
	done := m.done
	m.owner.group.Go(func() {
		defer close(done)
		var comparing sync.WaitGroup
		comparing.Go(func() { m.compareLive(ctx) })
		m.work(ctx)
		m.setWaits(nil)
		stop()
		comparing.Wait()
		if err := m.keepLive(context.WithoutCancel(ctx), true); err != nil && !errors.Is(err, store.ErrNotFound) {
			m.owner.service.logger.Warn("what live queries have shown could not be kept", "collection", m.c.Name(), "migration", m.id, "error", err)
		}
	})
}

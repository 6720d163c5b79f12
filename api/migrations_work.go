package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/compat/migrate"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/store"
)

// keepCurrentEvery is how often a standby is looked at that needs no backfill:
// it lacks what writers could not encode for it.
const keepCurrentEvery = time.Second

// keepCurrentAgain is when that is tried again where it did not work. Steps
// that people take don't wait for it.
const keepCurrentAgain = 30 * time.Second

// systemClock is migrate.Clock.
type systemClock struct{}

// Now implements migrate.Clock.
func (systemClock) Now() time.Time { return time.Now().UTC() }

// Sleep implements migrate.Clock.
func (systemClock) Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// work does what the state asks for until nothing is left or ctx ends.
func (m *migration) work(ctx context.Context) {
	ctx = embed.WithPriority(ctx, embed.PriorityMigration)
	log := m.owner.service.logger.With("collection", m.c.Name(), "migration", m.get().ID)
	for ctx.Err() == nil {
		record := m.get()
		var err error
		switch record.State {
		case migrate.Backfilling, migrate.CatchingUp, migrate.Evaluating:
			err = m.inTurn(ctx, m.advance)
		case migrate.Ready:
			if !record.Auto {
				err = m.keepCurrent(ctx)
				break
			}
			err = m.cutOver(ctx)
		case migrate.RollbackWindow, migrate.RolledBack:
			err = m.keepCurrent(ctx)
		default:
			return // paused, failed, or at its end
		}
		if err == nil || ctx.Err() != nil {
			continue
		}
		if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrClosed) {
			return // the collection is gone, or the store
		}
		if wait := temporary(err); wait > 0 {
			log.Warn("the migration waits for its encoder", "error", err)
			_ = m.waitFor(ctx, m.encoderOf(record.To), err, wait) // the loop sees the end of the context
			continue
		}
		log.Error("migration stopped", "state", record.State, "error", err)
		record = m.get()
		if record.Fail(err, time.Now().UTC()) != nil {
			return // the state goes on by itself at the next start
		}
		if err := m.Keep(context.WithoutCancel(ctx), record); err != nil {
			log.Error("the failure could not be kept", "error", err)
			m.set(record)
		}
	}
}

// The waits behind an error that goes away by itself.
const (
	leastWait = 500 * time.Millisecond
	mostWait  = 10 * time.Second
)

// temporary is how long to wait behind an error that goes away by itself: an
// endpoint that gives no answer, a queue that is full; 0: it does not.
func temporary(err error) time.Duration {
	var e *Error
	if !errors.As(err, &e) || e.Kind != KindNotReady && e.Kind != KindOverloaded || e.Code == "encoder_missing" {
		return 0
	}
	if errors.Is(err, errUnchecked) {
		return leastWait // it is being asked at this moment
	}
	return min(max(e.RetryAfter, leastWait), mostWait)
}

// waitFor waits for d behind an error that may go away, and says meanwhile that
// what failed is waited for.
func (m *migration) waitFor(ctx context.Context, what string, err error, d time.Duration) error {
	m.standsStill(what, err, d)
	defer m.setWaits(nil)
	return systemClock{}.Sleep(ctx, d)
}

// standsStill says that what failed is waited for, and tried again in d.
func (m *migration) standsStill(what string, err error, d time.Duration) {
	reason := err.Error()
	if e := (*Error)(nil); errors.As(err, &e) {
		reason = e.Detail // its remedy is for others
	}
	said := fmt.Sprintf("for %s: %s; next try at %s", what, reason, time.Now().UTC().Add(d).Format(time.RFC3339))
	m.setWaits(func() string { return said })
}

// encoderOf names the encoder of a generation.
func (m *migration) encoderOf(number uint64) string {
	g := m.c.now().of(number)
	switch {
	case g == nil:
		return fmt.Sprintf("generation %d", number)
	case g.endpoint != nil:
		return "the endpoint of " + g.manifest.Provenance.Model
	}
	return "the encoder " + g.manifest.Provenance.Model
}

// setWaits sets what the run stands still for; nil: it does not.
func (m *migration) setWaits(waits func() string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waits = waits
}

// inTurn does f when it is the collection's turn.
func (m *migration) inTurn(ctx context.Context, f func(context.Context) error) error {
	if err := m.takeTurn(ctx); err != nil {
		return err
	}
	m.owner.holder.Store(m)
	defer func() {
		m.owner.holder.Store(nil)
		m.owner.turn.leave()
	}()
	return f(ctx)
}

// takeTurn waits for the turn, and says meanwhile whose it is.
func (m *migration) takeTurn(ctx context.Context) error {
	m.setWaits(func() string {
		if holder := m.owner.holder.Load(); holder != nil {
			return fmt.Sprintf("for the migration of collection %q", holder.c.Name())
		}
		return "for the migration of another collection"
	})
	defer m.setWaits(nil)
	return m.owner.turn.take(ctx)
}

// advance backfills, or evaluates.
func (m *migration) advance(ctx context.Context) error {
	record := m.get()
	if record.State == migrate.Evaluating {
		return m.evaluate(ctx, record)
	}
	backlog, err := m.filling(&record)
	if err != nil {
		return err
	}
	runner := &migrate.Runner{Backlog: backlog, Keeper: m, Clock: systemClock{}, Limits: m.limits, Changed: m.set}
	return runner.Fill(ctx, &record)
}

// cutOver is the step that an automatic migration takes itself. It holds no
// step: who takes one stops this first.
func (m *migration) cutOver(ctx context.Context) error {
	record := m.get()
	if err := record.Apply(migrate.EventCutOver, time.Now().UTC()); err != nil {
		return err
	}
	// From here it goes to its end, whoever wants it to stop.
	ctx = context.WithoutCancel(ctx)
	if err := m.switchTo(ctx, record.To, record); err != nil {
		if temporary(err) > 0 {
			return err
		}
		return m.incomplete(ctx, record.To, err)
	}
	if err := record.Apply(migrate.EventSwitched, time.Now().UTC()); err != nil {
		return err
	}
	return m.Keep(ctx, record)
}

// keepCurrent brings in, now and then, what the standby lacks, and keeps what live
// queries have shown. What goes wrong with it now may go right later. It takes no
// turn: that of a backfill may last for hours.
func (m *migration) keepCurrent(ctx context.Context) error {
	s, ok := m.c.stored.Standby()
	switch {
	case !ok || s.Filled == s.Documents:
		m.setWaits(nil)
	case !time.Now().Before(m.again):
		filled, err := m.drain(ctx, s.Generation)
		if err != nil && ctx.Err() == nil {
			m.owner.service.logger.Warn("the generation that stands by could not be brought up to date", "collection", m.c.Name(), "error", err)
			m.standsStill(m.encoderOf(s.Generation), err, keepCurrentAgain)
		} else {
			m.setWaits(nil)
		}
		if filled == 0 { // what there is can't be encoded, or not now
			m.again = time.Now().Add(keepCurrentAgain)
		}
	}
	if err := m.keepLive(ctx, false); err != nil && ctx.Err() == nil {
		m.owner.service.logger.Warn("what live queries have shown could not be kept", "collection", m.c.Name(), "error", err)
	}
	return systemClock{}.Sleep(ctx, keepCurrentEvery)
}

// drain brings in what the standby of a number lacks, once, and gives how many
// documents got their vector.
func (m *migration) drain(ctx context.Context, number uint64) (filled int, err error) {
	backlog := m.backlog(number)
	for {
		batch, err := backlog.Next(ctx, migrate.DefaultBatch)
		if err != nil || batch == nil {
			return filled, err
		}
		done, err := batch.Do(ctx)
		filled += done.Filled
		if err != nil {
			return filled, err
		}
	}
}

// backlog is what a standby lacks.
type backlog struct {
	c      *Collection
	effort *effort
	number uint64
	at     store.Position
}

func (m *migration) backlog(number uint64) *backlog {
	return &backlog{c: m.c, effort: newEffort(m.c.traffic, m.limits), number: number}
}

// Coverage implements migrate.Backlog.
func (b *backlog) Coverage() (have, total int) {
	s, ok := b.c.stored.Standby()
	if !ok {
		return 0, 0
	}
	return s.Filled, s.Documents
}

// Next implements migrate.Backlog.
func (b *backlog) Next(ctx context.Context, n int) (migrate.Batch, error) {
	for {
		p := b.c.now()
		var docs []store.Unfilled
		var rows compat.Vectors
		var next store.Position
		var done bool
		err := b.effort.alone(ctx, func(l *lane) (err error) {
			l.waiting(func() { docs, rows, next, done, err = b.c.stored.Unfilled(ctx, b.number, b.at, n, p.derived) })
			return err
		})
		if err != nil {
			return nil, err
		}
		if done {
			b.at = 0
			return nil, nil
		}
		b.at = next
		if len(docs) > 0 { // others were deleted meanwhile
			return &backlogBatch{b: b, p: p, docs: docs, rows: rows}, nil
		}
	}
}

// backlogBatch is some of it.
type backlogBatch struct {
	b    *backlog
	p    *places
	docs []store.Unfilled
	rows compat.Vectors // in the serving generation, where the others follow from them
}

// Len implements migrate.Batch.
func (b *backlogBatch) Len() int { return len(b.docs) }

// Do implements migrate.Batch.
func (b *backlogBatch) Do(ctx context.Context) (done migrate.Done, err error) {
	effort := b.b.effort
	defer func() { done.CPU = effort.take() }()
	var vectors compat.Vectors
	var rows []int
	if b.p.derived {
		err = effort.alone(ctx, func(l *lane) (err error) {
			vectors, rows, err = derived(b.p, b.rows)
			l.pause()
			return err
		})
	} else {
		vectors, rows, done, err = b.encode(ctx)
	}
	if err != nil {
		return migrate.Done{}, err
	}
	var docs []store.Unfilled
	var take []int
	for i, row := range rows {
		if row < 0 {
			done.Blocked = append(done.Blocked, b.docs[i].ID.String())
			continue
		}
		docs, take = append(docs, b.docs[i]), append(take, row)
	}
	if len(docs) == 0 {
		return done, nil
	}
	done.Filled, err = b.fill(ctx, docs, vectors.Select(take))
	return done, err
}

// fill stores vectors and links them, and rests behind it where the limit wants
// it: in between, writers of the same documents wait. Who stops the migration
// meanwhile waits for the batch: its vectors are paid for.
func (b *backlogBatch) fill(ctx context.Context, docs []store.Unfilled, v compat.Vectors) (filled int, err error) {
	effort := b.b.effort
	err = effort.alone(ctx, func(l *lane) error {
		l.waiting(func() {
			filled, err = b.b.c.stored.Fill(context.WithoutCancel(ctx), b.b.number, docs, v, l.link)
		})
		l.pause()
		return err
	})
	return filled, err
}

// encode makes the vectors of the batch's texts.
func (b *backlogBatch) encode(ctx context.Context) (v compat.Vectors, rows []int, done migrate.Done, err error) {
	rows = make([]int, len(b.docs))
	var texts []string
	for i, d := range b.docs {
		if rows[i] = -1; d.HasText {
			rows[i] = len(texts)
			texts = append(texts, d.Text)
		}
	}
	if len(texts) == 0 {
		return v, rows, done, nil
	}
	c, g := b.b.c, b.p.standby
	encode := func(ctx context.Context, texts []string) (embed.Encoded, error) {
		return c.encode(ctx, g, embed.RoleDocument, texts)
	}
	encoded, some, err := b.b.effort.encode(ctx, g.endpoint != nil, encode, texts)
	if err != nil {
		return v, nil, done, err
	}
	for i, row := range rows {
		if row >= 0 {
			rows[i] = some[row]
		}
	}
	for _, n := range encoded.Tokens {
		done.Tokens += n
	}
	done.Encoded = encoded.Vectors.Len()
	return encoded.Vectors, rows, done, nil
}

// derived computes the batch's vectors from the serving ones; a row of which
// nothing is left there is -1.
func derived(p *places, v compat.Vectors) (compat.Vectors, []int, error) {
	d, err := compat.NewDerivation(p.serving.manifest, p.standby.manifest)
	if err != nil || d == nil {
		return compat.Vectors{}, nil, errors.Join(err, errors.New("the vectors can't be derived: start the migration anew"))
	}
	rows := make([]int, v.Len())
	all, err := d.Derive(v)
	if err == nil {
		for i := range rows {
			rows[i] = i
		}
		return all, rows, nil
	}
	var parts []compat.Vectors
	for i := range rows {
		one, err := d.Derive(v.Slice(i, i+1))
		if err != nil {
			rows[i] = -1
			continue
		}
		rows[i] = len(parts)
		parts = append(parts, one)
	}
	all, err = compat.Concat(parts...)
	return all, rows, err
}

package api

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/compat/migrate"
	"github.com/vecino-db/vecino/embed/evaluate"
	"github.com/vecino-db/vecino/store"
)

// Migrations lead collections to other generations, one collection after
// another, at most one for each. Their records lie in the store beside the
// generations, and change in one batch with them, so that a start finds them
// as they were.
type migrations struct {
	service *Service
	turn    seat                      // of the one that encodes
	holder  atomic.Pointer[migration] // which one that is; nil: none, or it changes

	mu     sync.Mutex
	active map[string]*migration // by collection
	ctx    context.Context       // ends with the service
	end    context.CancelFunc
	group  sync.WaitGroup
}

// seat is a lock that is waited for no longer than a context lasts.
type seat chan struct{}

func newSeat() seat { return make(seat, 1) }

// take waits for the seat. Error: the context's.
func (s seat) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case s <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// leave gives it to the next.
func (s seat) leave() { <-s }

// migration is one that has not ended.
type migration struct {
	owner *migrations
	c     *Collection

	// step is taken over each step that people ask for, from its beginning to its
	// end; writing while the record is made durable, which the run does, too; mu
	// guards record, waits and drop alone. They are taken in this order.
	step    seat
	writing sync.Mutex
	mu      sync.Mutex
	record  migrate.Migration
	waits   func() string // what the run stands still for; nil: it does not
	// dropping ends the step that is under way, because the collection goes.
	dropping context.Context
	drop     context.CancelFunc

	id   uint64 // as record has it
	live *live

	judged []evaluate.Judged
	again  time.Time // when what the standby lacks is tried again; the run's
	// formerAway is how often the former endpoint was away when an evaluation
	// began; the run's.
	formerAway int
	// run is nil while nothing runs; guarded by step, which whoever runs does
	// not take.
	stop context.CancelFunc
	done chan struct{}
}

func newMigrations(s *Service) *migrations {
	ctx, end := context.WithCancel(context.Background())
	return &migrations{service: s, turn: newSeat(), active: map[string]*migration{}, ctx: ctx, end: end}
}

// close ends what runs; it goes on at the next start.
func (ms *migrations) close() {
	ms.end()
	ms.group.Wait()
}

// migration is one of a collection that is about to be under way.
func (ms *migrations) migration(c *Collection, judged []evaluate.Judged) *migration {
	m := &migration{owner: ms, c: c, step: newSeat(), judged: judged}
	m.dropping, m.drop = context.WithCancel(ms.ctx)
	return m
}

// open takes up a collection's migration where it was.
func (ms *migrations) open(ctx context.Context, c *Collection) error {
	list, err := migrationsOf(ctx, c.stored)
	if err != nil || len(list) == 0 || list[0].State.Final() {
		return err
	}
	record := list[0]
	if record.State == migrate.CutOver { // it was made, and its end not written
		if err := record.Apply(migrate.EventSwitched, time.Now().UTC()); err != nil {
			return err
		}
	}
	kept, err := readLive(record.Live)
	if err != nil {
		return fmt.Errorf("migration %d of %q: live queries: %w", record.ID, c.Name(), err)
	}
	judged, err := readJudged(record.Wish)
	if err != nil {
		return fmt.Errorf("migration %d of %q: %w", record.ID, c.Name(), err)
	}
	m := ms.migration(c, judged)
	m.record, m.id, m.live = record, record.ID, newLive(kept)
	if err := m.openBridge(ctx); err != nil {
		return err
	}
	if err := m.step.take(ctx); err != nil {
		return err
	}
	defer m.step.leave()
	ms.enter(m)
	m.set(record) // queries see from here on what it asks of them
	m.startLocked()
	return nil
}

// enter and leave begin and end the time in which a collection has a migration
// under way.
func (ms *migrations) enter(m *migration) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	ms.active[m.c.Name()] = m
}

func (ms *migrations) leave(m *migration) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	delete(ms.active, m.c.Name())
}

// forget ends the run of the migration of a collection that is being dropped, and
// the step that it is in the middle of. goOn takes it up again, where the
// collection stays after all. Error: the context's.
func (ms *migrations) forget(ctx context.Context, name string) (goOn func(), err error) {
	ms.mu.Lock()
	m := ms.active[name]
	ms.mu.Unlock()
	if m == nil {
		return func() {}, ctx.Err()
	}
	m.mu.Lock()
	m.drop()
	m.mu.Unlock()
	if err := m.step.take(ctx); err != nil {
		return m.goOn, err
	}
	defer m.step.leave()
	m.stopLocked()
	m.c.trial.Store(nil)
	ms.leave(m)
	return m.goOn, nil
}

// goOn takes up a migration that was to be forgotten, behind the step that was
// to end.
func (m *migration) goOn() {
	if m.step.take(m.owner.ctx) != nil {
		return // the service ends
	}
	defer m.step.leave()
	if m.get().State.Final() {
		return // by the step that was to end
	}
	m.owner.enter(m)
	m.mu.Lock()
	m.dropping, m.drop = context.WithCancel(m.owner.ctx)
	m.publishLocked()
	m.mu.Unlock()
	m.startLocked()
}

// migrationsOf is every migration of a collection, the newest first.
func migrationsOf(ctx context.Context, stored *store.Collection) ([]migrate.Migration, error) {
	records, err := stored.Records(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]migrate.Migration, 0, len(records))
	for _, r := range slices.Backward(records) {
		var m migrate.Migration
		if err := json.Unmarshal(r.Value, &m); err != nil {
			return nil, &store.CorruptionError{Collection: stored.Name(), Object: fmt.Sprintf("record of migration %d", r.Migration), Detail: err.Error()}
		}
		list = append(list, m)
	}
	return list, nil
}

// Migrations is every migration that a collection had, the newest first.
func (s *Service) Migrations(ctx context.Context, c *Collection) ([]migrate.Migration, error) {
	list, err := migrationsOf(ctx, c.stored)
	if m := s.migrations.of(c); err == nil && m != nil && len(list) > 0 {
		list[0] = m.get()
	}
	return list, err
}

// Migration is one of them. Error: KindNotFound.
func (s *Service) Migration(ctx context.Context, c *Collection, id uint64) (migrate.Migration, error) {
	list, err := s.Migrations(ctx, c)
	if err != nil {
		return migrate.Migration{}, err
	}
	for _, m := range list {
		if m.ID == id {
			return m, nil
		}
	}
	return migrate.Migration{}, noMigration(c, id)
}

func noMigration(c *Collection, id uint64) *Error {
	return &Error{
		Kind: KindNotFound, Code: "migration_not_found", Detail: fmt.Sprintf("collection %q has no migration %d", c.Name(), id),
		Remedy: "GET /collections/" + c.Name() + "/migrations lists those there are",
	}
}

// of is the migration of a collection that has not ended, or nil.
func (ms *migrations) of(c *Collection) *migration {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if m := ms.active[c.Name()]; m != nil && m.c == c {
		return m
	}
	return nil
}

// get is the record of this moment.
func (m *migration) get() migrate.Migration {
	m.mu.Lock()
	record, waits := m.record.Clone(), m.waits
	m.mu.Unlock()
	if waits != nil {
		record.Waiting, record.Progress.ETA = waits(), nil
	}
	if counted, err := m.live.json(); err == nil {
		record.Live = counted
	}
	return record
}

// set replaces the record, whose limits stay: a run does not know when they
// change. What it waits for is get's to say.
func (m *migration) set(record migrate.Migration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	record.Limits, record.Waiting = m.record.Limits, ""
	m.record = record
	m.publishLocked()
}

// limits are those of this moment.
func (m *migration) limits() migrate.Limits {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.record.Limits
}

// setLimits changes them.
func (m *migration) setLimits(l migrate.Limits) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.record.Limits = l
}

// storedRecord is a record as the store keeps it.
func storedRecord(m migrate.Migration) (store.Record, error) {
	value, err := json.Marshal(m)
	return store.Record{Migration: m.ID, Value: value}, err
}

// Keep implements migrate.Keeper.
func (m *migration) Keep(ctx context.Context, record migrate.Migration) error {
	return m.write(record, func(kept store.Record) error { return m.c.stored.SetRecord(ctx, kept) })
}

// write makes a record durable by a function of the store, and shows it.
func (m *migration) write(record migrate.Migration, keep func(kept store.Record) error) error {
	m.writing.Lock()
	defer m.writing.Unlock()
	return m.writeLocked(record, keep)
}

// writeLocked is write for who holds writing. What changes beside a run goes
// into the record as it is now.
func (m *migration) writeLocked(record migrate.Migration, keep func(kept store.Record) error) error {
	var err error
	if record.Live, err = m.live.json(); err != nil {
		return err
	}
	record.Limits = m.limits()
	kept, err := storedRecord(record)
	if err == nil {
		err = keep(kept)
	}
	if err == nil {
		m.set(record)
	}
	return err
}

// writeJudged and readJudged keep judged queries in a record.
func writeJudged(judged []evaluate.Judged) (json.RawMessage, error) {
	if len(judged) == 0 {
		return nil, nil
	}
	return json.Marshal(map[string]any{"judged": judged})
}

func readJudged(wish json.RawMessage) ([]evaluate.Judged, error) {
	var w struct{ Judged []evaluate.Judged }
	if len(wish) == 0 {
		return nil, nil
	}
	err := json.Unmarshal(wish, &w)
	return w.Judged, err
}

// GenerationHistory is one generation that a collection has or had, the
// migration that led to it, and those that changed its manifest in place.
type GenerationHistory struct {
	store.GenerationInfo
	Migration *migrate.Migration  // nil: it was the first
	Changes   []migrate.Migration // the oldest first
}

// History is every generation of a collection, the oldest first.
func (s *Service) History(ctx context.Context, c *Collection) ([]GenerationHistory, error) {
	generations, err := c.stored.Generations(ctx)
	if err != nil {
		return nil, err
	}
	list, err := s.Migrations(ctx, c)
	if err != nil {
		return nil, err
	}
	history := make([]GenerationHistory, len(generations))
	for i, g := range generations {
		history[i].GenerationInfo = g
		for j := range slices.Backward(list) {
			switch m := &list[j]; {
			case m.To != g.Number:
			case !m.InPlace():
				history[i].Migration = m
			case m.State == migrate.Committed:
				history[i].Changes = append(history[i].Changes, *m)
			}
		}
	}
	return history, nil
}

// StandbyManifest is the manifest of the second generation; nil: there is none.
func (c *Collection) StandbyManifest() *compat.Manifest {
	if p := c.now(); p.standby != nil {
		return &p.standby.manifest
	}
	return nil
}

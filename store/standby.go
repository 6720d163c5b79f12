package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/vecino-db/vecino/compat"
)

// A collection has one generation, or during a migration two: the one that
// serves and the one that stands by. They share documents and ordinals, and
// each has vectors and a graph of its own.
//
//	StartStandby   one -> two: the target, empty
//	Fill           gives the target vectors of documents that were there before
//	SwitchTo       the two change places: cut-over, and rollback likewise
//	Retire         two -> one: the standby and its keys go: commit, and abort
//	Adopt          one -> one: the same vectors, of another space (adopt.go)
//
// Every write from StartStandby to Retire goes to both in its one batch, so
// which documents a generation lacks is what it has no vector of. That is the
// migration's ledger: there is no second list that could differ from it. An
// ordinal names one text for ever while there is a standby (see unmoved), so a
// late Fill can't bring back what was replaced or deleted: its ordinal is gone.
//
// Each change of the generations is one synced batch, which carries the
// caller's record of the migration, too. Writes wait for it; searches don't.

// Standby describes the second generation of a collection.
type Standby struct {
	Generation uint64
	Manifest   compat.Manifest
	Served     bool // it served before: it is what a rollback goes back to
	Filled     int  // documents that have a vector in it
	Documents  int  // documents that there are
	Bytes      int64
	Derivable  bool // its vectors are computed from those of the serving generation
}

// Standby describes the second generation; ok is false where there is none.
func (c *Collection) Standby() (s Standby, ok bool) {
	all := c.generations.Load()
	g := all.standby
	if g == nil {
		return Standby{}, false
	}
	c.mu.Lock()
	filled, live := int(c.state.standby.filled), int(c.state.live)
	c.mu.Unlock()
	return Standby{
		Generation: g.number, Manifest: *g.manifest.Load(), Served: all.served, Filled: filled, Documents: live,
		Bytes: g.graph.Stats().Bytes, Derivable: all.derivation != nil,
	}, true
}

// Complete reports whether the standby of a number is there and has every
// document that there is.
func (c *Collection) Complete(number uint64) bool {
	g := c.generations.Load().standby
	if g == nil || g.number != number {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.standby.generation == number && c.state.standby.filled == c.state.live
}

// Generation is the number of the generation that serves.
func (c *Collection) Generation() uint64 { return c.serving().number }

// Record is what a caller keeps of a migration: bytes that the store does not
// read, by the migration's number.
type Record struct {
	Migration uint64
	Value     []byte
}

// transition is one change of a collection's generations.
type transition struct {
	catalog collectionRecord
	state   state
	all     *generations
	retired *generation // its vectors, chunks and checkpoint go; nil: none
	created *generation // it is new; nil: none
	// rewritten has another manifest than before; nil: none.
	rewritten *generation
	// resealed is what rewritten was, where its checkpoint is another one, too,
	// the chunks of which have been written; nil: it stays.
	resealed *generation
	record   Record // of the migration; one without a value is left out
}

// StartStandby gives the collection a second, empty generation under a
// manifest, and its number. From then on writes go to both. Errors:
// ErrMigrating, *compat.InvalidError, ErrDiskFull, ErrFailed, ErrNotFound,
// ErrClosed.
func (c *Collection) StartStandby(ctx context.Context, m compat.Manifest, r Record) (number uint64, err error) {
	m = m.WithDefaults()
	if err := m.Validate(); err != nil {
		return 0, fmt.Errorf("collection %q: new generation: %w", c.name, err)
	}
	err = c.change(ctx, func(all *generations, s *transition) error {
		if all.standby != nil {
			return fmt.Errorf("collection %q: %w to generation %d; finish or abort that first", c.name, ErrMigrating, all.standby.number)
		}
		if err := c.store.room(); err != nil {
			return err
		}
		last, err := c.lastGeneration()
		if err != nil {
			return err
		}
		number = last + 1
		g, err := newGeneration(number, time.Now().UTC(), m)
		if err != nil {
			return err
		}
		if g.graph, err = newIndex(g.config); err != nil {
			return err
		}
		// Nothing before this moment concerns it: its part of the log begins here.
		g.header = checkpointHeader{sequence: s.state.sequence}
		s.created, s.record = g, r
		s.state.standby = standbyState{generation: number}
		s.catalog.Standby, s.catalog.Served = number, false
		s.all, err = newGenerations(all.serving, g, false)
		return err
	})
	return number, err
}

// SwitchTo lets the standby of that number serve, and the one that served
// stand by. It refuses a generation that lacks documents (ErrIncomplete) or
// does not stand by (ErrGeneration). Searches under way end in the generation
// in which they began. Other errors: ErrFailed, ErrNotFound, ErrClosed.
func (c *Collection) SwitchTo(ctx context.Context, number uint64, r Record) error {
	if err := c.settleStandby(ctx, number); err != nil {
		return err
	}
	return c.change(ctx, func(all *generations, s *transition) error {
		if all.standby == nil || all.standby.number != number {
			return c.noStandby(number)
		}
		if filled := s.state.standby.filled; filled != s.state.live {
			return fmt.Errorf("collection %q: %w: generation %d has %d of %d documents; wait until it has them all", c.name, ErrIncomplete, number, filled, s.state.live)
		}
		s.record = r
		// Both have every ordinal, so the count and the digest of the one are
		// those of the other.
		s.state.standby.generation = all.serving.number
		s.catalog.Generation, s.catalog.Standby, s.catalog.Served = number, all.serving.number, true
		var err error
		s.all, err = newGenerations(all.standby, all.serving, true)
		return err
	})
}

// settleBefore bounds how long a switch waits for the graph that is to serve.
const settleBefore = time.Second

// settleStandby waits until the graph of the standby has linked what was there
// before, so that the first queries need not scan that. Beside writers who are
// faster than the graph it would wait long for little: what waits in the tail is
// bounded, and found.
func (c *Collection) settleStandby(ctx context.Context, number uint64) error {
	if err := c.begin(); err != nil {
		return err
	}
	defer c.end()
	g := c.generations.Load().standby
	if g == nil || g.number != number {
		return c.noStandby(number)
	}
	waiting, cancel := context.WithTimeout(ctx, settleBefore)
	defer cancel()
	if err := settle(waiting, g.graph); err != nil && waiting.Err() == nil {
		return err
	}
	return ctx.Err()
}

// Retire ends the standby of that number: its keys go, its manifest stays for
// the history. Errors: ErrGeneration, ErrFailed, ErrNotFound, ErrClosed.
func (c *Collection) Retire(ctx context.Context, number uint64, r Record) error {
	var gone *generation
	err := c.change(ctx, func(all *generations, s *transition) error {
		if all.standby == nil || all.standby.number != number {
			return c.noStandby(number)
		}
		gone = all.standby
		s.retired, s.record = gone, r
		s.state.standby = standbyState{}
		s.catalog.Standby, s.catalog.Served = 0, false
		var err error
		s.all, err = newGenerations(all.serving, nil, false)
		return err
	})
	if err == nil {
		c.free(gone)
	}
	return err
}

func (c *Collection) noStandby(number uint64) error {
	return fmt.Errorf("collection %q: %w: %d does not stand by; ask for the state of the migration", c.name, ErrGeneration, number)
}

// change makes one step of the generations durable and then visible. plan
// fills in what changes.
func (c *Collection) change(ctx context.Context, plan func(all *generations, s *transition) error) error {
	c.store.catalogMu.Lock()
	defer c.store.catalogMu.Unlock()
	if err := c.begin(); err != nil {
		return err
	}
	defer c.end()
	c.lockCheckpoint()
	defer c.unlockCheckpoint()
	c.writing.Lock()
	defer c.writing.Unlock()
	if err := errors.Join(ctx.Err(), c.store.failed()); err != nil {
		return err
	}
	all := c.generations.Load()
	s := transition{state: c.current(), catalog: collectionRecord{Number: c.number, Generation: all.serving.number, CreatedAt: c.createdAt}}
	if err := plan(all, &s); err != nil {
		return err
	}
	c.store.mu.RLock()
	catalog := c.store.catalog
	c.store.mu.RUnlock()
	catalog.Changes++
	if err := c.store.change(catalog, func(batch *pebble.Batch) error { return c.fillStep(batch, s) }); err != nil {
		return fmt.Errorf("collection %q: change of generations: %w", c.name, err)
	}
	c.mu.Lock()
	c.state.standby = s.state.standby
	c.generations.Store(s.all)
	c.mu.Unlock()
	c.store.mu.Lock()
	c.store.catalog = catalog
	c.store.mu.Unlock()
	c.store.tryMarks()
	return nil
}

// fillStep writes a transition into its batch.
func (c *Collection) fillStep(batch *pebble.Batch, s transition) error {
	errs := []error{
		setJSON(batch, catalogKey(c.name), s.catalog),
		batch.Set(stateKey(c.number), s.state.encode(), nil),
	}
	for _, g := range []*generation{s.created, s.rewritten} {
		if g == nil {
			continue
		}
		record, err := generationRecord{createdAt: g.createdAt, manifest: *g.manifest.Load()}.encode()
		errs = append(errs, err, batch.Set(generationKey(c.number, g.number), record, nil))
	}
	if g := s.created; g != nil {
		errs = append(errs, batch.Set(checkpointKey(c.number, g.number), g.header.encode(), nil))
	}
	if g := s.rewritten; s.resealed != nil {
		errs = append(errs, batch.Set(checkpointKey(c.number, g.number), g.header.encode(), nil), c.removeChunks(batch, s.resealed, g.header))
	}
	if g := s.retired; g != nil {
		// The keys that Open looks at go with the transition. Searches may still read
		// the vectors, which go when these have ended: see free.
		bridges := prefixKey(familyBridge, c.number)
		errs = append(errs, batch.Delete(checkpointKey(c.number, g.number), nil), batch.DeleteRange(bridges, prefixEnd(bridges), nil), setJSON(batch, retiredKey(c.number, g.number), retiredRecord{time.Now().UTC()}))
	}
	if s.record.Value != nil {
		errs = append(errs, batch.Set(migrationKey(c.number, s.record.Migration), s.record.Value, nil))
	}
	return errors.Join(errs...)
}

// retiredRecord says that the keys of a generation are to go.
type retiredRecord struct {
	At time.Time `json:"retired_at"`
}

// free deletes the keys of a retired generation when no search is under way
// in it. A crash before it leaves that to the next start.
func (c *Collection) free(g *generation) {
	g.retire()
	if err := g.end(); err != nil {
		c.store.log.Warn("store: the graph of a retired generation did not end", "collection", c.name, "generation", g.number, "error", err)
	}
	if err := c.begin(); err != nil {
		return // dropped or closed meanwhile
	}
	defer c.end()
	if err := c.deleteGeneration(g.number); err != nil {
		c.store.log.Warn("store: the keys of a retired generation stay until the next start", "collection", c.name, "generation", g.number, "error", err)
	}
}

// deleteGeneration deletes the keys of a generation that was retired, and the
// note that it was.
func (c *Collection) deleteGeneration(number uint64) error {
	batch := c.store.db.NewBatch()
	defer batch.Close()
	vectors, chunks := vectorPrefix(c.number, number), chunkGeneration(c.number, number)
	err := errors.Join(
		batch.DeleteRange(vectors, prefixEnd(vectors), nil),
		batch.DeleteRange(chunks, prefixEnd(chunks), nil),
		batch.Delete(retiredKey(c.number, number), nil),
	)
	if err == nil {
		if err = c.store.db.Apply(batch, c.store.sync()); err != nil {
			c.store.fail(err)
		}
	}
	return err
}

// freeRetired deletes what a crash left of retired generations.
func (c *Collection) freeRetired() error {
	prefix := prefixKey(familyRetired, c.number)
	var numbers []uint64
	err := scan(c.store.db, prefix, nil, func(key, _ []byte) error {
		number, err := lastUint64(key)
		numbers = append(numbers, number)
		return err
	})
	for _, number := range numbers {
		if err == nil {
			err = c.deleteGeneration(number)
		}
	}
	return err
}

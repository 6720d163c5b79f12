package store

import (
	"context"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
)

// This file holds the gate: its two functions are the only ones that give a
// *Collection away, and both compare manifests first.

// OpenCollection opens a collection for vectors of the space want. It compares
// want with the stored manifest; what does not open as it is gives a
// *compat.MismatchError that says what differs and what to do, also where
// only the query prompt differs, because the probes come first. A caller that
// brings no vectors passes the stored space (Describe). Other errors:
// ErrNotFound, ErrCorrupt, ErrClosed. The same collection is given every time.
func (s *Store) OpenCollection(ctx context.Context, name string, want compat.Space) (*Collection, error) {
	c, err := s.lookup(name)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if c.damage != nil {
		return nil, c.damage
	}
	have := c.Manifest()
	if have.Space.Fingerprint().Matches(want.Fingerprint()) {
		return c, nil
	}
	wanted := have
	wanted.Space = want
	mismatch := compat.NewMismatch(name, have, wanted, compat.Facts{Documents: int(c.current().live)})
	if mismatch.Plan.Verdict <= compat.VerdictTune && len(mismatch.Changes) > 0 {
		return c, nil
	}
	return nil, mismatch
}

// checkSpace compares the 32 bytes of a batch with those of the collection.
func (c *Collection) checkSpace(v compat.Searchable) error {
	have := c.serving().config.Fingerprint
	if !v.Fingerprint().Matches(have) {
		return fmt.Errorf("collection %q: %w: it holds %.12s and the batch is stamped %.12s; encode with the collection's own encoder, or migrate the collection",
			c.name, index.ErrSpace, have, v.Fingerprint())
	}
	return nil
}

// Create makes an empty collection whose manifest is m.WithDefaults() and opens
// it. Errors: ErrName, ErrExists, *compat.InvalidError, ErrDiskFull, ErrFailed,
// ErrClosed.
func (s *Store) Create(ctx context.Context, name string, m compat.Manifest) (*Collection, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	m = m.WithDefaults()
	if err := m.Validate(); err != nil {
		return nil, fmt.Errorf("create collection %q: %w", name, err)
	}
	g, err := newGeneration(1, m)
	if err != nil {
		return nil, fmt.Errorf("create collection %q: %w", name, err)
	}
	if g.graph, err = newIndex(g.config); err != nil {
		return nil, fmt.Errorf("create collection %q: %w", name, err)
	}

	s.catalogMu.Lock()
	defer s.catalogMu.Unlock()
	catalog, err := s.mayCreate(ctx, name)
	if err != nil {
		return nil, err
	}
	record := collectionRecord{Number: catalog.Next, Generation: g.number, CreatedAt: time.Now().UTC()}
	c := newCollection(s, name, record, g)
	catalog.Next++
	catalog.Changes++
	encoded, err := generationRecord{createdAt: record.CreatedAt, manifest: m}.encode()
	if err != nil {
		return nil, fmt.Errorf("create collection %q: %w", name, err)
	}
	err = s.change(catalog, func(batch *pebble.Batch) error {
		if err := setJSON(batch, catalogKey(name), record); err != nil {
			return err
		}
		if err := batch.Set(generationKey(record.Number, g.number), encoded, nil); err != nil {
			return err
		}
		return batch.Set(stateKey(record.Number), state{}.encode(), nil)
	})
	if err != nil {
		return nil, fmt.Errorf("create collection %q: %w", name, err)
	}
	s.mu.Lock()
	s.catalog = catalog
	s.collections[name] = c
	s.mu.Unlock()
	s.tryMarks()
	return c, nil
}

// mayCreate checks what only one creator at a time can check, and gives the
// catalog as it is. The caller holds catalogMu.
func (s *Store) mayCreate(ctx context.Context, name string) (catalogRecord, error) {
	if err := ctx.Err(); err != nil {
		return catalogRecord{}, err
	}
	if err := s.failed(); err != nil {
		return catalogRecord{}, err
	}
	if err := s.room(); err != nil {
		return catalogRecord{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return catalogRecord{}, ErrClosed
	}
	if _, ok := s.collections[name]; ok {
		return catalogRecord{}, fmt.Errorf("%w: %q; open it, or drop it first", ErrExists, name)
	}
	if s.catalog.Next == 1<<32-1 {
		return catalogRecord{}, fmt.Errorf("%w: every collection number was used; begin a new data directory", ErrFull)
	}
	return s.catalog, nil
}

// change commits one change of the catalog. The caller holds catalogMu.
func (s *Store) change(catalog catalogRecord, fill func(*pebble.Batch) error) error {
	batch := s.db.NewBatch()
	defer batch.Close()
	if err := setJSON(batch, keyCatalog, catalog); err != nil {
		return err
	}
	if err := fill(batch); err != nil {
		return err
	}
	if err := s.db.Apply(batch, s.sync()); err != nil {
		s.fail(err)
		return s.failed()
	}
	return nil
}

// sync is how batches are written: synced, except in the control run of the
// crash test.
func (s *Store) sync() *pebble.WriteOptions {
	if s.options.testing.noSync {
		return pebble.NoSync
	}
	return pebble.Sync
}

// SetEvidence replaces what was observed of the collection: its probes, model
// card and measured recall. Nothing else of a manifest can be changed in
// place. Errors: *compat.InvalidError, ErrNotFound, ErrFailed, ErrClosed.
func (c *Collection) SetEvidence(ctx context.Context, evidence compat.Evidence) error {
	c.store.catalogMu.Lock()
	defer c.store.catalogMu.Unlock()
	if err := c.begin(); err != nil {
		return err
	}
	defer c.end()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := c.store.failed(); err != nil {
		return err
	}
	m := c.Manifest()
	m.Evidence = evidence
	if err := m.Validate(); err != nil {
		return fmt.Errorf("collection %q: evidence: %w", c.name, err)
	}
	encoded, err := generationRecord{createdAt: c.createdAt, manifest: m}.encode()
	if err != nil {
		return fmt.Errorf("collection %q: evidence: %w", c.name, err)
	}
	if err := c.store.db.Set(generationKey(c.number, c.serving().number), encoded, c.store.sync()); err != nil {
		c.store.fail(err)
		return c.store.failed()
	}
	c.serving().manifest.Store(&m)
	return nil
}

// Drop removes a collection and all that belongs to it. Its name, its data and
// the note that it was dropped change in one batch, so a crash leaves all of
// it or nothing. It waits for operations that are under way. Errors:
// ErrNotFound, ErrFailed, ErrClosed.
func (s *Store) Drop(ctx context.Context, name string) error {
	s.catalogMu.Lock()
	defer s.catalogMu.Unlock()
	c, err := s.lookup(name)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.failed(); err != nil {
		return err
	}
	gone := fmt.Errorf("%w: %q was dropped", ErrNotFound, name)
	c.finish(gone)
	ended := c.serving().end()
	s.mu.RLock()
	catalog := s.catalog
	s.mu.RUnlock()
	catalog.Changes++
	err = s.change(catalog, func(batch *pebble.Batch) error {
		if err := batch.Delete(catalogKey(name), nil); err != nil {
			return err
		}
		for _, family := range collectionFamilies {
			start := prefixKey(family, c.number)
			if err := batch.DeleteRange(start, prefixEnd(start), nil); err != nil {
				return err
			}
		}
		return setJSON(batch, prefixKey(familyDropped, c.number), droppedRecord{Name: name, DroppedAt: time.Now().UTC()})
	})
	if err != nil {
		return fmt.Errorf("drop collection %q: %w", name, err)
	}
	s.mu.Lock()
	s.catalog = catalog
	delete(s.collections, name)
	s.mu.Unlock()
	s.tryMarks()
	return ended
}

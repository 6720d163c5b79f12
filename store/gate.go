package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

// paired is the vectors of one write by generation.
type paired struct {
	serving compat.Vectors // row i is of document i
	standby compat.Vectors // rows of documents; empty where there is no standby
	rows    []int          // of each document in standby, or -1
}

// other is the row of a document in the standby, or nil.
func (p paired) other(document int) []float32 {
	if p.rows == nil || p.rows[document] < 0 {
		return nil
	}
	return p.standby.Row(p.rows[document])
}

// pair compares the 32 bytes of each batch with those of the generations, and
// gives each what is its own.
func (c *Collection) pair(all *generations, n int, v compat.Vectors, other Other) (paired, error) {
	if err := other.check(n); err != nil {
		return paired{}, err
	}
	serving := all.serving.config.Fingerprint
	if !v.Fingerprint().Matches(serving) && other.Space.Matches(serving) && !slices.Contains(other.Rows, -1) {
		// The generations have changed places since the vectors were made.
		v, other = other.Vectors.Select(other.Rows), Other{Space: v.Fingerprint(), Vectors: v, Rows: each(n)}
	}
	if !v.Fingerprint().Matches(serving) {
		return paired{}, c.otherSpace(v.Fingerprint())
	}
	p := paired{serving: v}
	switch {
	case all.standby == nil:
	case other.Space.Matches(all.standby.config.Fingerprint):
		p.standby, p.rows = other.Vectors, other.Rows
	case all.derivation != nil:
		p.standby, p.rows = derive(all.derivation, v)
	default:
		return paired{}, fmt.Errorf("collection %q: %w: a migration to %.12s is under way; bring the vectors of both spaces", c.name, ErrStandby, all.standby.config.Fingerprint)
	}
	return p, nil
}

// check says whether o fits n documents, and gives its rows their numbers.
func (o *Other) check(n int) error {
	if o.Space.IsZero() {
		return nil
	}
	if o.Vectors.Len() > 0 && !o.Vectors.Fingerprint().Matches(o.Space) {
		return fmt.Errorf("%w: vectors of %.12s for a generation of %.12s; encode with that generation's encoder", index.ErrSpace, o.Vectors.Fingerprint(), o.Space)
	}
	if o.Rows == nil {
		o.Rows = each(n)
	}
	if len(o.Rows) != n {
		return fmt.Errorf("%w: %d documents and %d rows of the second generation; give one for each", ErrBatch, n, len(o.Rows))
	}
	for _, row := range o.Rows {
		if row < -1 || row >= o.Vectors.Len() {
			return fmt.Errorf("%w: row %d of %d vectors of the second generation", ErrBatch, row, o.Vectors.Len())
		}
	}
	return nil
}

// each is the numbers 0..n-1.
func each(n int) []int {
	rows := make([]int, n)
	for i := range rows {
		rows[i] = i
	}
	return rows
}

// derive computes the standby's vectors. A row that has none there, because
// nothing of its direction is left, is left out.
func derive(d *compat.Derivation, v compat.Vectors) (compat.Vectors, []int) {
	if derived, err := d.Derive(v); err == nil {
		return derived, each(v.Len())
	}
	var parts []compat.Vectors
	rows := make([]int, v.Len())
	for i := range rows {
		one, err := d.Derive(v.Slice(i, i+1))
		if err != nil {
			rows[i] = -1
			continue
		}
		rows[i] = len(parts)
		parts = append(parts, one)
	}
	derived, err := compat.Concat(parts...)
	if err != nil { // the parts are of one space
		return compat.Vectors{}, slices.Repeat([]int{-1}, len(rows))
	}
	return derived, rows
}

// otherSpace is the refusal of a batch that is of no generation of the
// collection.
func (c *Collection) otherSpace(space compat.Fingerprint) error {
	return fmt.Errorf("collection %q: %w: it holds %.12s and the batch is stamped %.12s; encode with the collection's own encoder, or migrate the collection",
		c.name, index.ErrSpace, c.serving().config.Fingerprint, space)
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
	record := collectionRecord{Generation: 1, CreatedAt: time.Now().UTC()}
	g, err := newGeneration(record.Generation, record.CreatedAt, m)
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
	record.Number = catalog.Next
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
	if c, ok := s.aliases[name]; ok {
		return catalogRecord{}, fmt.Errorf("%w: %q is an alias of %q; choose another name, or remove the alias first", ErrExists, name, c)
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

// SetEvidence replaces what was observed of the serving generation: its
// probes, model card and measured recall. Nothing else of a manifest can be
// changed in place without its graph (Retune, Adopt). Errors: *compat.InvalidError,
// ErrNotFound, ErrFailed, ErrClosed.
func (c *Collection) SetEvidence(ctx context.Context, evidence compat.Evidence) error {
	return c.setEvidence(ctx, func(all *generations) *generation { return all.serving }, func(e *compat.Evidence) { *e = evidence })
}

// SetEvidenceOf is SetEvidence of the generation of a number: the serving one
// or the standby. Another is ErrGeneration. set is given the evidence that there
// is, and nothing else changes it meanwhile.
func (c *Collection) SetEvidenceOf(ctx context.Context, number uint64, set func(e *compat.Evidence)) error {
	return c.setEvidence(ctx, func(all *generations) *generation { return all.of(number) }, set)
}

func (c *Collection) setEvidence(ctx context.Context, choose func(*generations) *generation, set func(e *compat.Evidence)) error {
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
	g := choose(c.generations.Load())
	if g == nil {
		return fmt.Errorf("collection %q: evidence: %w; ask for the state of the migration", c.name, ErrGeneration)
	}
	m := *g.manifest.Load()
	set(&m.Evidence)
	if err := m.Validate(); err != nil {
		return fmt.Errorf("collection %q: evidence: %w", c.name, err)
	}
	encoded, err := generationRecord{createdAt: g.createdAt, manifest: m}.encode()
	if err != nil {
		return fmt.Errorf("collection %q: evidence: %w", c.name, err)
	}
	if err := c.store.db.Set(generationKey(c.number, g.number), encoded, c.store.sync()); err != nil {
		c.store.fail(err)
		return c.store.failed()
	}
	g.manifest.Store(&m)
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
	ended := c.retireAll(fmt.Errorf("%w: %q was dropped", ErrNotFound, name))
	s.mu.RLock()
	catalog, aliases := s.catalog, s.aliases.without(name)
	s.mu.RUnlock()
	catalog.Changes++
	err = s.change(catalog, func(batch *pebble.Batch) error {
		if err := errors.Join(batch.Delete(catalogKey(name), nil), setJSON(batch, keyAliases, aliases)); err != nil {
			return err
		}
		if err := removeKeys(batch, c.number); err != nil {
			return err
		}
		return setJSON(batch, prefixKey(familyDropped, c.number), droppedRecord{Name: name, DroppedAt: time.Now().UTC()})
	})
	if err != nil {
		return fmt.Errorf("drop collection %q: %w", name, err)
	}
	s.mu.Lock()
	s.catalog, s.aliases = catalog, aliases
	delete(s.collections, name)
	s.mu.Unlock()
	s.tryMarks()
	return ended
}

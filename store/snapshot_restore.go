package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/vecino-db/vecino/compat"
)

// RestoreOptions say how a snapshot becomes a collection.
type RestoreOptions struct {
	// Name of the collection; "": the one in the snapshot.
	Name string
	// Replace puts it in the place of a collection of that name, if that is of
	// the same space. Without it a collection of that name is ErrExists.
	Replace bool
	// Verified, unless nil, is called when the file has been read to its end
	// and before anything is written; its error ends the restore.
	Verified func(SnapshotInfo) error
	// Filled, unless nil, is called with the collection when all is in it and
	// before it has its name; its error ends the restore.
	Filled func(*Collection) error
	// Switched, unless nil, is called when the collection has the name
	// and before what had it is ended, so that nobody need find neither. It
	// must not call the store.
	Switched func()
	// Progress, unless nil, is told how many of the points are restored.
	Progress func(done, total int)
}

// Restore makes a collection of a snapshot: whole, or not at all. What it is
// says the SnapshotInfo; OpenCollection opens it. The file is verified to its
// end before anything is written. The points then go into keys of a collection
// that has no name; the name comes in one synced batch, from which on what had
// it before is as good as dropped: it is ended, and its keys are removed. What
// is left of a restore that was cut short is removed when the store is opened.
// r is read twice. Errors: ErrSnapshot, ErrName, ErrExists, ErrMigrating, a
// *compat.MismatchError where another space would be replaced, ErrDiskFull,
// ErrFailed, ErrClosed.
func (s *Store) Restore(ctx context.Context, r io.ReadSeeker, o RestoreOptions) (SnapshotInfo, error) {
	start, err := r.Seek(0, io.SeekCurrent)
	if err != nil {
		return SnapshotInfo{}, err
	}
	info, err := VerifySnapshot(ctx, r)
	if err != nil {
		return SnapshotInfo{}, err
	}
	if o.Name == "" {
		o.Name = info.Collection
	}
	if _, err := s.replaced(info.Manifest, o); err != nil {
		return SnapshotInfo{}, fmt.Errorf("restore collection %q: %w", o.Name, err)
	}
	if o.Verified != nil {
		if err := o.Verified(info); err != nil {
			return SnapshotInfo{}, err
		}
	}
	if _, err := r.Seek(start, io.SeekStart); err != nil {
		return SnapshotInfo{}, err
	}
	c, record, err := s.unnamed(ctx, info.Manifest, o)
	if err != nil {
		return SnapshotInfo{}, err
	}
	err = c.fillFrom(ctx, r, info, o.Progress)
	if err == nil && o.Filled != nil {
		err = o.Filled(c)
	}
	if err == nil {
		err = s.name(ctx, c, record, o)
	}
	if err != nil {
		return SnapshotInfo{}, errors.Join(err, s.discard(c))
	}
	return info, nil
}

// replaced is the collection in whose place a restored one comes, or nil. It
// refuses what must not be replaced: another space, and a migration, which
// would be lost halfway.
func (s *Store) replaced(m compat.Manifest, o RestoreOptions) (*Collection, error) {
	old, err := s.lookup(o.Name)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil || !o.Replace {
		return nil, err
	}
	all := old.generations.Load()
	switch {
	case all.serving == nil:
		return nil, fmt.Errorf("its manifest can't be read, so it can't be compared with that of the snapshot; drop it first, or restore under another name: %w", old.damage)
	case all.standby != nil:
		return nil, fmt.Errorf("%w to generation %d; commit or abort that first, or restore under another name", ErrMigrating, all.standby.number)
	}
	have := *all.serving.manifest.Load()
	if have.Space.Fingerprint().Matches(m.Space.Fingerprint()) {
		return old, nil
	}
	mismatch := compat.NewMismatch(o.Name, have, m, compat.Facts{Documents: int(old.current().live)})
	mismatch.Plan.Remedy = "restore the snapshot under another name, or drop the collection first"
	return nil, mismatch
}

// unnamed makes a collection that nobody can find: its number is marked as
// dropped until it has a name.
func (s *Store) unnamed(ctx context.Context, m compat.Manifest, o RestoreOptions) (*Collection, collectionRecord, error) {
	record := collectionRecord{Generation: 1, CreatedAt: time.Now().UTC()}
	failed := func(err error) (*Collection, collectionRecord, error) {
		return nil, record, fmt.Errorf("restore collection %q: %w", o.Name, err)
	}
	if err := checkName(o.Name); err != nil {
		return failed(err)
	}
	g, err := newGeneration(record.Generation, record.CreatedAt, m)
	if err != nil {
		return failed(err)
	}
	encoded, err := generationRecord{createdAt: record.CreatedAt, manifest: m}.encode()
	if err != nil {
		return failed(err)
	}
	s.catalogMu.Lock()
	defer s.catalogMu.Unlock()
	catalog, err := s.mayCreate(ctx, nameUnless(o.Replace, o.Name))
	if err != nil {
		return failed(err)
	}
	if _, err := s.replaced(m, o); err != nil {
		return failed(err)
	}
	if g.graph, err = newIndex(g.config); err != nil {
		return failed(err)
	}
	record.Number = catalog.Next
	catalog.Next++
	catalog.Changes++
	err = s.change(catalog, func(batch *pebble.Batch) error {
		return errors.Join(
			setJSON(batch, prefixKey(familyDropped, record.Number), droppedRecord{Name: o.Name, DroppedAt: record.CreatedAt}),
			batch.Set(generationKey(record.Number, g.number), encoded, nil),
			batch.Set(stateKey(record.Number), state{}.encode(), nil),
		)
	})
	if err != nil {
		return failed(errors.Join(err, g.end()))
	}
	s.mu.Lock()
	s.catalog = catalog
	s.mu.Unlock()
	return newCollection(s, o.Name, record, g), record, nil
}

// nameUnless is the name that must be free: none where it is replaced.
func nameUnless(replace bool, name string) string {
	if replace {
		return ""
	}
	return name
}

// fillFrom puts the points of a snapshot that was verified before; it must be
// the same one.
func (c *Collection) fillFrom(ctx context.Context, r io.Reader, verified SnapshotInfo, progress func(done, total int)) error {
	for _, f := range verified.PayloadIndexes {
		if err := c.CreatePayloadIndex(ctx, f.Field, f.Type, f.Params); err != nil {
			return err
		}
	}
	info, err := readSnapshot(ctx, r, func(docs []Document, v compat.Vectors) error {
		_, err := c.Put(ctx, docs, v)
		if err == nil && progress != nil {
			progress(int(c.current().live), verified.Points)
		}
		return err
	})
	if err != nil {
		return err
	}
	if info.Digest != verified.Digest || int(c.current().live) != info.Points {
		return wrongSnapshot("it has changed while it was read")
	}
	return c.checkpoint(ctx)
}

// name makes the collection findable, in the place of what had its name. On an
// error it is as it was.
func (s *Store) name(ctx context.Context, c *Collection, record collectionRecord, o RestoreOptions) error {
	s.catalogMu.Lock()
	defer s.catalogMu.Unlock()
	failed := func(err error) error { return fmt.Errorf("restore collection %q: %w", c.name, err) }
	catalog, err := s.mayCreate(ctx, nameUnless(o.Replace, c.name))
	if err != nil {
		return failed(err)
	}
	old, err := s.replaced(c.Manifest(), o)
	if err != nil {
		return failed(err)
	}
	catalog.Changes++
	err = s.change(catalog, func(batch *pebble.Batch) error {
		err := errors.Join(setJSON(batch, catalogKey(c.name), record), batch.Delete(prefixKey(familyDropped, c.number), nil))
		if err == nil && old != nil {
			err = setJSON(batch, prefixKey(familyDropped, old.number), droppedRecord{Name: c.name, DroppedAt: time.Now().UTC()})
		}
		return err
	})
	if err != nil {
		return failed(err)
	}
	s.mu.Lock()
	s.catalog = catalog
	s.collections[c.name] = c
	s.mu.Unlock()
	if o.Switched != nil {
		o.Switched()
	}
	if old != nil {
		s.removeReplaced(old)
	}
	s.tryMarks()
	return nil
}

// removeReplaced ends a collection whose name another one has. What can't be
// removed now is at the next start.
func (s *Store) removeReplaced(old *Collection) {
	err := old.retireAll(fmt.Errorf("%w: %q was replaced by a snapshot; ask again", ErrNotFound, old.name))
	if s.failed() == nil {
		batch := s.db.NewBatch()
		err = errors.Join(err, removeKeys(batch, old.number), s.db.Apply(batch, s.sync()), batch.Close())
	}
	if err != nil {
		s.options.Logger.Warn("a collection that was replaced is not removed before the next start", "collection", old.name, "error", err)
	}
}

// retireAll waits for what is under way in a collection, lets nothing begin any
// more, and ends what goes on in its background.
func (c *Collection) retireAll(why error) error {
	c.finish(why)
	err := c.endGraphs()
	for _, x := range c.payload.all() { // no operation is under way that could change the list
		x.leave()
	}
	return err
}

// removeKeys removes everything of a collection but its name.
func removeKeys(batch *pebble.Batch, number collectionNumber) error {
	for _, family := range collectionFamilies {
		start := prefixKey(family, number)
		if err := batch.DeleteRange(start, prefixEnd(start), nil); err != nil {
			return err
		}
	}
	return nil
}

// discard removes a collection that got no name.
func (s *Store) discard(c *Collection) error {
	err := c.retireAll(fmt.Errorf("%w: %q was not restored", ErrNotFound, c.name))
	if s.failed() != nil {
		return err // the next start removes it
	}
	batch := s.db.NewBatch()
	defer batch.Close()
	return errors.Join(err, removeKeys(batch, c.number), s.db.Apply(batch, s.sync()))
}

// sweep removes what restores that were cut short have left: keys of numbers
// that are marked as dropped.
func (s *Store) sweep() error {
	batch := s.db.NewBatch()
	defer batch.Close()
	err := scan(s.db, []byte{familyDropped}, nil, func(key, _ []byte) error {
		number, ok := lastUint32(key, 1+4)
		if !ok {
			return nil
		}
		state, err := get(s.db, stateKey(collectionNumber(number)))
		if err != nil || state == nil {
			return err
		}
		return removeKeys(batch, collectionNumber(number))
	})
	if err == nil && !batch.Empty() {
		err = s.db.Apply(batch, s.sync())
	}
	if err != nil {
		return readError("", "dropped collections", err)
	}
	return nil
}

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
	// Replace puts it in the place of a collection of that name, which goes in
	// the very moment in which the restored one is there. Without it a
	// collection of that name is ErrExists.
	Replace bool
}

// Restore makes a collection of a snapshot: whole, or not at all. What it is
// says the SnapshotInfo; OpenCollection opens it. The file is verified to its end before anything is written. The points then go into keys
// of a collection that has no name; the name, and the end of what had it
// before, come in one last synced batch. What is left of a restore that was
// cut short is removed when the store is opened. r is read twice.
// Errors: ErrSnapshot, ErrName, ErrExists, ErrDiskFull, ErrFailed, ErrClosed.
func (s *Store) Restore(ctx context.Context, r io.ReadSeeker, o RestoreOptions) (SnapshotInfo, error) {
	start, err := r.Seek(0, io.SeekCurrent)
	if err != nil {
		return SnapshotInfo{}, err
	}
	info, err := VerifySnapshot(ctx, r)
	if err != nil {
		return SnapshotInfo{}, err
	}
	if _, err := r.Seek(start, io.SeekStart); err != nil {
		return SnapshotInfo{}, err
	}
	name := o.Name
	if name == "" {
		name = info.Collection
	}
	c, record, err := s.unnamed(ctx, name, info.Manifest, o.Replace)
	if err != nil {
		return SnapshotInfo{}, err
	}
	if err := c.fillFrom(ctx, r, info); err != nil {
		return SnapshotInfo{}, errors.Join(err, s.discard(c))
	}
	if err := s.name(ctx, c, record, o.Replace); err != nil {
		return SnapshotInfo{}, errors.Join(err, s.discard(c))
	}
	return info, nil
}

// unnamed makes a collection that nobody can find: its number is marked as
// dropped until it has a name.
func (s *Store) unnamed(ctx context.Context, name string, m compat.Manifest, replace bool) (*Collection, collectionRecord, error) {
	record := collectionRecord{Generation: 1, CreatedAt: time.Now().UTC()}
	failed := func(err error) (*Collection, collectionRecord, error) {
		return nil, record, fmt.Errorf("restore collection %q: %w", name, err)
	}
	if err := checkName(name); err != nil {
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
	catalog, err := s.mayCreate(ctx, nameUnless(replace, name))
	if err != nil {
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
			setJSON(batch, prefixKey(familyDropped, record.Number), droppedRecord{Name: name, DroppedAt: record.CreatedAt}),
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
	return newCollection(s, name, record, g), record, nil
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
func (c *Collection) fillFrom(ctx context.Context, r io.Reader, verified SnapshotInfo) error {
	for _, f := range verified.PayloadIndexes {
		if err := c.CreatePayloadIndex(ctx, f.Field, f.Type, f.Params); err != nil {
			return err
		}
	}
	info, err := readSnapshot(ctx, r, func(docs []Document, v compat.Vectors) error {
		_, err := c.Put(ctx, docs, v)
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

// name makes the collection findable, in the place of what had its name.
func (s *Store) name(ctx context.Context, c *Collection, record collectionRecord, replace bool) error {
	s.catalogMu.Lock()
	defer s.catalogMu.Unlock()
	catalog, err := s.mayCreate(ctx, nameUnless(replace, c.name))
	if err != nil {
		return fmt.Errorf("restore collection %q: %w", c.name, err)
	}
	old, err := s.lookup(c.name)
	if errors.Is(err, ErrNotFound) {
		old, err = nil, nil
	}
	if err != nil {
		return err
	}
	var ended error
	if old != nil {
		ended = old.retireAll(fmt.Errorf("%w: %q was replaced by a snapshot", ErrNotFound, c.name))
	}
	catalog.Changes++
	err = s.change(catalog, func(batch *pebble.Batch) error {
		err := errors.Join(setJSON(batch, catalogKey(c.name), record), batch.Delete(prefixKey(familyDropped, c.number), nil))
		if err == nil && old != nil {
			err = errors.Join(removeKeys(batch, old.number), setJSON(batch, prefixKey(familyDropped, old.number), droppedRecord{Name: c.name, DroppedAt: time.Now().UTC()}))
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("restore collection %q: %w", c.name, err)
	}
	s.mu.Lock()
	s.catalog = catalog
	s.collections[c.name] = c
	s.mu.Unlock()
	s.tryMarks()
	return ended
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

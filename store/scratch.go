package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/vecino-db/vecino/compat"
)

// Scratch shows what a generation of a manifest would take: a graph in memory,
// and a file of the data directory that waits for the disk. Nothing of it is
// kept. It is used by one goroutine, and a store has one at a time; Close ends it.
type Scratch struct {
	store *Store
	g     *generation
	next  uint32
	file  vfs.File
}

// scratchFile is of the data directory. A crash may leave it, for the next one
// to write over.
const scratchFile = "scratch"

// NewScratch makes an empty one. Errors: *compat.InvalidError, those of the
// engine and of the disk.
func (s *Store) NewScratch(m compat.Manifest) (*Scratch, error) {
	g, err := newGeneration(1, time.Time{}, m.WithDefaults())
	if err != nil {
		return nil, err
	}
	if g.graph, err = newIndex(g.config); err != nil {
		return nil, err
	}
	x := &Scratch{store: s, g: g}
	if x.file, err = s.fs.Create(s.fs.PathJoin(s.options.Dir, scratchFile), vfs.WriteCategoryUnspecified); err != nil {
		return nil, errors.Join(fmt.Errorf("a file to measure the disk by: %w", err), g.end())
	}
	return x, nil
}

// Fill links vectors into the graph as Collection.Fill does. Errors:
// index.ErrSpace, the context's.
func (x *Scratch) Fill(ctx context.Context, v compat.Vectors, each func(n int, link func(i int))) error {
	in := insertion{g: x.g, whole: v, each: each}
	for i := range v.Len() {
		in.add(x.next, v.Row(i))
		x.next++
	}
	if err := in.insert(ctx); err != nil {
		return err
	}
	return settle(ctx, x.g.graph)
}

// Len is the number of vectors.
func (x *Scratch) Len() int { return int(x.next) }

// Sync writes so many bytes and waits for the disk, as a write of that size does
// for its log. Errors: ErrDiskFull, those of the disk.
func (x *Scratch) Sync(bytes int) error {
	if err := x.store.room(); err != nil {
		return err
	}
	if _, err := x.file.Write(make([]byte, bytes)); err != nil {
		return fmt.Errorf("a file to measure the disk by: %w", err)
	}
	return x.file.SyncData()
}

// Close ends it.
func (x *Scratch) Close() error {
	return errors.Join(x.g.end(), x.file.Close(), x.store.fs.Remove(x.store.fs.PathJoin(x.store.options.Dir, scratchFile)))
}

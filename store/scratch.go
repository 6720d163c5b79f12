package store

import (
	"context"
	"errors"
	"time"

	"github.com/vecino-db/vecino/compat"
)

// Scratch is a graph in memory that shows what a generation of a manifest would
// take. Nothing of it is kept. It is used by one goroutine; Close ends it.
type Scratch struct {
	g    *generation
	next uint32
}

// NewScratch makes an empty one. Errors: *compat.InvalidError and those of the
// engine.
func NewScratch(m compat.Manifest) (*Scratch, error) {
	g, err := newGeneration(1, time.Time{}, m.WithDefaults())
	if err != nil {
		return nil, err
	}
	if g.graph, err = newIndex(g.config); err != nil {
		return nil, err
	}
	return &Scratch{g: g}, nil
}

// Fill links vectors into the graph as Collection.Fill does. Errors:
// index.ErrSpace, the context's.
func (s *Scratch) Fill(ctx context.Context, v compat.Vectors, each func(n int, link func(i int))) error {
	in := insertion{g: s.g, whole: v, each: each}
	for i := range v.Len() {
		in.add(s.next, v.Row(i))
		s.next++
	}
	if err := in.insert(ctx); err != nil {
		return err
	}
	return settle(ctx, s.g.graph)
}

// Len is the number of vectors.
func (s *Scratch) Len() int { return int(s.next) }

// Close ends it.
func (s *Scratch) Close() error { return s.g.end() }

// TrySync writes so many bytes into the log, where they mean nothing, and waits
// for the disk: a write of that size takes as long at least. Errors: ErrDiskFull,
// ErrFailed, ErrNotFound, ErrClosed.
func (c *Collection) TrySync(bytes int) error {
	if err := c.begin(); err != nil {
		return err
	}
	defer c.end()
	if err := errors.Join(c.store.room(), c.store.failed()); err != nil {
		return err
	}
	if err := c.store.db.LogData(make([]byte, bytes), c.store.sync()); err != nil {
		c.store.fail(err)
		return c.store.failed()
	}
	return nil
}

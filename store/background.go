package store

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
)

// Four workers run beside the writes: one checkpoints graphs, one compacts
// them, one compares answers with a scan, and one makes payload indexes ready. A
// compaction takes far longer than a checkpoint, which bounds the log, so they
// don't wait for each other. Each serves the collections in turn.

// queue is the collections that wait for a worker, each once, first come first
// served.
type queue struct {
	mu      sync.Mutex
	waiting []*Collection
	added   chan struct{} // holds one when some were added since it was last read
}

func newQueue() *queue { return &queue{added: make(chan struct{}, 1)} }

// add lets a collection wait, unless it does.
func (q *queue) add(c *Collection) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if slices.Contains(q.waiting, c) {
		return
	}
	q.waiting = append(q.waiting, c)
	select {
	case q.added <- struct{}{}:
	default:
	}
}

// take gives the collection that has waited longest; nil: there is none.
func (q *queue) take() *Collection {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		return nil
	}
	c := q.waiting[0]
	q.waiting = slices.Delete(q.waiting, 0, 1)
	return c
}

// serve does a job for those that wait until ctx ends.
func (q *queue) serve(ctx context.Context, job func(ctx context.Context, c *Collection)) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-q.added:
		}
		for c := q.take(); c != nil && ctx.Err() == nil; c = q.take() {
			if c.begin() != nil {
				continue // it ended meanwhile: there is nothing left to do
			}
			there, stop := c.whileThere(ctx)
			job(there, c)
			stop()
			c.end()
		}
	}
}

// startWorkers starts the workers. They end when Close stops them.
func (s *Store) startWorkers(ctx context.Context) {
	ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.workers.Go(func() { s.checkpoints.serve(ctx, s.checkpointDue) })
	s.workers.Go(func() { s.compactions.serve(ctx, s.compactCrowded) })
	s.workers.Go(func() { s.watches.serve(ctx, s.watchDue) })
	s.workers.Go(func() { s.buildPayloads(ctx) })
	s.stopping = ctx.Done()
	for _, c := range s.sorted() {
		s.due(c)
		if c.damage == nil && len(c.payload.all()) > 0 {
			s.builds.add(c)
		}
	}
}

// due hands a collection to the workers when enough of it has changed.
func (s *Store) due(c *Collection) {
	if s.options.CheckpointEvery < 0 || c.damage != nil {
		return
	}
	if c.changed.Load() >= max(int64(s.options.CheckpointEvery), int64(c.current().live/5)) {
		s.checkpoints.add(c)
	}
	if c.crowded() {
		s.compactions.add(c)
	}
}

// crowded reports whether an engine that can should let go of its tombstones.
func (c *Collection) crowded() bool {
	for _, g := range c.generations.Load().each() {
		if g.crowded() {
			return true
		}
	}
	return false
}

func (g *generation) crowded() bool {
	_, ok := index.As[index.Compacter](g.graph)
	return ok && g.graph.Stats().Crowded()
}

func (s *Store) checkpointDue(ctx context.Context, c *Collection) {
	if c.changed.Load() < int64(s.options.CheckpointEvery) {
		return // it came again while it was served
	}
	if gaveWay, err := c.checkpointInBackground(ctx); err != nil {
		if ctx.Err() == nil && !gaveWay {
			s.log.Error("store: checkpoint failed; the log is kept and the next start replays it", "collection", c.name, "error", err)
		}
		return
	}
	s.tryMarks()
}

func (s *Store) compactCrowded(ctx context.Context, c *Collection) {
	for _, g := range c.generations.Load().each() {
		if !g.crowded() {
			continue
		}
		if err := c.compact(ctx, g); err != nil && ctx.Err() == nil {
			s.log.Error("store: compaction failed; deleted vectors keep their memory", "collection", c.name, "error", err)
		}
	}
}

// compact asks the engine of a generation to let go of its tombstones.
func (c *Collection) compact(ctx context.Context, g *generation) error {
	before := g.graph.Stats()
	compacter, ok := index.As[index.Compacter](g.graph)
	if !ok {
		return nil
	}
	var err error
	if recoder, can := index.As[index.Recoder](g.graph); can && before.Drifted {
		err = recoder.CompactFrom(ctx, func(ordinal uint32) (compat.Vectors, bool) { return c.given(g, ordinal) })
	} else {
		err = compacter.Compact(ctx)
	}
	if err != nil {
		return fmt.Errorf("collection %q: compact: %w", c.name, err)
	}
	after := g.graph.Stats()
	c.store.log.Debug("store: graph compacted", "collection", c.name, "generation", g.number, "tombstones_before", before.Deleted, "tombstones", after.Deleted, "bytes", after.Bytes)
	return nil
}

// given is the stored vector of an ordinal, if it is there still.
func (c *Collection) given(g *generation, ordinal uint32) (compat.Vectors, bool) {
	row, err := c.appendRow(g, c.store.db, nil, ordinal)
	if err != nil {
		return compat.Vectors{}, false
	}
	v, err := g.stamper.Stamp(row)
	return v, err == nil
}

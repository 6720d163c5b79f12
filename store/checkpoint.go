package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/vecino-db/vecino/index"
)

// A checkpoint is the graph in sealed chunks, of which an engine that can writes
// only those that have changed. They are written first, under the number of the
// new checkpoint and so beside those of the last one, without waiting for the
// disk; then one synced batch writes the header that makes them count, removes
// the chunks whose places they take, and trims the log up to the checkpoint's
// sequence. Pebble's log keeps that order over a crash: where the header is,
// the chunks are. The head of the chunks, the last of them, has the checksums of
// all others, so chunks of different checkpoints that don't belong together are
// no graph.

// checkpoint saves the graphs where they changed since the last time.
func (c *Collection) checkpoint(ctx context.Context) error {
	c.checkpointMu.Lock()
	defer c.checkpointMu.Unlock()
	if c.damage != nil || c.behind.Load() || c.store.failed() != nil {
		return nil
	}
	changed := c.changed.Load()
	all := c.generations.Load()
	for _, g := range all.each() {
		if err := c.checkpointGeneration(ctx, all, g); err != nil {
			return fmt.Errorf("collection %q: checkpoint: %w", c.name, err)
		}
	}
	c.changed.Add(-changed)
	return nil
}

// checkpointInBackground is a checkpoint that makes way for a change of the
// generations: it may wait for a long tail to be linked, and nobody waits for
// it. gaveWay: it did, and is due again.
func (c *Collection) checkpointInBackground(ctx context.Context) (gaveWay bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c.giveWay.Store(&cancel)
	defer c.giveWay.Store(nil)
	if c.changing.Load() > 0 { // it may have looked before there was anything to end
		return true, errGaveWay
	}
	err = c.checkpoint(ctx)
	return err != nil && errors.Is(context.Cause(ctx), errGaveWay), err
}

var errGaveWay = errors.New("the generations change")

// lockCheckpoint takes checkpointMu for a change of the generations.
func (c *Collection) lockCheckpoint() {
	c.askWay()
	c.checkpointMu.Lock()
}

// askWay lets no checkpoint in the background go on or begin, until
// unlockCheckpoint.
func (c *Collection) askWay() {
	c.changing.Add(1)
	if cancel := c.giveWay.Load(); cancel != nil {
		(*cancel)(errGaveWay)
	}
}

// unlockCheckpoint gives it back, and lets a checkpoint that gave way come.
func (c *Collection) unlockCheckpoint() {
	c.checkpointMu.Unlock()
	c.changing.Add(-1)
	c.store.due(c)
}

// checkpointGeneration saves one graph. The log stays from where the other
// generation's checkpoint ends.
func (c *Collection) checkpointGeneration(ctx context.Context, all *generations, g *generation) error {
	header := checkpointHeader{number: g.header.number + 1, sequence: c.applied.get()}
	improved := g.improved.Swap(false)
	if header.sequence == g.header.sequence && !improved {
		return nil
	}
	began := time.Now()
	err := settle(ctx, g.graph) // Save would, without an end
	var saved *index.Saved
	var bytes int
	if err == nil {
		saved, bytes, err = c.saveChunks(ctx, g, &header)
	}
	if err != nil {
		if improved {
			g.improved.Store(true)
		}
		return err
	}
	trimmed := header.sequence
	for _, other := range all.each() {
		if other != g {
			trimmed = min(trimmed, other.header.sequence)
		}
	}
	batch := c.store.db.NewBatch()
	defer batch.Close()
	err = errors.Join(
		batch.Set(checkpointKey(c.number, g.number), header.encode(), nil),
		c.removeChunks(batch, g, header),
		batch.DeleteRange(logKey(c.number, 0), logKey(c.number, trimmed+1), nil),
	)
	if err == nil {
		err = c.store.db.Apply(batch, c.store.sync())
	}
	if err != nil {
		c.store.fail(err)
		return err
	}
	g.header, g.saved = header, saved
	c.store.log.Debug("store: checkpoint", "collection", c.name, "generation", g.number, "sequence", header.sequence,
		"chunks", len(header.written), "bytes_written", bytes, "duration", time.Since(began))
	return nil
}

// saveChunks writes the chunks that have changed and names all in the header.
func (c *Collection) saveChunks(ctx context.Context, g *generation, header *checkpointHeader) (saved *index.Saved, bytes int, err error) {
	db := c.store.db
	// An attempt that was cut short left chunks of this number or above.
	err = db.DeleteRange(chunkPrefix(c.number, g.number, header.number), prefixEnd(chunkGeneration(c.number, g.number)), pebble.NoSync)
	if err != nil {
		return nil, 0, err
	}
	written := slices.Clone(g.header.written)
	put := func(i int, chunk index.Chunk) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if missing := i + 1 - len(written); missing > 0 {
			written = append(written, make([]uint64, missing)...)
		}
		written[i] = header.number
		bytes += len(chunk)
		return db.Set(chunkKey(c.number, g.number, header.number, uint32(i)), chunk, pebble.NoSync)
	}
	count := 0
	if engine, ok := index.As[index.Incremental](g.graph); ok {
		if saved, err = engine.SaveSince(g.saved, put); err == nil {
			count = len(saved.Sums) + 1
		}
	} else {
		err = g.graph.Save(func(chunk index.Chunk) error {
			count++
			return put(count-1, chunk)
		})
	}
	header.written = written[:count]
	return saved, bytes, err
}

// removeChunks removes what the header does not name.
func (c *Collection) removeChunks(batch *pebble.Batch, g *generation, header checkpointHeader) error {
	// What is older than all of it in one, as after a rebuild.
	oldest := slices.Min(header.written)
	err := batch.DeleteRange(chunkPrefix(c.number, g.number, 0), chunkPrefix(c.number, g.number, oldest), nil)
	for i, n := range g.header.written {
		if n >= oldest && (i >= len(header.written) || header.written[i] != n) {
			err = errors.Join(err, batch.Delete(chunkKey(c.number, g.number, n, uint32(i)), nil))
		}
	}
	return err
}

// chunkSource reads the chunks that a header names.
type chunkSource struct {
	ctx        context.Context
	reader     pebble.Reader
	collection collectionNumber
	generation uint64
	header     checkpointHeader
}

// Head is index.Source's. The header and it agree about the number of parts.
func (s chunkSource) Head() (head index.Chunk, err error) {
	parts := len(s.header.written) - 1
	err = s.chunk(parts, func(chunk index.Chunk) error {
		if seal, _, err := index.Unseal(chunk); err == nil && seal.Number != parts {
			return fmt.Errorf("%w: %d parts and the head of %d", index.ErrCorrupt, parts, seal.Number)
		}
		head = slices.Clone(chunk)
		return nil
	})
	return head, err
}

// Part is index.Source's.
func (s chunkSource) Part(number int, use func(index.Chunk) error) error {
	if number >= len(s.header.written)-1 {
		return fmt.Errorf("%w: part %d of %d", index.ErrCorrupt, number, len(s.header.written)-1)
	}
	return s.chunk(number, use)
}

func (s chunkSource) chunk(i int, use func(index.Chunk) error) error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	chunk, closer, err := s.reader.Get(chunkKey(s.collection, s.generation, s.header.written[i], uint32(i)))
	if errors.Is(err, pebble.ErrNotFound) {
		return fmt.Errorf("%w: chunk %d of %d is missing", index.ErrCorrupt, i, len(s.header.written))
	}
	if err != nil {
		return err
	}
	return errors.Join(use(chunk), closer.Close())
}

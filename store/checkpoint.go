package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/vecino-db/vecino/index"
)

// A checkpoint is the graph in sealed chunks. The chunks are written first,
// without waiting for the disk; then one synced batch writes the header that
// makes them count, removes the chunks of the checkpoint before, and trims the
// log up to the checkpoint's sequence. Pebble's log keeps that order over a
// crash: where the header is, the chunks are.

// checkpoint saves the graph where it changed since the last time.
func (c *Collection) checkpoint(ctx context.Context) error {
	c.checkpointMu.Lock()
	defer c.checkpointMu.Unlock()
	if c.damage != nil || c.behind.Load() || c.store.failed() != nil {
		return nil
	}
	g := c.serving()
	changed := c.changed.Load()
	header := checkpointHeader{number: g.header.number + 1, sequence: c.applied.get()}
	if header.sequence == g.header.sequence {
		return nil
	}
	began := time.Now()
	if err := settle(ctx, g.graph); err != nil { // Save would, without an end
		return fmt.Errorf("collection %q: checkpoint: %w", c.name, err)
	}
	if err := c.saveChunks(ctx, &header); err != nil {
		return fmt.Errorf("collection %q: checkpoint: %w", c.name, err)
	}
	batch := c.store.db.NewBatch()
	defer batch.Close()
	err := errors.Join(
		batch.Set(checkpointKey(c.number, g.number), header.encode(), nil),
		batch.DeleteRange(chunkPrefix(c.number, g.number, 0), chunkPrefix(c.number, g.number, header.number), nil),
		batch.DeleteRange(logKey(c.number, 0), logKey(c.number, header.sequence+1), nil),
	)
	if err == nil {
		err = c.store.db.Apply(batch, c.store.sync())
	}
	if err != nil {
		c.store.fail(err)
		return fmt.Errorf("collection %q: checkpoint: %w", c.name, err)
	}
	g.header = header
	c.changed.Add(-changed)
	c.store.log.Debug("store: checkpoint", "collection", c.name, "sequence", header.sequence,
		"chunks", header.chunks, "bytes", header.bytes, "duration", time.Since(began))
	return nil
}

// saveChunks writes the chunks and counts them into the header.
func (c *Collection) saveChunks(ctx context.Context, header *checkpointHeader) error {
	db, g := c.store.db, c.serving()
	// An attempt that was cut short left chunks of this number or above.
	err := db.DeleteRange(chunkPrefix(c.number, g.number, header.number), prefixEnd(chunkGeneration(c.number, g.number)), pebble.NoSync)
	if err != nil {
		return err
	}
	return g.graph.Save(func(chunk index.Chunk) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		key := chunkKey(c.number, g.number, header.number, uint32(header.chunks))
		header.chunks++
		header.bytes += uint64(len(chunk))
		return db.Set(key, chunk, pebble.NoSync)
	})
}

// loadChunks reads the checkpoint that the header names.
func (c *Collection) loadChunks(ctx context.Context, header checkpointHeader) (graph index.Index, err error) {
	prefix := chunkPrefix(c.number, c.serving().number, header.number)
	iter, err := c.store.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: prefixEnd(prefix)})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, iter.Close()) }()
	iter.First()
	read := uint64(0)
	graph, err = loadIndex(c.serving().config, func() (index.Chunk, error) {
		if err := errors.Join(ctx.Err(), iter.Error()); err != nil {
			return nil, err
		}
		if !iter.Valid() {
			return nil, io.EOF
		}
		value, err := iter.ValueAndErr()
		if err != nil {
			return nil, err
		}
		chunk := append(make(index.Chunk, 0, len(value)), value...)
		read++
		iter.Next()
		return chunk, nil
	})
	if err == nil && read != header.chunks {
		err = fmt.Errorf("%w: %d of %d chunks", index.ErrCorrupt, read, header.chunks)
	}
	return graph, err
}

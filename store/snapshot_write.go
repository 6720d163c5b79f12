package store

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// WriteSnapshot writes the collection as it is at this moment, while writes go
// on. During a migration it is the generation that serves. Where the file is
// kept, and that it is synced, is the caller's affair. It gives up when the
// collection is dropped or replaced. progress, unless nil, is told after each
// frame how many of the points are written; it must not wait for the store.
// Errors: ErrNotFound, ErrClosed, ErrCorrupt, those of w and of the context;
// what was written then is no snapshot.
func (c *Collection) WriteSnapshot(ctx context.Context, w io.Writer, progress func(done, total int)) (info SnapshotInfo, err error) {
	ctx, end := c.whileThere(ctx)
	defer end()
	err = c.read(ctx, func(snapshot *pebble.Snapshot) error {
		record, err := get(snapshot, stateKey(c.number))
		if err != nil {
			return readError(c.name, "state", err)
		}
		now, err := decodeState(record)
		if err != nil {
			return readError(c.name, "state", err)
		}
		g, err := c.servedAt(snapshot)
		if err != nil {
			return err
		}
		m := *g.manifest.Load()
		info = SnapshotInfo{
			Collection: c.name, Fingerprint: m.Space.Fingerprint(), Dimension: m.Space.Dimension,
			Points: int(now.live), Sequence: now.sequence, CreatedAt: time.Now().UTC(), Manifest: m,
		}
		for _, x := range c.PayloadIndexes() {
			info.PayloadIndexes = append(info.PayloadIndexes, IndexedField{Field: x.Field, Type: x.Type, Params: x.Params})
		}
		s := snapshotWriter{collection: c, generation: g, reader: snapshot, total: info.Points, progress: progress}
		if s.frames, err = newFrameWriter(w); err != nil {
			return err
		}
		head, err := info.encodeHead()
		if err != nil {
			return err
		}
		if err := s.frames.frame(frameHead, head); err != nil {
			return err
		}
		if err := s.points(ctx); err != nil {
			return err
		}
		if s.written != info.Points {
			return c.damaged("documents", "%d are there and %d were stored", s.written, info.Points)
		}
		info.Digest, err = s.frames.end(s.written)
		return err
	})
	if err != nil {
		return SnapshotInfo{}, fmt.Errorf("snapshot of collection %q: %w", c.name, err)
	}
	return info, nil
}

// servedAt is the generation that served when a snapshot of Pebble was taken: a
// cut-over may have come meanwhile.
func (c *Collection) servedAt(snapshot *pebble.Snapshot) (*generation, error) {
	record, err := get(snapshot, catalogKey(c.name))
	if err != nil {
		return nil, readError(c.name, "catalog", err)
	}
	var r collectionRecord
	if err := decodeJSON(record, &r); err != nil {
		return nil, readError(c.name, "catalog", err)
	}
	if g := c.generations.Load().of(r.Generation); g != nil {
		return g, nil
	}
	return nil, fmt.Errorf("%w: the migration was ended meanwhile; try again", ErrGeneration)
}

// snapshotWriter is a snapshot on its way.
type snapshotWriter struct {
	collection *Collection
	generation *generation
	reader     *pebble.Snapshot
	frames     *frameWriter
	payload    []byte
	written    int
	total      int
	progress   func(done, total int) // may be nil
}

// points writes all of them.
func (s *snapshotWriter) points(ctx context.Context) error {
	c := s.collection
	prefix := prefixKey(familyDocument, c.number)
	err := scan(s.reader, prefix, nil, func(key, record []byte) error {
		if s.written%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		h, err := decodeHead(record)
		if err != nil {
			return readError(c.name, "documents", err)
		}
		s.payload = appendCounted(s.payload, key[len(prefix):])
		s.payload = appendCounted(s.payload, record[headFlags:])
		vector, closer, err := s.reader.Get(vectorKey(c.number, s.generation.number, h.ordinal))
		if err != nil {
			return readError(c.name, fmt.Sprintf("vector %d", h.ordinal), err)
		}
		s.payload = append(s.payload, vector...)
		size := len(vector)
		if err := closer.Close(); err != nil {
			return err
		}
		if size != 4*s.generation.config.Dimension {
			return c.damaged("vectors", "vector %d has %d bytes", h.ordinal, size)
		}
		if s.written++; len(s.payload) >= frameTarget {
			return s.flush()
		}
		return nil
	})
	if err == nil && len(s.payload) > 0 {
		err = s.flush()
	}
	return err
}

func (s *snapshotWriter) flush() error {
	err := s.frames.frame(framePoints, s.payload)
	s.payload = s.payload[:0]
	if err == nil && s.progress != nil {
		s.progress(s.written, s.total)
	}
	return err
}

// appendCounted appends bytes behind their length.
func appendCounted(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

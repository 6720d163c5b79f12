package store

import (
	"context"
	"encoding/binary"
	"io"

	"github.com/vecino-db/vecino/compat"
)

// VerifySnapshot reads all of a snapshot and says what it is: every frame has
// its checksum, the frames are those that were written, in their order, every
// point is one that a collection can take, and every vector is one of the
// manifest's space. What does not agree is ErrSnapshot.
func VerifySnapshot(ctx context.Context, r io.Reader) (SnapshotInfo, error) {
	return readSnapshot(ctx, r, nil)
}

// SnapshotHead reads what a snapshot says of itself and nothing behind that: a
// file that is damaged further on passes. Errors: ErrSnapshot.
func SnapshotHead(r io.Reader) (SnapshotInfo, error) {
	_, info, err := readHead(r)
	return info, err
}

// readHead reads the head frame.
func readHead(r io.Reader) (*frameReader, SnapshotInfo, error) {
	frames, err := newFrameReader(r)
	if err != nil {
		return nil, SnapshotInfo{}, err
	}
	kind, payload, err := frames.next()
	if err != nil {
		return nil, SnapshotInfo{}, err
	}
	if kind != frameHead {
		return nil, SnapshotInfo{}, wrongSnapshot("its first frame is no head")
	}
	info, err := decodeHeadFrame(payload)
	return frames, info, err
}

// readSnapshot hands out the points of a snapshot, a frame at a time; take may
// be nil. Whether the snapshot is whole is known when it returns.
func readSnapshot(ctx context.Context, r io.Reader, take func(docs []Document, v compat.Vectors) error) (SnapshotInfo, error) {
	frames, info, err := readHead(r)
	if err != nil {
		return SnapshotInfo{}, err
	}
	p := pointReader{dim: info.Manifest.Space.Dimension}
	if p.stamper, err = info.Manifest.Stamper(); err != nil {
		return SnapshotInfo{}, wrongSnapshot("its manifest: %w", err)
	}
	for {
		if err := ctx.Err(); err != nil {
			return SnapshotInfo{}, err
		}
		kind, payload, err := frames.next()
		if err != nil {
			return SnapshotInfo{}, err
		}
		switch kind {
		case framePoints:
			docs, v, err := p.read(payload)
			if err != nil {
				return SnapshotInfo{}, err
			}
			if take != nil {
				if err := take(docs, v); err != nil {
					return SnapshotInfo{}, err
				}
			}
		case frameEnd:
			if n := binary.LittleEndian.Uint64(payload); n != uint64(p.count) || p.count != info.Points {
				return SnapshotInfo{}, wrongSnapshot("it has %d points, its head says %d and its end %d", p.count, info.Points, n)
			}
			info.Digest = [32]byte(payload[8:])
			return info, nil
		default:
			return SnapshotInfo{}, wrongSnapshot("a frame of kind %q", kind)
		}
	}
}

// pointReader reads frames of points.
type pointReader struct {
	dim     int
	stamper *compat.Stamper
	last    []byte // the id before, as in keys
	count   int
	record  []byte
}

// read takes a frame apart and stamps its vectors.
func (p *pointReader) read(payload []byte) ([]Document, compat.Vectors, error) {
	var docs []Document
	var rows []float32
	for len(payload) > 0 {
		key, rest, ok := cutCounted(payload)
		content, rest2, ok2 := cutCounted(rest)
		if !ok || !ok2 || len(rest2) < 4*p.dim || len(key) == 0 || len(content) == 0 {
			return nil, compat.Vectors{}, wrongSnapshot("point %d is cut", p.count)
		}
		if p.count > 0 && string(key) <= string(p.last) {
			return nil, compat.Vectors{}, wrongSnapshot("point %d comes twice, or out of order", p.count)
		}
		p.last = append(p.last[:0], key...)
		d, err := p.document(key, content)
		if err != nil {
			return nil, compat.Vectors{}, wrongSnapshot("point %d: %w", p.count, err)
		}
		docs = append(docs, d)
		if rows, err = appendVector(rows, rest2[:4*p.dim], p.dim); err != nil {
			return nil, compat.Vectors{}, wrongSnapshot("point %d: %w", p.count, err)
		}
		payload = rest2[4*p.dim:]
		p.count++
	}
	v, err := p.stamper.Stamp(rows)
	if err != nil {
		return nil, compat.Vectors{}, wrongSnapshot("its vectors: %w", err)
	}
	return docs, v, nil
}

// document reads an id, and flags, text and payload as they stand in a record.
func (p *pointReader) document(key, content []byte) (Document, error) {
	id, err := decodeID(key)
	if err != nil {
		return Document{}, err
	}
	p.record = append(append(p.record[:0], make([]byte, headFlags)...), content...)
	p.record[0] = documentVersion
	d, _, err := decodeDocument(id, p.record)
	if err != nil {
		return Document{}, err
	}
	return d, d.validate()
}

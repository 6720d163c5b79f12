package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/cespare/xxhash/v2"

	"github.com/vecino-db/vecino/compat"
)

// A checkpoint is a row of chunks, each sealed on its own, so that it can be
// stored piece by piece and checked before a byte of it is believed. One chunk,
// all numbers little-endian:
//
//	offset  size  field
//	     0     8  magic 89 'V' 'E' 'C' 'I' 'D' 'X' 0A
//	     8     4  format version (1)
//	    12     4  number of this chunk, from 0
//	    16     4  count of the chunks of the checkpoint
//	    20     4  zero
//	    24     8  engine, padded with zero bytes
//	    32     8  checkpoint: equal in all chunks of one Save
//	    40    32  fingerprint of the stored side of the space
//	    72     8  length of the payload
//	    80     8  XXH64 (seed 0) of bytes 0..79 followed by the payload
//	    88        payload
//
// What a payload holds is the engine's affair. The checksum finds accidents;
// engines still check every number of a payload before they follow it.
const (
	chunkMagic   = "\x89VECIDX\n"
	chunkVersion = 1
	chunkHeader  = 88
	chunkSum     = 80 // offset of the checksum
)

// ChunkTarget is the size in bytes at which engines close a chunk.
const ChunkTarget = 2 << 20

// MaxMagnitude is the largest magnitude of a component of a stamped vector (see
// compat.Stamper): a chunk that holds a larger one, or NaN, is corrupt.
const MaxMagnitude = 1e16

// maxChunks bounds the count that a chunk may claim.
const maxChunks = 1 << 24

// Seal stamps what a chunk of a checkpoint needs beside its payload.
type Seal struct {
	Engine      compat.Engine
	Checkpoint  uint64
	Number      int
	Count       int
	Fingerprint compat.Fingerprint // Config.Stored
}

// Close makes the chunk. The payload is copied.
func (s Seal) Close(payload []byte) Chunk {
	c := make([]byte, chunkHeader, chunkHeader+len(payload))
	copy(c, chunkMagic)
	binary.LittleEndian.PutUint32(c[8:], chunkVersion)
	binary.LittleEndian.PutUint32(c[12:], uint32(s.Number))
	binary.LittleEndian.PutUint32(c[16:], uint32(s.Count))
	copy(c[24:32], s.Engine)
	binary.LittleEndian.PutUint64(c[32:], s.Checkpoint)
	copy(c[40:72], s.Fingerprint[:])
	binary.LittleEndian.PutUint64(c[72:], uint64(len(payload)))
	c = append(c, payload...)
	binary.LittleEndian.PutUint64(c[chunkSum:], chunkDigest(c))
	return c
}

// Unseal checks a chunk and gives its seal and its payload, which shares the
// chunk's memory. Damage wraps ErrCorrupt; whose space it is, and which engine,
// is the caller's to compare (ChunkReader does).
func Unseal(c Chunk) (Seal, []byte, error) {
	switch {
	case len(c) < chunkHeader:
		return Seal{}, nil, fmt.Errorf("%w: a chunk of %d bytes is shorter than its header", ErrCorrupt, len(c))
	case string(c[:8]) != chunkMagic:
		return Seal{}, nil, fmt.Errorf("%w: no chunk of a checkpoint (magic %x)", ErrCorrupt, c[:8])
	case binary.LittleEndian.Uint32(c[8:]) != chunkVersion:
		return Seal{}, nil, fmt.Errorf("%w: chunk format %d, this program reads %d", ErrCorrupt, binary.LittleEndian.Uint32(c[8:]), chunkVersion)
	case binary.LittleEndian.Uint64(c[72:]) != uint64(len(c)-chunkHeader):
		return Seal{}, nil, fmt.Errorf("%w: a chunk claims %d bytes of payload and has %d", ErrCorrupt, binary.LittleEndian.Uint64(c[72:]), len(c)-chunkHeader)
	case binary.LittleEndian.Uint64(c[chunkSum:]) != chunkDigest(c):
		return Seal{}, nil, fmt.Errorf("%w: checksum of a chunk does not match", ErrCorrupt)
	case binary.LittleEndian.Uint32(c[20:]) != 0:
		return Seal{}, nil, fmt.Errorf("%w: reserved bytes of a chunk are not zero", ErrCorrupt)
	}
	name := c[24:32]
	for len(name) > 0 && name[len(name)-1] == 0 {
		name = name[:len(name)-1]
	}
	s := Seal{
		Engine:     compat.Engine(name),
		Checkpoint: binary.LittleEndian.Uint64(c[32:]),
		Number:     int(binary.LittleEndian.Uint32(c[12:])),
		Count:      int(binary.LittleEndian.Uint32(c[16:])),
	}
	copy(s.Fingerprint[:], c[40:72])
	if s.Count < 1 || s.Count > maxChunks || s.Number >= s.Count {
		return Seal{}, nil, fmt.Errorf("%w: chunk %d of %d", ErrCorrupt, s.Number, s.Count)
	}
	return s, c[chunkHeader:], nil
}

// chunkDigest covers everything but the checksum itself.
func chunkDigest(c Chunk) uint64 {
	var d xxhash.Digest
	d.Reset()
	_, _ = d.Write(c[:chunkSum])
	_, _ = d.Write(c[chunkHeader:])
	return d.Sum64()
}

// Source hands out the chunks of a checkpoint in order, then io.EOF. Other
// errors of its own (a store that can't be read) pass through Load unchanged.
type Source func() (Chunk, error)

// ChunkReader opens the chunks of one checkpoint in order and refuses a chunk
// that is damaged, out of order, of another checkpoint, another engine
// (ErrCorrupt) or another space (ErrSpace).
type ChunkReader struct {
	cfg    Config
	engine compat.Engine
	source Source
	first  Seal
	next   int
}

// NewChunkReader reads what engine saved for the space of cfg.
func NewChunkReader(cfg Config, engine compat.Engine, source Source) *ChunkReader {
	return &ChunkReader{cfg: cfg, engine: engine, source: source}
}

// Next gives the payload of the next chunk, and io.EOF behind the last one.
func (r *ChunkReader) Next() ([]byte, error) {
	c, err := r.source()
	if errors.Is(err, io.EOF) {
		if r.next == 0 || r.next != r.first.Count {
			return nil, fmt.Errorf("%w: it ends after %d of %d chunks", ErrCorrupt, r.next, r.first.Count)
		}
		return nil, io.EOF
	}
	if err != nil {
		return nil, fmt.Errorf("index: reading chunk %d: %w", r.next, err)
	}
	s, payload, err := Unseal(c)
	if err != nil {
		return nil, fmt.Errorf("index: chunk %d: %w", r.next, err)
	}
	if r.next == 0 {
		r.first = s
	}
	switch {
	case !s.Fingerprint.Matches(r.cfg.Stored):
		return nil, fmt.Errorf("index: chunk %d: %w: it holds %.12s, the index %.12s; rebuild from the stored vectors", r.next, ErrSpace, s.Fingerprint, r.cfg.Stored)
	case s.Engine != r.engine:
		return nil, fmt.Errorf("index: chunk %d: %w: saved by engine %q, not %q", r.next, ErrCorrupt, s.Engine, r.engine)
	case s.Number != r.next || s.Count != r.first.Count || s.Checkpoint != r.first.Checkpoint:
		return nil, fmt.Errorf("index: chunk %d: %w: chunk %d of %d of checkpoint %x stands in its place", r.next, ErrCorrupt, s.Number, s.Count, s.Checkpoint)
	}
	r.next++
	return payload, nil
}

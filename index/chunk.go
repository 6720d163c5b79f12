package index

import (
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"

	"github.com/vecino-db/vecino/compat"
)

// A checkpoint is a row of chunks, each sealed on its own, so that it can be
// stored piece by piece and checked before a byte of it is believed. One chunk,
// all numbers little-endian:
//
//	offset  size  field
//	     0     8  magic 89 'V' 'E' 'C' 'I' 'D' 'X' 0A
//	     8     4  format version (2)
//	    12     4  number of this chunk, from 0
//	    16     4  0: a part, 1: the head
//	    20     4  zero
//	    24     8  engine, padded with zero bytes
//	    32     8  zero
//	    40    32  fingerprint of the stored side of the space
//	    72     8  length of the payload
//	    80     8  XXH64 (seed 0) of bytes 0..79 followed by the payload
//	    88        payload
//
// The head stands last: its number is that of the parts. Its payload begins
// with the checksum of every part, 8 bytes each, so that it fits no parts but
// its own, whenever each of them was written. What else a payload holds is the
// engine's affair. The checksums find accidents; engines still check every
// number of a payload before they follow it.
const (
	chunkMagic   = "\x89VECIDX\n"
	chunkVersion = 2
	chunkHeader  = 88
	chunkSum     = 80 // offset of the checksum
)

// ChunkTarget is the size in bytes that engines keep chunks below, unless one
// vector alone is larger.
const ChunkTarget = 2 << 20

// MaxMagnitude is the largest magnitude of a component of a stamped vector (see
// compat.Stamper): a chunk that holds a larger one, or NaN, is corrupt.
const MaxMagnitude = 1e16

// Chunk is one piece of a checkpoint, sealed (see Seal).
type Chunk = []byte

// Seal stamps what a chunk of a checkpoint needs beside its payload.
type Seal struct {
	Engine      compat.Engine
	Number      int
	Head        bool
	Fingerprint compat.Fingerprint // Config.Stored
}

// open is the header of a chunk, with room for its payload.
func (s Seal) open(room int) Chunk {
	c := make([]byte, chunkHeader, chunkHeader+room)
	copy(c, chunkMagic)
	binary.LittleEndian.PutUint32(c[8:], chunkVersion)
	binary.LittleEndian.PutUint32(c[12:], uint32(s.Number))
	if s.Head {
		c[16] = 1
	}
	copy(c[24:32], s.Engine)
	copy(c[40:72], s.Fingerprint[:])
	return c
}

// Close makes the chunk. The payload is copied.
func (s Seal) Close(payload []byte) Chunk {
	c := append(s.open(len(payload)), payload...)
	binary.LittleEndian.PutUint64(c[72:], uint64(len(payload)))
	binary.LittleEndian.PutUint64(c[chunkSum:], chunkDigest(c))
	return c
}

// Unseal checks a chunk and gives its seal and its payload, which shares the
// chunk's memory. Damage wraps ErrCorrupt; whose space it is, and which engine,
// is the caller's to compare (Reader does).
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
	case checksum(c) != chunkDigest(c):
		return Seal{}, nil, fmt.Errorf("%w: checksum of a chunk does not match", ErrCorrupt)
	case binary.LittleEndian.Uint32(c[16:]) > 1, binary.LittleEndian.Uint32(c[20:]) != 0, binary.LittleEndian.Uint64(c[32:]) != 0:
		return Seal{}, nil, fmt.Errorf("%w: reserved bytes of a chunk are not zero", ErrCorrupt)
	}
	name := c[24:32]
	for len(name) > 0 && name[len(name)-1] == 0 {
		name = name[:len(name)-1]
	}
	s := Seal{
		Engine: compat.Engine(name),
		Number: int(binary.LittleEndian.Uint32(c[12:])),
		Head:   c[16] == 1,
	}
	copy(s.Fingerprint[:], c[40:72])
	return s, c[chunkHeader:], nil
}

// checksum is the one that a chunk carries.
func checksum(c Chunk) uint64 { return binary.LittleEndian.Uint64(c[chunkSum:]) }

// chunkDigest covers everything but the checksum itself.
func chunkDigest(c Chunk) uint64 {
	var d xxhash.Digest
	d.Reset()
	_, _ = d.Write(c[:chunkSum])
	_, _ = d.Write(c[chunkHeader:])
	return d.Sum64()
}

package store

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/vecino-db/vecino/compat"
)

// The records of the embedding cache are drawn in doc.go. Their checksums
// cover the key, so that a record under another key, and with it another space
// or role, is damage.
const (
	entryVersion   = 1
	segmentVersion = 1
)

// entryKeyLength is family, fingerprint, role and content hash.
const entryKeyLength = 1 + 32 + 1 + 32

// entryKey is the key of a cached embedding.
type entryKey [entryKeyLength]byte

// newEntryKey is the key of a space and role; set completes it.
func newEntryKey(f compat.Fingerprint, query bool) entryKey {
	var k entryKey
	k[0] = familyCached
	copy(k[1:], f[:])
	if query {
		k[33] = 1
	}
	return k
}

// set makes it the key of a content hash.
func (k *entryKey) set(hash [32]byte) { copy(k[34:], hash[:]) }

// fingerprint is the space's.
func (k *entryKey) fingerprint() []byte { return k[1:33] }

// The offsets of a cached record.
const (
	entryNote   = 1 + 32
	entryDim    = entryNote + 8
	entryFloats = entryDim + 4
)

// entryLength is the bytes of the record of a row of dim floats.
func entryLength(dim int) int { return entryFloats + 4*dim + 8 }

// appendEntry appends the record of a row to an empty slice.
func appendEntry(record []byte, key entryKey, row []float32, note uint64) []byte {
	record = append(append(record, entryVersion), key.fingerprint()...)
	record = binary.LittleEndian.AppendUint64(record, note)
	record = binary.LittleEndian.AppendUint32(record, uint32(len(row)))
	record = append(record, encodeVector(row)...)
	return binary.LittleEndian.AppendUint64(record, checksum(key[:], record))
}

// decodeEntry appends the row of a record to floats; it must be of dim floats.
func decodeEntry(key entryKey, record []byte, dim int, floats []float32) ([]float32, uint64, error) {
	if len(record) != entryLength(dim) || record[0] != entryVersion {
		return floats, 0, fmt.Errorf("%w: cached embedding of %d bytes; want %d", errRecord, len(record), entryLength(dim))
	}
	body := record[:len(record)-8]
	if binary.LittleEndian.Uint64(record[len(body):]) != checksum(key[:], body) {
		return floats, 0, fmt.Errorf("%w: checksum of a cached embedding", errRecord)
	}
	if !slices.Equal(record[1:entryNote], key.fingerprint()) || binary.LittleEndian.Uint32(record[entryDim:]) != uint32(dim) {
		return floats, 0, fmt.Errorf("%w: cached embedding of another space", errRecord)
	}
	floats, err := appendVector(floats, body[entryFloats:], dim)
	return floats, binary.LittleEndian.Uint64(record[entryNote:]), err
}

// segment is what one Put brought, or a part of it: what is evicted together.
type segment struct {
	start, bytes uint64
	fingerprint  compat.Fingerprint
	query        bool
	keys         [][32]byte
}

// The bytes of a segment beside its content hashes.
const (
	segmentKeyLength = 1 + 8
	segmentHead      = 1 + 8 + 8 + 32 + 1
	segmentOverhead  = segmentKeyLength + segmentHead + 8
)

func segmentKey(number uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{familySegment}, number)
}

// length is the bytes of the segment's own key and record.
func (s segment) length() int { return segmentOverhead + 32*len(s.keys) }

func (s segment) encode(number uint64) []byte {
	record := append(make([]byte, 0, s.length()), segmentVersion)
	record = binary.LittleEndian.AppendUint64(record, s.start)
	record = binary.LittleEndian.AppendUint64(record, s.bytes)
	record = append(record, s.fingerprint[:]...)
	var role byte
	if s.query {
		role = 1
	}
	record = append(record, role)
	for _, key := range s.keys {
		record = append(record, key[:]...)
	}
	return binary.LittleEndian.AppendUint64(record, checksum(segmentKey(number), record))
}

func decodeSegment(number uint64, record []byte) (segment, error) {
	if len(record) < segmentHead+8 || (len(record)-segmentHead-8)%32 != 0 || record[0] != segmentVersion {
		return segment{}, fmt.Errorf("%w: segment of the embedding cache of %d bytes", errRecord, len(record))
	}
	body := record[:len(record)-8]
	if binary.LittleEndian.Uint64(record[len(body):]) != checksum(segmentKey(number), body) || body[segmentHead-1] > 1 {
		return segment{}, fmt.Errorf("%w: checksum of segment %d of the embedding cache", errRecord, number)
	}
	s := segment{
		start: binary.LittleEndian.Uint64(body[1:]), bytes: binary.LittleEndian.Uint64(body[9:]),
		fingerprint: compat.Fingerprint(body[17:49]), query: body[49] == 1,
	}
	for at := segmentHead; at < len(body); at += 32 {
		s.keys = append(s.keys, [32]byte(body[at:]))
	}
	return s, nil
}

// checksum is XXH64 over a key and the record before its checksum.
func checksum(key, record []byte) uint64 {
	d := xxhash.New()
	_, _ = d.Write(key)
	_, _ = d.Write(record)
	return d.Sum64()
}

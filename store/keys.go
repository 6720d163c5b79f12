package store

import (
	"encoding/binary"
	"fmt"
)

// Every key begins with the byte of its family. Integers in keys are
// big-endian, so that keys sort as their numbers do. See doc.go for the drawing.
const (
	familySystem     byte = 0x01 // name                            -> see format.go and catalog.go
	familyCatalog    byte = 0x02 // collection name                 -> collectionRecord
	familyDropped    byte = 0x03 // collection                      -> droppedRecord
	familyGeneration byte = 0x04 // collection generation           -> generationRecord
	familyState      byte = 0x05 // collection                      -> state
	familyDocument   byte = 0x06 // collection id                   -> document record
	familyOrdinal    byte = 0x07 // collection ordinal              -> id
	familyVector     byte = 0x08 // collection generation ordinal   -> little-endian float32s
	familyLog        byte = 0x09 // collection sequence             -> log entry
	familyCheckpoint byte = 0x0a // collection generation           -> checkpoint header
	familyChunk      byte = 0x0b // collection generation number i  -> sealed chunk of the index
	familyCached     byte = 0x0c // fingerprint role content hash   -> cached embedding
	familySegment    byte = 0x0d // number                          -> segment of the embedding cache
	familyMigration  byte = 0x0e // collection migration            -> record of a migration
	familyRetired    byte = 0x0f // collection generation           -> retiredRecord
	familyPayload    byte = 0x10 // collection field                -> payloadRecord
	familyPosting    byte = 0x11 // collection field ordinal        -> summary record
	familyPostingSum byte = 0x12 // collection field                -> postingSum
	familyJob        byte = 0x14 // number                          -> record of a job
	familyBridge     byte = 0x15 // collection migration            -> what carries queries over
)

// collectionFamilies are the families whose keys begin with a collection's
// number: what a drop removes.
var collectionFamilies = [...]byte{
	familyGeneration, familyState, familyDocument, familyOrdinal,
	familyVector, familyLog, familyCheckpoint, familyChunk, familyMigration, familyRetired,
	familyPayload, familyPosting, familyPostingSum, familyBridge,
}

// The keys of familySystem.
var (
	keyFormat  = []byte{familySystem, 'f'}
	keyCatalog = []byte{familySystem, 'c'}
)

// collectionNumber names a collection in keys. Numbers are never reused.
type collectionNumber uint32

func catalogKey(name string) []byte {
	return append([]byte{familyCatalog}, name...)
}

// prefixKey is the common start of a collection's keys of one family.
func prefixKey(family byte, c collectionNumber) []byte {
	return binary.BigEndian.AppendUint32(append(make([]byte, 0, 32), family), uint32(c))
}

// prefixEnd is the first key behind all that begin with prefix, which must not
// consist of 0xff alone.
func prefixEnd(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; ; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
}

func generationKey(c collectionNumber, generation uint64) []byte {
	return binary.BigEndian.AppendUint64(prefixKey(familyGeneration, c), generation)
}

func migrationKey(c collectionNumber, migration uint64) []byte {
	return binary.BigEndian.AppendUint64(prefixKey(familyMigration, c), migration)
}

func bridgeKey(c collectionNumber, migration uint64) []byte {
	return binary.BigEndian.AppendUint64(prefixKey(familyBridge, c), migration)
}

func stateKey(c collectionNumber) []byte { return prefixKey(familyState, c) }

func documentKey(c collectionNumber, id ID) []byte {
	return appendID(prefixKey(familyDocument, c), id)
}

func ordinalKey(c collectionNumber, ordinal uint32) []byte {
	return binary.BigEndian.AppendUint32(prefixKey(familyOrdinal, c), ordinal)
}

func vectorPrefix(c collectionNumber, generation uint64) []byte {
	return binary.BigEndian.AppendUint64(prefixKey(familyVector, c), generation)
}

func vectorKey(c collectionNumber, generation uint64, ordinal uint32) []byte {
	return binary.BigEndian.AppendUint32(vectorPrefix(c, generation), ordinal)
}

func logKey(c collectionNumber, sequence uint64) []byte {
	return binary.BigEndian.AppendUint64(prefixKey(familyLog, c), sequence)
}

func checkpointKey(c collectionNumber, generation uint64) []byte {
	return binary.BigEndian.AppendUint64(prefixKey(familyCheckpoint, c), generation)
}

// chunkGeneration is the start of the keys of all chunks of a generation.
func chunkGeneration(c collectionNumber, generation uint64) []byte {
	return binary.BigEndian.AppendUint64(prefixKey(familyChunk, c), generation)
}

// chunkPrefix is the start of the keys of one checkpoint's chunks.
func chunkPrefix(c collectionNumber, generation, number uint64) []byte {
	return binary.BigEndian.AppendUint64(chunkGeneration(c, generation), number)
}

func chunkKey(c collectionNumber, generation, number uint64, i uint32) []byte {
	return binary.BigEndian.AppendUint32(chunkPrefix(c, generation, number), i)
}

// payloadKey is the key of a payload index, and of its sum in the other family.
func payloadKey(family byte, c collectionNumber, field uint32) []byte {
	return binary.BigEndian.AppendUint32(prefixKey(family, c), field)
}

func postingKey(c collectionNumber, field, ordinal uint32) []byte {
	return binary.BigEndian.AppendUint32(payloadKey(familyPosting, c, field), ordinal)
}

// The first byte of an id in a key: numbers sort before strings.
const (
	idNumber byte = 0
	idString byte = 1
)

// appendID appends the key form of an id. It stands last in a key, so strings
// need no terminator.
func appendID(key []byte, id ID) []byte {
	if id.IsNumber() {
		return binary.BigEndian.AppendUint64(append(key, idNumber), id.num)
	}
	return append(append(key, idString), id.str...)
}

// decodeID reads what appendID appended.
func decodeID(key []byte) (ID, error) {
	switch {
	case len(key) == 9 && key[0] == idNumber:
		return NumID(binary.BigEndian.Uint64(key[1:])), nil
	case len(key) > 1 && key[0] == idString:
		id, err := StringID(string(key[1:]))
		if err != nil {
			return ID{}, err
		}
		if id.str != string(key[1:]) {
			return ID{}, fmt.Errorf("%w: UUID in upper case in a key", ErrID)
		}
		return id, nil
	}
	return ID{}, fmt.Errorf("%w: %d bytes of an unknown form in a key", ErrID, len(key))
}

func retiredKey(c collectionNumber, generation uint64) []byte {
	return binary.BigEndian.AppendUint64(prefixKey(familyRetired, c), generation)
}

// lastUint64 is the number that ends a key of a collection number and another.
func lastUint64(key []byte) (uint64, error) {
	if len(key) != 1+4+8 {
		return 0, fmt.Errorf("%w: key of %d bytes", errRecord, len(key))
	}
	return binary.BigEndian.Uint64(key[1+4:]), nil
}

// lastUint32 is the number that ends a key of the given length.
func lastUint32(key []byte, length int) (uint32, bool) {
	if len(key) != length {
		return 0, false
	}
	return binary.BigEndian.Uint32(key[length-4:]), true
}

// The lengths of keys that end in a number.
const (
	ordinalKeyLength = 1 + 4 + 4
	vectorKeyLength  = 1 + 4 + 8 + 4
	logKeyLength     = 1 + 4 + 8
	payloadKeyLength = 1 + 4 + 4
	postingKeyLength = 1 + 4 + 4 + 4
)

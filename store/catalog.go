package store

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/vecino-db/vecino/compat"
)

// The catalog says which collections there are. Its records are few and read
// by people who look for trouble, so they are JSON; the manifest of a
// generation is in its canonical encoding.

// catalogRecord counts what happened to the catalog.
type catalogRecord struct {
	Changes uint64           `json:"changes"` // collections made and dropped: see marks
	Next    collectionNumber `json:"next"`    // the next collection's number
}

// collectionRecord is what a name stands for.
type collectionRecord struct {
	Number     collectionNumber `json:"number"`
	Generation uint64           `json:"generation"`        // the one that serves
	Standby    uint64           `json:"standby,omitempty"` // the second one during a migration; 0: there is none
	Served     bool             `json:"served,omitempty"`  // the standby served before
	CreatedAt  time.Time        `json:"created_at"`
}

// droppedRecord remains of a collection, so that its absence is no loss.
type droppedRecord struct {
	Name      string    `json:"name"`
	DroppedAt time.Time `json:"dropped_at"`
}

// decodeJSON reads a catalog record strictly.
func decodeJSON(record []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(record))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("%w: %w", errRecord, err)
	}
	if decoder.InputOffset() != int64(len(record)) {
		return fmt.Errorf("%w: %d bytes behind a catalog record", errRecord, int64(len(record))-decoder.InputOffset())
	}
	return nil
}

// setJSON puts a catalog record into a batch.
func setJSON(batch *pebble.Batch, key []byte, record any) error {
	value, err := json.Marshal(record)
	if err != nil {
		return err
	}
	return batch.Set(key, value, nil)
}

// generationVersion opens a generation record; the time of its making as
// nanoseconds since 1970 and the manifest's canonical encoding follow.
const generationVersion = 1

// generationRecord is one build of a collection under one manifest.
type generationRecord struct {
	createdAt time.Time
	manifest  compat.Manifest
}

func (g generationRecord) encode() ([]byte, error) {
	manifest, err := g.manifest.MarshalBinary()
	if err != nil {
		return nil, err
	}
	record := binary.LittleEndian.AppendUint64([]byte{generationVersion}, uint64(g.createdAt.UnixNano()))
	return append(record, manifest...), nil
}

func decodeGeneration(record []byte) (generationRecord, error) {
	if len(record) < 9 || record[0] != generationVersion {
		return generationRecord{}, fmt.Errorf("%w: generation of %d bytes", errRecord, len(record))
	}
	g := generationRecord{createdAt: time.Unix(0, int64(binary.LittleEndian.Uint64(record[1:]))).UTC()}
	if err := g.manifest.UnmarshalBinary(record[9:]); err != nil {
		return generationRecord{}, fmt.Errorf("%w: %w", errRecord, err)
	}
	if err := g.manifest.Validate(); err != nil {
		return generationRecord{}, fmt.Errorf("%w: %w", errRecord, err)
	}
	return g, nil
}

// namePattern is what a collection may be called: it stands in addresses and
// in file names of snapshots.
var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)

// checkName refuses other names with ErrName.
func checkName(name string) error {
	if !namePattern.MatchString(name) {
		return fmt.Errorf("%w: %.80q; use 1 to 64 of a-z, 0-9, _ and -, beginning with a letter or digit", ErrName, name)
	}
	return nil
}

// get reads one key; nil where there is none. The bytes are the caller's.
func get(reader pebble.Reader, key []byte) ([]byte, error) {
	value, closer, err := reader.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	owned := append(make([]byte, 0, len(value)), value...)
	return owned, closer.Close()
}

// scan calls f for every key that begins with prefix, in order, from the key
// `from` where that is not nil. The slices are Pebble's: f must copy what it
// keeps. It stops at the first error.
func scan(reader pebble.Reader, prefix, from []byte, f func(key, value []byte) error) (err error) {
	if from == nil {
		from = prefix
	}
	iter, err := reader.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: prefixEnd(prefix)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, iter.Close()) }()
	for valid := iter.First(); valid; valid = iter.Next() {
		value, err := iter.ValueAndErr()
		if err != nil {
			return err
		}
		if err := f(iter.Key(), value); err != nil {
			return err
		}
	}
	return iter.Error()
}

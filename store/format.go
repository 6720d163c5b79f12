package store

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// formatNumber is the layout of a data directory: its keys, its records and
// its files beside Pebble. Numbers are never reused; the list only grows, and
// a test pins it.
type formatNumber uint32

// The formats.
const (
	// formatFirst: keys and records as drawn in doc.go.
	formatFirst formatNumber = 1

	formatNewest = formatFirst
)

// formatMagic tells a format key from a stray one.
const formatMagic = "vecino store\n"

func encodeFormat(n formatNumber) []byte {
	return binary.LittleEndian.AppendUint32([]byte(formatMagic), uint32(n))
}

func decodeFormat(record []byte) (formatNumber, error) {
	if len(record) != len(formatMagic)+4 || string(record[:len(formatMagic)]) != formatMagic {
		return 0, fmt.Errorf("%w: format key of %d bytes", errRecord, len(record))
	}
	return formatNumber(binary.LittleEndian.Uint32(record[len(formatMagic):])), nil
}

// The names within a data directory.
const (
	engineDirectory = "db"
	marksFile       = "high-water"
)

// found is what a data directory holds before anything is opened.
type found struct {
	engine bool // Pebble has a manifest in engineDirectory
	marks  bool // there is a high-water file
}

// inspect looks at a data directory without changing it.
func inspect(fs vfs.FS, dir string) (found, error) {
	if desc, err := peek(fs, dir); err != nil {
		return found{}, err
	} else if desc.Exists {
		return found{}, fmt.Errorf("open %s: %w: it is a Pebble directory of another program; name an empty directory", dir, ErrFormat)
	}
	desc, err := peek(fs, fs.PathJoin(dir, engineDirectory))
	if err != nil {
		return found{}, err
	}
	_, err = fs.Stat(fs.PathJoin(dir, marksFile))
	if err != nil && !notExist(err) {
		return found{}, fmt.Errorf("open %s: %w", dir, err)
	}
	return found{engine: desc.Exists, marks: err == nil}, nil
}

// peek asks whether Pebble has a database in dir; a missing directory has none.
func peek(fs vfs.FS, dir string) (*pebble.DBDesc, error) {
	if _, err := fs.Stat(dir); notExist(err) {
		return &pebble.DBDesc{}, nil
	} else if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	desc, err := pebble.Peek(dir, fs)
	if err != nil {
		return nil, openError(dir, err)
	}
	return desc, nil
}

// checkFormat reads the format key, and writes it into a database that is
// still empty because its creation was cut short.
func checkFormat(db *pebble.DB, dir string, fresh bool) error {
	record, closer, err := db.Get(keyFormat)
	if errors.Is(err, pebble.ErrNotFound) {
		if !fresh {
			return fmt.Errorf("open %s: %w", dir, &CorruptionError{Object: "format key", Detail: "it is missing"})
		}
		empty, err := isEmpty(db)
		if err != nil {
			return readError("", "format key", err)
		}
		if !empty {
			return fmt.Errorf("open %s: %w: it holds keys but no format number; name an empty directory", dir, ErrFormat)
		}
		return db.Set(keyFormat, encodeFormat(formatNewest), pebble.Sync)
	}
	if err != nil {
		return readError("", "format key", err)
	}
	n, err := decodeFormat(record)
	if err = errors.Join(err, closer.Close()); err != nil {
		return readError("", "format key", err)
	}
	if n == 0 || n > formatNewest {
		return fmt.Errorf("open %s: %w: format %d, and this program reads up to %d; open it with the newer version that wrote it", dir, ErrFormat, n, formatNewest)
	}
	return nil
}

func isEmpty(db *pebble.DB) (bool, error) {
	iter, err := db.NewIter(nil)
	if err != nil {
		return false, err
	}
	empty := !iter.First()
	return empty, errors.Join(iter.Error(), iter.Close())
}

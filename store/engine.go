package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// comparerName is written into every Pebble file: a directory of another
// program, or of a store whose keys sort otherwise, does not open.
const comparerName = "vecino.v1"

// pebbleFormat is pinned, so that a new release of Pebble does not make the
// directories that it touches unreadable for older programs. This one has
// checksums against reading past the synced end of the log.
const pebbleFormat = pebble.FormatTableFormatV6

// blockSize suits vectors of 1.5 to 6 KB: several to a block, few index entries.
const blockSize = 32 << 10

// pebbleOptions are the options of the store's Pebble. Vectors don't shrink
// under Snappy, so their blocks are kept raw; texts and payloads do.
func pebbleOptions(o Options, fs vfs.FS, create bool) *pebble.Options {
	comparer := *pebble.DefaultComparer
	comparer.Name = comparerName
	logger := engineLogger{log: o.Logger, fatal: o.testing.fatal}
	p := &pebble.Options{
		Comparer:           &comparer,
		FormatMajorVersion: pebbleFormat,
		FS:                 fs,
		CacheSize:          o.CacheBytes,
		MemTableSize:       uint64(o.MemTableBytes),
		ErrorIfNotExists:   !create,
		ReadOnly:           o.readOnly,
		Logger:             logger,
		EventListener:      eventListener(o.Logger),
	}
	for i := range p.Levels {
		p.Levels[i].BlockSize = blockSize
		p.Levels[i].IndexBlockSize = blockSize
		p.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return p
}

// eventListener tells operators what Pebble notices. DataCorruption is set
// because Pebble's default ends the process; here the read that met the damage
// fails, loudly, and the rest goes on serving.
func eventListener(log *slog.Logger) *pebble.EventListener {
	return &pebble.EventListener{
		BackgroundError: func(err error) {
			log.Error("store: background work failed; check the disk", "error", err)
		},
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			log.Error("store: damaged file; restore the data directory from a backup", "file", info.Path, "details", fmt.Sprint(info.Details))
		},
		DiskSlow: func(info pebble.DiskSlowInfo) {
			log.Warn("store: slow disk", "operation", info.OpType.String(), "file", info.Path, "duration", info.Duration)
		},
		LowDiskSpace: func(info pebble.LowDiskSpaceInfo) {
			log.Warn("store: disk fills up; free space", "available_bytes", info.AvailBytes, "threshold_percent", info.PercentThreshold)
		},
		WriteStallBegin: func(info pebble.WriteStallBeginInfo) {
			log.Warn("store: writes wait for compaction", "reason", info.Reason)
		},
	}
}

// engineLogger passes Pebble's messages on. Pebble is crash-only: when its log
// or manifest can't be written it calls Fatalf, which must not return, because
// memory then holds what the disk does not. The process ends, and opening
// again gives every acknowledged write.
type engineLogger struct {
	log   *slog.Logger
	fatal func(format string, args ...any) // nil: end the process
}

func (l engineLogger) Infof(format string, args ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug("pebble: " + fmt.Sprintf(format, args...))
	}
}

func (l engineLogger) Errorf(format string, args ...any) {
	l.log.Error("pebble: " + fmt.Sprintf(format, args...))
}

func (l engineLogger) Fatalf(format string, args ...any) {
	l.log.Error("pebble: the disk failed and the process ends; nothing acknowledged is lost: check the disk and start again", "error", fmt.Sprintf(format, args...))
	if l.fatal != nil {
		l.fatal(format, args...)
	}
	os.Exit(1)
}

// openError says what an error of pebble.Open means to a user.
func openError(dir string, err error) error {
	switch text := err.Error(); {
	case errors.Is(err, pebble.ErrDBDoesNotExist):
		return fmt.Errorf("open %s: %w; name another directory, or create a store there", dir, ErrNoStore)
	case strings.Contains(text, "comparer name from file"):
		return fmt.Errorf("open %s: %w: it is a Pebble directory of another program; name an empty directory", dir, ErrFormat)
	case strings.Contains(text, "written in format major version"), strings.Contains(text, "unknown format major version"), strings.Contains(text, "unsupported format"):
		return fmt.Errorf("open %s: %w: a newer version wrote it; open it with that version: %w", dir, ErrFormat, err)
	case strings.Contains(text, "lock held by current process"), strings.Contains(text, "resource temporarily unavailable"):
		return fmt.Errorf("open %s: %w; stop the other process or name another directory", dir, ErrLocked)
	case pebble.IsCorruptionError(err):
		return fmt.Errorf("open %s: %w", dir, &CorruptionError{Object: "files of the store", Detail: text})
	}
	return fmt.Errorf("open %s: %w", dir, err)
}

// readError wraps an error of reading Pebble: damage becomes a
// *CorruptionError that names the object.
func readError(collection, object string, err error) error {
	if pebble.IsCorruptionError(err) || errors.Is(err, errRecord) || errors.Is(err, ErrID) {
		return &CorruptionError{Collection: collection, Object: object, Detail: err.Error()}
	}
	if collection == "" {
		return fmt.Errorf("read %s: %w", object, err)
	}
	return fmt.Errorf("collection %q: read %s: %w", collection, object, err)
}

// markerFS syncs the directory before a marker file is made in it. Pebble moves
// a marker to a new manifest before the manifest's own directory entry is sure
// to be on the disk (its issue 5915), so a crash between the two leaves a
// marker that names a file that is not there.
type markerFS struct{ vfs.FS }

// Create makes a file, after the sync where the file is a marker.
func (m markerFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if strings.HasPrefix(m.PathBase(name), "marker.") {
		if err := syncDirectory(m.FS, m.PathDir(name)); err != nil {
			return nil, err
		}
	}
	return m.FS.Create(name, category)
}

// Unwrap gives the file system beneath.
func (m markerFS) Unwrap() vfs.FS { return m.FS }

// syncDirectory makes the entries of a directory durable.
func syncDirectory(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

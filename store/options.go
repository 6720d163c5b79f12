package store

import (
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options of a store. The zero value of a field means its default.
type Options struct {
	// Dir is the data directory.
	Dir string
	// FS is the file system; nil: the disk. Tests inject crashable memory.
	FS vfs.FS
	// Create makes the directory when it holds no store yet; otherwise opening
	// one that is not there is ErrNoStore.
	Create bool
	// Logger takes what operators should know; nil: discarded.
	Logger *slog.Logger
	// CheckpointEvery is the number of changed points after which a
	// collection's graph is checkpointed in the background; the interval grows
	// to a fifth of the collection where that is more. 0: 10,000.
	// Negative: at Close only, and no graph is compacted.
	CheckpointEvery int
	// RecallShare is the share of queries, at random, whose answers the store
	// compares with a scan in the background, for as much as 1 % of a processor
	// can do. 0: 0.001. Negative: none.
	RecallShare float64
	// MinFreeBytes is the free space of the disk below which writes are refused
	// with ErrDiskFull. 0: 256 MiB. Negative: never refused.
	MinFreeBytes int64
	// CacheBytes is the size of the block cache. 0: 64 MiB.
	CacheBytes int64
	// MemTableBytes is the size of a memtable. 0: 32 MiB.
	MemTableBytes int64

	readOnly bool // Check: nothing is changed
	testing  testOptions
}

// testOptions weaken the store for the tests of this package.
type testOptions struct {
	noSync bool                             // acknowledge before the disk has it: the control run of the crash test
	fatal  func(format string, args ...any) // called instead of ending the process
}

// The defaults of Options.
const (
	defaultCheckpointEvery = 10_000
	defaultRecallShare     = 0.001
	defaultMinFreeBytes    = 256 << 20
	defaultCacheBytes      = 64 << 20
	defaultMemTableBytes   = 32 << 20
	maxMemTableBytes       = 1 << 30
)

// Validate says what is wrong with the options, as ErrOptions.
func (o Options) Validate() error {
	switch {
	case o.Dir == "":
		return fmt.Errorf("%w: Dir is empty; name the data directory", ErrOptions)
	case !(o.RecallShare <= 1):
		return fmt.Errorf("%w: RecallShare is %g; give 0 for the default, up to 1, or less than 0 for none", ErrOptions, o.RecallShare)
	case o.CacheBytes < 0:
		return fmt.Errorf("%w: CacheBytes is %d; give 0 for the default or a size", ErrOptions, o.CacheBytes)
	case o.MemTableBytes < 0 || o.MemTableBytes > maxMemTableBytes:
		return fmt.Errorf("%w: MemTableBytes is %d; give 0 for the default or up to %d", ErrOptions, o.MemTableBytes, maxMemTableBytes)
	}
	return nil
}

// withDefaults is o with its zero fields filled.
func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.CheckpointEvery == 0 {
		o.CheckpointEvery = defaultCheckpointEvery
	}
	if o.RecallShare == 0 {
		o.RecallShare = defaultRecallShare
	}
	if o.MinFreeBytes == 0 {
		o.MinFreeBytes = defaultMinFreeBytes
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = defaultCacheBytes
	}
	if o.MemTableBytes == 0 {
		o.MemTableBytes = defaultMemTableBytes
	}
	return o
}

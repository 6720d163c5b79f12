package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
)

// Store is one open data directory. It is safe for concurrent use.
type Store struct {
	options Options
	fs      vfs.FS
	log     *slog.Logger
	db      *pebble.DB
	disk    diskSpace
	failure atomic.Pointer[error] // the first failed write: nothing is written after it

	catalogMu sync.Mutex      // one change of the catalog, or Close, at a time; taken before mu
	cache     *EmbeddingCache // guarded by catalogMu; nil: it was not opened
	marksMu   sync.Mutex      // one writer of the high-water file at a time

	mu          sync.RWMutex
	closed      bool
	catalog     catalogRecord
	collections map[string]*Collection
	aliases     aliasRecord // replaced whole

	checkpoints *queue // of collections that are due
	compactions *queue // of collections whose graphs are crowded
	watches     *queue // of collections with queries to compare
	builds      *queue // of collections with payload indexes that are not ready
	stop        context.CancelFunc
	stopping    <-chan struct{} // closed by stop
	workers     sync.WaitGroup
}

// Description is what can be said of a collection without an encoder.
type Description struct {
	Name       string
	Manifest   compat.Manifest
	Generation uint64
	Points     int // documents
	Indexed    int // points linked into the graph; writes run ahead of it, and the others are found by a scan
	Deleted    int // vectors that the index still holds but does not find
	Index      index.Stats
	CreatedAt  time.Time
	Watched    Watched // live queries that were compared with a scan
	// Damage is why the collection does not open (a *CorruptionError); nil when
	// it is sound. A damaged one can only be dropped.
	Damage error
}

// Open opens the store of a directory, which it holds exclusively until Close,
// verifies every collection against its own count and digest, and loads every
// graph. A collection that is damaged does not open (Description.Damage); the
// others do. Errors: ErrOptions, ErrNoStore, ErrLocked, ErrFormat, ErrCorrupt
// for damage of the store as a whole, and those of the disk and of the context.
func Open(ctx context.Context, o Options) (*Store, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	s := newStore(o)
	created, err := s.openEngine()
	if err != nil {
		return nil, err
	}
	if err := s.recover(ctx, created); err != nil {
		for _, c := range s.sorted() {
			err = errors.Join(err, c.endGraphs())
		}
		return nil, errors.Join(err, s.db.Close())
	}
	s.startWorkers(ctx)
	return s, nil
}

// newStore is a store that is not open yet.
func newStore(o Options) *Store {
	s := &Store{
		options:     o,
		fs:          markerFS{o.FS},
		log:         o.Logger,
		collections: map[string]*Collection{},
		checkpoints: newQueue(),
		compactions: newQueue(),
		watches:     newQueue(),
		builds:      newQueue(),
	}
	s.disk.free.Store(-1)
	return s
}

// openEngine opens Pebble and the files beside it, and makes them where
// Options.Create allows it, and says whether it did.
func (s *Store) openEngine() (created bool, err error) {
	dir := s.options.Dir
	there, err := inspect(s.fs, dir)
	if err != nil {
		return false, err
	}
	engine := s.fs.PathJoin(dir, engineDirectory)
	if !there.engine {
		switch {
		case there.marks:
			return false, fmt.Errorf("open %s: %w", dir, &CorruptionError{Object: engineDirectory, Detail: "a store was here and its database is gone"})
		case !s.options.Create:
			return false, fmt.Errorf("open %s: %w; name another directory, or create a store there", dir, ErrNoStore)
		}
		if err := makeDirectory(s.fs, engine); err != nil {
			return false, fmt.Errorf("open %s: %w", dir, err)
		}
	}
	s.db, err = pebble.Open(engine, pebbleOptions(s.options, s.fs, !there.engine))
	if err != nil {
		return false, openError(dir, err)
	}
	if err := checkFormat(s.db, dir, !there.marks); err != nil {
		return false, errors.Join(err, s.db.Close())
	}
	return !there.engine, nil
}

// makeDirectory makes dir and its parents and makes their names durable.
func makeDirectory(fs vfs.FS, dir string) error {
	parents := []string{}
	for at := dir; ; at = fs.PathDir(at) {
		_, err := fs.Stat(at)
		parents = append(parents, at)
		if err == nil || fs.PathDir(at) == at {
			break
		}
		if !notExist(err) {
			return err
		}
	}
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, at := range parents {
		if err := syncDirectory(fs, at); err != nil {
			return err
		}
	}
	return nil
}

// Close waits for running operations, checkpoints the graphs until ctx ends,
// and closes the store. Operations that begin later get ErrClosed. Without the
// checkpoints nothing is lost; the next Open replays more of the log.
func (s *Store) Close(ctx context.Context) error {
	s.catalogMu.Lock()
	defer s.catalogMu.Unlock()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	s.closed = true
	s.mu.Unlock()

	s.stop()
	s.workers.Wait()
	s.cache.finish(ErrClosed)
	var errs []error
	for _, c := range s.sorted() {
		c.finish(ErrClosed)
		if ctx.Err() == nil {
			if err := c.checkpoint(ctx); err != nil && ctx.Err() == nil {
				errs = append(errs, err)
			}
		}
		errs = append(errs, c.endGraphs())
	}
	if s.failed() == nil {
		errs = append(errs, s.writeMarks())
	}
	errs = append(errs, s.db.Close())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close %s: %w", s.options.Dir, err)
	}
	return nil
}

// sorted is the collections by name.
func (s *Store) sorted() []*Collection {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := make([]*Collection, 0, len(s.collections))
	for _, c := range s.collections {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b *Collection) int { return strings.Compare(a.name, b.name) })
	return list
}

// lookup finds a collection by name, or ErrNotFound.
func (s *Store) lookup(name string) (*Collection, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, ErrClosed
	}
	c, ok := s.collections[name]
	if !ok {
		return nil, fmt.Errorf("%w: %.80q; list the collections, or create it", ErrNotFound, name)
	}
	return c, nil
}

// List describes every collection, by name.
func (s *Store) List(ctx context.Context) ([]Description, error) {
	s.mu.RLock()
	closed := s.closed
	s.mu.RUnlock()
	if closed {
		return nil, ErrClosed
	}
	var list []Description
	for _, c := range s.sorted() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		d, err := c.describe()
		if errors.Is(err, ErrNotFound) {
			continue // dropped meanwhile
		}
		if err != nil {
			return nil, err
		}
		list = append(list, d)
	}
	return list, nil
}

// Describe describes one collection, or says ErrNotFound.
func (s *Store) Describe(ctx context.Context, name string) (Description, error) {
	c, err := s.lookup(name)
	if err != nil {
		return Description{}, err
	}
	if err := ctx.Err(); err != nil {
		return Description{}, err
	}
	return c.describe()
}

// fail keeps the first error of a write: what memory holds beyond the disk must
// not be built upon.
func (s *Store) fail(err error) {
	if s.failure.CompareAndSwap(nil, &err) {
		s.log.Error("store: a write failed; writes are refused until the store is opened again", "error", err)
	}
}

// failed is ErrFailed after fail, and nil before.
func (s *Store) failed() error {
	if err := s.failure.Load(); err != nil {
		return fmt.Errorf("%w: %w; check the disk and restart", ErrFailed, *err)
	}
	return nil
}

// writeMarks brings the high-water file up to what is durable now.
func (s *Store) writeMarks() error {
	s.marksMu.Lock()
	defer s.marksMu.Unlock()
	m := marks{Format: formatNewest, Collections: map[collectionNumber]uint64{}}
	s.mu.RLock()
	m.Catalog = s.catalog.Changes
	for _, c := range s.collections {
		m.Collections[c.number] = c.durable.Load()
	}
	s.mu.RUnlock()
	return writeMarks(s.fs, s.options.Dir, m)
}

// tryMarks is writeMarks where a failure weakens a check and nothing else.
func (s *Store) tryMarks() {
	if err := s.writeMarks(); err != nil {
		s.log.Warn("store: the high-water file could not be written; check the disk", "error", err)
	}
}

// FreeBytes is the room on the disk that writes may take: what is kept in
// reserve is not among it.
func (s *Store) FreeBytes() (int64, error) {
	usage, err := s.fs.GetDiskUsage(s.options.Dir)
	if err != nil {
		return 0, fmt.Errorf("free space of %s: %w", s.options.Dir, err)
	}
	return max(0, int64(min(usage.AvailBytes, 1<<62))-max(0, s.options.MinFreeBytes)), nil
}

// Dir is the data directory.
func (s *Store) Dir() string { return s.options.Dir }

// Room says ErrDiskFull unless so many bytes can be written into the data
// directory without taking from what is kept in reserve.
func (s *Store) Room(bytes int64) error {
	if s.options.MinFreeBytes < 0 {
		return nil
	}
	free, err := s.FreeBytes()
	if err != nil || free > 0 && bytes <= free {
		return err
	}
	return fmt.Errorf("%w: %d MiB are wanted, %d MiB are free beside the reserve of %d MiB; free space", ErrDiskFull, bytes>>20, free>>20, s.options.MinFreeBytes>>20)
}

// diskSpace remembers for a moment whether the disk has room.
type diskSpace struct {
	checkedAt atomic.Int64 // nanoseconds since 1970
	free      atomic.Int64 // bytes; negative: not known
}

// diskCheckInterval keeps a busy writer from asking the disk at every batch.
const diskCheckInterval = 200 * time.Millisecond

// room refuses a write when free space is below the floor.
func (s *Store) room() error {
	floor := s.options.MinFreeBytes
	if floor < 0 {
		return nil
	}
	now := time.Now().UnixNano()
	if last := s.disk.checkedAt.Load(); now-last > int64(diskCheckInterval) && s.disk.checkedAt.CompareAndSwap(last, now) {
		free := int64(-1)
		if usage, err := s.fs.GetDiskUsage(s.options.Dir); err == nil {
			free = int64(min(usage.AvailBytes, 1<<62))
		}
		s.disk.free.Store(free)
	}
	if free := s.disk.free.Load(); free >= 0 && free < floor {
		return fmt.Errorf("%w: %d MiB are free and %d MiB are kept in reserve; free space, or delete points", ErrDiskFull, free>>20, floor>>20)
	}
	return nil
}

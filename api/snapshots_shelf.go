package api

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/vecino-db/vecino/store"
)

// shelf is the directory of the snapshots that a service keeps:
//
//	DIR/snapshots/COLLECTION/NAME.snapshot         see store.WriteSnapshot
//	DIR/snapshots/COLLECTION/NAME.snapshot.sha256  a line as sha256sum writes it
//	DIR/snapshots/.partial/                        what is being written
//
// A snapshot gets its name by a rename, when all of it is on the disk, so what
// has a name is whole. Partial files are removed at a start. Every path goes
// through an os.Root. The methods are safe for concurrent use.
type shelf struct {
	dir   string // absolute
	store *store.Store
}

const (
	partialDir = ".partial"
	sumSuffix  = ".sha256"
	// roomStep is how many bytes are written between two looks at the disk's
	// free space.
	roomStep = 16 << 20
)

// snapshotName is what the name of a snapshot looks like. Upper case is left
// out, so that no two names are one on any file system.
var snapshotName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,150}\.snapshot$`)

// Snapshot is a snapshot that the service keeps.
type Snapshot struct {
	Name       string
	Bytes      int64
	Checksum   string // SHA-256 of the file, hex; "": not known
	Info       store.SnapshotInfo
	Unreadable error // why Info is empty; nil: it is not
}

// newShelf names the directory, and clears away what was never finished. It
// need not be there.
func newShelf(s *store.Store) (*shelf, error) {
	dir, err := filepath.Abs(filepath.Join(s.Dir(), "snapshots"))
	if err != nil {
		return nil, fmt.Errorf("snapshots: %w", err)
	}
	sh := &shelf{dir: dir, store: s}
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return sh, nil
	}
	if err == nil {
		err = errors.Join(root.RemoveAll(partialDir), root.Close())
	}
	if err != nil {
		return nil, fmt.Errorf("snapshots: %w; look at the permissions of %s", err, dir)
	}
	return sh, nil
}

// root opens the directory, and makes it first.
func (s *shelf) root() (*os.Root, error) {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, err
	}
	return os.OpenRoot(s.dir)
}

// partial is a file on its way; close must follow.
type partial struct {
	file *os.File
	root *os.Root
	path string // "": it has got its name
	room func(bytes int64) error
	left int64 // bytes until the next look at the free space
	sum  hash.Hash
	size int64
}

// begin makes a partial file of about so many bytes. Error: store.ErrDiskFull.
func (s *shelf) begin(bytes int64) (*partial, error) {
	if err := s.store.Room(bytes); err != nil {
		return nil, err
	}
	root, err := s.root()
	if err != nil {
		return nil, err
	}
	p := &partial{root: root, path: path.Join(partialDir, rand.Text()), room: s.store.Room, sum: sha256.New()}
	if err = root.Mkdir(partialDir, 0o700); err == nil || errors.Is(err, fs.ErrExist) {
		p.file, err = root.OpenFile(p.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	}
	if err != nil {
		return nil, errors.Join(diskError(err), root.Close())
	}
	return p, nil
}

// Write implements io.Writer. Error: store.ErrDiskFull.
func (p *partial) Write(b []byte) (int, error) {
	if p.left -= int64(len(b)); p.left < 0 {
		p.left = roomStep
		if err := p.room(roomStep + int64(len(b))); err != nil {
			return 0, err
		}
	}
	n, err := p.file.Write(b)
	p.sum.Write(b[:n])
	p.size += int64(n)
	return n, diskError(err)
}

// checksum is that of what was written.
func (p *partial) checksum() string { return hex.EncodeToString(p.sum.Sum(nil)) }

// close removes a file that has got no name.
func (p *partial) close() error {
	err := p.file.Close()
	if p.path != "" {
		err = errors.Join(err, p.root.Remove(p.path))
	}
	return errors.Join(err, p.root.Close())
}

// diskError tells a full disk.
func diskError(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w; free space", store.ErrDiskFull, err)
	}
	return err
}

// name gives a partial file its name among the snapshots of a collection, when
// it and its checksum are on the disk.
func (p *partial) name(collection string, at time.Time) (string, error) {
	if err := p.root.Mkdir(collection, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", diskError(err)
	}
	var name, to string
	for ; ; at = at.Add(time.Microsecond) { // the clock may have been set back
		name = collection + "-" + at.UTC().Format("2006-01-02-15-04-05.000000") + ".snapshot"
		to = path.Join(collection, name)
		if _, err := p.root.Lstat(to); errors.Is(err, fs.ErrNotExist) {
			break
		} else if err != nil {
			return "", err
		}
	}
	if err := p.file.Sync(); err != nil {
		return "", diskError(err)
	}
	sum, err := p.root.OpenFile(to+sumSuffix, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return "", diskError(err)
	}
	_, err = fmt.Fprintf(sum, "%s  %s\n", p.checksum(), name)
	if err = errors.Join(err, sum.Sync(), sum.Close()); err == nil {
		err = p.root.Rename(p.path, to)
	}
	if err != nil {
		return "", errors.Join(diskError(err), p.root.Remove(to+sumSuffix))
	}
	p.path = ""
	return name, errors.Join(syncDir(p.root, collection), syncDir(p.root, "."))
}

// syncDir makes the names in a directory durable.
func syncDir(root *os.Root, name string) error {
	d, err := root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// list is the snapshots of a collection, the oldest first.
func (s *shelf) list(ctx context.Context, collection string) ([]Snapshot, error) {
	root, err := s.root()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	entries, err := fs.ReadDir(root.FS(), collection)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []Snapshot
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if !snapshotName.MatchString(e.Name()) || !e.Type().IsRegular() {
			continue
		}
		f, one, err := openSnapshot(root, collection, e.Name())
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, err
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	slices.SortStableFunc(list, func(a, b Snapshot) int { return a.Info.CreatedAt.Compare(b.Info.CreatedAt) })
	return list, nil
}

// open opens a snapshot. Error: KindNotFound.
func (s *shelf) open(collection, name string) (*os.File, Snapshot, error) {
	if !snapshotName.MatchString(name) {
		return nil, Snapshot{}, noSnapshot(collection, name)
	}
	root, err := s.root()
	if err != nil {
		return nil, Snapshot{}, err
	}
	defer root.Close()
	f, one, err := openSnapshot(root, collection, name)
	if errors.Is(err, fs.ErrNotExist) {
		err = noSnapshot(collection, name)
	}
	return f, one, err
}

// openSnapshot opens one whose name is a snapshot's.
func openSnapshot(root *os.Root, collection, name string) (*os.File, Snapshot, error) {
	at := path.Join(collection, name)
	if info, err := root.Lstat(at); err != nil {
		return nil, Snapshot{}, err
	} else if !info.Mode().IsRegular() { // to open a pipe would wait for its other end
		return nil, Snapshot{}, fs.ErrNotExist
	}
	f, err := root.Open(at)
	if err != nil {
		return nil, Snapshot{}, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, Snapshot{}, errors.Join(err, f.Close())
	}
	one := Snapshot{Name: name, Bytes: info.Size()}
	one.Info, one.Unreadable = store.SnapshotHead(f)
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, Snapshot{}, errors.Join(err, f.Close())
	}
	if sum, err := root.Open(at + sumSuffix); err == nil {
		line, err := io.ReadAll(io.LimitReader(sum, 2*sha256.Size))
		text, _, _ := strings.Cut(string(line), " ")
		if raw, bad := hex.DecodeString(text); err == nil && bad == nil && len(raw) == sha256.Size {
			one.Checksum = text
		}
		if err := sum.Close(); err != nil {
			return nil, Snapshot{}, errors.Join(err, f.Close())
		}
	}
	return f, one, nil
}

// remove deletes a snapshot. Error: KindNotFound.
func (s *shelf) remove(collection, name string) error {
	if !snapshotName.MatchString(name) {
		return noSnapshot(collection, name)
	}
	root, err := s.root()
	if err != nil {
		return err
	}
	defer root.Close()
	at := path.Join(collection, name)
	if err := root.Remove(at); errors.Is(err, fs.ErrNotExist) {
		return noSnapshot(collection, name)
	} else if err != nil {
		return err
	}
	if err := root.Remove(at + sumSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDir(root, collection)
}

// place finds the collection and the snapshot that a path of a file names.
func (s *shelf) place(file string) (collection, name string, ok bool) {
	inside, err := filepath.Rel(s.dir, filepath.Clean(file))
	if err != nil {
		return "", "", false
	}
	collection, name, ok = strings.Cut(filepath.ToSlash(inside), "/")
	return collection, name, ok && ValidName(collection) && snapshotName.MatchString(name)
}

func noSnapshot(collection, name string) *Error {
	return &Error{
		Kind: KindNotFound, Code: "snapshot_not_found", Detail: fmt.Sprintf("collection %q has no snapshot %.160q", collection, name),
		Remedy: "GET /collections/" + collection + "/snapshots lists those there are",
	}
}

package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/store"
)

// CreateSnapshot writes a collection, as it is at this moment, into a file that
// is kept beside the store. It is a job that ends with ctx. During a migration
// it is the generation that serves. Errors: KindConflict for a second one at a
// time, store.ErrDiskFull, those of store.WriteSnapshot.
func (s *Service) CreateSnapshot(ctx context.Context, c *Collection) (Snapshot, error) {
	made, err := s.jobs.attend(ctx, "snapshot", c.Name(), s.snapshotWork(c))
	if err != nil {
		return Snapshot{}, err
	}
	_, one, err := s.openSnapshot(c.Name(), made.(snapshotMade).Name, true)
	return one, err
}

// StartSnapshot begins the job that does what CreateSnapshot does.
func (s *Service) StartSnapshot(c *Collection) (Job, error) {
	return s.jobs.start("snapshot", c.Name(), s.snapshotWork(c))
}

// snapshotMade is the result of a job.
type snapshotMade struct {
	Name     string `json:"name"`
	Bytes    int64  `json:"size"`
	Checksum string `json:"checksum"`
	Points   int    `json:"points"`
}

// snapshotWork is the job that writes a snapshot.
func (s *Service) snapshotWork(c *Collection) work {
	return func(ctx context.Context, progress func(done, total int)) (result any, err error) {
		d, err := s.store.Describe(ctx, c.Name())
		if err != nil {
			return nil, err
		}
		p, err := s.shelf.begin(int64(d.Points) * int64(4*d.Manifest.Space.Dimension))
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, p.close()) }()
		info, err := c.stored.WriteSnapshot(ctx, p, progress)
		if err != nil {
			return nil, err
		}
		name, err := p.name(c.Name(), info.CreatedAt)
		if err != nil {
			return nil, err
		}
		s.logger.Info("snapshot created", "collection", c.Name(), "snapshot", name, "points", info.Points, "bytes", p.size)
		return snapshotMade{Name: name, Bytes: p.size, Checksum: p.checksum(), Points: info.Points}, nil
	}
}

// Snapshots lists the snapshots of a collection, the oldest first. They outlive
// the collection. Errors: KindNotFound when there is neither, store.ErrName.
func (s *Service) Snapshots(ctx context.Context, name string) ([]Snapshot, error) {
	target, err := s.targetOf(name)
	if err != nil {
		return nil, err
	}
	list, err := s.shelf.list(ctx, target)
	if err == nil && len(list) == 0 {
		if _, err := s.Collection(target); errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
	}
	return list, err
}

// targetOf is the name behind an alias.
func (s *Service) targetOf(name string) (string, error) {
	if !ValidName(name) {
		return "", badName(name)
	}
	return s.store.Resolve(name), nil
}

// OpenSnapshot opens the file of a snapshot; the caller closes it. Error:
// KindNotFound.
func (s *Service) OpenSnapshot(collection, name string) (*os.File, Snapshot, error) {
	return s.openSnapshot(collection, name, false)
}

func (s *Service) openSnapshot(collection, name string, closed bool) (*os.File, Snapshot, error) {
	target, err := s.targetOf(collection)
	if err != nil {
		return nil, Snapshot{}, err
	}
	f, one, err := s.shelf.open(target, name)
	if err == nil && closed {
		return nil, one, f.Close()
	}
	return f, one, err
}

// DeleteSnapshot deletes one. Error: KindNotFound.
func (s *Service) DeleteSnapshot(collection, name string) error {
	target, err := s.targetOf(collection)
	if err != nil {
		return err
	}
	if err := s.shelf.remove(target, name); err != nil {
		return err
	}
	s.logger.Info("snapshot deleted", "collection", target, "snapshot", name)
	return nil
}

// FindSnapshot says which snapshot of the service a location means: the name of
// one of the collection's, the path of a file of the service's directory, or a
// URL of this service, which is asked by the name host. Nothing is fetched from
// elsewhere. Error: KindInvalid.
func (s *Service) FindSnapshot(collection, location, host string) (of, name string, err error) {
	if snapshotName.MatchString(location) {
		return collection, location, nil
	}
	u, err := url.Parse(location)
	if err == nil {
		switch u.Scheme {
		case "file":
			if of, name, ok := s.shelf.place(u.Path); ok && u.Host == "" {
				return of, name, nil
			}
		case "http", "https":
			parts := strings.Split(u.Path, "/")
			if strings.EqualFold(u.Host, host) && len(parts) == 5 && parts[0] == "" && parts[1] == "collections" && parts[3] == "snapshots" &&
				ValidName(parts[2]) && snapshotName.MatchString(parts[4]) {
				return parts[2], parts[4], nil
			}
		}
	}
	e := invalid("bad_location", "/location", "the location is no snapshot of this server, and snapshots are fetched from nowhere else")
	e.Remedy = "give the name of one of the collection's snapshots, its URL here, or send the file by POST /collections/" + collection + "/snapshots/upload"
	return "", "", e
}

// RecoverWish says how a snapshot becomes a collection.
type RecoverWish struct {
	Checksum string // SHA-256 that the file must have, hex; "": it may have any
	Keep     bool   // refuse, if there is such a collection
}

// Recovery is a snapshot that is about to become a collection. Run or Start
// uses it up; Discard ends one that is not used.
type Recovery struct {
	service *Service
	name    string
	file    io.ReadSeeker
	sum     string // SHA-256 of the file; "": not known
	wish    RecoverWish
	close   func() error
}

// Recovery takes a snapshot that the service keeps, for a collection that need
// not be there. Error: KindNotFound.
func (s *Service) Recovery(name, of, snapshot string, w RecoverWish) (*Recovery, error) {
	target, err := s.targetOf(name)
	if err != nil {
		return nil, err
	}
	f, _, err := s.OpenSnapshot(of, snapshot)
	if err != nil {
		return nil, err
	}
	return &Recovery{service: s, name: target, file: f, wish: w, close: f.Close}, nil
}

// Receive takes a snapshot that comes in a stream of so many bytes (-1: not
// known), with memory for a part of it. Its file goes when the recovery is
// over. Errors: store.ErrDiskFull, KindInvalid for another checksum, that of r.
func (s *Service) Receive(ctx context.Context, name string, r io.Reader, bytes int64, w RecoverWish) (*Recovery, error) {
	target, err := s.targetOf(name)
	if err != nil {
		return nil, err
	}
	p, err := s.shelf.begin(max(bytes, 0))
	if err != nil {
		return nil, err
	}
	rec := &Recovery{service: s, name: target, file: p.file, wish: w, close: p.close}
	if _, err = io.Copy(p, readerUntil{ctx, r}); err == nil {
		_, err = p.file.Seek(0, io.SeekStart)
	}
	if rec.sum = p.checksum(); err == nil {
		err = rec.checkSum()
	}
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	return rec, nil
}

// readerUntil ends with a context.
type readerUntil struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (r readerUntil) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(b)
}

// checkSum holds the file against the checksum that was asked for.
func (r *Recovery) checkSum() error {
	if r.wish.Checksum == "" || strings.EqualFold(r.wish.Checksum, r.sum) {
		return nil
	}
	e := invalid("bad_checksum", "/checksum", "the file has the SHA-256 %s, and the request expects %.64s", r.sum, r.wish.Checksum)
	e.Remedy = "take another copy of the snapshot; nothing was changed"
	return e
}

// Discard gives it up.
func (r *Recovery) Discard() error { return r.close() }

// Run makes the collection, and waits for it: a job that ends with ctx. It is
// built beside what there is, and takes its place at once. Errors:
// store.ErrSnapshot, KindConflict for another space (*compat.MismatchError),
// for a collection in migration and for one that is there and is to be kept,
// store.ErrDiskFull.
func (r *Recovery) Run(ctx context.Context) (*Collection, error) {
	_, err := r.service.jobs.attend(ctx, "recover", r.name, r.work())
	if err != nil {
		return nil, errors.Join(err, r.closeUnused(err))
	}
	return r.service.Collection(r.name)
}

// Start begins the job that does what Run does.
func (r *Recovery) Start() (Job, error) {
	job, err := r.service.jobs.start("recover", r.name, r.work())
	return job, errors.Join(err, r.closeUnused(err))
}

// closeUnused closes the file of a job that did not begin.
func (r *Recovery) closeUnused(err error) error {
	if err == nil || r.close == nil {
		return nil
	}
	return r.close()
}

// work is the job.
func (r *Recovery) work() work {
	return func(ctx context.Context, progress func(done, total int)) (result any, err error) {
		end := r.close
		r.close = nil
		defer func() { err = errors.Join(err, end()) }()
		if r.wish.Checksum != "" && r.sum == "" {
			if r.sum, err = sumOf(ctx, r.file); err == nil {
				err = r.checkSum()
			}
			if err != nil {
				return nil, err
			}
		}
		info, err := r.service.recover(ctx, r, progress)
		if err != nil {
			return nil, recoverError(r.name, err)
		}
		r.service.logger.Info("collection recovered from a snapshot", "collection", r.name, "points", info.Points, "fingerprint", info.Fingerprint.String(), "made", info.CreatedAt)
		return map[string]any{"points": info.Points, "created_at": info.CreatedAt.Format(time.RFC3339)}, nil
	}
}

// recover brings the collection with its encoder to where calls find it.
func (s *Service) recover(ctx context.Context, r *Recovery, progress func(done, total int)) (store.SnapshotInfo, error) {
	var g *generation
	var old, made *Collection
	locked := false
	info, err := s.store.Restore(ctx, r.file, store.RestoreOptions{
		Name: r.name, Replace: !r.wish.Keep, Progress: progress,
		Verified: func(info store.SnapshotInfo) (err error) {
			g, err = s.reopen(ctx, r.name, 1, info.Manifest)
			return err
		},
		Filled: func(stored *store.Collection) (err error) {
			s.changing.Lock() // nobody makes or drops one of the name between the store's switch and ours
			locked = true
			made, err = s.newCollection(stored, g, nil)
			return err
		},
		Switched: func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			old = s.collections[r.name]
			s.collections[r.name] = made
			delete(s.damaged, r.name)
		},
	})
	if locked {
		s.changing.Unlock()
	}
	if err != nil && g != nil {
		g.hold.release()
	}
	if err == nil && old != nil {
		for _, g := range old.now().each() {
			g.hold.release()
		}
	}
	return info, err
}

// recoverError says what to do about a refusal.
func recoverError(name string, err error) error {
	var mismatch *compat.MismatchError
	elsewhere := "recover the snapshot under another name, or delete the collection first"
	switch {
	case errors.As(err, &mismatch):
		mismatch.Plan.Remedy = elsewhere
		return &Error{Kind: KindConflict, Code: "another_space", Detail: fmt.Sprintf("the snapshot is of another embedding space: %s", mismatch.Summary()), Err: mismatch}
	case errors.Is(err, store.ErrMigrating):
		return &Error{
			Kind: KindConflict, Code: "migration_running", Detail: fmt.Sprintf("collection %q is being migrated, which a snapshot would undo halfway", name), Err: err,
			Remedy: "commit or abort the migration (GET /collections/" + name + "/migrations), or recover the snapshot under another name",
		}
	case errors.Is(err, store.ErrExists):
		return &Error{Kind: KindConflict, Code: "collection_exists", Detail: fmt.Sprintf("collection %q already exists, and the request keeps it", name), Remedy: elsewhere + ", or leave replace=false out", Err: err}
	case errors.Is(err, store.ErrSnapshot):
		return &Error{Kind: KindInvalid, Code: "bad_snapshot", Detail: err.Error(), Remedy: "take another copy of the snapshot; nothing was changed", Err: err}
	}
	return err
}

// sumOf is the SHA-256 of a file, which is then at its beginning.
func sumOf(ctx context.Context, f io.ReadSeeker) (string, error) {
	p := sha256.New()
	if _, err := io.Copy(p, readerUntil{ctx, f}); err != nil {
		return "", err
	}
	_, err := f.Seek(0, io.SeekStart)
	return fmt.Sprintf("%x", p.Sum(nil)), err
}

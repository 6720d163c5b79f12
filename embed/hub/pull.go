package hub

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// PullOptions choose how a model is installed. The zero value installs it
// under its name without the organization.
type PullOptions struct {
	Name   string // of the directory, and in "local:NAME"; "": the repository's name
	Update bool   // ask the hub anew, and replace an older or damaged pull of the same repository
}

// Installed is the outcome of a pull.
type Installed struct {
	Name       string // the directory below the models, and NAME of "local:NAME"
	Lock       Lock   // what was recorded
	Already    bool   // it was there, and its files are what was recorded
	Downloaded int64  // bytes that came over the network in this pull
}

const (
	pullLock       = ".vecino-pull.lock"
	stagingPrefix  = ".pull-"
	replacedPrefix = ".replaced-"
	// spaceMargin is left free on the disk.
	spaceMargin = 16 << 20
)

// Pull installs the model that reference names ("ORG/NAME" or "ORG/NAME@REV")
// below models, the directory of models. A model that is installed already at
// that revision is checked, and nothing is sent; Update asks the hub where the
// revision is now. One pull at a time runs in a directory of models; another
// gets ErrBusy. After an error, or the context's end, the next pull of the
// same commit goes on from what has been downloaded.
func (c *Client) Pull(ctx context.Context, reference string, models *os.Root, o PullOptions) (Installed, error) {
	ref, err := ParseReference(reference)
	if err != nil {
		return Installed{}, err
	}
	name := o.Name
	if name == "" {
		name = ref.Name()
	}
	if !modelName.MatchString(name) {
		return Installed{}, fmt.Errorf("%.150q is %w: a directory of models is named with letters, digits, '.', '_' and '-'", name, ErrReference)
	}
	p := &pull{c: c, ref: ref, name: name, models: models, update: o.Update}
	release, err := p.lockModels()
	if err != nil {
		return Installed{}, err
	}
	defer release()
	if done, err := p.installed(ctx); done != nil || err != nil {
		return p.outcome(done, true), err
	}
	lock, err := p.run(ctx)
	return p.outcome(lock, p.same), err
}

// pull is one run of Pull.
type pull struct {
	c      *Client
	ref    Reference
	name   string
	models *os.Root
	update bool

	have       *Lock // of the installed model; nil: there is none
	intact     bool  // its files are what was recorded
	same       bool  // the hub has nothing newer than what is installed
	progress   Progress
	downloaded int64
}

func (p *pull) outcome(lock *Lock, already bool) Installed {
	if lock == nil {
		return Installed{}
	}
	return Installed{Name: p.name, Lock: *lock, Already: already, Downloaded: p.downloaded}
}

// lockModels makes this the only pull in the directory of models, and mends
// what a pull left that was killed between two renames.
func (p *pull) lockModels() (release func(), err error) {
	f, err := p.models.OpenFile(pullLock, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("directory of models: %w: choose one that can be written to", err)
	}
	if !tryLock(f) {
		f.Close()
		return nil, fmt.Errorf("%w in %s: wait until it has ended", ErrBusy, p.models.Name())
	}
	old := replacedPrefix + p.name
	if _, err := p.models.Lstat(old); err == nil {
		if _, err := p.models.Lstat(p.name); errors.Is(err, fs.ErrNotExist) {
			err = p.models.Rename(old, p.name)
			if err != nil {
				f.Close()
				return nil, err
			}
		} else if err := p.models.RemoveAll(old); err != nil {
			f.Close()
			return nil, err
		}
	}
	return func() { f.Close() }, nil
}

// installed looks at what lies under the name. It returns the lock of a model
// that is what was asked for and needs no look at the hub; nil to go on.
func (p *pull) installed(ctx context.Context) (*Lock, error) {
	if _, err := p.models.Lstat(p.name); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	root, err := p.models.OpenRoot(p.name)
	if err != nil {
		return nil, fmt.Errorf("%w: %s can't be opened as a directory (%w): choose another name for the model", ErrOccupied, p.name, err)
	}
	defer root.Close()
	lock, err := readLock(root)
	if err != nil {
		return nil, fmt.Errorf("%w: the directory %s holds something that was not pulled (%w): choose another name for the model, or move the directory away", ErrOccupied, p.name, err)
	}
	if lock.Repository != p.ref.Repository {
		return nil, fmt.Errorf("%w: %s holds %s: choose another name for the model", ErrOccupied, p.name, lock.Repository)
	}
	p.have = &lock
	switch _, err = verify(ctx, root); {
	case err == nil:
		p.intact = true
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case !p.update:
		return nil, err
	}
	if !p.update && (p.ref.Revision == lock.Revision || p.ref.Revision == lock.Commit) {
		return &lock, nil
	}
	return nil, nil
}

// run asks the hub, downloads and installs.
func (p *pull) run(ctx context.Context) (*Lock, error) {
	commit, err := p.c.resolve(ctx, p.ref)
	if err != nil {
		return nil, err
	}
	switch {
	case p.have != nil && p.intact && p.have.Commit == commit:
		p.same = true
		return p.have, nil
	case p.have != nil && !p.update:
		return nil, fmt.Errorf("%w: %s holds %s at the commit %s, and %s is %s: pull with update to replace it, or choose another name for the model", ErrOccupied, p.name, p.have.Repository, p.have.Commit, p.ref.Revision, commit)
	}
	listed, err := p.c.list(ctx, p.ref.Repository, commit)
	if err != nil {
		return nil, err
	}
	files, err := choose(listed, p.c.options.MaxBytes)
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", p.ref, err)
	}
	stagingName := stagingPrefix + p.name + "@" + commit
	if err := p.removeStaging(stagingName); err != nil {
		return nil, err
	}
	if err := p.models.MkdirAll(stagingName, 0o755); err != nil {
		return nil, err
	}
	staging, err := p.models.OpenRoot(stagingName)
	if err != nil {
		return nil, err
	}
	defer staging.Close()
	lock, err := p.download(ctx, staging, commit, files, listed)
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", p.ref, err)
	}
	return lock, p.install(stagingName)
}

// removeStaging removes what pulls of other commits of this name left.
func (p *pull) removeStaging(except string) error {
	entries, err := fs.ReadDir(p.models.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if name := e.Name(); strings.HasPrefix(name, stagingPrefix+p.name+"@") && name != except {
			if err := p.models.RemoveAll(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// download fills the staging directory and writes the lock file.
func (p *pull) download(ctx context.Context, staging *os.Root, commit string, files, listed []remoteFile) (*Lock, error) {
	lock := Lock{
		Schema: LockSchema, Hub: p.c.endpoint.String(), Repository: p.ref.Repository, Revision: p.ref.Revision, Commit: commit,
	}
	// The index of shards says which files there are, so it comes first.
	if i := slices.IndexFunc(files, func(f remoteFile) bool { return f.Path == indexFile }); i > 0 {
		index := files[i]
		files = slices.Insert(slices.Delete(files, i, i+1), 0, index)
	}
	if err := p.plan(staging, files); err != nil {
		return nil, err
	}
	for i := 0; i < len(files); i++ {
		sum, err := p.one(ctx, staging, commit, files[i], i)
		if err != nil {
			return nil, err
		}
		lock.Files = append(lock.Files, File{Path: files[i].Path, Size: files[i].Size, SHA256: sum})
		if files[i].Path != indexFile {
			continue
		}
		index, err := staging.ReadFile(indexFile)
		if err != nil {
			return nil, err
		}
		more, err := shards(index, listed)
		if err != nil {
			return nil, err
		}
		for _, f := range more {
			if !has(files, f.Path) {
				files = append(files, f)
			}
		}
		if err := checkChosen(files, p.c.options.MaxBytes); err != nil {
			return nil, err
		}
		if err := p.plan(staging, files); err != nil {
			return nil, err
		}
	}
	return p.seal(staging, lock)
}

// plan sums up what is to come, and refuses a disk that is too small for it.
func (p *pull) plan(staging *os.Root, files []remoteFile) error {
	p.progress.Files, p.progress.Total = len(files), 0
	missing := int64(0)
	for _, f := range files {
		p.progress.Total += f.Size
		missing += f.Size
		for _, name := range []string{f.Path, f.Path + partSuffix} {
			if info, err := staging.Lstat(name); err == nil {
				missing -= min(info.Size(), f.Size)
				break
			}
		}
	}
	dir, err := staging.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	if free, ok := p.c.system.free(dir); ok && missing > 0 && free < uint64(missing)+spaceMargin {
		return noSpace(missing+spaceMargin, fmt.Errorf("%s are free and the download takes %s", size(int64(min(free, 1<<62))), size(missing)))
	}
	return nil
}

// one downloads the i-th file.
func (p *pull) one(ctx context.Context, staging *os.Root, commit string, f remoteFile, i int) (string, error) {
	p.progress.Path, p.progress.File = f.Path, i+1
	d := &download{
		c: p.c, staging: staging, want: f,
		source: p.c.repository(nil, p.ref.Repository, append([]string{"resolve", commit}, strings.Split(f.Path, "/")...)...),
		advance: func(n int64) {
			p.progress.Done += n
			if p.c.options.Progress != nil {
				p.c.options.Progress(p.progress)
			}
		},
		received: &p.downloaded,
	}
	return d.run(ctx)
}

// seal removes what doesn't belong to the model, and writes the lock file,
// last of all.
func (p *pull) seal(staging *os.Root, lock Lock) (*Lock, error) {
	slices.SortFunc(lock.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	var strays []string
	err := fs.WalkDir(staging.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		ours := slices.ContainsFunc(lock.Files, func(f File) bool { return f.Path == name })
		if err == nil && !entry.IsDir() && !ours {
			strays = append(strays, name)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, name := range strays {
		if err := staging.Remove(name); err != nil {
			return nil, err
		}
	}
	if card, err := staging.ReadFile("README.md"); err == nil {
		read := ParseCard(card)
		lock.Licence, lock.Summary = read.Licence, read.Summary
	}
	lock.PulledAt = p.c.options.Clock.Now().UTC()
	if err := writeLock(staging, lock); err != nil {
		if isNoSpace(err) {
			return nil, noSpace(maxLockBytes, err)
		}
		return nil, err
	}
	syncDirectory(staging)
	return &lock, nil
}

// install gives the staging directory the model's name. What lies there is an
// older pull, and moves aside first.
func (p *pull) install(staging string) error {
	old := replacedPrefix + p.name
	if p.have != nil {
		if err := p.models.Rename(p.name, old); err != nil {
			return err
		}
	}
	if err := p.models.Rename(staging, p.name); err != nil {
		if p.have != nil {
			err = errors.Join(err, p.models.Rename(old, p.name))
		}
		return err
	}
	syncDirectory(p.models)
	if p.have != nil {
		return p.models.RemoveAll(old)
	}
	return nil
}

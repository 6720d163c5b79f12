package hub

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"time"
)

// LockName is the file that makes a directory an installed model.
const LockName = "vecino-model.json"

// LockSchema is the newest form of the lock file that this program reads and
// the one that it writes.
const LockSchema = 1

const maxLockBytes = 4 << 20

// File is one file of an installed model.
type File struct {
	Path   string `json:"path"` // with slashes, below the model's directory
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // lower-case hexadecimal
}

// Lock is what is recorded of an installed model.
type Lock struct {
	Schema     int       `json:"schema"`
	Hub        string    `json:"hub"`        // the endpoint it came from
	Repository string    `json:"repository"` // ORG/NAME
	Revision   string    `json:"revision"`   // as it was asked for
	Commit     string    `json:"commit"`
	Licence    string    `json:"licence,omitempty"` // as the model card states it
	Summary    string    `json:"summary,omitempty"` // the model card's first paragraph
	PulledAt   time.Time `json:"pulled_at"`
	Files      []File    `json:"files"` // by path
}

// Bytes is the size of all files.
func (l Lock) Bytes() int64 {
	n := int64(0)
	for _, f := range l.Files {
		n += f.Size
	}
	return n
}

// Read reads the lock file of a model's directory, and checks no other file.
// The error wraps ErrNotInstalled where there is none that can be read.
func Read(dir string) (Lock, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Lock{}, fmt.Errorf("model in %s: %w: %w: pull it", dir, ErrNotInstalled, err)
	}
	defer root.Close()
	return readLock(root)
}

func readLock(root *os.Root) (Lock, error) {
	f, err := root.Open(LockName)
	if err != nil {
		return Lock{}, fmt.Errorf("%s: %w: it has no %s: pull the model, or name the directory of one that was pulled", root.Name(), ErrNotInstalled, LockName)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxLockBytes+1))
	if err != nil {
		return Lock{}, fmt.Errorf("%s: %w", root.Name(), err)
	}
	lock, err := parseLock(text)
	if err != nil {
		return Lock{}, fmt.Errorf("%s: %w: its %s can't be used (%w): delete the directory and pull the model again", root.Name(), ErrNotInstalled, LockName, err)
	}
	return lock, nil
}

// parseLock reads a lock file, which is input too: directories of models are
// copied from machine to machine.
func parseLock(text []byte) (Lock, error) {
	var lock Lock
	if len(text) > maxLockBytes {
		return Lock{}, errors.New("it is too long")
	}
	var version struct {
		Schema int `json:"schema"`
	}
	if err := json.Unmarshal(text, &version); err != nil {
		return Lock{}, err
	}
	if version.Schema != LockSchema {
		return Lock{}, fmt.Errorf("its schema is %d and this program knows %d", version.Schema, LockSchema)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&lock); err != nil {
		return Lock{}, err
	}
	if !repositoryName.MatchString(lock.Repository) || !revisionName.MatchString(lock.Revision) || !commitName.MatchString(lock.Commit) {
		return Lock{}, errors.New("its repository, revision or commit is not one")
	}
	files := make([]remoteFile, len(lock.Files))
	for i, f := range lock.Files {
		if !wanted(f.Path) && !shardFile.MatchString(f.Path) || safeName(f.Path) != nil || !isSHA256(f.SHA256) {
			return Lock{}, fmt.Errorf("its file %.100q is not one of a model, or has no SHA-256", f.Path)
		}
		files[i] = remoteFile{Path: f.Path, Size: f.Size}
	}
	return lock, checkChosen(files, 1<<62)
}

// Verify reads every file of an installed model and compares it with what was
// recorded when it was pulled. The error wraps ErrNotInstalled, or ErrHash for
// the first file that is missing, is another, or lies there without having
// been pulled though an encoder would read it.
func Verify(ctx context.Context, dir string) (Lock, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Lock{}, fmt.Errorf("model in %s: %w: %w: pull it", dir, ErrNotInstalled, err)
	}
	defer root.Close()
	return verify(ctx, root)
}

func verify(ctx context.Context, root *os.Root) (Lock, error) {
	lock, err := readLock(root)
	if err != nil {
		return Lock{}, err
	}
	known := map[string]bool{}
	for _, f := range lock.Files {
		known[f.Path] = true
		if err := verifyFile(ctx, root, f); err != nil {
			return Lock{}, err
		}
	}
	err = fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && !known[name] && wanted(name) {
			return damaged(root, name, "was not pulled with the model, and an encoder would read it")
		}
		return err
	})
	return lock, err
}

// damaged is the error for a file of an installed model.
func damaged(root *os.Root, name, reason string) error {
	return fmt.Errorf("%s: %w: %q %s: pull the model again with update to replace it", root.Name(), ErrHash, name, reason)
}

func verifyFile(ctx context.Context, root *os.Root, f File) error {
	info, err := root.Lstat(f.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return damaged(root, f.Path, "is missing")
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return damaged(root, f.Path, "is no regular file")
	case info.Size() != f.Size:
		return damaged(root, f.Path, fmt.Sprintf("has %d bytes, and had %d", info.Size(), f.Size))
	}
	file, err := root.Open(f.Path)
	if err != nil {
		return err
	}
	defer file.Close()
	sum := sha256.New()
	if err := hashFile(ctx, sum, file, f.Size); err != nil {
		return err
	}
	if hexSum(sum) != f.SHA256 {
		return damaged(root, f.Path, "has another SHA-256 than when it was pulled")
	}
	return nil
}

func hexSum(sum hash.Hash) string { return hex.EncodeToString(sum.Sum(nil)) }

// hashFile feeds n bytes of r to sum, or what there is, and looks at ctx now
// and then.
func hashFile(ctx context.Context, sum hash.Hash, r io.Reader, n int64) error {
	const step = 8 << 20
	for n > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		copied, err := io.CopyN(sum, r, min(n, step))
		n -= copied
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// writeLock writes the lock file whole or not at all.
func writeLock(root *os.Root, lock Lock) error {
	text, err := json.MarshalIndent(lock, "", "  ")
	if err != nil {
		return err
	}
	const part = LockName + ".part"
	f, err := root.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	if _, err := f.Write(append(text, '\n')); err != nil {
		f.Close()
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return root.Rename(part, LockName)
}

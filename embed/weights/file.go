package weights

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/vecino-db/vecino/compat"
)

// File is the tensors of one model: of one safetensors file, or of all shards
// that an index names.
type File struct {
	path     string
	shards   []shard
	tensors  map[string]Tensor
	metadata map[string]string
	digest   func() compat.Digest
}

// shard is one safetensors file, read into memory. It is not mapped: a file
// that is rewritten in place would change the vectors under a fingerprint that
// stays, and one that is cut short would end the process.
type shard struct {
	name  string
	bytes []byte
}

// Names of what OpenDir looks for.
const (
	SingleName = "model.safetensors"
	IndexName  = "model.safetensors.index.json"
)

// Open opens a safetensors file, or the index of a sharded model when path
// ends in ".json". Errors are *FormatError or those of the file system.
func Open(path string) (*File, error) {
	if strings.HasSuffix(path, ".json") {
		return openIndex(path)
	}
	s, err := openShard(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, s.bytes)
}

// Parse is Open for a safetensors file that is in memory, and must not change
// there. path is what errors call it.
func Parse(path string, content []byte) (*File, error) {
	h, err := parse(path, content)
	if err != nil {
		return nil, err
	}
	f := &File{path: path, shards: []shard{{name: filepath.Base(path), bytes: content}}, tensors: h.tensors, metadata: h.metadata}
	f.digest = sync.OnceValue(func() compat.Digest { return sha256.Sum256(content) })
	return f, nil
}

// OpenDir opens the model in a directory: SingleName, or IndexName and its
// shards.
func OpenDir(dir string) (*File, error) {
	single := filepath.Join(dir, SingleName)
	if _, err := os.Stat(single); err == nil {
		return Open(single)
	}
	index := filepath.Join(dir, IndexName)
	if _, err := os.Stat(index); err == nil {
		return Open(index)
	}
	return nil, fmt.Errorf("%s has neither %s nor %s: point at the directory of a model with safetensors weights: %w", dir, SingleName, IndexName, fs.ErrNotExist)
}

// openShard reads one file.
func openShard(path string) (shard, error) {
	file, err := os.Open(path)
	if err != nil {
		return shard{}, fmt.Errorf("open weights: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return shard{}, fmt.Errorf("open weights: %w", err)
	}
	switch {
	case !info.Mode().IsRegular():
		return shard{}, &FormatError{Path: path, Reason: "it is no regular file"}
	case info.Size() < 8 || info.Size() > math.MaxInt/2:
		return shard{}, &FormatError{Path: path, Reason: fmt.Sprintf("%d bytes can't be a model", info.Size())}
	}
	content := make([]byte, info.Size())
	if _, err := io.ReadFull(file, content); err != nil {
		return shard{}, fmt.Errorf("read weights %s: %w: it changed meanwhile, or the disk fails; try again", path, err)
	}
	return shard{name: filepath.Base(path), bytes: content}, nil
}

// Path is what Open was given.
func (f *File) Path() string { return f.path }

// Names are the names of all tensors, sorted.
func (f *File) Names() []string { return slices.Sorted(maps.Keys(f.tensors)) }

// Has reports whether the file has the tensor.
func (f *File) Has(name string) bool {
	_, ok := f.tensors[name]
	return ok
}

// Tensor is the tensor of that name; otherwise an error that wraps ErrNoTensor.
func (f *File) Tensor(name string) (Tensor, error) {
	t, ok := f.tensors[name]
	if !ok {
		return Tensor{}, fmt.Errorf("%s: %w: %q (it has %s): the weights are of another kind of model than its configuration says", f.path, ErrNoTensor, name, f.some())
	}
	return t, nil
}

// some lists a few of the tensors, for errors.
func (f *File) some() string {
	names := f.Names()
	const few = 8
	if len(names) > few {
		return fmt.Sprintf("%q and %d more", names[:few], len(names)-few)
	}
	return fmt.Sprintf("%q", names)
}

// Metadata are the file's free-form strings. The caller must not change them.
func (f *File) Metadata() map[string]string { return f.metadata }

// Size is the number of bytes of all files.
func (f *File) Size() int64 {
	var n int64
	for _, s := range f.shards {
		n += int64(len(s.bytes))
	}
	return n
}

// Digest is the SHA-256 of the file's bytes. Of a sharded model it is the
// SHA-256 over a line "NAME DIGEST\n" for each shard, sorted by name. It is
// computed at the first call.
func (f *File) Digest() compat.Digest { return f.digest() }

// Close lets go of the memory: no tensor can be had after it. Those that were
// had stay valid. More calls do nothing.
func (f *File) Close() error {
	f.shards, f.tensors = nil, nil
	return nil
}

package weights

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/vecino-db/vecino/compat"
)

// maxShards bounds the files of one model.
const maxShards = 4096

// openIndex opens the shards that an index names.
func openIndex(path string) (*File, error) {
	weightMap, err := readIndex(path)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, name := range weightMap {
		names = append(names, name)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) > maxShards {
		return nil, &FormatError{Path: path, Reason: fmt.Sprintf("%d shards; the limit is %d", len(names), maxShards)}
	}
	f := &File{path: path, tensors: make(map[string]Tensor), metadata: make(map[string]string)}
	for _, name := range names {
		if err := f.addShard(filepath.Dir(path), name, weightMap); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	for tensor, name := range weightMap {
		if !f.Has(tensor) {
			err := &FormatError{Path: path, Tensor: tensor, Reason: fmt.Sprintf("the shard %s doesn't have it", cut(name))}
			return nil, errors.Join(err, f.Close())
		}
	}
	shards := slices.Clone(f.shards)
	f.digest = sync.OnceValue(func() compat.Digest { return digestShards(shards) })
	return f, nil
}

// readIndex reads {"metadata": ..., "weight_map": {tensor: file}}.
func readIndex(path string) (map[string]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open weights: %w", err)
	}
	if info.Size() > MaxHeader {
		return nil, &FormatError{Path: path, Reason: fmt.Sprintf("%d bytes; the limit of an index is %d", info.Size(), MaxHeader)}
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("open weights: %w", err)
	}
	var index map[string]json.RawMessage
	var weightMap map[string]string
	if err := json.Unmarshal(content, &index); err != nil {
		return nil, &FormatError{Path: path, Reason: fmt.Sprintf("it is not JSON: %v", err)}
	}
	if err := json.Unmarshal(bytes.TrimSpace(index["weight_map"]), &weightMap); err != nil || len(weightMap) == 0 {
		return nil, &FormatError{Path: path, Reason: "it has no weight_map of tensors to files"}
	}
	for tensor, name := range weightMap {
		// A shard lies beside its index: a path could lead anywhere.
		if name == "" || name != filepath.Base(name) || !filepath.IsLocal(name) {
			return nil, &FormatError{Path: path, Tensor: tensor, Reason: fmt.Sprintf("%q is no plain file name", cut(name))}
		}
	}
	return weightMap, nil
}

// addShard opens one shard and takes its tensors in. A tensor that the index
// places elsewhere, or nowhere, is refused.
func (f *File) addShard(dir, name string, weightMap map[string]string) error {
	path := filepath.Join(dir, name)
	s, err := openShard(path)
	if err != nil {
		return err
	}
	f.shards = append(f.shards, s)
	h, err := parse(path, s.bytes)
	if err != nil {
		return err
	}
	for tensor, t := range h.tensors {
		if weightMap[tensor] != name {
			return &FormatError{Path: path, Tensor: tensor, Reason: fmt.Sprintf("the index places it in %q", cut(weightMap[tensor]))}
		}
		f.tensors[tensor] = t
	}
	for key, value := range h.metadata {
		f.metadata[key] = value
	}
	return nil
}

// digestShards is the digest of a sharded model; shards are sorted by name.
func digestShards(shards []shard) compat.Digest {
	h := sha256.New()
	for _, s := range shards {
		fmt.Fprintf(h, "%s %x\n", s.name, sha256.Sum256(s.bytes))
	}
	return compat.Digest(h.Sum(nil))
}

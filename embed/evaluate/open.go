package evaluate

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// ErrNoCollection means that a directory holds no collection that is known.
var ErrNoCollection = errors.New("no judged collection")

// Open reads the collection in a directory: BEIR's corpus.jsonl, queries.jsonl
// and qrels/test.tsv (or qrels.tsv), or SMART's NAME.all*, NAME.qry and a file
// whose name holds "qrel". The error wraps ErrNoCollection where neither is
// there.
func Open(dir string) (Collection, error) {
	if _, err := os.Stat(filepath.Join(dir, "corpus.jsonl")); err == nil {
		return read(dir, []string{filepath.Join(dir, "corpus.jsonl"), filepath.Join(dir, "queries.jsonl"), qrelsPath(dir)}, func(f []*os.File) (Collection, error) { return ReadBEIR(f[0], f[1], f[2]) })
	}
	var paths []string
	for _, pattern := range []string{"*.all*", "*.qry", "*qrel"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(found) != 1 {
			return Collection{}, fmt.Errorf("%s: %w: want corpus.jsonl, queries.jsonl and qrels/test.tsv, or one file each of *.all*, *.qry and *qrel", dir, ErrNoCollection)
		}
		paths = append(paths, found[0])
	}
	return read(dir, paths, func(f []*os.File) (Collection, error) { return ReadSMART(f[0], f[1], f[2]) })
}

// qrelsPath is where BEIR's judgements lie in a directory.
func qrelsPath(dir string) string {
	path := filepath.Join(dir, "qrels", "test.tsv")
	if _, err := os.Stat(path); err != nil {
		return filepath.Join(dir, "qrels.tsv")
	}
	return path
}

// read opens files, reads the collection in them, and closes them.
func read(dir string, paths []string, parse func([]*os.File) (Collection, error)) (c Collection, err error) {
	var files []*os.File
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return c, fmt.Errorf("%w: %w", ErrNoCollection, err)
		}
		files = append(files, f)
	}
	if c, err = parse(files); err != nil {
		return c, fmt.Errorf("collection %s: %w", dir, err)
	}
	if len(c.Documents) == 0 || len(c.Queries) == 0 {
		return c, fmt.Errorf("%s: %w: it has %d documents and %d judged queries", dir, ErrNoCollection, len(c.Documents), len(c.Queries))
	}
	return c, nil
}

// OpenPairs reads sentence pairs from a file: separated by tabs, or by commas
// when its name ends in .csv.
func OpenPairs(path string) ([]Pair, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	pairs, err := ReadPairs(f, !strings.HasSuffix(strings.ToLower(path), ".csv"))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return pairs, nil
}

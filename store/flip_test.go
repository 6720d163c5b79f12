package store

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

var flips = flag.Int("flip.count", 6, "one-bit flips for each kind of file of TestBitFlips")

// fileKind tells the kinds of files of a data directory apart.
func fileKind(name string) string {
	switch {
	case strings.HasSuffix(name, ".sst"):
		return "table"
	case strings.HasSuffix(name, ".log"):
		return "log"
	case strings.HasPrefix(name, "MANIFEST"):
		return "manifest"
	case strings.HasPrefix(name, "OPTIONS"):
		return "options"
	case name == marksFile:
		return "high water"
	}
	return ""
}

// readFile and writeFile work on the memory of a test.
func readFile(fs vfs.FS, name string) ([]byte, error) {
	f, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

func writeFile(fs vfs.FS, name string, content []byte) error {
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if _, err := f.Write(content); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}

// A flipped bit is never silent: the store, or the collection, refuses to open,
// a read fails, or everything is as it was.
func TestBitFlips(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	mem := vfs.NewCrashableMem()
	m := hnswManifest(8)
	s := open(t, testOptionsFor(t, mem))
	c := create(t, s, "one", m)
	model := map[int]int{}
	for id := range 200 {
		model[id] = 1
	}
	put(t, c, 1, 0, 100)
	if err := s.db.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := c.checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	put(t, c, 1, 100, 190)
	if err := s.db.Flush(); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	s = open(t, testOptionsFor(t, mem))
	put(t, reopen(t, s, "one", m), 1, 190, 200)
	closeStore(t, s)

	kinds := map[string][]string{}
	for _, dir := range []string{"data", "data/db"} {
		names, err := mem.List(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			path := dir + "/" + name
			if content, err := readFile(mem, path); err == nil && len(content) > 0 && fileKind(name) != "" {
				kinds[fileKind(name)] = append(kinds[fileKind(name)], path)
			}
		}
	}
	for _, kind := range []string{"table", "log", "manifest", "options", "high water"} {
		if len(kinds[kind]) == 0 {
			t.Errorf("no file of kind %s to damage", kind)
			continue
		}
		outcomes := map[string]int{}
		t.Logf("%s: %v", kind, kinds[kind])
		for range fewer(*flips) {
			path := kinds[kind][rng.IntN(len(kinds[kind]))]
			content, err := readFile(mem, path)
			if err != nil {
				t.Fatal(err)
			}
			bit := rng.IntN(8 * len(content))
			content[bit/8] ^= 1 << (bit % 8)
			fs := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rng})
			if err := writeFile(fs, path, content); err != nil {
				t.Fatal(err)
			}
			outcome, err := openFlipped(fs, m.Space.Dimension, model)
			outcomes[outcome]++
			if err != nil {
				t.Errorf("bit %d of %s: %v", bit, path, err)
			}
		}
		t.Logf("%s: %v", kind, outcomes)
	}
}

// openFlipped says how the damage showed. An error means that it did not.
func openFlipped(fs vfs.FS, dim int, model map[int]int) (string, error) {
	ctx := context.Background()
	s, err := Open(ctx, Options{Dir: "data", FS: fs, MemTableBytes: 1 << 20, CacheBytes: 1 << 20})
	if err != nil {
		return "store refused", nil
	}
	defer func() { _ = s.Close(ctx) }()
	c, err := s.OpenCollection(ctx, "one", hnswManifest(dim).Space)
	if err != nil {
		return "collection refused", nil
	}
	err = expect(c, model)
	switch {
	case err == nil && c.rebuilt:
		return "graph rebuilt", nil
	case err == nil:
		return "no effect", nil
	case strings.Contains(err.Error(), ErrCorrupt.Error()):
		return "read refused", nil
	}
	return "silent", fmt.Errorf("silent damage: %w", err)
}

package store

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/vecino-db/vecino/compat"
)

// checkable makes a closed store of two collections, and gives its options.
func checkable(t *testing.T) (Options, *vfs.MemFS) {
	t.Helper()
	mem := vfs.NewMem()
	o := testOptionsFor(t, mem)
	s := open(t, o)
	put(t, create(t, s, "exact", testManifest(8, 1)), 1, 0, 50)
	put(t, create(t, s, "graph", hnswManifest(8)), 1, 0, 300)
	if err := s.db.Flush(); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	return o, mem
}

// snapshotOf is the files of a directory with their contents.
func snapshotOf(t *testing.T, fs vfs.FS) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, dir := range []string{"data", "data/db"} {
		names, err := fs.List(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if content, err := readFile(fs, dir+"/"+name); err == nil {
				files[dir+"/"+name] = string(content)
			}
		}
	}
	return files
}

// TestCheckSound: a sound store is called so, and is as it was after it.
func TestCheckSound(t *testing.T) {
	o, mem := checkable(t)
	before := snapshotOf(t, mem)
	list, err := Check(t.Context(), o)
	if err != nil || len(list) != 2 {
		t.Fatal(list, err)
	}
	for i, want := range []struct {
		name   string
		points int
	}{{"exact", 50}, {"graph", 300}} {
		if c := list[i]; c.Name != want.name || c.Points != want.points || c.Damage != nil || c.Checkpoint != CheckpointSound || c.Replayed != 0 || c.Index.Live != want.points || c.Manifest.Space.Dimension != 8 {
			t.Errorf("%+v", c)
		}
	}
	after := snapshotOf(t, mem)
	for name, content := range before {
		if after[name] != content {
			t.Errorf("%s has changed", name)
		}
	}
	if len(after) != len(before) {
		t.Errorf("%d files were there, %d are", len(before), len(after))
	}
}

// alter writes behind the back of the store.
func alter(t *testing.T, o Options, f func(db *pebble.DB) error) {
	t.Helper()
	db, err := pebble.Open("data/db", pebbleOptions(o.withDefaults(), o.FS, false))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f(db), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestCheckFinds damages what Pebble's checksums and a start do not look at.
func TestCheckFinds(t *testing.T) {
	for name, c := range map[string]struct {
		f    func(db *pebble.DB) error
		want string
	}{
		"a text": {func(db *pebble.DB) error {
			key := documentKey(2, NumID(17))
			record, err := get(db, key)
			if err != nil {
				return err
			}
			record[len(record)-3] ^= 1
			return db.Set(key, record, pebble.Sync)
		}, "document 17 is not what was stored"},
		"a vector": {func(db *pebble.DB) error {
			var key []byte
			err := scan(db, vectorPrefix(2, 1), nil, func(k, _ []byte) error { key = slices.Clone(k); return nil })
			row := make([]byte, 4*8)
			binary.LittleEndian.PutUint32(row, math.Float32bits(float32(math.NaN())))
			return errors.Join(err, db.Set(key, row, pebble.Sync))
		}, "not a finite number"},
		"a document gone":   {func(db *pebble.DB) error { return db.Delete(documentKey(2, NumID(17)), pebble.Sync) }, "299 are there and 300 were stored"},
		"the manifest":      {func(db *pebble.DB) error { return db.Set(generationKey(2, 1), []byte{1, 2, 3}, pebble.Sync) }, "manifest of generation 1"},
		"the state":         {func(db *pebble.DB) error { return db.Delete(stateKey(2), pebble.Sync) }, "state"},
		"an entry too many": {func(db *pebble.DB) error { return db.Set(ordinalKey(2, 999), []byte{0, 0}, pebble.Sync) }, "ordinals"},
	} {
		o, _ := checkable(t)
		alter(t, o, c.f)
		list, err := Check(t.Context(), o)
		if err != nil || len(list) != 2 {
			t.Fatalf("%s: %v %v", name, list, err)
		}
		if list[0].Damage != nil || list[1].Damage == nil || !errors.Is(list[1].Damage, ErrCorrupt) || !strings.Contains(list[1].Damage.Error(), c.want) {
			t.Errorf("%s: %v, and %v beside it", name, list[1].Damage, list[0].Damage)
		}
	}
}

// TestCheckCheckpoint: a checkpoint that is damaged, or not there as yet, is no
// loss, and is said.
func TestCheckCheckpoint(t *testing.T) {
	o, _ := checkable(t)
	alter(t, o, func(db *pebble.DB) error {
		start := chunkGeneration(2, 1)
		return db.DeleteRange(start, prefixEnd(start), pebble.Sync)
	})
	list, err := Check(t.Context(), o)
	if err != nil || list[1].Damage != nil || list[1].Checkpoint != CheckpointUnusable || list[1].Replayed != 300 {
		t.Errorf("chunks gone: %+v %v", list, err)
	}
	o = testOptionsFor(t, vfs.NewMem())
	s := open(t, o)
	put(t, create(t, s, "graph", hnswManifest(8)), 1, 0, 300)
	ended, end := context.WithCancel(t.Context())
	end()
	if err := s.Close(ended); err != nil { // without time for a checkpoint
		t.Fatal(err)
	}
	list, err = Check(t.Context(), o)
	if err != nil || list[0].Damage != nil || list[0].Checkpoint != CheckpointNone || list[0].Replayed != 300 {
		t.Errorf("never written: %+v %v", list, err)
	}
}

// TestCheckStore: what is wrong with the store as a whole is an error.
func TestCheckStore(t *testing.T) {
	o, mem := checkable(t)
	s := open(t, o)
	if _, err := Check(t.Context(), o); !errors.Is(err, ErrLocked) {
		t.Errorf("beside a running store: %v", err)
	}
	closeStore(t, s)
	empty := Options{Dir: "elsewhere", FS: mem, Create: true}
	if _, err := Check(t.Context(), empty); !errors.Is(err, ErrNoStore) {
		t.Errorf("no store: %v", err)
	}
	if _, err := mem.Stat("elsewhere"); !notExist(err) {
		t.Errorf("it made a directory: %v", err)
	}
	if _, err := Check(t.Context(), Options{}); !errors.Is(err, ErrOptions) {
		t.Errorf("no directory: %v", err)
	}
	alter(t, o, func(db *pebble.DB) error { return db.Delete(catalogKey("graph"), pebble.Sync) })
	if _, err := Check(t.Context(), o); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a collection gone: %v", err)
	}
}

// TestCheckFlips: no flipped bit of a table is called sound unless it changed
// nothing that is read.
func TestCheckFlips(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	o, mem := checkable(t)
	files := snapshotOf(t, mem)
	var tables []string
	for name := range files {
		if fileKind(name) == "table" {
			tables = append(tables, name)
		}
	}
	slices.Sort(tables)
	for range fewer(4) {
		name := tables[rng.IntN(len(tables))]
		content := []byte(files[name])
		bit := rng.IntN(8 * len(content))
		content[bit/8] ^= 1 << (bit % 8)
		flipped := vfs.NewMem()
		if err := flipped.MkdirAll("data/db", 0o755); err != nil {
			t.Fatal(err)
		}
		for path, whole := range files {
			if path == name {
				whole = string(content)
			}
			if err := writeFile(flipped, path, []byte(whole)); err != nil {
				t.Fatal(err)
			}
		}
		o.FS = flipped
		list, err := Check(t.Context(), o)
		if err != nil || slices.ContainsFunc(list, func(c Checked) bool { return c.Damage != nil || c.Checkpoint != CheckpointSound }) {
			continue
		}
		// Bits that nobody reads are in the filters and in the tables' properties.
		s := open(t, o)
		for name, m := range map[string]compat.Manifest{"exact": testManifest(8, 1), "graph": hnswManifest(8)} {
			model := map[int]int{}
			for id := range map[string]int{"exact": 50, "graph": 300}[name] {
				model[id] = 1
			}
			if err := expect(reopen(t, s, name, m), model); err != nil {
				t.Errorf("bit %d of %s was called sound: %v", bit, name, err)
			}
		}
		closeStore(t, s)
	}
}

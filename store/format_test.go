package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Formats, families and record versions are on people's disks: they are never
// renumbered, and what changes them makes a new format.
func TestFormatIsPinned(t *testing.T) {
	got := fmt.Sprintln(
		[]formatNumber{formatFirst, formatNewest}, comparerName, uint64(pebbleFormat),
		[]byte{familySystem, familyCatalog, familyDropped, familyGeneration, familyState, familyDocument, familyOrdinal, familyVector, familyLog, familyCheckpoint, familyChunk, familyMigration, familyRetired, familyJob, familyBridge},
		[]int{documentVersion, stateVersion, stateBoth, logVersion, logFilled, checkpointVersion, generationVersion},
	)
	if want := "[1 1] vecino.v1 21 [1 2 3 4 5 6 7 8 9 10 11 14 15 20 21] [1 1 2 1 2 2 1]\n"; got != want {
		t.Errorf("the format is %s\nwant          %s", got, want)
	}
	d := Document{ID: NumID(7), HasText: true, Text: "né", Payload: []byte(`{"a":1}`)}
	record := encodeDocument(&d)
	sealHead(record, 258, 772)
	for _, pin := range []struct{ what, got, want string }{
		{"document", fmt.Sprintf("%x", record), "01" + "0201000000000000" + "04030000" +
			"14a6e8c619c2bfe45e199ee835f422ee4b63a7d747137ec4e22391fbf25308c6" + "03" + "03" + "6ec3a9" + "7b2261223a317d"},
		{"document key", fmt.Sprintf("%x", documentKey(1, NumID(258))), "0600000001" + "00" + "0000000000000102"},
		{"string key", fmt.Sprintf("%x", documentKey(1, ID{str: "ab"})), "0600000001" + "01" + "6162"},
		{"vector key", fmt.Sprintf("%x", vectorKey(1, 2, 3)), "0800000001" + "0000000000000002" + "00000003"},
		{"vector", fmt.Sprintf("%x", encodeVector([]float32{1, -2})), "0000803f" + "000000c0"},
		{"checkpoint", fmt.Sprintf("%x", checkpointHeader{number: 300, sequence: 2, written: []uint64{299, 1, 300}}.encode()), "02" + "2c01000000000000" + "0200000000000000" + "01" + "ab02" + "00"},
		{"state", fmt.Sprintf("%x", state{1, 2, 3, digest{4, 5}, standbyState{}}.encode()), "01" + "0100000000000000" + "0200000000000000" + "0300000000000000" + "0400000000000000" + "0500000000000000"},
		{"state with a standby", fmt.Sprintf("%x", state{1, 2, 3, digest{4, 5}, standbyState{6, 7, digest{8, 9}}}.encode()), "02" +
			"0100000000000000" + "0200000000000000" + "0300000000000000" + "0400000000000000" + "0500000000000000" + "0600000000000000" + "0700000000000000" + "0800000000000000" + "0900000000000000"},
		{"log of a fill", fmt.Sprintf("%x", encodeFilled(2, []uint32{1, 258})), "02" + "0200000000000000" + "01000000" + "02010000"},
		{"migration key", fmt.Sprintf("%x", migrationKey(1, 2)), "0e00000001" + "0000000000000002"},
		{"bridge key", fmt.Sprintf("%x", bridgeKey(1, 2)), "1500000001" + "0000000000000002"},
		{"retired key", fmt.Sprintf("%x", retiredKey(1, 2)), "0f00000001" + "0000000000000002"},
		{"log", fmt.Sprintf("%x", encodeLog([]logOp{{ordinal: 1}, {remove: true, ordinal: 2}})), "01" + "0001000000" + "0102000000"},
	} {
		if pin.got != pin.want {
			t.Errorf("%s is\n%s, want\n%s", pin.what, pin.got, pin.want)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	ctx := context.Background()
	foreign := func(dir, name string) func(fs vfs.FS) error {
		return func(fs vfs.FS) error {
			comparer := *pebble.DefaultComparer
			comparer.Name = name
			db, err := pebble.Open(dir, &pebble.Options{FS: fs, Comparer: &comparer, Logger: engineLogger{log: Options{}.withDefaults().Logger}})
			if err != nil {
				return err
			}
			return errors.Join(db.Set([]byte("a"), nil, pebble.Sync), db.Close())
		}
	}
	ours := func(change func(db *pebble.DB) error) func(fs vfs.FS) error {
		return func(fs vfs.FS) error {
			s, err := Open(ctx, testOptionsFor(t, fs))
			if err != nil {
				return err
			}
			return errors.Join(change(s.db), s.Close(ctx))
		}
	}
	remove := func(name string) func(fs vfs.FS) error {
		return func(fs vfs.FS) error {
			return errors.Join(ours(func(*pebble.DB) error { return nil })(fs), fs.RemoveAll(name))
		}
	}
	for _, test := range []struct {
		name    string
		prepare func(fs vfs.FS) error
		create  bool
		want    error
		says    string
	}{
		{"nothing there", func(vfs.FS) error { return nil }, false, ErrNoStore, "another directory"},
		{"an empty directory", func(fs vfs.FS) error { return fs.MkdirAll("data", 0o755) }, false, ErrNoStore, "another directory"},
		{"another program's directory", foreign("data", "leveldb.BytewiseComparator"), true, ErrFormat, "empty directory"},
		{"another program's database", foreign("data/db", "leveldb.BytewiseComparator"), true, ErrFormat, "empty directory"},
		{"keys without a format", foreign("data/db", comparerName), true, ErrFormat, "empty directory"},
		{"a newer format", ours(func(db *pebble.DB) error { return db.Set(keyFormat, encodeFormat(formatNewest+1), pebble.Sync) }), false, ErrFormat, "newer version"},
		{"no format key", ours(func(db *pebble.DB) error { return db.Delete(keyFormat, pebble.Sync) }), true, ErrCorrupt, "backup"},
		{"a malformed format key", ours(func(db *pebble.DB) error { return db.Set(keyFormat, []byte("x"), pebble.Sync) }), true, ErrCorrupt, "backup"},
		{"a lost database", remove("data/db"), true, ErrCorrupt, "backup"},
	} {
		fs := vfs.NewMem()
		if err := test.prepare(fs); err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		o := testOptionsFor(t, fs)
		o.Create = test.create
		s, err := Open(ctx, o)
		if err == nil {
			closeStore(t, s)
		}
		if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v; want %v that says %q", test.name, err, test.want, test.says)
		}
	}
}

func TestOpenTwice(t *testing.T) {
	for name, o := range map[string]Options{"memory": testOptionsFor(t, vfs.NewMem()), "disk": {Dir: t.TempDir(), Create: true}} {
		s := open(t, o)
		if _, err := Open(t.Context(), o); !errors.Is(err, ErrLocked) {
			t.Errorf("%s: opening twice: %v, want ErrLocked", name, err)
		}
		closeStore(t, s)
		closeStore(t, open(t, o))
	}
}

func TestOptionsValidate(t *testing.T) {
	for name, o := range map[string]Options{"no directory": {}, "cache": {Dir: "x", CacheBytes: -1}, "memtable": {Dir: "x", MemTableBytes: 2 << 30}} {
		if _, err := Open(t.Context(), o); !errors.Is(err, ErrOptions) {
			t.Errorf("%s: %v, want ErrOptions", name, err)
		}
	}
}

// fullFS is a disk with little room.
type fullFS struct {
	vfs.FS
	free uint64
}

func (f *fullFS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: f.free, TotalBytes: 1 << 40}, nil
}

func TestDiskNearlyFull(t *testing.T) {
	ctx := context.Background()
	fs := &fullFS{FS: vfs.NewMem(), free: 1 << 40}
	s := open(t, testOptionsFor(t, fs))
	defer closeStore(t, s)
	m := testManifest(2, 1)
	c := create(t, s, "one", m)
	put(t, c, 1, 0, 10)
	fs.free = 10 << 20
	s.disk.checkedAt.Store(0)
	if _, err := c.Put(ctx, []Document{{}}, stamp(t, m, []float32{1, 2})); !errors.Is(err, ErrDiskFull) {
		t.Errorf("Put on a full disk: %v", err)
	}
	if _, err := s.Create(ctx, "two", m); !errors.Is(err, ErrDiskFull) {
		t.Errorf("Create on a full disk: %v", err)
	}
	if n, _, err := c.Delete(ctx, []ID{NumID(1)}); n != 1 || err != nil {
		t.Errorf("Delete on a full disk: %d, %v", n, err)
	}
}

// A loss that Pebble does not notice is found against the high-water file.
func TestHighWater(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	o := testOptionsFor(t, fs)
	s := open(t, o)
	m := testManifest(2, 1)
	put(t, create(t, s, "one", m), 1, 0, 5)
	closeStore(t, s)
	high, err := readMarks(fs, "data")
	if err != nil || high.Collections[1] != 1 || high.Catalog != 1 {
		t.Fatalf("marks are %+v, %v", high, err)
	}
	high.Collections[1] = 2
	if err := writeMarks(fs, "data", high); err != nil {
		t.Fatal(err)
	}
	s = open(t, o)
	if _, err := s.OpenCollection(ctx, "one", m.Space); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), `"one"`) {
		t.Errorf("a lost batch: %v", err)
	}
	d, err := s.Describe(ctx, "one")
	if err != nil || !errors.Is(d.Damage, ErrCorrupt) || d.Manifest.Space != m.Space {
		t.Errorf("Describe of a damaged collection: %+v, %v", d, err)
	}
	closeStore(t, s)
	if again, err := readMarks(fs, "data"); err != nil || again.Collections[1] != 2 {
		t.Errorf("the mark of a damaged collection was lowered: %+v, %v", again, err)
	}
	s = open(t, o)
	if err := s.Drop(ctx, "one"); err != nil {
		t.Errorf("dropping a damaged collection: %v", err)
	}
	create(t, s, "one", m)
	closeStore(t, s)
	s = open(t, o)
	reopen(t, s, "one", m)
	closeStore(t, s)

	high, err = readMarks(fs, "data")
	if err != nil {
		t.Fatal(err)
	}
	high.Collections[77] = 1
	if err := writeMarks(fs, "data", high); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(ctx, o); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "77") {
		t.Errorf("a lost collection: %v", err)
	}
	f, err := fs.Create("data/"+marksFile, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(f, "{}\n00\n"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(ctx, o); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "remove that one file") {
		t.Errorf("a damaged high-water file: %v", err)
	}
	if err := fs.Remove("data/" + marksFile); err != nil {
		t.Fatal(err)
	}
	s = open(t, o)
	reopen(t, s, "one", m)
	closeStore(t, s)
}

package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/vecino-db/vecino/compat"
)

// writtenSnapshot is a snapshot of a collection.
func writtenSnapshot(t *testing.T, c *Collection) ([]byte, SnapshotInfo) {
	t.Helper()
	var b bytes.Buffer
	info, err := c.WriteSnapshot(t.Context(), &b, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), info
}

// modelOf is the points from..to-1 in one version.
func modelOf(from, to, version int) map[int]int {
	model := map[int]int{}
	for id := range to {
		if id >= from {
			model[id] = version
		}
	}
	return model
}

// TestSnapshotRoundTrip: what is restored is what was written, also in another store and under another name, and over a start.
func TestSnapshotRoundTrip(t *testing.T) {
	for name, m := range map[string]compat.Manifest{"exact": testManifest(8, 1), "hnsw": hnswManifest(8)} {
		t.Run(name, func(t *testing.T) {
			s := open(t, testOptionsFor(t, vfs.NewMem()))
			defer closeStore(t, s)
			c := create(t, s, "one", m)
			put(t, c, 1, 0, 400)
			put(t, c, 2, 100, 150)
			if _, _, err := c.Delete(t.Context(), []ID{NumID(399)}); err != nil {
				t.Fatal(err)
			}
			text, err := StringID("a string")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Put(t.Context(), []Document{{ID: text}}, stamp(t, m, vectorOf(7, 7, 8))); err != nil {
				t.Fatal(err)
			}
			if err := c.CreatePayloadIndex(t.Context(), "even", PayloadBool, nil); err != nil {
				t.Fatal(err)
			}
			data, info := writtenSnapshot(t, c)
			if info.Points != 400 || info.Collection != "one" || info.Dimension != 8 {
				t.Errorf("%+v", info)
			}
			verified, err := VerifySnapshot(t.Context(), bytes.NewReader(data))
			if err != nil || verified.Digest != info.Digest || verified.Manifest.Space.Fingerprint() != m.Space.Fingerprint() {
				t.Fatalf("%+v %v", verified, err)
			}
			mem := vfs.NewMem()
			other := open(t, testOptionsFor(t, mem))
			for _, as := range []string{"", "two"} {
				if _, err := other.Restore(t.Context(), bytes.NewReader(data), RestoreOptions{Name: as}); err != nil {
					t.Fatal(err)
				}
			}
			closeStore(t, other)
			other = open(t, testOptionsFor(t, mem))
			defer closeStore(t, other)
			for _, as := range []string{"one", "two"} {
				r := reopen(t, other, as, m)
				if r.rebuilt {
					t.Error("a restored graph has no checkpoint")
				}
				if err := r.AwaitPayloadIndexes(t.Context()); err != nil {
					t.Fatal(err)
				}
				if x := r.PayloadIndexes(); len(x) != 1 || x[0].Field != "even" || x[0].Type != PayloadBool || !x[0].Ready || x[0].Points != 399 {
					t.Errorf("payload indexes %+v", x)
				}
				found, err := r.Get(t.Context(), []ID{text}, true)
				if err != nil || len(found) != 1 || found[0].HasText || !slices.Equal(found[0].Vector, vectorOf(7, 7, 8)) {
					t.Errorf("%v %v", found, err)
				}
				if _, _, err := r.Delete(t.Context(), []ID{text}); err != nil {
					t.Fatal(err)
				}
				model := modelOf(0, 399, 1)
				for id := 100; id < 150; id++ {
					model[id] = 2
				}
				if err := expect(r, model); err != nil {
					t.Errorf("%s: %v", as, err)
				}
				put(t, r, 3, 0, 5) // it is a collection like any other
			}
		})
	}
}

// TestRestoreReplaces: a name that is taken is refused, or taken over.
func TestRestoreReplaces(t *testing.T) {
	mem := vfs.NewMem()
	s := open(t, testOptionsFor(t, mem))
	m := hnswManifest(8)
	c := create(t, s, "one", m)
	put(t, c, 1, 0, 50)
	data, _ := writtenSnapshot(t, c)
	put(t, c, 2, 0, 80)
	if _, err := s.Restore(t.Context(), bytes.NewReader(data), RestoreOptions{}); !errors.Is(err, ErrExists) {
		t.Errorf("a name that is taken: %v", err)
	}
	if err := expect(c, modelOf(0, 80, 2)); err != nil {
		t.Error(err)
	}
	if _, err := s.Restore(t.Context(), bytes.NewReader(data), RestoreOptions{Replace: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(t.Context(), []ID{NumID(1)}, false); !errors.Is(err, ErrNotFound) {
		t.Errorf("what was replaced answers: %v", err)
	}
	for range 2 {
		if err := expect(reopen(t, s, "one", m), modelOf(0, 50, 1)); err != nil {
			t.Error(err)
		}
		closeStore(t, s)
		s = open(t, testOptionsFor(t, mem))
	}
	if err := s.Drop(t.Context(), "one"); err != nil {
		t.Error(err)
	}
	if _, err := s.Restore(t.Context(), bytes.NewReader(data), RestoreOptions{Name: "../up"}); !errors.Is(err, ErrName) {
		t.Errorf("a name that is none: %v", err)
	}
	closeStore(t, s)
	if list, err := Check(t.Context(), testOptionsFor(t, mem)); err != nil || len(list) != 0 {
		t.Errorf("%v %v", list, err)
	}
}

// TestRestoreGate: a collection of another space, and one in migration, are not
// replaced.
func TestRestoreGate(t *testing.T) {
	s := open(t, testOptionsFor(t, vfs.NewMem()))
	defer closeStore(t, s)
	m := hnswManifest(8)
	put(t, create(t, s, "one", m), 1, 0, 50)
	data, _ := writtenSnapshot(t, reopen(t, s, "one", m))
	other := testManifest(8, 2)
	put(t, create(t, s, "other", other), 1, 0, 20)
	var mismatch *compat.MismatchError
	_, err := s.Restore(t.Context(), bytes.NewReader(data), RestoreOptions{Name: "other", Replace: true})
	if !errors.As(err, &mismatch) || !strings.Contains(mismatch.Plan.Remedy, "another name") {
		t.Errorf("another space: %v", err)
	}
	if err := expect(reopen(t, s, "other", other), modelOf(0, 20, 1)); err != nil {
		t.Error(err)
	}
	if _, err := reopen(t, s, "one", m).StartStandby(t.Context(), other, Record{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Restore(t.Context(), bytes.NewReader(data), RestoreOptions{Replace: true}); !errors.Is(err, ErrMigrating) {
		t.Errorf("in migration: %v", err)
	}
	if _, err := s.Restore(t.Context(), bytes.NewReader(data), RestoreOptions{Name: "two", Replace: true}); err != nil {
		t.Error(err)
	}
}

// TestRestoreCutShort: what has no name yet is gone after the next start.
func TestRestoreCutShort(t *testing.T) {
	mem := vfs.NewMem()
	s := open(t, testOptionsFor(t, mem))
	m := testManifest(8, 1)
	put(t, create(t, s, "one", m), 1, 0, 50)
	data, info := writtenSnapshot(t, reopen(t, s, "one", m))
	c, _, err := s.unnamed(t.Context(), m, RestoreOptions{Name: "two"})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.fillFrom(t.Context(), bytes.NewReader(data), info, nil); err != nil {
		t.Fatal(err)
	}
	if err := c.endGraphs(); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s) // as a crash does, before the name
	s = open(t, testOptionsFor(t, mem))
	defer closeStore(t, s)
	for _, family := range collectionFamilies {
		if err := scan(s.db, prefixKey(family, c.number), nil, func(key, _ []byte) error { return fmt.Errorf("key %x is left", key) }); err != nil {
			t.Error(err)
		}
	}
	if list, err := s.List(t.Context()); err != nil || len(list) != 1 {
		t.Errorf("%v %v", list, err)
	}
	// The end of its context leaves nothing either.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Restore(ctx, bytes.NewReader(data), RestoreOptions{Name: "two"}); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
	// A file that changes between its two readings is refused, and leaves nothing.
	other, _ := writtenSnapshot(t, func() *Collection { c := create(t, s, "three", m); put(t, c, 1, 0, 60); return c }())
	if _, err := s.Restore(t.Context(), &swapped{first: data, then: other}, RestoreOptions{Name: "two"}); !errors.Is(err, ErrSnapshot) {
		t.Errorf("a file that changes: %v", err)
	}
	if _, err := s.Describe(t.Context(), "two"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a refused snapshot is there: %v", err)
	}
	if _, err := s.Restore(t.Context(), bytes.NewReader(data), RestoreOptions{Name: "two"}); err != nil {
		t.Error(err)
	}
}

// swapped is one file when it is read first, and another one then.
type swapped struct {
	first, then []byte
	bytes.Reader
	seeks int
}

func (s *swapped) Seek(offset int64, whence int) (int64, error) {
	if s.seeks++; s.seeks == 1 {
		s.Reset(s.first)
		return 0, nil
	}
	s.Reset(s.then)
	return 0, nil
}

// TestSnapshotBesideWrites: a snapshot is of one moment.
func TestSnapshotBesideWrites(t *testing.T) {
	s := open(t, testOptionsFor(t, vfs.NewMem()))
	defer closeStore(t, s)
	c := create(t, s, "one", testManifest(8, 1))
	put(t, c, 1, 0, 200)
	var wait sync.WaitGroup
	stop := make(chan struct{})
	wait.Go(func() {
		for version := 2; ; version++ {
			select {
			case <-stop:
				return
			default:
				put(t, c, version, 0, 200) // all of them, in one batch
			}
		}
	})
	for range 10 {
		data, _ := writtenSnapshot(t, c)
		versions := map[string]bool{}
		if _, err := readSnapshot(t.Context(), bytes.NewReader(data), func(docs []Document, v compat.Vectors) error {
			for i, d := range docs {
				_, version, _ := strings.Cut(d.Text, " of version ")
				versions[version] = true
				var n int
				fmt.Sscan(version, &n)
				if id := int(d.ID.num); !slices.Equal(v.Row(i), vectorOf(id, n, 8)) {
					t.Errorf("the vector of %q is another", d.Text)
				}
			}
			return nil
		}); err != nil || len(versions) != 1 {
			t.Errorf("versions %v, %v", versions, err)
		}
	}
	close(stop)
	wait.Wait()
}

// reframed puts payloads into frames whose sums are right.
func reframed(t *testing.T, kinds string, payloads ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	f, err := newFrameWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range payloads {
		if err := f.frame(kinds[i], p); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// sealedSnapshot is one whose sums are right, whatever is in it.
func sealedSnapshot(t *testing.T, points int, kinds string, payloads ...[]byte) []byte {
	t.Helper()
	data := reframed(t, kinds, payloads...)
	b := bytes.NewBuffer(data)
	sums := sha256.New()
	for at := len(snapshotMagic) + 4; at < len(data); {
		sums.Write(data[at+5 : at+frameHeader])
		at += frameHeader + int(binary.LittleEndian.Uint32(data[at+1:]))
	}
	f := frameWriter{w: b, sums: sums}
	if _, err := f.end(points); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestHostileSnapshots: what is cut, changed, swapped or made up is refused by
// Verify, and by Restore before anything is there.
func TestHostileSnapshots(t *testing.T) {
	s := open(t, testOptionsFor(t, vfs.NewMem()))
	defer closeStore(t, s)
	m := testManifest(8, 1)
	c := create(t, s, "one", m)
	put(t, c, 1, 0, 20)
	data, info := writtenSnapshot(t, c)
	head, err := info.encodeHead()
	if err != nil {
		t.Fatal(err)
	}
	headWith := func(f func(*SnapshotInfo)) []byte {
		i := info
		f(&i)
		b, err := i.encodeHead()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	point := func(id []byte, content string, floats int) []byte {
		row := make([]byte, 4*floats)
		for i := range floats {
			binary.LittleEndian.PutUint32(row[4*i:], math.Float32bits(1))
		}
		return append(appendCounted(appendCounted(nil, id), []byte(content)), row...)
	}
	number := func(n uint64) []byte { return appendID(nil, NumID(n)) }
	nan := point(number(1), "\x00", 8)
	binary.LittleEndian.PutUint32(nan[len(nan)-4:], math.Float32bits(float32(math.NaN())))
	one := headWith(func(i *SnapshotInfo) { i.Points = 1 })
	two := headWith(func(i *SnapshotInfo) { i.Points = 2 })
	a, b := point(number(1), "\x00", 8), point(number(2), "\x00", 8)
	if _, err := VerifySnapshot(t.Context(), bytes.NewReader(sealedSnapshot(t, 2, "HPP", two, a, b))); err != nil {
		t.Fatalf("the test's own snapshot: %v", err)
	}
	claims := slices.Clone(data[:len(snapshotMagic)+4+1])
	claims = append(binary.LittleEndian.AppendUint32(claims, maxFrame), make([]byte, 40)...)
	hostile := map[string][]byte{
		"empty":                     nil,
		"another file":              []byte("PK\x03\x04 and so on, and so on, and so on"),
		"a newer version":           append([]byte(snapshotMagic), append([]byte{2, 0, 0, 0}, data[12:]...)...),
		"longer":                    append(slices.Clone(data), 0),
		"no head":                   sealedSnapshot(t, 1, "P", a),
		"two heads":                 sealedSnapshot(t, 1, "HHP", one, one, a),
		"no end":                    reframed(t, "HP", one, a),
		"an unknown frame":          sealedSnapshot(t, 1, "HXP", one, nil, a),
		"fewer than promised":       sealedSnapshot(t, 1, "HP", two, a),
		"more than promised":        sealedSnapshot(t, 2, "HPP", one, a, b),
		"another end":               sealedSnapshot(t, 7, "HP", one, a),
		"frames swapped":            sealedSnapshot(t, 2, "HPP", two, b, a),
		"a frame twice":             sealedSnapshot(t, 2, "HPP", two, a, a),
		"a short row":               sealedSnapshot(t, 1, "HP", one, point(number(1), "\x00", 7)),
		"a long row":                sealedSnapshot(t, 1, "HP", one, point(number(1), "\x00", 9)),
		"not a number":              sealedSnapshot(t, 1, "HP", one, nan),
		"an id of another form":     sealedSnapshot(t, 1, "HP", one, point([]byte{9, 1}, "\x00", 8)),
		"no id":                     sealedSnapshot(t, 1, "HP", one, point(nil, "\x00", 8)),
		"no content":                sealedSnapshot(t, 1, "HP", one, point(number(1), "", 8)),
		"unknown flags":             sealedSnapshot(t, 1, "HP", one, point(number(1), "\xf0", 8)),
		"a text past its end":       sealedSnapshot(t, 1, "HP", one, point(number(1), "\x01\x7fx", 8)),
		"a payload that is none":    sealedSnapshot(t, 1, "HP", one, point(number(1), "\x02[1]", 8)),
		"not UTF-8":                 sealedSnapshot(t, 1, "HP", one, point(number(1), "\x01\x01\xff", 8)),
		"a length past its end":     sealedSnapshot(t, 1, "HP", one, binary.AppendUvarint(nil, math.MaxUint64)),
		"a frame that is not there": claims,
		"another space":             sealedSnapshot(t, 1, "HP", headWith(func(i *SnapshotInfo) { i.Points, i.Manifest = 1, testManifest(8, 2) }), a),
		"another dimension":         sealedSnapshot(t, 1, "HP", headWith(func(i *SnapshotInfo) { i.Points, i.Dimension = 1, 9 }), a),
		"a name that is none":       sealedSnapshot(t, 1, "HP", headWith(func(i *SnapshotInfo) { i.Points, i.Collection = 1, "../../etc" }), a),
		"a negative number":         sealedSnapshot(t, 0, "H", headWith(func(i *SnapshotInfo) { i.Points = -1 })),
		"an unknown index":          sealedSnapshot(t, 0, "H", headWith(func(i *SnapshotInfo) { i.Points, i.PayloadIndexes = 0, []IndexedField{{Field: "a", Type: "geo"}} })),
		"a field that is none": sealedSnapshot(t, 0, "H", headWith(func(i *SnapshotInfo) {
			i.Points, i.PayloadIndexes = 0, []IndexedField{{Field: "a..b", Type: PayloadBool}}
		})),
		"a head that is cut": sealedSnapshot(t, 0, "H", head[:10]),
		"no manifest":        sealedSnapshot(t, 0, "H", appendCounted(nil, mustJSON(t, info))),
		"an unknown member":  sealedSnapshot(t, 0, "H", appendCounted(nil, []byte(`{"x":1}`))),
	}
	for i := range len(data) {
		if i%7 == 0 {
			hostile[fmt.Sprintf("cut at %d", i)] = data[:i]
		}
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range fewer(1000) {
		bad := slices.Clone(data)
		bit := rng.IntN(8 * len(bad))
		bad[bit/8] ^= 1 << (bit % 8)
		hostile[fmt.Sprintf("bit %d", bit)] = bad
	}
	tried := 0
	for name, bad := range hostile {
		if _, err := VerifySnapshot(t.Context(), bytes.NewReader(bad)); !errors.Is(err, ErrSnapshot) {
			t.Errorf("%s: %v", name, err)
		}
		if tried++; tried > 100 {
			continue
		}
		if _, err := s.Restore(t.Context(), bytes.NewReader(bad), RestoreOptions{Name: "bad"}); !errors.Is(err, ErrSnapshot) {
			t.Errorf("%s: restored: %v", name, err)
		}
	}
	if list, err := s.List(t.Context()); err != nil || len(list) != 1 || s.catalog.Next != 2 {
		t.Errorf("%d collections, next number %d, %v", len(list), s.catalog.Next, err)
	}
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// FuzzVerifySnapshot wants a refusal or a snapshot, whatever is read.
func FuzzVerifySnapshot(f *testing.F) {
	f.Add([]byte(snapshotMagic + "\x01\x00\x00\x00H\x01\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := VerifySnapshot(context.Background(), bytes.NewReader(data)); err != nil && !errors.Is(err, ErrSnapshot) {
			t.Error(err)
		}
	})
}

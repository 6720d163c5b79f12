package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/embedtest"
	"github.com/vecino-db/vecino/embed/hash"
)

var _ embed.Cache = (*EmbeddingCache)(nil)

// cacheOf opens a store in memory and its cache.
func cacheOf(t testing.TB, fs vfs.FS, maxBytes int64) (*Store, *EmbeddingCache) {
	t.Helper()
	s := open(t, testOptionsFor(t, fs))
	c, err := s.EmbeddingCache(maxBytes)
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

// contents are the keys of n texts from a number on.
func contents(from, n int) [][32]byte {
	keys := make([][32]byte, n)
	for i := range keys {
		keys[i] = sha256.Sum256(fmt.Append(nil, from+i))
	}
	return keys
}

// cacheRow is the row of a content: it begins with the number.
func cacheRow(number, dim int) []float32 {
	row := make([]float32, dim)
	for i := range row {
		row[i] = float32(number + i)
	}
	return row
}

// cacheRows are the rows that belong to contents.
func cacheRows(t testing.TB, m compat.Manifest, from, n int) compat.Vectors {
	rows := make([][]float32, n)
	for i := range rows {
		rows[i] = cacheRow(from+i, m.Space.Dimension)
	}
	return stamp(t, m, rows...)
}

// fill puts contents from..from+n-1 with their numbers as notes.
func fill(t testing.TB, c *EmbeddingCache, m compat.Manifest, query bool, from, n int) {
	t.Helper()
	notes := make([]uint64, n)
	for i := range notes {
		notes[i] = uint64(from + i)
	}
	if err := c.Put(context.Background(), query, contents(from, n), cacheRows(t, m, from, n), notes); err != nil {
		t.Fatal(err)
	}
}

// held gets contents from..from+n-1, checks what comes and tells which came.
func held(t testing.TB, c *EmbeddingCache, m compat.Manifest, query bool, from, n int) []int {
	t.Helper()
	stamper, err := m.Stamper()
	if err != nil {
		t.Fatal(err)
	}
	v, rows, notes, err := c.Get(context.Background(), stamper, query, contents(from, n))
	if err != nil || len(rows) != n || len(notes) != v.Len() || !v.Fingerprint().Matches(m.Space.Fingerprint()) {
		t.Fatalf("Get: %d rows of %d, %d notes, %v", len(rows), n, len(notes), err)
	}
	var there []int
	for i, row := range rows {
		if row < 0 {
			continue
		}
		if row != len(there) || notes[row] != uint64(from+i) || !slices.Equal(v.Row(row), cacheRow(from+i, m.Space.Dimension)) {
			t.Fatalf("content %d: row %d, note %d, %v", from+i, row, notes[row], v.Row(row))
		}
		there = append(there, from+i)
	}
	return there
}

// numbers is from..to-1.
func numbers(from, to int) []int {
	var list []int
	for n := from; n < to; n++ {
		list = append(list, n)
	}
	return list
}

func expectHeld(t testing.TB, c *EmbeddingCache, m compat.Manifest, query bool, from, n int, want []int) {
	t.Helper()
	if got := held(t, c, m, query, from, n); !slices.Equal(got, want) {
		t.Fatalf("the cache has %v of %d..%d, want %v", got, from, from+n-1, want)
	}
}

// TestCacheKeys: what was put comes back for the same space, role and content,
// and for no other.
func TestCacheKeys(t *testing.T) {
	s, c := cacheOf(t, vfs.NewMem(), MinCacheBytes)
	defer closeStore(t, s)
	one, other := testManifest(8, 1), testManifest(8, 2)
	fill(t, c, one, false, 0, 10)
	expectHeld(t, c, one, false, 0, 20, numbers(0, 10))
	expectHeld(t, c, one, true, 0, 20, nil)
	expectHeld(t, c, other, false, 0, 20, nil)
	prompted := one
	prompted.Space.QueryPrompt = "query: "
	expectHeld(t, c, prompted, false, 0, 20, nil)
	expectHeld(t, c, testManifest(16, 1), false, 0, 20, nil)
	fill(t, c, one, true, 5, 10)
	expectHeld(t, c, one, true, 0, 20, numbers(5, 15))
	expectHeld(t, c, one, false, 0, 20, numbers(0, 10))
	stats := c.Stats()
	if stats.Hits != 30 || stats.Misses != 110 || stats.Damaged != 0 || stats.Bytes <= 0 || stats.MaxBytes != MinCacheBytes {
		t.Errorf("stats %+v", stats)
	}
	if err := c.Clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	expectHeld(t, c, one, false, 0, 20, nil)
	if n := c.Stats().Bytes; n != 0 {
		t.Errorf("after Clear it has %d bytes", n)
	}
}

// cacheDisk is the keys and records of the cache that Pebble has.
func cacheDisk(t testing.TB, s *Store) (size int64, entries int) {
	t.Helper()
	for _, family := range []byte{familyCached, familySegment} {
		err := scan(s.db, []byte{family}, nil, func(key, value []byte) error {
			size += int64(len(key) + len(value))
			if family == familyCached {
				entries++
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return size, entries
}

// TestCacheBound: the oldest go, the bound holds by the bytes that are there,
// and both outlive the store.
func TestCacheBound(t *testing.T) {
	fs := vfs.NewMem()
	s, c := cacheOf(t, fs, MinCacheBytes)
	m := testManifest(64, 1)
	const total = 8_000 // 3.4 MB
	check := func(put int) {
		t.Helper()
		size, entries := cacheDisk(t, s)
		if stats := c.Stats(); size != stats.Bytes || size > MinCacheBytes {
			t.Fatalf("after %d rows %d bytes are there, the cache counts %+v", put, size, stats)
		}
		from := max(0, put-entries-200)
		if want := numbers(put-entries, put); put > 4000 && (size < MinCacheBytes*3/4 || !slices.Equal(held(t, c, m, false, from, put-from), want)) {
			t.Fatalf("after %d rows the cache has %d bytes and other rows than the last %d", put, size, entries)
		}
	}
	put := 0
	for n := 1; put < total; n = n*3%1000 + 1 {
		fill(t, c, m, false, put, n)
		put += n
		if n%7 == 0 {
			check(put)
		}
		if n%5 == 0 {
			before := c.Stats().Bytes
			closeStore(t, s)
			if _, _, _, err := c.Get(t.Context(), nil, false, nil); !errors.Is(err, ErrClosed) {
				t.Fatalf("after Close: %v", err)
			}
			s, c = cacheOf(t, fs, MinCacheBytes)
			if after := c.Stats().Bytes; after != before {
				t.Fatalf("%d bytes were there and %d are after a restart", before, after)
			}
			check(put)
		}
	}
	check(put)
	closeStore(t, s)
}

// TestCacheOptions: bounds, a second opening, bad arguments and rows that are
// too large.
func TestCacheOptions(t *testing.T) {
	s, c := cacheOf(t, vfs.NewMem(), MinCacheBytes)
	if _, err := s.EmbeddingCache(MinCacheBytes - 1); !errors.Is(err, ErrOptions) {
		t.Errorf("a bound below the least: %v", err)
	}
	m := testManifest(4, 1)
	again, err := s.EmbeddingCache(8 * MinCacheBytes)
	if err != nil || again != c || c.Stats().MaxBytes != 8*MinCacheBytes {
		t.Errorf("a second opening: %v, the same: %v, %+v", err, again == c, c.Stats())
	}
	if err := c.Put(t.Context(), false, contents(0, 2), cacheRows(t, m, 0, 1), []uint64{0}); !errors.Is(err, ErrBatch) {
		t.Errorf("two keys for a row: %v", err)
	}
	if err := c.Put(t.Context(), false, nil, compat.Vectors{}, nil); err != nil {
		t.Errorf("nothing: %v", err)
	}
	if _, err = s.EmbeddingCache(MinCacheBytes); err != nil {
		t.Fatal(err)
	}
	large := testManifest(40_000, 1)
	fill(t, c, large, false, 0, 1)
	expectHeld(t, c, large, false, 0, 1, nil)
	closeStore(t, s)
	if _, err := s.EmbeddingCache(MinCacheBytes); !errors.Is(err, ErrClosed) {
		t.Errorf("of a closed store: %v", err)
	}
	if err := errors.Join(c.Put(t.Context(), false, nil, compat.Vectors{}, nil), c.Clear(t.Context())); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// TestCacheDamage: every flipped bit, cut, or moved record is a miss, never
// another vector.
func TestCacheDamage(t *testing.T) {
	s, c := cacheOf(t, vfs.NewMem(), MinCacheBytes)
	defer closeStore(t, s)
	m, other := testManifest(3, 1), testManifest(3, 2)
	fill(t, c, m, false, 0, 2)
	fill(t, c, other, false, 0, 1)
	key := newEntryKey(m.Space.Fingerprint(), false)
	key.set(contents(0, 1)[0])
	sound, err := get(s.db, key[:])
	if err != nil || len(sound) != entryLength(3) {
		t.Fatalf("%d bytes, %v", len(sound), err)
	}
	set := func(record []byte) {
		t.Helper()
		if err := s.db.Set(key[:], record, pebble.NoSync); err != nil {
			t.Fatal(err)
		}
	}
	for bit := range 8 * len(sound) {
		broken := bytes.Clone(sound)
		broken[bit/8] ^= 1 << (bit % 8)
		set(broken)
		expectHeld(t, c, m, false, 0, 2, []int{1})
	}
	for length := range len(sound) {
		set(sound[:length])
		expectHeld(t, c, m, false, 0, 2, []int{1})
	}
	// Sound records of another content and of another space, under this key.
	content, space := newEntryKey(m.Space.Fingerprint(), false), newEntryKey(other.Space.Fingerprint(), false)
	content.set(contents(1, 1)[0])
	space.set(contents(0, 1)[0])
	for _, from := range []entryKey{content, space} {
		record, err := get(s.db, from[:])
		if err != nil || record == nil {
			t.Fatal("no record", err)
		}
		set(record)
		expectHeld(t, c, m, false, 0, 2, []int{1})
	}
	// A row that its stamper refuses, however sound its record.
	set(appendEntry(nil, key, []float32{1, float32(1e30), 1}, 0))
	expectHeld(t, c, m, false, 0, 2, []int{1})
	if c.Stats().Damaged == 0 {
		t.Error("no damage was counted")
	}
	// What is made anew is kept.
	fill(t, c, m, false, 0, 1)
	expectHeld(t, c, m, false, 0, 2, []int{0, 1})
}

// TestCacheDamagedSegments: a cache whose order is lost is emptied, and works.
func TestCacheDamagedSegments(t *testing.T) {
	fs := vfs.NewMem()
	m := testManifest(64, 1)
	for name, harm := range map[string]func(s *Store) error{
		"first flipped": func(s *Store) error {
			record, err := get(s.db, segmentKey(0))
			if err != nil {
				return err
			}
			record[20] ^= 1
			return s.db.Set(segmentKey(0), record, pebble.Sync)
		},
		"second lost": func(s *Store) error { return s.db.Delete(segmentKey(1), pebble.Sync) },
		"strange key": func(s *Store) error { return s.db.Set([]byte{familySegment, 7}, []byte("x"), pebble.Sync) },
	} {
		for _, restart := range []bool{false, true} {
			s, c := cacheOf(t, fs, MinCacheBytes)
			if err := c.Clear(t.Context()); err != nil {
				t.Fatal(err)
			}
			for i := range 4 {
				fill(t, c, m, false, 10*i, 10)
			}
			if err := harm(s); err != nil {
				t.Fatal(err)
			}
			if restart {
				closeStore(t, s)
				s, c = cacheOf(t, fs, MinCacheBytes)
			}
			for i := range 40 {
				fill(t, c, m, false, 1000+100*i, 100)
			}
			size, _ := cacheDisk(t, s)
			if size > MinCacheBytes {
				t.Errorf("%s, restart %v: %d bytes", name, restart, size)
			}
			expectHeld(t, c, m, false, 1000+3900, 100, numbers(4900, 5000))
			closeStore(t, s)
		}
	}
}

// TestCacheCrash: after a crash the cache opens, counts right, and gives
// nothing but what was put.
func TestCacheCrash(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	mem := vfs.NewCrashableMem()
	m := testManifest(64, 1)
	s, c := cacheOf(t, mem, MinCacheBytes)
	for i := range fewer(40) {
		fill(t, c, m, false, 100*i, 100)
		if i%6 > 0 {
			continue
		}
		crashed := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 25 * rng.IntN(5), RNG: rng})
		after, kept := cacheOf(t, crashed, MinCacheBytes)
		if size, _ := cacheDisk(t, after); size != kept.Stats().Bytes {
			t.Errorf("after a crash %d bytes are there, the cache counts %d", size, kept.Stats().Bytes)
		}
		there := held(t, kept, m, false, 0, 100*(i+1))
		if len(there) > 0 && !slices.Equal(there, numbers(there[0], there[0]+len(there))) {
			t.Errorf("a crash left holes: %v", there)
		}
		fill(t, kept, m, false, 90_000, 100)
		expectHeld(t, kept, m, false, 90_000, 100, numbers(90_000, 90_100))
		closeStore(t, after)
	}
	closeStore(t, s)
}

// TestCacheConcurrency: readers and writers of overlapping contents, for the
// race detector; the count stays right.
func TestCacheConcurrency(t *testing.T) {
	s, c := cacheOf(t, vfs.NewMem(), MinCacheBytes)
	m := testManifest(64, 1)
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(worker)))
			for range fewer(60) {
				from := rng.IntN(3000)
				if rng.IntN(2) == 0 {
					fill(t, c, m, rng.IntN(4) == 0, from, 1+rng.IntN(150))
				} else {
					held(t, c, m, false, from, 100)
				}
			}
		})
	}
	group.Wait()
	if size, _ := cacheDisk(t, s); size > c.Stats().Bytes || c.Stats().Bytes > MinCacheBytes {
		t.Errorf("%d bytes are there, the cache counts %+v", size, c.Stats())
	}
	closeStore(t, s)
}

// TestCacheModel compares random puts, gets, restarts and clearings with a map
// that forgets nothing: what comes must be in it.
func TestCacheModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		fs := vfs.NewMem()
		s, c := cacheOf(t, fs, MinCacheBytes)
		spaces := []compat.Manifest{testManifest(64, 1), testManifest(64, 2), testManifest(512, 1)}
		type kept struct {
			space int
			query bool
			n     int
		}
		model := map[kept]bool{}
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			space, query := rapid.IntRange(0, 2).Draw(rt, "space"), rapid.Bool().Draw(rt, "query")
			from, n := rapid.IntRange(0, 300).Draw(rt, "from"), rapid.IntRange(1, 400).Draw(rt, "n")
			switch rapid.IntRange(0, 7).Draw(rt, "step") {
			case 0, 1, 2, 3:
				fill(t, c, spaces[space], query, from, n)
				for i := range n {
					model[kept{space, query, from + i}] = true
				}
			case 4, 5:
				for _, i := range held(t, c, spaces[space], query, from, n) {
					if !model[kept{space, query, i}] {
						rt.Fatalf("%d of space %d, query %v, was never put", i, space, query)
					}
				}
			case 6:
				closeStore(t, s)
				s, c = cacheOf(t, fs, MinCacheBytes)
			default:
				if err := c.Clear(context.Background()); err != nil {
					rt.Fatal(err)
				}
				clear(model)
			}
			if size, _ := cacheDisk(t, s); size > c.Stats().Bytes || c.Stats().Bytes > MinCacheBytes {
				rt.Fatalf("%d bytes are there, the cache counts %+v", size, c.Stats())
			}
		}
		closeStore(t, s)
	})
}

// TestCachedEncoder is the cache in its place: before an encoder, which stays
// what it is by the suite of all encoders.
func TestCachedEncoder(t *testing.T) {
	s, c := cacheOf(t, vfs.NewMem(), 64<<20)
	defer closeStore(t, s)
	embedtest.Run(t, func() embed.Encoder {
		enc, err := hash.New(hash.Options{})
		if err != nil {
			t.Fatal(err)
		}
		cached, err := embed.Cached(enc, c)
		if err != nil {
			t.Fatal(err)
		}
		return cached
	}, embedtest.Options{Unembeddable: []string{"", " \t"}})
	if stats := c.Stats(); stats.Hits == 0 || stats.Damaged > 0 {
		t.Errorf("stats %+v", stats)
	}
}

// BenchmarkEmbeddingCache is one text of 100 words and 384 numbers: what a hit
// and a put cost, and what builtin:hash costs in their place.
func BenchmarkEmbeddingCache(b *testing.B) {
	text := bytes.Repeat([]byte("neighbour "), 100)
	m := testManifest(384, 1)
	stamper, err := m.Stamper()
	if err != nil {
		b.Fatal(err)
	}
	s := open(b, Options{Dir: b.TempDir(), Create: true})
	c, err := s.EmbeddingCache(1 << 30)
	if err != nil {
		b.Fatal(err)
	}
	const n = 50_000
	for i := range n / 100 {
		fill(b, c, m, false, 100*i, 100)
	}
	keys := contents(0, n)
	b.Run("hit", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			sha256.Sum256(text)
			if _, rows, _, err := c.Get(b.Context(), stamper, false, keys[i%n:i%n+1]); err != nil || rows[0] < 0 {
				b.Fatal(rows, err)
			}
		}
	})
	b.Run("put", func(b *testing.B) {
		v := cacheRows(b, m, 0, 100)
		began := time.Now()
		for i := 0; b.Loop(); i++ {
			if err := c.Put(b.Context(), false, contents(n+100*i, 100), v, make([]uint64, 100)); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(time.Since(began).Microseconds())/float64(100*b.N), "µs/row")
	})
	b.Run("hash", func(b *testing.B) {
		enc, err := hash.New(hash.Options{})
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := enc.Encode(b.Context(), embed.RoleDocument, []string{string(text)}); err != nil {
				b.Fatal(err)
			}
		}
	})
	closeStore(b, s)
}

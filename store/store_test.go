package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index/filter"
)

func TestWriteReadReopen(t *testing.T) {
	ctx := context.Background()
	for _, m := range []compat.Manifest{testManifest(8, 1), hnswManifest(8), coderManifest(8)} {
		t.Run(string(m.Index.Engine), func(t *testing.T) {
			fs := vfs.NewMem()
			s := open(t, testOptionsFor(t, fs))
			c := create(t, s, "one", m)
			model := map[int]int{}
			put(t, c, 1, 0, 100)
			put(t, c, 2, 50, 60)
			for id := range 100 {
				model[id] = 1
				if id >= 50 && id < 60 {
					model[id] = 2
				}
			}
			ids := []ID{NumID(3), NumID(3), NumID(55), NumID(1000)}
			deleted, sequence, err := c.Delete(ctx, ids)
			if err != nil || deleted != 2 || sequence != 3 {
				t.Fatalf("Delete gives %d, %d, %v; want 2, 3", deleted, sequence, err)
			}
			delete(model, 3)
			delete(model, 55)
			if err := expect(c, model); err != nil {
				t.Fatal(err)
			}
			closeStore(t, s)
			for range 2 {
				s = open(t, testOptionsFor(t, fs))
				c = reopen(t, s, "one", m)
				if err := expect(c, model); err != nil {
					t.Fatal(err)
				}
				if c.rebuilt || c.reinserted != 0 {
					t.Fatalf("after a clean close %d vectors were inserted again, rebuilt %t", c.reinserted, c.rebuilt)
				}
				closeStore(t, s)
			}
		})
	}
}

// Only what was written after the checkpoint is inserted again.
func TestReopenReplaysTheTailOnly(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewCrashableMem()
	o := testOptionsFor(t, fs)
	o.CheckpointEvery = -1
	s := open(t, o)
	m := hnswManifest(8)
	c := create(t, s, "one", m)
	put(t, c, 1, 0, 500)
	if err := c.checkpoint(ctx); err != nil {
		t.Fatal(err)
	}
	put(t, c, 1, 500, 520)
	put(t, c, 2, 10, 15)
	put(t, c, 3, 10, 12) // replaces 2 of the 5
	if _, _, err := c.Delete(ctx, []ID{NumID(20), NumID(519)}); err != nil {
		t.Fatal(err)
	}
	model := map[int]int{}
	for id := range 520 {
		model[id] = 1
	}
	for id := 10; id < 15; id++ {
		model[id] = 2
	}
	model[10], model[11] = 3, 3
	delete(model, 20)
	delete(model, 519)

	o.FS = fs.CrashClone(vfs.CrashCloneCfg{})
	closeStore(t, s)
	s = open(t, o)
	defer closeStore(t, s)
	c = reopen(t, s, "one", m)
	if c.rebuilt || c.reinserted != 20-1+5 {
		t.Errorf("inserted again: %d, want the tail of %d; rebuilt %t", c.reinserted, 24, c.rebuilt)
	}
	if err := expect(c, model); err != nil {
		t.Fatal(err)
	}
}

func TestBackgroundCheckpointTrimsTheLog(t *testing.T) {
	o := testOptionsFor(t, vfs.NewMem())
	o.CheckpointEvery = 50
	s := open(t, o)
	defer closeStore(t, s)
	c := create(t, s, "one", testManifest(4, 1))
	for i := range 40 {
		put(t, c, 1, i*10, i*10+10)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		c.checkpointMu.Lock()
		header := c.serving().header
		c.checkpointMu.Unlock()
		if header.sequence >= 5 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no checkpoint in the background within 10 s")
		}
	}
	entries := 0
	c.checkpointMu.Lock()
	defer c.checkpointMu.Unlock()
	err := scan(s.db, prefixKey(familyLog, c.number), nil, func(_, _ []byte) error { entries++; return nil })
	if err != nil || entries != 40-int(c.serving().header.sequence) {
		t.Errorf("%d log entries behind checkpoint %d, %v; want %d", entries, c.serving().header.sequence, err, 40-c.serving().header.sequence)
	}
	chunks := 0
	err = scan(s.db, prefixKey(familyChunk, c.number), nil, func(_, _ []byte) error { chunks++; return nil })
	if err != nil || chunks != len(c.serving().header.written) {
		t.Errorf("%d chunks are kept, %v; want those of the last checkpoint, %d", chunks, err, len(c.serving().header.written))
	}
}

func TestScrollOrderAndPages(t *testing.T) {
	ctx := context.Background()
	s := open(t, testOptionsFor(t, vfs.NewMem()))
	defer closeStore(t, s)
	m := testManifest(2, 1)
	c := create(t, s, "one", m)
	var want []ID
	for _, n := range []uint64{0, 7, 255, 256, 1<<64 - 1} {
		want = append(want, NumID(n))
	}
	for _, text := range []string{"0", "A", "a", "aa", "b", "\u00e9", "ffffffff-0000-4000-8000-00000000000a"} {
		id, err := StringID(text)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, id)
	}
	slices.SortFunc(want, ID.Compare)
	for i := range want {
		id := want[len(want)-1-i]
		if _, err := c.Put(ctx, []Document{{ID: id}}, stamp(t, m, []float32{float32(i), 1})); err != nil {
			t.Fatal(err)
		}
	}
	for limit := 1; limit <= len(want)+1; limit++ {
		var got []ID
		q := ScrollQuery{Limit: limit}
		for {
			page, next, err := c.Scroll(ctx, q)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range page {
				got = append(got, d.ID)
			}
			if next == nil {
				break
			}
			if len(page) != limit {
				t.Fatalf("page of %d, want %d", len(page), limit)
			}
			q.From, q.HasFrom = *next, true
		}
		if !slices.Equal(got, want) {
			t.Fatalf("pages of %d give %v, want %v", limit, got, want)
		}
	}
}

func TestSearchOptions(t *testing.T) {
	ctx := context.Background()
	s := open(t, testOptionsFor(t, vfs.NewMem()))
	defer closeStore(t, s)
	m := testManifest(1, 1)
	c := create(t, s, "one", m)
	var docs []Document
	var rows [][]float32
	for id := range 50 {
		docs = append(docs, documentOf(id, 1))
		rows = append(rows, []float32{float32(id)})
	}
	if _, err := c.Put(ctx, docs, stamp(t, m, rows...)); err != nil {
		t.Fatal(err)
	}
	even, err := filter.Parse([]byte(`{"must":[{"key":"even","match":{"value":true}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	threshold := float32(2)
	const huge = int(^uint(0) >> 1)
	for _, test := range []struct {
		name  string
		query SearchQuery
		want  []uint64
	}{
		{"limit", SearchQuery{Limit: 3}, []uint64{0, 1, 2}},
		{"offset", SearchQuery{Limit: 3, Offset: 2}, []uint64{2, 3, 4}},
		{"exclude", SearchQuery{Limit: 3, Exclude: []ID{NumID(0), NumID(2), NumID(999)}}, []uint64{1, 3, 4}},
		{"filter", SearchQuery{Limit: 3, Filter: even}, []uint64{0, 2, 4}},
		{"filter, exclude, offset", SearchQuery{Limit: 2, Offset: 1, Filter: even, Exclude: []ID{NumID(0)}}, []uint64{4, 6}},
		{"threshold", SearchQuery{Limit: 10, ScoreThreshold: &threshold}, []uint64{0, 1, 2}},
		{"nothing", SearchQuery{}, nil},
		{"negative", SearchQuery{Limit: -1, Offset: -5}, nil},
		{"huge offset", SearchQuery{Limit: huge, Offset: huge}, nil},
		{"huge limit behind an offset", SearchQuery{Limit: huge, Offset: 48}, []uint64{48, 49}},
	} {
		for _, exact := range []bool{false, true} {
			test.query.Exact = exact
			result, err := c.Search(ctx, stamp(t, m, []float32{0}), test.query)
			if err != nil {
				t.Fatalf("%s: %v", test.name, err)
			}
			var got []uint64
			for _, h := range result.Hits {
				n, _ := h.ID.Number()
				got = append(got, n)
				if h.Score != float32(n) || h.Text == "" || h.Vector != nil {
					t.Errorf("%s: hit %+v", test.name, h)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("%s: hits %v, want %v", test.name, got, test.want)
			}
		}
	}
	n, err := c.Count(ctx, even)
	if err != nil || n != 25 {
		t.Errorf("Count of the filter is %d, %v; want 25", n, err)
	}
	ids, err := c.Matching(ctx, even)
	if err != nil || len(ids) != 25 || ids[24] != NumID(48) {
		t.Errorf("Matching gives %v, %v", ids, err)
	}
	if _, err := c.Vector(ctx, NumID(77)); !errors.Is(err, ErrPointNotFound) {
		t.Errorf("Vector of a missing point: %v", err)
	}
	v, err := c.Vector(ctx, NumID(7))
	if err != nil || v.Len() != 1 || v.Row(0)[0] != 7 || !v.Fingerprint().Matches(m.Space.Fingerprint()) {
		t.Errorf("Vector of 7 is %v, %v", v, err)
	}
}

func TestPutOfDoubledAndUnchangedPoints(t *testing.T) {
	ctx := context.Background()
	s := open(t, testOptionsFor(t, vfs.NewMem()))
	defer closeStore(t, s)
	m := testManifest(2, 1)
	c := create(t, s, "one", m)
	docs := []Document{{ID: NumID(1), HasText: true, Text: "first"}, {ID: NumID(2)}, {ID: NumID(1), HasText: true, Text: "last"}}
	sequence, err := c.Put(ctx, docs, stamp(t, m, []float32{1, 0}, []float32{2, 0}, []float32{3, 0}))
	if err != nil || sequence != 1 {
		t.Fatal(sequence, err)
	}
	check := func(text string, version uint64, x float32) {
		t.Helper()
		got, err := c.Get(ctx, []ID{NumID(9), NumID(1)}, true)
		if err != nil || len(got) != 1 || got[0].Text != text || got[0].Version != version || got[0].Vector[0] != x {
			t.Fatalf("got %+v, %v; want %q of version %d with %g", got, err, text, version, x)
		}
		if n, err := c.Count(ctx, nil); err != nil || n != 2 {
			t.Fatalf("count is %d, %v", n, err)
		}
		if live := c.serving().graph.Stats().Live; live != 2 {
			t.Fatalf("the graph has %d vectors", live)
		}
	}
	check("last", 1, 3)
	next := c.current().next
	docs[2].Text = "same vector"
	if _, err := c.Put(ctx, docs[2:], stamp(t, m, []float32{3, 0})); err != nil {
		t.Fatal(err)
	}
	check("same vector", 2, 3)
	if c.current().next != next {
		t.Error("an unchanged vector got a new ordinal")
	}
	if _, err := c.Put(ctx, docs[1:], stamp(t, m, []float32{2, 0}, []float32{4, 0})); err != nil {
		t.Fatal(err)
	}
	check("same vector", 3, 4)
}

func TestRefusedWritesChangeNothing(t *testing.T) {
	ctx := context.Background()
	s := open(t, testOptionsFor(t, vfs.NewMem()))
	defer closeStore(t, s)
	m := testManifest(2, 1)
	c := create(t, s, "one", m)
	v := stamp(t, m, []float32{1, 0})
	for _, test := range []struct {
		name string
		docs []Document
		want error
	}{
		{"two documents, one vector", []Document{{}, {}}, ErrBatch},
		{"text without HasText", []Document{{Text: "x"}}, ErrDocument},
		{"invalid UTF-8", []Document{{HasText: true, Text: "a\xff"}}, ErrDocument},
		{"payload is an array", []Document{{Payload: json.RawMessage(`[1]`)}}, ErrDocument},
		{"payload is cut off", []Document{{Payload: json.RawMessage(`{"a":`)}}, ErrDocument},
		{"payload with trailing bytes", []Document{{Payload: json.RawMessage(`{} {}`)}}, ErrDocument},
	} {
		if _, err := c.Put(ctx, test.docs, v); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := c.Put(canceled, []Document{{}}, v); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	if st := c.current(); st != (state{}) {
		t.Errorf("refused writes left %+v", st)
	}
}

// Writers of the same points, searches, checkpoints and deletes run beside
// each other; afterwards documents, vectors and graph agree.
func TestConcurrency(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	o := testOptionsFor(t, fs)
	o.CheckpointEvery = 100
	s := open(t, o)
	m := hnswManifest(8)
	c := create(t, s, "one", m)
	const writers, rounds, points = 8, 25, 40
	var wg sync.WaitGroup
	for w := range writers {
		wg.Add(2)
		go func() {
			defer wg.Done()
			for r := range rounds {
				version := w*rounds + r + 1
				from := (w*7 + r*3) % points
				put(t, c, version, from, from+5)
				if r%5 == 4 {
					if _, _, err := c.Delete(ctx, []ID{NumID(uint64(from))}); err != nil {
						t.Error(err)
					}
				}
			}
		}()
		go func() {
			defer wg.Done()
			for r := range rounds {
				result, err := c.Search(ctx, stamp(t, m, vectorOf(r, w, 8)), SearchQuery{Limit: 10, WithVector: true})
				if err != nil {
					t.Error(err)
				}
				seen := map[ID]bool{}
				for _, h := range result.Hits {
					if seen[h.ID] {
						t.Errorf("point %s is twice among the hits", h.ID)
					}
					seen[h.ID] = true
				}
			}
		}()
	}
	wg.Wait()
	check := func(c *Collection) {
		t.Helper()
		docs, _, err := c.Scroll(ctx, ScrollQuery{Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		model := map[int]int{}
		for _, d := range docs {
			var payload struct{ ID, Version int }
			if err := json.Unmarshal(d.Payload, &payload); err != nil {
				t.Fatal(err)
			}
			model[payload.ID] = payload.Version
		}
		if err := expect(c, model); err != nil {
			t.Error(err)
		}
		if err := c.verify(ctx, 0); err != nil {
			t.Error(err)
		}
	}
	check(c)
	closeStore(t, s)
	s = open(t, o)
	defer closeStore(t, s)
	check(reopen(t, s, "one", m))
}

func TestListDescribeDrop(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	s := open(t, testOptionsFor(t, fs))
	for _, name := range []string{"b", "a", "c"} {
		put(t, create(t, s, name, testManifest(4, 1)), 1, 0, 10)
	}
	if _, err := s.Create(ctx, "a", testManifest(4, 1)); !errors.Is(err, ErrExists) {
		t.Errorf("creating a again: %v", err)
	}
	b := reopen(t, s, "b", testManifest(4, 1))
	if err := s.Drop(ctx, "b"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Count(ctx, nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("Count of a dropped collection: %v", err)
	}
	if err := s.Drop(ctx, "b"); !errors.Is(err, ErrNotFound) {
		t.Errorf("dropping twice: %v", err)
	}
	for _, family := range collectionFamilies {
		err := scan(s.db, prefixKey(family, b.number), nil, func(key, _ []byte) error { return fmt.Errorf("key %x is left", key) })
		if err != nil {
			t.Error(err)
		}
	}
	put(t, create(t, s, "b", testManifest(3, 1)), 1, 0, 3)
	for range 2 {
		list, err := s.List(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, d := range list {
			got = append(got, fmt.Sprintf("%s:%d:%d", d.Name, d.Points, d.Manifest.Space.Dimension))
		}
		if want := []string{"a:10:4", "b:3:3", "c:10:4"}; !slices.Equal(got, want) {
			t.Errorf("List gives %v, want %v", got, want)
		}
		closeStore(t, s)
		s = open(t, testOptionsFor(t, fs))
	}
	closeStore(t, s)
	if _, err := s.List(ctx); err == nil {
		t.Error("List works on a closed store")
	}
	if _, err := s.Describe(ctx, "a"); !errors.Is(err, ErrClosed) {
		t.Errorf("Describe on a closed store: %v", err)
	}
	for _, name := range []string{"", "A", "a b", "../a", "a/b", "-a", "a\x00", string(make([]byte, 65))} {
		if _, err := s.Create(ctx, name, testManifest(4, 1)); !errors.Is(err, ErrName) {
			t.Errorf("Create %q: %v, want ErrName", name, err)
		}
	}
}

package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index/filter"
)

// payloadOf is a payload of many shapes, a function of id and version.
func payloadOf(id, version int) json.RawMessage {
	rng := rand.New(rand.NewPCG(uint64(id), uint64(version)))
	pick := func(list ...string) string { return list[rng.IntN(len(list))] }
	return json.RawMessage(pick(
		fmt.Sprintf(`{"colour":%q,"n":%d,"at":"2024-01-%02d","flag":%t,"text":%q}`, pick("red", "green", "blue"), rng.IntN(100), 1+rng.IntN(28), rng.IntN(2) == 0, pick("the red fox", "a lazy dog", "fox and dog")),
		fmt.Sprintf(`{"colour":["red",%q],"n":[%d,%d],"text":["red","fox"]}`, pick("green", "x"), rng.IntN(100), rng.IntN(100)),
		fmt.Sprintf(`{"colour":%d,"n":%q,"at":"soon","rows":[{"x":%d},{"x":null},{"y":1}]}`, rng.IntN(3), pick("1", "red"), rng.IntN(10)),
		`{"colour":null,"n":9007199254740993,"rows":[]}`,
		`{"n":9007199254740992.0,"flag":"no","text":null}`,
	))
}

// payloadFilters ask for everything that an index can answer, and for things
// that it can't.
func payloadFilters(t testing.TB) map[string]*filter.Filter {
	filters := map[string]*filter.Filter{}
	for _, text := range []string{
		`{}`,
		`{"must":{"key":"colour","match":{"value":"red"}}}`,
		`{"must":{"key":"colour","match":{"any":["green",1,true]}}}`,
		`{"must":{"key":"colour","match":{"except":["red"]}}}`,
		`{"must_not":{"key":"colour","match":{"value":"red"}}}`,
		`{"must":{"key":"n","range":{"gte":20,"lt":60}}}`,
		`{"must":{"key":"n","match":{"value":9007199254740992}}}`,
		`{"must":{"key":"n","range":{"gt":9007199254740992}}}`,
		`{"must":{"key":"at","range":{"gt":"2024-01-10"}}}`,
		`{"must":{"key":"flag","match":{"value":true}}}`,
		`{"must":{"key":"text","match":{"text":"red fox"}}}`,
		`{"must":{"key":"rows[].x","range":{"lt":5}}}`,
		`{"must":{"is_empty":{"key":"at"}}}`,
		`{"must":{"key":"colour","is_null":true}}`,
		`{"must":{"key":"n","values_count":{"gt":1}}}`,
		`{"must":{"key":"text","match":{"text":"fox"}},"must_not":{"key":"flag","match":{"value":true}}}`,
		`{"should":[{"key":"colour","match":{"value":"blue"}},{"nested":{"key":"rows","filter":{"must":{"key":"x","range":{"gt":5}}}}}]}`,
		`{"min_should":{"conditions":[{"key":"colour","match":{"value":"red"}},{"key":"n","range":{"lt":50}},{"key":"flag","match":{"value":true}}],"min_count":2}}`,
		`{"must":{"key":"colour","match":{"value":"red"}},"must_not":{"has_id":[1,2,3,4]}}`,
		`{"must":{"has_id":[1,2,3,4,5,6,7,8]},"should":{"key":"n","range":{"lt":50}}}`,
	} {
		f, err := filter.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		filters[text] = f
	}
	return filters
}

var payloadFields = map[string]PayloadType{
	"colour": PayloadKeyword, "n": PayloadInteger, "at": PayloadDatetime, "flag": PayloadBool, "text": PayloadText, "rows[].x": PayloadFloat,
}

// putPayloads stores version of some points.
func putPayloads(c *Collection, version int, ids ...int) error {
	var docs []Document
	var rows []float32
	for _, id := range ids {
		docs = append(docs, Document{ID: NumID(uint64(id)), Payload: payloadOf(id, version)})
		// Every other version keeps its vector, and so its ordinal.
		rows = append(rows, vectorOf(id, version/2, crashDim)...)
	}
	_, err := c.Put(context.Background(), docs, mustStamp(c.serving().stamper, rows))
	return err
}

// samePlans compares what a view makes of a filter with a scan of its documents.
func samePlans(c *Collection, f *filter.Filter) (err error) {
	ctx := context.Background()
	v, err := c.view(f)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.close()) }()
	want, all := roaring.New(), 0
	err = c.walk(ctx, v.snapshot, nil, nil, func(e entry) error {
		all++
		_, _, _, payload, err := splitDocument(e.record)
		if err != nil {
			return err
		}
		admitted, err := c.admits(f, e.id, payload)
		if admitted {
			want.Add(e.head.ordinal)
		}
		return err
	})
	if err != nil {
		return err
	}
	if uint64(all) != v.state.live {
		return fmt.Errorf("the view has %d documents and its state %d", all, v.state.live)
	}
	for _, wanted := range []int{0, 1, 1000} {
		got := roaring.New()
		if err := v.walk(ctx, nil, wanted, func(e entry) error { got.Add(e.head.ordinal); return nil }); err != nil {
			return err
		}
		if !got.Equals(want) {
			return fmt.Errorf("a walk gives %v, want %v", got, want)
		}
	}
	if err := v.settle(ctx); err != nil {
		return err
	}
	if !v.sure.Equals(want) {
		return fmt.Errorf("settled it is %v, want %v", v.sure, want)
	}
	return nil
}

// expectPlans compares every way of asking with a scan, for every filter. The
// collection is at rest.
func expectPlans(c *Collection, filters map[string]*filter.Filter) error {
	ctx := context.Background()
	docs, _, err := c.Scroll(ctx, ScrollQuery{Limit: 1 << 20})
	if err != nil {
		return err
	}
	for text, f := range filters {
		if err := samePlans(c, f); err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
		var want []ID
		for _, d := range docs {
			if admitted, err := c.admits(f, d.ID, d.Payload); err != nil {
				return err
			} else if admitted {
				want = append(want, d.ID)
			}
		}
		n, err := c.Count(ctx, f)
		if err != nil || n != len(want) {
			return fmt.Errorf("%s: count gives %d, want %d; %w", text, n, len(want), err)
		}
		found, err := c.Search(ctx, mustStamp(c.serving().stamper, vectorOf(-1, 0, crashDim)), SearchQuery{Limit: len(docs) + 1, Filter: f})
		if err != nil {
			return err
		}
		var got []ID
		for _, h := range found.Hits {
			got = append(got, h.ID)
		}
		slices.SortFunc(got, ID.Compare)
		if !slices.Equal(got, want) {
			return fmt.Errorf("%s: a search finds %v, want %v", text, got, want)
		}
	}
	return nil
}

func indexFields(c *Collection) error {
	for field, t := range payloadFields {
		if err := c.CreatePayloadIndex(context.Background(), field, t, nil); err != nil {
			return err
		}
	}
	return c.AwaitPayloadIndexes(context.Background())
}

// TestPayloadIndexes: filters give the same with indexes as without, over
// updates in place, moves, deletions, and reopening.
func TestPayloadIndexes(t *testing.T) {
	ctx := context.Background()
	o := testOptionsFor(t, vfs.NewMem())
	s := open(t, o)
	c := create(t, s, "one", hnswManifest(crashDim))
	filters := payloadFilters(t)
	check := func(when string) {
		t.Helper()
		if err := expectPlans(c, filters); err != nil {
			t.Fatalf("%s: %v", when, err)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ids := make([]int, 300)
	for i := range ids {
		ids[i] = i
	}
	must(putPayloads(c, 1, ids...))
	check("without indexes")
	must(indexFields(c))
	check("built")
	for _, x := range c.PayloadIndexes() {
		if !x.Ready || x.Done != 300 || x.Points == 0 || x.Bytes == 0 {
			t.Errorf("%+v", x)
		}
	}
	must(putPayloads(c, 2, ids[:100]...)) // versions 2 and 3 have one vector
	must(putPayloads(c, 3, ids[50:150]...))
	_, _, err := c.Delete(ctx, []ID{NumID(7), NumID(60), NumID(290)})
	must(err)
	n, _, err := c.Edit(ctx, []ID{NumID(5), NumID(5), NumID(7), NumID(8)}, compat.Vectors{}, func(d *Document) (int, error) {
		d.Payload = json.RawMessage(`{"colour":"blue","n":55,"text":"the fox"}`)
		return -1, nil
	})
	must(err)
	if n != 2 { // 7 is gone
		t.Errorf("%d documents were edited, want 2", n)
	}
	refused := errors.New("refused")
	before := c.current()
	if _, _, err := c.Edit(ctx, []ID{NumID(5), NumID(8)}, compat.Vectors{}, func(d *Document) (int, error) {
		d.Payload = nil
		return -1, refused
	}); !errors.Is(err, refused) || c.current() != before {
		t.Errorf("an edit that fails: %v, and the state is %+v", err, c.current())
	}
	check("changed")
	must(checkPayloadIndexes(ctx, c))
	// New vectors, one for two documents.
	_, _, err = c.Edit(ctx, []ID{NumID(9), NumID(10)}, mustStamp(c.serving().stamper, vectorOf(9, 9, crashDim)), func(d *Document) (int, error) { return 0, nil })
	must(err)
	found, err := c.Search(ctx, mustStamp(c.serving().stamper, vectorOf(9, 9, crashDim)), SearchQuery{Limit: 2})
	must(err)
	if len(found.Hits) != 2 || found.Hits[0].Score != 0 || found.Hits[1].Score != 0 {
		t.Errorf("%+v", found.Hits)
	}
	closeStore(t, s)
	s = open(t, o)
	c = reopen(t, s, "one", hnswManifest(crashDim))
	must(putPayloads(c, 4, ids[20:40]...)) // perhaps while they are read
	must(c.AwaitPayloadIndexes(ctx))
	check("read again")
	must(checkPayloadIndexes(ctx, c))
	for _, x := range c.payload.all() {
		if x.done.Load() == 0 {
			t.Error("an index was not read")
		}
	}

	// A record that is lost is noticed, and the index built anew.
	x := c.payload.find("colour")
	ordinal := x.postings.All().Minimum()
	must(s.db.Delete(postingKey(c.number, x.number, ordinal), pebble.Sync))
	closeStore(t, s)
	s = open(t, o)
	c = reopen(t, s, "one", hnswManifest(crashDim))
	must(c.AwaitPayloadIndexes(ctx))
	check("after a loss")
	if x := c.payload.find("colour"); !x.rebuilt || !x.postings.Has(ordinal) {
		t.Error("the lost record is not there again")
	}

	// A batch of a program that knows no payload indexes is noticed, too.
	sum := c.payload.find("n").sum
	sum.sequence--
	must(s.db.Set(payloadKey(familyPostingSum, c.number, c.payload.find("n").number), sum.encode(), pebble.Sync))
	closeStore(t, s)
	s = open(t, o)
	c = reopen(t, s, "one", hnswManifest(crashDim))
	must(c.AwaitPayloadIndexes(ctx))
	check("after a batch of another program")
	if !c.payload.find("n").rebuilt || c.payload.find("colour").rebuilt {
		t.Error("another index was built anew than the one of an earlier batch")
	}

	must(c.CreatePayloadIndex(ctx, "colour", PayloadText, json.RawMessage(`{"type":"text"}`))) // replaced
	must(c.AwaitPayloadIndexes(ctx))
	check("of another type")
	for field := range payloadFields {
		existed, err := c.DropPayloadIndex(ctx, field)
		must(err)
		if again, err := c.DropPayloadIndex(ctx, field); !existed || again || err != nil {
			t.Errorf("%s: dropped %t, then %t; %v", field, existed, again, err)
		}
	}
	check("dropped")
	must(scan(s.db, []byte{familyPosting}, nil, func(key, _ []byte) error { return fmt.Errorf("%x is left", key) }))
	if err := c.CreatePayloadIndex(ctx, "a..b", PayloadKeyword, nil); !errors.Is(err, ErrPayloadIndex) {
		t.Errorf("a path that is none: %v", err)
	}
	if err := c.CreatePayloadIndex(ctx, "a", "geo", nil); !errors.Is(err, ErrPayloadIndex) {
		t.Errorf("a type that is none: %v", err)
	}
	closeStore(t, s)
}

// TestPayloadScanBesideWrites: what writes change between the snapshot of a
// scan and its end stays as they left it.
func TestPayloadScanBesideWrites(t *testing.T) {
	ctx := context.Background()
	s := open(t, testOptionsFor(t, vfs.NewMem()))
	c := create(t, s, "one", testManifest(crashDim, 1))
	filters := payloadFilters(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(putPayloads(c, 2, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9))
	must(indexFields(c))
	s.stop() // the worker would make ready what is scanned here
	s.workers.Wait()
	version := 2
	for _, build := range []bool{true, false} {
		for field := range payloadFields {
			path, err := filter.ParsePath(field)
			must(err)
			x := c.payload.find(path.String())
			snapshot, err := c.beginScan(x, build)
			must(err)
			version += 3                                          // in place or not, by turns
			must(putPayloads(c, version, 0, 1, 2))                // another vector
			must(putPayloads(c, version+1-version%2*2, 0, 3, 10)) // the same for 0
			_, _, err = c.Delete(ctx, []ID{NumID(4), NumID(1)})   // of the snapshot, and of after it
			must(err)
			must(putPayloads(c, version, 4, 5)) // there again
			if build {
				err = c.scanDocuments(ctx, snapshot, x)
			} else {
				err = c.scanPostings(ctx, snapshot, x)
			}
			must(errors.Join(err, snapshot.Close(), c.finishPayload(x, build)))
			must(expectPlans(c, filters))
			must(checkPayloadIndexes(ctx, c))
			must(putPayloads(c, 2, 1))
		}
	}
	closeStore(t, s)
}

// TestPayloadIndexesBesideWrites: at every moment, whatever is built or dropped
// beside it, a filter gives what a scan of that moment gives.
func TestPayloadIndexesBesideWrites(t *testing.T) {
	ctx := context.Background()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	s := open(t, testOptionsFor(t, vfs.NewMem()))
	c := create(t, s, "one", testManifest(crashDim, 1))
	filters := payloadFilters(t)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	work := func(n uint64, f func(rng *rand.Rand) error) {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, n))
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := f(rng); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for w := range 2 {
		version := 0
		work(uint64(w), func(rng *rand.Rand) error {
			version++
			var ids []int
			for range 1 + rng.IntN(20) {
				ids = append(ids, w*200+rng.IntN(200))
			}
			if rng.IntN(4) == 0 {
				_, _, err := c.Delete(ctx, []ID{NumID(uint64(ids[0]))})
				return err
			}
			return putPayloads(c, version, ids...)
		})
	}
	work(3, func(rng *rand.Rand) error {
		_, _, err := c.Edit(ctx, []ID{NumID(uint64(rng.IntN(400)))}, compat.Vectors{}, func(d *Document) (int, error) {
			d.Payload = payloadOf(rng.IntN(400), rng.IntN(9))
			return -1, nil
		})
		return err
	})
	work(2, func(rng *rand.Rand) error {
		for field, t := range payloadFields {
			if rng.IntN(6) == 0 {
				if _, err := c.DropPayloadIndex(ctx, field); err != nil {
					return err
				}
			}
			if err := c.CreatePayloadIndex(ctx, field, t, nil); err != nil {
				return err
			}
		}
		return c.AwaitPayloadIndexes(ctx)
	})
	for range fewer(6) {
		for text, f := range filters {
			if err := samePlans(c, f); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			found, err := c.Search(ctx, mustStamp(c.serving().stamper, vectorOf(-1, 0, crashDim)), SearchQuery{Limit: 20, Filter: f})
			if err != nil {
				t.Fatal(err)
			}
			for _, h := range found.Hits {
				if admitted, err := c.admits(f, h.ID, h.Payload); err != nil || !admitted {
					t.Fatalf("%s: a hit is %s; %v", text, h.Payload, err)
				}
			}
		}
	}
	close(stop)
	wg.Wait()
	if err := c.AwaitPayloadIndexes(ctx); err != nil {
		t.Fatal(err)
	}
	if err := expectPlans(c, filters); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
}

// Records read back as they were written, and no bytes make the reader panic.
func FuzzSummary(f *testing.F) {
	for id := range 8 {
		object, err := decodePayload(payloadOf(id, 1))
		if err != nil {
			f.Fatal(err)
		}
		for field, t := range payloadFields {
			path, err := filter.ParsePath(field)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(encodeSummary(path.Summarize(t.kind(), object)))
		}
	}
	f.Fuzz(func(t *testing.T, record []byte) {
		s, err := decodeSummary(record)
		if err != nil {
			return
		}
		again, err := decodeSummary(encodeSummary(s))
		if err != nil || fmt.Sprintf("%#v", again) != fmt.Sprintf("%#v", s) {
			t.Errorf("%x reads as %+v and again as %+v; %v", record, s, again, err)
		}
	})
}

package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/filter"
)

// TestSearchPlans: whatever a part of a filter without an index leaves open, and
// wherever what it admits lies, an exact search gives the nearest of all that
// the filter admits, and a search through the graph as many.
func TestSearchPlans(t *testing.T) {
	const n, limit = 3000, 25
	ctx := context.Background()
	s := open(t, testOptionsFor(t, vfs.NewMem()))
	c := create(t, s, "one", hnswManifest(crashDim))
	query := make([]float32, crashDim)
	near := func(id int) float32 { // the squared distance from the query
		var sum float32
		for _, x := range vectorOf(id, 1, crashDim) {
			sum += x * x
		}
		return sum
	}
	for from := 0; from < n; from += 1000 {
		var docs []Document
		var rows []float32
		for id := from; id < from+1000; id++ {
			docs = append(docs, Document{ID: NumID(uint64(id)), Payload: json.RawMessage(fmt.Sprintf(`{"n":%d,"m":%d,"far":%t}`, id, id%10, near(id) > 0.8))})
			rows = append(rows, vectorOf(id, 1, crashDim)...)
		}
		if _, err := c.Put(ctx, docs, mustStamp(c.serving().stamper, rows)); err != nil {
			t.Fatal(err)
		}
	}
	q := mustStamp(c.serving().stamper, query)
	loose := func(f *filter.Filter) bool {
		run := searchRun{c: c, g: c.serving(), era: c.past.begin(), take: limit, query: SearchQuery{Filter: f}}
		defer c.past.end(run.era)
		if err := run.plan(ctx, &index.Query{Vector: q, K: limit}); err != nil {
			t.Fatal(err)
		}
		return run.loose
	}
	for _, test := range []struct {
		text   string
		admits func(id int) bool
		// loose: with no index, and with one of n
		plain, indexed bool
		plan           index.Plan // with an index
	}{
		{`{"must":{"key":"m","range":{"gte":1}}}`, func(id int) bool { return id%10 >= 1 }, true, true, ""},
		{`{"must":{"key":"m","match":{"any":[1,2]}}}`, func(id int) bool { return id%10 == 1 || id%10 == 2 }, true, true, ""},
		{`{"must":{"key":"far","match":{"value":true}}}`, func(id int) bool { return near(id) > 0.8 }, true, true, ""}, // the nearest are not admitted
		{`{"must":{"key":"n","range":{"lt":40}}}`, func(id int) bool { return id < 40 }, false, false, index.PlanExact},
		{`{"must":{"key":"n","range":{"gte":600}}}`, func(id int) bool { return id >= 600 }, true, false, ""},
		{`{"must":[{"key":"n","range":{"lt":40}},{"key":"m","match":{"value":1}}]}`, func(id int) bool { return id < 40 && id%10 == 1 }, false, false, index.PlanExact},
		{`{"must":[{"key":"n","range":{"lt":2000}},{"key":"far","match":{"value":true}}]}`, func(id int) bool { return id < 2000 && near(id) > 0.8 }, true, true, ""},
		{`{"should":[{"key":"n","range":{"lt":30}},{"key":"m","match":{"value":77}}]}`, func(id int) bool { return id < 30 }, false, false, index.PlanExact},
		{`{"must":{"key":"m","match":{"value":77}}}`, func(int) bool { return false }, false, false, ""},
	} {
		f := parseFilter(t, test.text)
		var want []int
		for id := range n {
			if test.admits(id) {
				want = append(want, id)
			}
		}
		slices.SortFunc(want, func(a, b int) int { return int(1e6 * (near(a) - near(b))) })
		for _, indexed := range []bool{false, true} {
			if indexed {
				if err := c.CreatePayloadIndex(ctx, "n", PayloadInteger, nil); err != nil {
					t.Fatal(err)
				}
				if err := c.AwaitPayloadIndexes(ctx); err != nil {
					t.Fatal(err)
				}
			} else if _, err := c.DropPayloadIndex(ctx, "n"); err != nil {
				t.Fatal(err)
			}
			if got, want := loose(f), test.plain && !indexed || test.indexed && indexed; got != want {
				t.Errorf("%s, indexed %t: loose %t, want %t", test.text, indexed, got, want)
			}
			for _, exact := range []bool{false, true} {
				for _, offset := range []int{0, 10} {
					found, err := c.Search(ctx, q, SearchQuery{Limit: limit, Offset: offset, Filter: f, Exact: exact})
					if err != nil {
						t.Fatal(err)
					}
					wanted := want[min(offset, len(want)):min(offset+limit, len(want))]
					if len(found.Hits) != len(wanted) {
						t.Errorf("%s, indexed %t, exact %t, offset %d: %d hits, want %d", test.text, indexed, exact, offset, len(found.Hits), len(wanted))
					}
					if indexed && !exact && test.plan != "" && found.Plan != test.plan {
						t.Errorf("%s: plan %s, want %s", test.text, found.Plan, test.plan)
					}
					for i, h := range found.Hits {
						id, _ := h.ID.Number()
						if !test.admits(int(id)) || exact && int(id) != wanted[i] {
							t.Fatalf("%s, indexed %t, exact %t, offset %d: hit %d is %d, want %v", test.text, indexed, exact, offset, i, id, wanted)
						}
					}
				}
			}
		}
	}
	closeStore(t, s)
}

package store

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/vecino-db/vecino/index/filter"
)

// TestModel drives a collection and a plain map with the same random
// operations, reopening and crashing in between, and compares them.
func TestModel(t *testing.T) {
	even, err := filter.Parse([]byte(`{"must":[{"key":"even","match":{"value":true}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		manifest := crashManifest()
		mem := vfs.NewCrashableMem()
		o := Options{Dir: "data", FS: mem, Create: true, MemTableBytes: 64 << 10, CheckpointEvery: rapid.SampledFrom([]int{-1, 5, 1000}).Draw(t, "checkpoint every")}
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		s, err := Open(ctx, o)
		must(err)
		defer func() { _ = s.Close(ctx) }()
		c, err := s.Create(ctx, "one", manifest)
		must(err)
		model := map[int]int{}
		version := 0
		id := rapid.IntRange(0, 12)
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) { must(expect(c, model)) },
			"put": func(t *rapid.T) {
				version++
				var docs []Document
				var rows []float32
				for _, id := range rapid.SliceOfN(id, 0, 4).Draw(t, "ids") {
					docs = append(docs, documentOf(id, version))
					rows = append(rows, vectorOf(id, version, crashDim)...)
					model[id] = version
				}
				before := c.current().sequence
				sequence, err := c.Put(ctx, docs, mustStamp(c.serving().stamper, rows))
				must(err)
				if sequence < before || len(docs) > 0 && sequence != before+1 {
					t.Fatalf("sequence %d behind %d", sequence, before)
				}
			},
			"put again": func(t *rapid.T) {
				if len(model) == 0 {
					t.Skip("nothing there")
				}
				id := rapid.SampledFrom(slices.Sorted(maps.Keys(model))).Draw(t, "id")
				_, err := c.Put(ctx, []Document{documentOf(id, model[id])}, mustStamp(c.serving().stamper, vectorOf(id, model[id], crashDim)))
				must(err)
			},
			"delete": func(t *rapid.T) {
				want := map[int]bool{}
				var ids []ID
				for _, id := range rapid.SliceOfN(id, 0, 4).Draw(t, "ids") {
					ids = append(ids, NumID(uint64(id)))
					if _, ok := model[id]; ok {
						want[id] = true
					}
					delete(model, id)
				}
				n, _, err := c.Delete(ctx, ids)
				must(err)
				if n != len(want) {
					t.Fatalf("deleted %d, want %d", n, len(want))
				}
			},
			"filter": func(t *rapid.T) {
				var want []ID
				for _, id := range slices.Sorted(maps.Keys(model)) {
					if id%2 == 0 {
						want = append(want, NumID(uint64(id)))
					}
				}
				got, err := c.Matching(ctx, even)
				must(err)
				if !slices.Equal(got, want) {
					t.Fatalf("filter gives %v, want %v", got, want)
				}
				q := mustStamp(c.serving().stamper, vectorOf(0, -1, crashDim))
				result, err := c.Search(ctx, q, SearchQuery{Limit: 100, Filter: even})
				must(err)
				if len(result.Hits) != len(want) {
					t.Fatalf("filtered search finds %d, want %d", len(result.Hits), len(want))
				}
			},
			"scroll": func(t *rapid.T) {
				from, limit := id.Draw(t, "from"), rapid.IntRange(1, 5).Draw(t, "limit")
				page, next, err := c.Scroll(ctx, ScrollQuery{From: NumID(uint64(from)), HasFrom: true, Limit: limit})
				must(err)
				var want []int
				for _, id := range slices.Sorted(maps.Keys(model)) {
					if id >= from {
						want = append(want, id)
					}
				}
				if len(page) != min(limit, len(want)) || (next != nil) != (len(want) > limit) || next != nil && *next != NumID(uint64(want[limit])) {
					t.Fatalf("page of %d and next %v of %v", len(page), next, want)
				}
			},
			"reopen": func(t *rapid.T) {
				if rapid.Bool().Draw(t, "crash") {
					o.FS = mem.CrashClone(vfs.CrashCloneCfg{})
				}
				must(s.Close(ctx))
				mem = o.FS.(*vfs.MemFS)
				s, err = Open(ctx, o)
				must(err)
				c, err = s.OpenCollection(ctx, "one", manifest.Space)
				must(err)
			},
			"drop and create": func(t *rapid.T) {
				must(s.Drop(ctx, "one"))
				if _, err := c.Count(ctx, nil); !errors.Is(err, ErrNotFound) {
					t.Fatalf("a dropped collection: %v", err)
				}
				c, err = s.Create(ctx, "one", manifest)
				must(err)
				clear(model)
			},
		})
	})
}

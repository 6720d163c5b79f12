package store

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/vecino-db/vecino/compat"
)

// TestFoundAtOnce: with every engine, a point is found by its vector as soon as
// its write has returned, and never once its deletion has, beside other writers
// and over a restart.
func TestFoundAtOnce(t *testing.T) {
	const dim, writers = 6, 4
	steps := 120
	if raceEnabled {
		steps = 30
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	ctx := context.Background()
	for _, engine := range []compat.Engine{compat.EngineHNSW, compat.EngineCoder, compat.EngineExact, compat.EngineAuto} {
		t.Run(string(engine), func(t *testing.T) {
			m := testManifest(dim, 1)
			m.Index.Engine = engine
			o := testOptionsFor(t, vfs.NewMem())
			o.CheckpointEvery = 50
			s := open(t, o)
			c, err := s.Create(ctx, "one", m)
			if err != nil {
				t.Fatal(err)
			}
			live := make([]map[int]int, writers) // point -> version
			check := func(c *Collection, id, version int, want bool) {
				// The coder engine's graph misses what is there; its scan doesn't.
				q := SearchQuery{Limit: 1, Exact: engine == compat.EngineCoder}
				result, err := c.Search(ctx, stamp(t, m, vectorOf(id, version, dim)), q)
				if err != nil {
					t.Errorf("search: %v", err)
					return
				}
				found := len(result.Hits) == 1 && result.Hits[0].ID == NumID(uint64(id)) && result.Hits[0].Score == 0
				if found != want {
					t.Errorf("point %d of version %d: found %v, want %v: %v", id, version, found, want, result.Hits)
				}
			}
			for round := range 2 {
				var writing sync.WaitGroup
				for w := range writers {
					writing.Go(func() {
						rng := rand.New(rand.NewPCG(seed, uint64(w+writers*round)))
						if live[w] == nil {
							live[w] = map[int]int{}
						}
						for range steps {
							id := w + writers*rng.IntN(20)
							version, there := live[w][id]
							switch {
							case there && rng.IntN(3) == 0:
								if _, _, err := c.Delete(ctx, []ID{NumID(uint64(id))}); err != nil {
									t.Error(err)
									return
								}
								delete(live[w], id)
								check(c, id, version, false)
							default:
								next := rng.IntN(1 << 30)
								v := stamp(t, m, vectorOf(id, next, dim))
								if _, err := c.Put(ctx, []Document{documentOf(id, next)}, v); err != nil {
									t.Error(err)
									return
								}
								live[w][id] = next
								check(c, id, next, true)
								if there {
									check(c, id, version, false)
								}
							}
						}
					})
				}
				writing.Wait()
				for w := range writers {
					for id, version := range live[w] {
						check(c, id, version, true)
					}
				}
				if err := c.Settle(ctx); err != nil {
					t.Fatal(err)
				}
				closeStore(t, s)
				s = open(t, o)
				if c, err = s.OpenCollection(ctx, "one", m.Space); err != nil {
					t.Fatal(err)
				}
			}
			closeStore(t, s)
		})
	}
}

// TestSettleBesideRetire: who waits until what was put is linked is not told of
// the end of a generation that was retired meanwhile.
func TestSettleBesideRetire(t *testing.T) {
	ctx := t.Context()
	model, target := hnswManifest(4), targetManifest()
	s := open(t, testOptionsFor(t, vfs.NewMem()))
	defer closeStore(t, s)
	c := create(t, s, "c", model)
	ids := make([]int, 3000)
	for i := range ids {
		ids[i] = i
	}
	for version := 1; version <= 5; version++ {
		number, err := c.StartStandby(ctx, target, Record{})
		if err != nil {
			t.Fatal(err)
		}
		if err := putBoth(ctx, c, model, target, version, ids...); err != nil {
			t.Fatal(err)
		}
		var waiting sync.WaitGroup
		for range 8 {
			waiting.Go(func() {
				if err := c.Settle(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		time.Sleep(time.Duration(version) * time.Millisecond) // they begin to wait
		if err := c.Retire(ctx, number, Record{}); err != nil {
			t.Fatal(err)
		}
		waiting.Wait()
	}
}

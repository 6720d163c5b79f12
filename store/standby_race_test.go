package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/vecino-db/vecino/index"
)

// madeBy is what the encoder of a generation makes of a text.
func madeBy(g *generation) func(text string) []float32 {
	if g.config.Dimension == targetDim {
		return targetRow
	}
	return servingRow(g.config.Dimension)
}

// TestStandbyBesideWriters leads a collection from one space to another and
// back, with aborts and rollbacks, while writers that saw the generations a
// moment ago write, delete and search: every acknowledged write is found at
// once and at the end, in one space, and what was deleted never.
func TestStandbyBesideWriters(t *testing.T) {
	const writers, own, seed = 4, 40, 9
	ctx := t.Context()
	fs := vfs.NewMem()
	s := open(t, testOptionsFor(t, fs))
	model, target := hnswManifest(4), targetManifest()
	c := create(t, s, "c", model)
	models := make([]map[int]int, writers)
	var writing sync.WaitGroup
	var over atomic.Bool
	fail := func(format string, args ...any) {
		t.Errorf("seed %d: "+format, append([]any{seed}, args...)...)
		over.Store(true)
	}
	until := time.Now().Add(1500 * time.Millisecond)
	for w := range writers {
		models[w] = map[int]int{}
		writing.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), seed))
			for version := 1; time.Now().Before(until) && !over.Load(); version++ {
				id := w*own + rng.IntN(own)
				var err error
				switch have, ok := models[w][id]; {
				case rng.IntN(5) == 0:
					_, _, err = c.Delete(ctx, []ID{NumID(uint64(id))})
					delete(models[w], id)
				case ok && rng.IntN(4) == 0: // the same again, as a change of the payload is
					err = putBoth(ctx, c, model, target, have, id)
				default:
					err = putBoth(ctx, c, model, target, version, id)
					models[w][id] = version
				}
				if err != nil {
					fail("writer %d: %v", w, err)
					return
				}
				if err := foundAtOnce(ctx, c, models[w]); err != nil {
					fail("writer %d: %v", w, err)
					return
				}
			}
		})
	}
	rng := rand.New(rand.NewPCG(writers, seed))
	rounds := uint64(0)
	for ; time.Now().Before(until) && !over.Load(); rounds++ {
		m := target
		if c.serving().config.Dimension == targetDim {
			m = model
		}
		former := c.Generation()
		number, err := c.StartStandby(ctx, m, Record{Migration: rounds, Value: []byte("x")})
		if err == nil && rng.IntN(4) > 0 {
			for err = ErrIncomplete; errors.Is(err, ErrIncomplete); {
				if err = fillStandby(ctx, c, number, 1+rng.IntN(9)); err == nil {
					err = c.SwitchTo(ctx, number, Record{})
				}
			}
			for to := former; err == nil && rng.IntN(2) == 0; to = former + number - to {
				err = c.SwitchTo(ctx, to, Record{}) // back, and forth
			}
		}
		if err == nil && rng.IntN(2) == 0 {
			err = c.checkpoint(ctx)
		}
		if err == nil {
			err = c.Retire(ctx, former+number-c.Generation(), Record{})
		}
		if err != nil {
			fail("migration %d: %v", rounds, err)
		}
	}
	writing.Wait()
	t.Logf("seed %d: %d migrations", seed, rounds)
	want := map[int]int{}
	for _, m := range models {
		for id, version := range m {
			want[id] = version
		}
	}
	for range 2 {
		g := c.serving()
		if err := expectGeneration(ctx, c, g.number, madeBy(g), want); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
		m := c.Manifest()
		closeStore(t, s)
		s = open(t, testOptionsFor(t, fs))
		c = reopen(t, s, "c", m)
	}
	closeStore(t, s)
}

// foundAtOnce searches for one of a writer's own points in the generation that
// serves when its vector is made. That generation may be gone by then, which is
// said.
func foundAtOnce(ctx context.Context, c *Collection, own map[int]int) error {
	for id, version := range own {
		text := documentOf(id, version).Text
		g := c.serving()
		a, err := c.Search(ctx, mustStamp(g.stamper, madeBy(g)(text)), SearchQuery{Limit: 1, WithVector: true})
		if errors.Is(err, index.ErrSpace) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(a.Hits) != 1 || a.Hits[0].ID != NumID(uint64(id)) || a.Hits[0].Text != text {
			return fmt.Errorf("point %d of version %d: generation %d gives %+v", id, version, a.Generation, a.Hits)
		}
		if a.Fingerprint != g.config.Fingerprint || len(a.Hits[0].Vector) != g.config.Dimension {
			return fmt.Errorf("point %d: the answer is of %.12s with vectors of %d, asked in %.12s", id, a.Fingerprint, len(a.Hits[0].Vector), g.config.Fingerprint)
		}
		return nil
	}
	return nil
}

// fillStandby is a backfill of whichever space the standby has.
func fillStandby(ctx context.Context, c *Collection, number uint64, batch int) error {
	g := c.generations.Load().standby
	for from := Position(0); ; {
		docs, _, next, done, err := c.Unfilled(ctx, number, from, batch, false)
		if done || err != nil {
			return err
		}
		var rows []float32
		for _, d := range docs {
			rows = append(rows, madeBy(g)(d.Text)...)
		}
		if _, err := c.Fill(ctx, number, docs, mustStamp(g.stamper, rows), nil); err != nil {
			return err
		}
		from = next
	}
}

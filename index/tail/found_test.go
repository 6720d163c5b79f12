package tail_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/exact"
	"github.com/vecino-db/vecino/index/indextest"
	"github.com/vecino-db/vecino/index/tail"
)

// slowly is an exact engine that takes its time before and after each step, so
// that everything meets everything.
type slowly struct{ *exact.Index }

func pause() {
	if n := rand.IntN(4); n > 0 {
		time.Sleep(time.Duration(n) * 20 * time.Microsecond)
	}
}

func (s slowly) Insert(ctx context.Context, ordinals []uint32, v compat.Vectors) error {
	pause()
	defer pause()
	return s.Index.Insert(ctx, ordinals, v)
}

func (s slowly) Search(ctx context.Context, q index.Query) (index.Answer, error) {
	pause()
	defer pause()
	return s.Index.Search(ctx, q)
}

// TestAlwaysFound: points that are moved from ordinal to ordinal, as the store
// does it, are found by their vectors at every moment, in the order of
// nearness, and no ordinal is found after its deletion.
func TestAlwaysFound(t *testing.T) {
	const (
		dim     = 8
		writers = 4
		readers = 4
		points  = 6 // of a writer
		moves   = 150
	)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	space := indextest.NewSpace(t, "found", dim, compat.MetricL2)
	for _, bytes := range []int64{0, 4 * dim * 3} {
		vectors, err := exact.New(space.Config)
		if err != nil {
			t.Fatal(err)
		}
		x, err := tail.New(space.Config, slowly{vectors}, tail.Options{Bytes: bytes, Workers: 3})
		if err != nil {
			t.Fatal(err)
		}
		rows := indextest.Clustered(seed, writers*points, dim, writers*points, 0.5)
		at := func(point int) compat.Vectors {
			return space.Stamp(t, slices.Clone(rows[point*dim:(point+1)*dim]))
		}
		// An ordinal is of the point that it leaves when divided; the bounds of
		// those that are live for sure, and gone for sure.
		var newest, oldest [writers * points]atomic.Uint32
		ordinal := func(point int, version uint32) uint32 { return version*writers*points + uint32(point) }
		found := func(point int) {
			gone := oldest[point].Load()
			before := newest[point].Load()
			answer, err := x.Search(context.Background(), index.Query{Vector: at(point), K: 1 + rand.IntN(3)})
			if err != nil {
				t.Error(err)
				return
			}
			after := newest[point].Load() + 1 // it may be there before it is noted
			if before == 0 {
				return
			}
			if len(answer.Hits) == 0 || answer.Hits[0].Ordinal%(writers*points) != uint32(point) {
				t.Errorf("point %d, version %d to %d: not found: %v", point, before, after, answer.Hits)
				return
			}
			met := map[uint32]bool{}
			for i, h := range answer.Hits {
				if met[h.Ordinal] || i > 0 && h.Score < answer.Hits[i-1].Score {
					t.Errorf("twice, or out of order: %v", answer.Hits)
				}
				met[h.Ordinal] = true
				version := h.Ordinal / (writers * points)
				if h.Ordinal%(writers*points) == uint32(point) && (version < gone || version > after) {
					t.Errorf("point %d: version %d was found, %d were gone, and %d was the newest", point, version, gone, after)
				}
			}
		}
		var writing, reading sync.WaitGroup
		var done atomic.Bool
		for w := range writers {
			writing.Go(func() {
				rng := rand.New(rand.NewPCG(seed, uint64(w)))
				for range moves {
					point := w*points + rng.IntN(points)
					version := newest[point].Load() + 1
					if err := x.Insert(context.Background(), []uint32{ordinal(point, version)}, at(point)); err != nil {
						t.Error(err)
						return
					}
					newest[point].Store(version)
					found(point)
					if version > 1 {
						x.Delete([]uint32{ordinal(point, version-1)})
					}
					oldest[point].Store(version)
					found(point)
				}
			})
		}
		for range readers {
			reading.Go(func() {
				for !done.Load() {
					found(rand.IntN(writers * points))
				}
			})
		}
		writing.Wait()
		done.Store(true)
		reading.Wait()
		if err := x.Settle(context.Background()); err != nil {
			t.Fatal(err)
		}
		live := 0
		for point := range newest {
			if newest[point].Load() > 0 {
				live++
			}
		}
		if s := x.Stats(); s.Live != live || s.Pending != 0 || vectors.Stats().Live != live {
			t.Errorf("stats %+v of %d points", s, live)
		}
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
		if err := x.Insert(context.Background(), []uint32{1 << 30}, at(0)); !errors.Is(err, tail.ErrClosed) {
			t.Errorf("Insert into a closed tail: %v", err)
		}
	}
}

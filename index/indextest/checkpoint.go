package indextest

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
)

func (e Engine) testCheckpoint(t *testing.T) {
	for _, metric := range metrics {
		t.Run(string(metric), func(t *testing.T) {
			n := e.size(3000)
			b, rows, queries := e.filled(t, n, 96, metric)
			b.delete(Ordinals(100, n/4))
			b.insert(Ordinals(uint32(n), 50), slices.Repeat(rows[:96], 50))
			chunks := b.chunks()
			size := 0
			for _, c := range chunks {
				size += len(c)
			}
			t.Logf("%d chunks, %d bytes", len(chunks), size)
			e.sameAfterLoad(t, b, chunks, queries)
		})
	}
	t.Run("empty", func(t *testing.T) {
		b := e.bench(t, 8, compat.MetricCosine)
		e.sameAfterLoad(t, b, b.chunks(), []float32{1, 2, 3, 4, 5, 6, 7, 8})
	})
	t.Run("put fails", func(t *testing.T) {
		b, _, _ := e.filled(t, 500, 8, compat.MetricCosine)
		full := errors.New("disk full")
		if err := b.index.Save(func(index.Chunk) error { return full }); !errors.Is(err, full) {
			t.Errorf("Save: %v", err)
		}
	})
}

// sameAfterLoad compares answers before and after, and goes on writing.
func (e Engine) sameAfterLoad(t *testing.T, b *bench, chunks []index.Chunk, queries []float32) {
	t.Helper()
	loaded, err := e.Load(b.space.Config, source(chunks))
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	dim := b.space.Config.Dimension
	for i := 0; i < len(queries); i += dim {
		for _, exact := range []bool{false, true} {
			q := index.Query{Vector: b.space.Stamp(t, queries[i:i+dim]), K: 10, Exact: exact}
			before, err := b.index.Search(context.Background(), q)
			if err != nil {
				t.Fatal(err)
			}
			after, err := loaded.Search(context.Background(), q)
			if err != nil {
				t.Fatal(err)
			}
			if (e.least() > 0 || exact) && (!slices.Equal(before.Hits, after.Hits) || before.Plan != after.Plan) {
				t.Fatalf("query %d gave %v before and %v after", i/dim, before, after)
			}
		}
	}
	if a, b := b.index.Stats(), loaded.Stats(); a.Live != b.Live {
		t.Errorf("stats before %+v, after %+v", a, b)
	}
	again := *b
	again.index = loaded
	more := Clustered(seed+1, 100, dim, 5, 0.5)
	again.insert(Ordinals(1<<20, 100), more)
	if r := again.recall(more[:20*dim], 5, index.Query{}); r < e.least() {
		t.Errorf("recall of what was inserted after loading: %.3f", r)
	}
	again.oracle.Delete(Ordinals(1<<20, 100))
}

// testCheckpointBesideWriters saves while vectors come and go: what was there
// before is in the checkpoint, replaced or not, and what it says can be loaded.
func (e Engine) testCheckpointBesideWriters(t *testing.T) {
	n := e.size(3000)
	const dim = 16
	b, rows, queries := e.filled(t, n, dim, compat.MetricCosine)
	more := Clustered(seed+2, 4*n, dim, 50, 0.5)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; i < 4*n; i++ {
			select {
			case <-stop:
				return
			default:
			}
			v := b.space.Stamp(t, slices.Clone(more[i*dim:(i+1)*dim]))
			ordinal := uint32(n + i)
			if i%2 == 0 { // replace one of the first by itself
				ordinal = uint32(i / 2 % n)
				v = b.space.Stamp(t, slices.Clone(rows[int(ordinal)*dim:int(ordinal+1)*dim]))
			}
			if err := b.index.Insert(context.Background(), []uint32{ordinal}, v); err != nil {
				t.Errorf("Insert: %v", err)
			}
		}
	})
	var saves [][]index.Chunk
	for range 3 {
		saves = append(saves, b.chunks())
	}
	close(stop)
	wg.Wait()
	for _, chunks := range saves {
		loaded, err := e.Load(b.space.Config, source(chunks))
		if err != nil {
			t.Fatalf("Load: %v", err)
		}
		if s := loaded.Stats(); s.Live < n {
			t.Errorf("%d live in a checkpoint, want at least %d", s.Live, n)
		}
		kept := *b
		kept.index = loaded
		all := NewSet(Ordinals(0, n))
		if r := kept.recall(queries, 10, index.Query{Exact: true, Filter: all}); r != 1 {
			t.Errorf("recall of what was there before Save: %.3f", r)
		}
		e.floor(t, "loaded", kept.recall(queries, 10, index.Query{Filter: all}))
	}
}

// testDamage hands Load every kind of broken checkpoint: it must refuse, and
// never panic.
func (e Engine) testDamage(t *testing.T) {
	const n, dim = 750, 768
	b, rows, queries := e.filled(t, n, dim, compat.MetricCosine)
	b.insert(Ordinals(n, 20), slices.Repeat(rows[:dim], 20))
	b.delete(Ordinals(0, 50))
	good := b.chunks()
	if len(good) < 2 {
		t.Fatalf("%d chunks are too few for this test", len(good))
	}
	refused := func(what string, want error, chunks ...index.Chunk) {
		t.Helper()
		if _, err := e.Load(b.space.Config, source(chunks)); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	refused("nothing", index.ErrCorrupt)
	refused("the last chunk is missing", index.ErrCorrupt, good[:len(good)-1]...)
	refused("the first chunk is missing", index.ErrCorrupt, good[1:]...)
	refused("a chunk too many", index.ErrCorrupt, append(slices.Clone(good), good[0])...)
	swapped := slices.Clone(good)
	swapped[0], swapped[1] = swapped[1], swapped[0]
	refused("two chunks in each other's place", index.ErrCorrupt, swapped...)
	mixed := slices.Clone(b.chunks())
	mixed[0] = good[0]
	refused("chunks of two checkpoints", index.ErrCorrupt, mixed...)

	other := NewSpace(t, "another", dim, compat.MetricCosine)
	other.Config.Build.Encoding = e.Encoding
	if _, err := e.Load(other.Config, source(good)); !errors.Is(err, index.ErrSpace) {
		t.Errorf("chunks of another space: %v", err)
	}
	broken := errors.New("cannot read")
	if _, err := e.Load(b.space.Config, func() (index.Chunk, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Errorf("a source that fails: %v", err)
	}

	rng := rand.New(rand.NewPCG(seed, 5))
	for range e.size(60) {
		i := rng.IntN(len(good))
		chunks := slices.Clone(good)
		chunks[i] = slices.Clone(good[i])
		if rng.IntN(2) == 0 {
			chunks[i] = chunks[i][:rng.IntN(len(chunks[i]))]
		} else {
			chunks[i][rng.IntN(len(chunks[i]))] ^= 1 << rng.IntN(8)
		}
		if _, err := e.Load(b.space.Config, source(chunks)); !errors.Is(err, index.ErrCorrupt) && !errors.Is(err, index.ErrSpace) {
			t.Errorf("damaged chunk %d: %v", i, err)
		}
	}
	// Damage with a right checksum, as only malice makes it: it may pass where
	// it says something else that is possible, and what passes must work.
	for range e.size(100) {
		i := rng.IntN(len(good))
		chunks := slices.Clone(good)
		seal, payload, err := index.Unseal(good[i])
		if err != nil {
			t.Fatal(err)
		}
		payload = slices.Clone(payload)
		switch at := rng.IntN(min(len(payload), 4000)); rng.IntN(3) {
		case 0:
			payload = payload[:at]
		case 1:
			payload[at] ^= 1 << rng.IntN(8)
		default:
			for j := at; j < min(at+4, len(payload)); j++ {
				payload[j] = 0xff
			}
		}
		chunks[i] = seal.Close(payload)
		loaded, err := e.Load(b.space.Config, source(chunks))
		if err != nil {
			if !errors.Is(err, index.ErrCorrupt) {
				t.Errorf("resealed chunk %d: %v", i, err)
			}
			continue
		}
		for _, exact := range []bool{false, true} {
			if _, err := loaded.Search(context.Background(), index.Query{Vector: b.space.Stamp(t, queries[:dim]), K: 10, Exact: exact}); err != nil {
				t.Errorf("search after loading resealed chunk %d: %v", i, err)
			}
		}
		if err := loaded.Insert(context.Background(), []uint32{1 << 30}, b.space.Stamp(t, slices.Clone(queries[dim:2*dim]))); err != nil {
			t.Errorf("insert after loading resealed chunk %d: %v", i, err)
		}
	}
}

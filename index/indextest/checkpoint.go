package indextest

import (
	"context"
	"errors"
	"fmt"
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
	loaded, err := e.Load(b.space.Config, index.Chunks(chunks))
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
		loaded, err := e.Load(b.space.Config, index.Chunks(chunks))
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
		if _, err := e.Load(b.space.Config, index.Chunks(chunks)); !errors.Is(err, want) {
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
	b.insert(Ordinals(2*n, 1), rows[dim:2*dim])
	later := b.chunks()
	for i := range later[:len(later)-1] {
		mixed := slices.Clone(later)
		mixed[i] = good[min(i, len(good)-2)]
		if !slices.Equal(mixed[i], later[i]) {
			refused(fmt.Sprintf("part %d of an earlier checkpoint", i), index.ErrCorrupt, mixed...)
		}
	}
	refused("the head of a later checkpoint", index.ErrCorrupt, append(slices.Clone(good[:len(good)-1]), later[len(later)-1])...)

	other := NewSpace(t, "another", dim, compat.MetricCosine)
	other.Config.Build.Encoding = e.Encoding
	if _, err := e.Load(other.Config, index.Chunks(good)); !errors.Is(err, index.ErrSpace) {
		t.Errorf("chunks of another space: %v", err)
	}
	broken := errors.New("cannot read")
	for at := range good {
		if _, err := e.Load(b.space.Config, brokenSource{index.Chunks(good), at, broken}); !errors.Is(err, broken) {
			t.Errorf("a source that fails at chunk %d: %v", at, err)
		}
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
		if _, err := e.Load(b.space.Config, index.Chunks(chunks)); !errors.Is(err, index.ErrCorrupt) && !errors.Is(err, index.ErrSpace) {
			t.Errorf("damaged chunk %d: %v", i, err)
		}
	}
	// Damage with a right checksum, as only malice makes it: it may pass where
	// it says something else that is possible, and what passes must work.
	for range e.size(100) {
		i := rng.IntN(len(good))
		payload := Payload(good, i)
		if len(payload) == 0 {
			continue
		}
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
		loaded, err := e.Load(b.space.Config, index.Chunks(Reseal(good, i, payload)))
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

// brokenSource can't read one of its chunks.
type brokenSource struct {
	index.Chunks
	at  int
	err error
}

func (s brokenSource) Head() (index.Chunk, error) {
	if s.at == len(s.Chunks)-1 {
		return nil, s.err
	}
	return s.Chunks.Head()
}

func (s brokenSource) Part(number int, use func(index.Chunk) error) error {
	if number == s.at {
		return s.err
	}
	return s.Chunks.Part(number, use)
}

// keeper is an owner of checkpoints: it has the parts as they were put last, and
// takes over what one SaveSince put only if that came to its end.
type keeper struct {
	saved  *index.Saved
	chunks []index.Chunk
	put    int // by the last save, the head included
}

// save brings the checkpoint up to date. With fail not negative it is cut short
// after so many chunks.
func (k *keeper) save(x index.Incremental, fail int) error {
	fresh := map[int]index.Chunk{}
	cut := errors.New("cut short")
	saved, err := x.SaveSince(k.saved, func(number int, chunk index.Chunk) error {
		if len(fresh) == fail {
			return cut
		}
		fresh[number] = chunk
		return nil
	})
	if err != nil {
		if fail >= 0 && errors.Is(err, cut) {
			return nil
		}
		return err
	}
	chunks := make([]index.Chunk, len(saved.Sums)+1)
	copy(chunks, k.chunks[:max(0, min(len(k.chunks)-1, len(saved.Sums)))])
	for number, chunk := range fresh {
		chunks[number] = chunk
	}
	k.saved, k.chunks, k.put = saved, chunks, len(fresh)
	return nil
}

// testIncremental brings one checkpoint up to date again and again, some times
// in vain, beside writers and between compactions: what it says can be loaded
// and is what the index has, and what did not change is not written.
func (e Engine) testIncremental(t *testing.T) {
	n := max(e.whole(3000), 400)
	const dim, rounds = 200, 8
	b, rows, queries := e.filled(t, n, dim, compat.MetricCosine)
	x, ok := b.index.(index.Incremental)
	if !ok {
		t.Skip("the engine writes everything each time")
	}
	rng := rand.New(rand.NewPCG(seed, 6))
	var k keeper
	b.settle() // what answers before and after a save must be the same engine
	if err := k.save(x, -1); err != nil {
		t.Fatal(err)
	}
	whole := k.put
	if err := k.save(x, -1); err != nil || k.put != 1 {
		t.Fatalf("%d chunks of %d written where nothing has changed, %v", k.put, whole, err)
	}
	next := n
	for round := range rounds {
		// Beside the save, vectors that nothing below asks for.
		var beside sync.WaitGroup
		for w := range 2 {
			first := uint32(1<<20 + 1000*round + 500*w)
			both := b.index
			beside.Go(func() {
				for i := range 30 {
					o := []uint32{first + uint32(i)}
					if err := both.Insert(context.Background(), o, b.space.Stamp(t, slices.Clone(rows[i*dim:(i+1)*dim]))); err != nil {
						t.Errorf("Insert: %v", err)
					}
					both.Delete(o)
				}
			})
		}
		if err := k.save(x, rng.IntN(whole)); err != nil {
			t.Fatal(err)
		}
		beside.Wait()
		more := 1 + rng.IntN(40)
		b.insert(Ordinals(uint32(next), more), Clustered(uint64(next), more, dim, 5, 0.5))
		next += more
		b.insert([]uint32{uint32(next)}, rows[:dim]) // a twin
		next++
		b.delete([]uint32{uint32(rng.IntN(next)), uint32(rng.IntN(next))})
		if c, ok := b.index.(index.Compacter); ok && round == rounds/2 {
			if err := c.Compact(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		b.settle()
		if err := k.save(x, -1); err != nil {
			t.Fatal(err)
		}
		loaded, err := e.Load(b.space.Config, index.Chunks(k.chunks))
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		for i := 0; i < 10*dim; i += dim {
			q := index.Query{Vector: b.space.Stamp(t, queries[i:i+dim]), K: 10, Exact: i%2 == 0}
			want, err1 := b.index.Search(context.Background(), q)
			got, err2 := loaded.Search(context.Background(), q)
			if err1 != nil || err2 != nil || !slices.Equal(want.Hits, got.Hits) {
				t.Fatalf("round %d: query %d gives %v and %v of the checkpoint (%v, %v)", round, i/dim, want.Hits, got.Hits, err1, err2)
			}
		}
		if got, want := loaded.Stats().Live, b.oracle.Len(); got != want {
			t.Fatalf("round %d: %d live in the checkpoint, want %d", round, got, want)
		}
		if round%3 == 2 {
			// Go on from what was loaded, as a start does.
			b.index, x = loaded, loaded.(index.Incremental)
			k.saved = x.Loaded()
			if err := k.save(x, -1); err != nil || k.put != 1 {
				t.Fatalf("%d chunks written right after loading, %v", k.put, err)
			}
		}
	}
	// A few vectors beside each other: their own and the last ranges, no more
	// rows than that.
	before := slices.Clone(k.chunks)
	b.insert(Ordinals(uint32(next), 2), Clustered(1, 2, dim, 1, 0.1))
	if err := k.save(x, -1); err != nil {
		t.Fatal(err)
	}
	same := 0
	for i, c := range before[:len(before)-1] {
		if slices.Equal(c, k.chunks[i]) {
			same++
		}
	}
	t.Logf("%d of %d parts are as they were after two inserts, %d chunks written", same, len(before)-1, k.put)
	if k.put > 1+len(before)-1-same+1 {
		t.Errorf("%d chunks were written where %d parts of %d stayed the same", k.put, same, len(before)-1)
	}
}

package indextest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
)

// testReseal gives a checkpoint to another space: it answers there as it did,
// takes vectors of that space alone, and is refused in the former.
func (e Engine) testReseal(t *testing.T) {
	for _, n := range []int{0, e.size(1500)} {
		b := e.bench(t, 24, compat.MetricCosine)
		rows := Clustered(seed, max(n, 20), 24, 10, 0.3)
		if n > 0 {
			b.insert(Ordinals(0, n), slices.Clone(rows))
			b.delete(Ordinals(10, n/4))
		}
		former := b.chunks()
		other := NewSpace(t, "another", 24, compat.MetricCosine)
		other.Config.Build = b.space.Config.Build
		chunks := make([]index.Chunk, 0, len(former))
		r, err := index.NewResealer(b.space.Config, other.Config, func(number int, chunk index.Chunk) error {
			if number != len(chunks) {
				t.Errorf("chunk %d came as number %d", len(chunks), number)
			}
			chunks = append(chunks, slices.Clone(chunk))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for i, chunk := range former {
			if r.Done() {
				t.Fatalf("done before chunk %d of %d", i, len(former))
			}
			if err := r.Take(chunk); err != nil {
				t.Fatal(err)
			}
		}
		if !r.Done() || len(chunks) != len(former) {
			t.Fatalf("%d chunks became %d, done %v", len(former), len(chunks), r.Done())
		}
		if err := r.Take(former[len(former)-1]); !errors.Is(err, index.ErrCorrupt) {
			t.Errorf("a chunk behind the head: %v", err)
		}
		if _, err := e.Load(b.space.Config, index.Chunks(chunks)); !errors.Is(err, index.ErrSpace) {
			t.Errorf("the former space loads them: %v", err)
		}
		if _, err := e.Load(other.Config, index.Chunks(former)); !errors.Is(err, index.ErrSpace) {
			t.Errorf("the other space loads the former's: %v", err)
		}
		mixed := append(slices.Clone(former[:len(former)-1]), chunks[len(chunks)-1])
		if _, err := e.Load(other.Config, index.Chunks(mixed)); len(former) > 1 && err == nil {
			t.Error("chunks of both spaces were loaded together")
		}
		e.answersAs(t, b, other, chunks, rows[:20*24])
	}
}

// answersAs loads chunks in another space and compares the answers there.
func (e Engine) answersAs(t *testing.T, b *bench, other *Space, chunks []index.Chunk, queries []float32) {
	t.Helper()
	loaded, err := e.Load(other.Config, index.Chunks(chunks))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(queries); i += 24 {
		ask := func(x index.Index, s *Space) (index.Answer, error) {
			return x.Search(context.Background(), index.Query{Vector: s.Stamp(t, slices.Clone(queries[i:i+24])), K: 10, Exact: true})
		}
		before, err := ask(b.index, b.space)
		if err != nil {
			t.Fatal(err)
		}
		after, err := ask(loaded, other)
		if err != nil || !slices.Equal(before.Hits, after.Hits) {
			t.Fatalf("query %d gave %v and in the other space %v, %v", i/24, before.Hits, after.Hits, err)
		}
		if _, err := ask(loaded, b.space); !errors.Is(err, index.ErrSpace) {
			t.Fatalf("a query of the former space: %v", err)
		}
	}
	if err := loaded.Insert(context.Background(), []uint32{1 << 20}, b.space.Stamp(t, slices.Clone(queries[:24]))); !errors.Is(err, index.ErrSpace) {
		t.Errorf("a vector of the former space: %v", err)
	}
	if err := loaded.Insert(context.Background(), []uint32{1 << 20}, other.Stamp(t, slices.Clone(queries[:24]))); err != nil {
		t.Error(err)
	}
}

package tail_test

import (
	"context"
	"testing"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/exact"
	"github.com/vecino-db/vecino/index/indextest"
	"github.com/vecino-db/vecino/index/tail"
)

// stuck links nothing until it is let go.
type stuck struct {
	*exact.Index
	release chan struct{}
}

func (s stuck) Insert(ctx context.Context, ordinals []uint32, v compat.Vectors) error {
	<-s.release
	return s.Index.Insert(ctx, ordinals, v)
}

// BenchmarkFullTail is what a tail of the default length costs a query.
func BenchmarkFullTail(b *testing.B) {
	const dim, n = 384, 8 << 20 / (4 * 384)
	space := indextest.NewSpace(b, "bench", dim, compat.MetricCosine)
	vectors, err := exact.New(space.Config)
	if err != nil {
		b.Fatal(err)
	}
	engine := stuck{vectors, make(chan struct{})}
	x, err := tail.New(space.Config, engine, tail.Options{})
	if err != nil {
		b.Fatal(err)
	}
	rows := indextest.Clustered(1, n+100, dim, 50, 0.5)
	if err := x.Insert(context.Background(), indextest.Ordinals(0, n), space.Stamp(b, rows[:n*dim])); err != nil {
		b.Fatal(err)
	}
	queries := space.Stamp(b, rows[n*dim:])
	b.SetBytes(n * dim * 4)
	i := 0
	for b.Loop() {
		i++
		if _, err := x.Search(context.Background(), index.Query{Vector: queries.Slice(i%100, i%100+1), K: 10}); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	close(engine.release)
	if err := x.Close(); err != nil {
		b.Fatal(err)
	}
}

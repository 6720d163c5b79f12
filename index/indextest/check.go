package indextest

import (
	"context"
	"math"
	"testing"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
)

// bench is an index under test beside its oracle.
type bench struct {
	t      testing.TB
	engine Engine
	space  *Space
	index  index.Index
	oracle *Oracle
}

func (e Engine) bench(t testing.TB, dim int, metric compat.Metric) *bench {
	t.Helper()
	space := NewSpace(t, "suite", dim, metric)
	space.Config.Build.Encoding = e.Encoding
	x, err := e.New(space.Config)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return &bench{t: t, engine: e, space: space, index: x, oracle: NewOracle(metric)}
}

// insert puts rows into both.
func (b *bench) insert(ordinals []uint32, rows []float32) {
	b.t.Helper()
	if err := b.index.Insert(context.Background(), ordinals, b.space.Stamp(b.t, rows)); err != nil {
		b.t.Fatalf("Insert: %v", err)
	}
	b.oracle.Put(ordinals, rows)
}

// delete takes ordinals from both.
func (b *bench) delete(ordinals []uint32) {
	b.index.Delete(ordinals)
	b.oracle.Delete(ordinals)
}

// search asks, and checks what must hold of every answer: as many hits as match,
// each live, admitted, once, scored right, and in order. It returns recall@k,
// counting hits as near as the true k-th.
func (b *bench) search(query []float32, k int, q index.Query) (recall float64, plan index.Plan) {
	b.t.Helper()
	q.Vector, q.K = b.space.Stamp(b.t, query), k
	answer, err := b.index.Search(context.Background(), q)
	if err != nil {
		b.t.Fatalf("Search: %v", err)
	}
	kth, matches := b.oracle.Kth(query, max(k, 0), q.Filter)
	want := min(max(k, 0), matches)
	if len(answer.Hits) != want {
		b.t.Fatalf("%s plan gave %d hits, want %d (k %d, %d matches)", answer.Plan, len(answer.Hits), want, k, matches)
	}
	if want == 0 {
		return 1, answer.Plan
	}
	seen := map[uint32]bool{}
	good := 0
	for i, h := range answer.Hits {
		if _, ok := b.oracle.vectors[h.Ordinal]; !ok || seen[h.Ordinal] || q.Filter != nil && !q.Filter.Contains(h.Ordinal) {
			b.t.Fatalf("hit %d, ordinal %d: live %v, again %v, or not admitted", i, h.Ordinal, ok, seen[h.Ordinal])
		}
		seen[h.Ordinal] = true
		slack := b.slack(query)
		score := b.oracle.Score(query, h.Ordinal)
		if math.Abs(score-float64(h.Score)) > slack {
			b.t.Fatalf("hit %d, ordinal %d: score %g, want %g", i, h.Ordinal, h.Score, score)
		}
		if i > 0 {
			before := answer.Hits[i-1]
			if b.oracle.nearer(float64(h.Score), float64(before.Score), 0) || h.Score == before.Score && h.Ordinal < before.Ordinal {
				b.t.Fatalf("hits %d and %d are out of order: %v, %v", i-1, i, before, h)
			}
		}
		if !b.oracle.nearer(kth, score, slack) {
			good++
		}
	}
	return float64(good) / float64(want), answer.Plan
}

// slack is the rounding that a score may carry: float32 sums of dimension terms,
// and for L2 the root of one near zero.
func (b *bench) slack(query []float32) float64 {
	var norm float64
	for _, x := range query {
		norm += float64(x) * float64(x)
	}
	factor := max(b.engine.Slack, 1)
	switch b.space.Config.Metric {
	case compat.MetricCosine:
		return 2e-6 * factor
	case compat.MetricL2:
		return 1e-5 * factor * math.Sqrt(norm)
	default:
		return 1e-5 * factor * norm
	}
}

// recall is the mean recall over queries (row-major).
func (b *bench) recall(queries []float32, k int, q index.Query) float64 {
	b.t.Helper()
	dim := b.space.Config.Dimension
	sum, n := 0.0, len(queries)/dim
	for i := range n {
		recall, _ := b.search(queries[i*dim:(i+1)*dim], k, q)
		sum += recall
	}
	return sum / float64(n)
}

// chunks are those of a Save.
func (b *bench) chunks() []index.Chunk {
	b.t.Helper()
	b.settle()
	var chunks []index.Chunk
	if err := b.index.Save(func(c index.Chunk) error {
		chunks = append(chunks, c)
		return nil
	}); err != nil {
		b.t.Fatalf("Save: %v", err)
	}
	return chunks
}

// settle lets an engine that works in the background come to rest.
func (b *bench) settle() {
	b.t.Helper()
	if x, ok := index.As[index.Settler](b.index); ok {
		if err := x.Settle(context.Background()); err != nil {
			b.t.Fatalf("Settle: %v", err)
		}
	}
}

package bench

import (
	"context"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/dataset"
	"github.com/vecino-db/vecino/index/internal/measure"
)

// Correlation says which vectors a filter admits.
type Correlation string

// The correlations.
const (
	Random Correlation = "random" // any, the same for all queries
	Near   Correlation = "near"   // the nearest to the query: filter and query want the same
	Far    Correlation = "far"    // the farthest from it: what is near is filtered away
)

// Correlations are all of them.
func Correlations() []Correlation { return []Correlation{Random, Near, Far} }

// Filtered is what one engine does under a filter.
type Filtered struct {
	Name        string         `json:"name"`
	Correlation Correlation    `json:"correlation"`
	Share       float64        `json:"share"`
	Matches     int            `json:"matches"` // vectors that the filter admits
	Ef          int            `json:"ef"`
	K           int            `json:"k"`
	Recall      float64        `json:"recall"`
	QPS         float64        `json:"queries_per_second"`
	P99         float64        `json:"p99_microseconds"`
	ExactQPS    float64        `json:"exact_queries_per_second"` // the same index scanning the matches
	ExactRecall float64        `json:"exact_recall"`
	Plans       map[string]int `json:"plans"`
}

// FilterSet is filters for the queries, and the truth under them.
type FilterSet struct {
	correlation Correlation
	share       float64
	admits      []*bitmap // by query
	truth       dataset.Neighbours
}

// Admits is the filter of a query.
func (f *FilterSet) Admits(query int) index.Filter { return f.admits[query] }

// bitmap is the simplest filter: a bit for each ordinal.
type bitmap struct {
	words []uint64
	count int
}

func newBitmap(n int) *bitmap { return &bitmap{words: make([]uint64, (n+63)/64)} }

func (b *bitmap) add(ordinal uint32) {
	b.words[ordinal/64] |= 1 << (ordinal % 64)
	b.count++
}

// Contains is index.Filter's.
func (b *bitmap) Contains(ordinal uint32) bool {
	return int(ordinal/64) < len(b.words) && b.words[ordinal/64]>>(ordinal%64)&1 != 0
}

// Count is index.Filter's.
func (b *bitmap) Count() int { return b.count }

// Each is index.Filter's.
func (b *bitmap) Each(f func(ordinal uint32) bool) {
	for i, w := range b.words {
		for ; w != 0; w &= w - 1 {
			if !f(uint32(i*64 + bits.TrailingZeros64(w))) {
				return
			}
		}
	}
}

// Filters makes filters that admit a share of the vectors, k at least, and
// finds the truth under them.
func (d *Data) Filters(ctx context.Context, how Correlation, share float64, seed uint64) (*FilterSet, error) {
	if !(share > 0 && share <= 1) {
		return nil, fmt.Errorf("bench: a filter admits a share above 0, at most 1, not %v", share)
	}
	f := &FilterSet{correlation: how, share: share, admits: make([]*bitmap, d.Queries.Len())}
	n := d.Base.Len()
	matches := min(n, max(int(share*float64(n)), d.params.K))
	switch how {
	case Random:
		all := newBitmap(n)
		for _, i := range rand.New(rand.NewPCG(seed, 3)).Perm(n)[:matches] {
			all.add(uint32(i))
		}
		for i := range f.admits {
			f.admits[i] = all
		}
	case Near, Far:
		if err := d.rank(ctx, f, matches); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("bench: no correlation %q; random, near and far are there", how)
	}
	var err error
	f.truth, err = dataset.Nearest(ctx, d.Base, d.Queries, dataset.NearestOptions{
		Metric: d.params.Metric, K: d.params.K, Threads: d.threads(), Admit: func(query, row int) bool { return f.admits[query].Contains(uint32(row)) },
	})
	return f, err
}

// rank admits the nearest or the farthest vectors of each query.
func (d *Data) rank(ctx context.Context, f *FilterSet, matches int) error {
	m := measure.Of(d.params.Metric)
	query, row := make([]float32, d.Base.Dim()), make([]float32, d.Base.Dim())
	keys := make([][]uint64, d.Queries.Len())
	// Vector by vector, so that each is normalized once.
	for i := range keys {
		keys[i] = make([]uint64, 0, d.Base.Len())
	}
	for r := range d.Base.Len() {
		if r%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		m.Prepare(row, d.Base.Row(r))
		for i := range keys {
			m.Prepare(query, d.Queries.Row(i))
			keys[i] = append(keys[i], uint64(m.Key(m.Raw(query, row)))<<32|uint64(r))
		}
	}
	for i, k := range keys {
		slices.Sort(k)
		if f.correlation == Far {
			slices.Reverse(k)
		}
		f.admits[i] = newBitmap(d.Base.Len())
		for _, key := range k[:matches] {
			f.admits[i].add(uint32(key))
		}
		keys[i] = nil
	}
	return nil
}

// Filtered asks all queries under their filters, by the engine's own plan and
// by a scan of the matches.
func (d *Data) Filtered(ctx context.Context, b *Built, f *FilterSet, ef, passes int) (Filtered, error) {
	out := Filtered{
		Name: b.Engine.String(), Correlation: f.correlation, Share: f.share, Matches: f.admits[0].Count(), Ef: ef, K: d.params.K, Plans: map[string]int{},
	}
	var micros []float64
	for _, exact := range []bool{true, false} {
		found := 0
		var mu sync.Mutex
		with := func(i int) index.Query { return index.Query{Ef: ef, Exact: exact, Filter: f.admits[i]} }
		err := d.ask(ctx, b.Index, with, func(i int, a index.Answer, took time.Duration) {
			right := rightOf(f.truth.Row(i)[:d.params.K], a.Hits)
			mu.Lock()
			defer mu.Unlock()
			if found += right; !exact {
				micros = append(micros, float64(took.Nanoseconds())/1e3)
				out.Plans[string(a.Plan)]++
			}
		})
		if err != nil {
			return out, err
		}
		fastest := 1e18
		for range max(1, passes) {
			c := startClock()
			if err := d.ask(ctx, b.Index, with, nil); err != nil {
				return out, err
			}
			processor, _ := c.stop()
			fastest = min(fastest, processor)
		}
		qps, recall := float64(d.Queries.Len())/fastest, float64(found)/float64(d.Queries.Len()*d.params.K)
		if exact {
			out.ExactQPS, out.ExactRecall = qps, recall
		} else {
			out.QPS, out.Recall = qps, recall
		}
	}
	slices.Sort(micros)
	out.P99 = quantile(micros, 0.99)
	return out, nil
}

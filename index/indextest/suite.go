package indextest

import (
	"context"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
)

// Engine is what the suite needs to know of an engine.
type Engine struct {
	Name string
	New  func(cfg index.Config) (index.Index, error)
	Load func(cfg index.Config, source index.Source) (index.Index, error)
	// Recall is the least recall@10 at ef 64 on 10,000 clustered vectors of
	// dimension 128, fewer in an encoding. An engine that promises less than 0.9 is held to nothing
	// in the other tests but that its hits are as many as match, live, scored
	// right and in order.
	Recall float64
	// Encoding of the vectors; none is f32.
	Encoding compat.Encoding
	// Slack is how much less exact than float32 sums its scores may be; 0 is 1.
	Slack float64
	// Slow engines run the other tests on fewer vectors.
	Slow bool
}

// Run is the suite.
func Run(t *testing.T, e Engine) {
	e = e.closing(t)
	t.Run("recall", e.testRecall)
	t.Run("metrics", e.testMetrics)
	t.Run("tiny", e.testTiny)
	t.Run("space", e.testSpace)
	t.Run("identical", e.testIdentical)
	t.Run("near duplicates", e.testNearDuplicates)
	t.Run("delete everything", e.testDeleteEverything)
	t.Run("half deleted", e.testHalfDeleted)
	t.Run("update in place", e.testUpdate)
	t.Run("filters", e.testFilters)
	t.Run("context", e.testContext)
	t.Run("concurrency", e.testConcurrency)
	t.Run("checkpoint", e.testCheckpoint)
	t.Run("checkpoint beside writers", e.testCheckpointBesideWriters)
	t.Run("incremental checkpoint", e.testIncremental)
	t.Run("resealed", e.testReseal)
	t.Run("damage", e.testDamage)
}

// RunConcurrent is the part of the suite that the race detector has something to
// say about.
func RunConcurrent(t *testing.T, e Engine) {
	e = e.closing(t)
	t.Run("concurrency", e.testConcurrency)
	t.Run("checkpoint beside writers", e.testCheckpointBesideWriters)
	t.Run("incremental checkpoint", e.testIncremental)
}

// closing is e whose indexes are closed at the end of the test, where they can be.
func (e Engine) closing(t *testing.T) Engine {
	var mu sync.Mutex
	var all []io.Closer
	t.Cleanup(func() {
		for _, c := range all {
			if err := c.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
	})
	note := func(x index.Index, err error) (index.Index, error) {
		if c, ok := x.(io.Closer); ok && err == nil {
			mu.Lock()
			defer mu.Unlock()
			all = append(all, c)
		}
		return x, err
	}
	create, load := e.New, e.Load
	e.New = func(cfg index.Config) (index.Index, error) { return note(create(cfg)) }
	e.Load = func(cfg index.Config, source index.Source) (index.Index, error) { return note(load(cfg, source)) }
	return e
}

// seed of all generators of the suite.
const seed = 20240611

var metrics = []compat.Metric{compat.MetricCosine, compat.MetricDot, compat.MetricL2}

// bytes of one component, at least.
func (e Engine) bytes() float64 {
	switch e.Encoding {
	case compat.EncodingInt8:
		return 2
	case compat.EncodingLVQ4x8:
		return 1.5
	default:
		return 4
	}
}

// coded reports whether vectors are kept as something else than they are.
func (e Engine) coded() bool { return e.Encoding != "" && e.Encoding != compat.EncodingF32 }

// size is whole, and less where an engine runs the suite once more for an encoding.
func (e Engine) size(n int) int {
	if e.coded() && e.whole(n) == n {
		return n * 2 / 5
	}
	return e.whole(n)
}

// whole is n, or less for slow engines, in short runs, and under the race
// detector, which makes all some ten times slower and sees races early.
func (e Engine) whole(n int) int {
	switch {
	case raceEnabled:
		return n / 10
	case e.Slow || testing.Short():
		return n / 5
	}
	return n
}

// filled is an index of n clustered vectors, and queries from the same clusters.
func (e Engine) filled(t *testing.T, n, dim int, metric compat.Metric) (b *bench, rows, queries []float32) {
	t.Helper()
	t.Logf("seed %d, %d x %d, %s", seed, n, dim, metric)
	const nq = 50
	all := Clustered(seed, n+nq, dim, max(n/100, 20), 0.8)
	b = e.bench(t, dim, metric)
	rows, queries = all[:n*dim], all[n*dim:]
	b.insert(Ordinals(0, n), rows)
	return b, rows, queries
}

// least is the recall that the engine must reach outside of testRecall.
func (e Engine) least() float64 {
	if e.Recall < 0.9 {
		return 0
	}
	return e.Recall
}

// floor reports a recall below what the engine must reach.
func (e Engine) floor(t *testing.T, what string, recall float64) {
	t.Helper()
	t.Logf("%s: recall@10 %.3f", what, recall)
	if recall < e.least() {
		t.Errorf("%s: recall@10 %.3f, want at least %.3f", what, recall, e.least())
	}
}

func (e Engine) testRecall(t *testing.T) {
	n := 10000
	switch {
	case raceEnabled:
		n = 1500
	case e.coded():
		n = 4000
	}
	b, _, queries := e.filled(t, n, 128, compat.MetricCosine)
	r := b.recall(queries, 10, index.Query{Ef: 64})
	t.Logf("%s: recall@10 %.3f at ef 64", e.Name, r)
	if r < e.Recall {
		t.Errorf("%s: recall@10 %.3f at ef 64, want at least %.3f", e.Name, r, e.Recall)
	}
	if r := b.recall(queries, 10, index.Query{Exact: true}); r != 1 {
		t.Errorf("exact: recall@10 %.3f", r)
	}
	if _, ok := index.As[index.Settler](b.index); ok {
		b.settle()
		if r := b.recall(queries, 10, index.Query{Ef: 64}); r < e.Recall || b.index.Stats().Pending != 0 {
			t.Errorf("%s settled: recall@10 %.3f, stats %+v", e.Name, r, b.index.Stats())
		}
	}
	if s := b.index.Stats(); s.Live != b.oracle.Len() || s.Deleted != 0 || s.Bytes < int64(float64(s.Live)*128*e.bytes()) {
		t.Errorf("stats of %d vectors: %+v", b.oracle.Len(), s)
	}
}

func (e Engine) testMetrics(t *testing.T) {
	for _, metric := range metrics {
		t.Run(string(metric), func(t *testing.T) {
			b, _, queries := e.filled(t, e.size(3000), 33, metric)
			e.floor(t, "ef 64", b.recall(queries, 10, index.Query{Ef: 64}))
			if r := b.recall(queries, 10, index.Query{Exact: true}); r != 1 {
				t.Errorf("exact: recall@10 %.3f", r)
			}
		})
	}
}

func (e Engine) testTiny(t *testing.T) {
	b := e.bench(t, 3, compat.MetricL2)
	b.search([]float32{1, 2, 3}, 5, index.Query{})
	b.insert(nil, nil)
	b.delete([]uint32{7})
	b.insert([]uint32{math.MaxUint32}, []float32{1, 0, 0})
	b.insert([]uint32{5, 0}, []float32{0, 1, 0, 0, 0, 2})
	for _, k := range []int{math.MinInt, -1, 0, 1, 2, 3, 4, 1000, math.MaxInt} {
		for _, ef := range []int{-1, 0, 1, math.MaxInt} {
			for _, exact := range []bool{false, true} {
				if r, _ := b.search([]float32{1, 0.5, 0.2}, k, index.Query{Ef: ef, Exact: exact}); r != 1 {
					t.Errorf("k %d, ef %d: recall %g", k, ef, r)
				}
			}
		}
	}
	b.search([]float32{1, 0, 0}, 3, index.Query{Filter: NewSet(nil)})
	b.search([]float32{1, 0, 0}, 3, index.Query{Filter: NewSet([]uint32{1, 2})})
	b.search([]float32{1, 0, 0}, 3, index.Query{Filter: NewSet([]uint32{0, 1, math.MaxUint32})})
	if s := b.index.Stats(); s.Live != 3 {
		t.Errorf("stats: %+v", s)
	}
}

func (e Engine) testSpace(t *testing.T) {
	b := e.bench(t, 4, compat.MetricCosine)
	b.insert([]uint32{1}, []float32{1, 2, 3, 4})
	other := NewSpace(t, "another", 4, compat.MetricCosine)
	v := other.Stamp(t, []float32{4, 3, 2, 1})
	if err := b.index.Insert(context.Background(), []uint32{1}, v); !errors.Is(err, index.ErrSpace) {
		t.Errorf("Insert of another space: %v", err)
	}
	if _, err := b.index.Search(context.Background(), index.Query{Vector: v, K: 1}); !errors.Is(err, index.ErrSpace) {
		t.Errorf("Search in another space: %v", err)
	}
	if _, err := b.index.Search(context.Background(), index.Query{K: 1}); err == nil {
		t.Error("Search without a vector gave no error")
	}
	own := b.space.Stamp(t, []float32{1, 1, 1, 1, 2, 2, 2, 3})
	if err := b.index.Insert(context.Background(), []uint32{9}, own); err == nil {
		t.Error("Insert of two rows under one ordinal gave no error")
	}
	if r, _ := b.search([]float32{1, 2, 3, 4}, 3, index.Query{}); r != 1 {
		t.Error("a refused insert changed the index")
	}
	if _, err := e.New(index.Config{Dimension: 4, Metric: compat.MetricCosine}); err == nil {
		t.Error("New without a fingerprint gave no error")
	}
}

func (e Engine) testIdentical(t *testing.T) {
	n := e.size(3000)
	b, rows, queries := e.filled(t, n, 24, compat.MetricCosine)
	same := slices.Repeat(rows[:24], n)
	b.insert(Ordinals(uint32(n), n), same)
	e.floor(t, "beside many identical vectors", b.recall(queries, 10, index.Query{}))
	for _, k := range []int{10, n / 2} {
		if r, _ := b.search(rows[:24], k, index.Query{}); r < e.least() {
			t.Errorf("identical vectors, k %d: recall %.3f", k, r)
		}
	}
	b.delete(Ordinals(uint32(n), n/2))
	if r, _ := b.search(rows[:24], 10, index.Query{}); r < e.least() {
		t.Errorf("after deleting half of the identical vectors: recall %.3f", r)
	}
	b.delete([]uint32{0})
	if r, _ := b.search(rows[:24], 10, index.Query{}); r < e.least() {
		t.Errorf("after deleting the first of the identical vectors: recall %.3f", r)
	}
	// Nothing but equal vectors.
	b = e.bench(t, 24, compat.MetricL2)
	b.insert(Ordinals(0, n), same)
	if r, _ := b.search(rows[24:48], 20, index.Query{}); r != 1 {
		t.Errorf("among equal vectors only: recall %.3f", r)
	}
}

func (e Engine) testNearDuplicates(t *testing.T) {
	n := e.whole(2500)
	rng := rand.New(rand.NewPCG(seed, 2))
	for _, metric := range metrics {
		b, rows, queries := e.filled(t, n, 24, metric)
		near := slices.Repeat(rows[:24], n)
		for i := range near {
			near[i] *= 1 + 1e-6*float32(rng.NormFloat64())
		}
		b.insert(Ordinals(uint32(n), n), near)
		e.floor(t, string(metric)+" beside near-duplicates", b.recall(queries, 10, index.Query{}))
	}
}

func (e Engine) testDeleteEverything(t *testing.T) {
	n := e.size(3000)
	b, rows, queries := e.filled(t, n, 16, compat.MetricL2)
	for round := range 3 {
		b.delete(Ordinals(0, n))
		b.search(queries[:16], 10, index.Query{})
		b.search(queries[:16], 10, index.Query{Exact: true})
		if s := b.index.Stats(); s.Live != 0 {
			t.Fatalf("stats after deleting everything: %+v", s)
		}
		b.insert([]uint32{uint32(round)}, rows[:16])
		b.search(queries[:16], 10, index.Query{})
		b.insert(Ordinals(0, n), rows)
		e.floor(t, "refilled", b.recall(queries, 10, index.Query{}))
	}
	e.compact(t, b)
	e.floor(t, "compacted", b.recall(queries, 10, index.Query{}))
}

// compact asks an engine that can to let go of tombstones.
func (e Engine) compact(t *testing.T, b *bench) {
	t.Helper()
	c, ok := index.As[index.Compacter](b.index)
	if !ok {
		return
	}
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	before := b.index.Stats()
	if err := c.Compact(cancelled); before.Live > 1000 && !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled Compact: %v", err)
	}
	if err := c.Compact(context.Background()); err != nil {
		t.Fatalf("Compact: %v", err)
	}
	if s := b.index.Stats(); s.Deleted != 0 || s.Live != before.Live {
		t.Errorf("stats %+v after Compact of %+v", s, before)
	}
}

func (e Engine) testHalfDeleted(t *testing.T) {
	n := e.size(6000)
	b, _, queries := e.filled(t, n, 32, compat.MetricCosine)
	rng := rand.New(rand.NewPCG(seed, 3))
	b.delete(RandomSet(rng, n, 0.5).list)
	e.floor(t, "half deleted", b.recall(queries, 10, index.Query{}))
	// The neighbourhood of one query has gone as a whole.
	query := queries[:32]
	kth, _ := b.oracle.Kth(query, n/5, nil)
	var gone []uint32
	for ordinal := range b.oracle.vectors {
		if b.oracle.Score(query, ordinal) >= kth {
			gone = append(gone, ordinal)
		}
	}
	b.delete(gone)
	if r, plan := b.search(query, 10, index.Query{}); r < e.least() {
		t.Errorf("plan %s in a deleted neighbourhood: recall %.3f", plan, r)
	}
	e.compact(t, b)
	e.floor(t, "compacted", b.recall(queries, 10, index.Query{}))
}

func (e Engine) testUpdate(t *testing.T) {
	n := e.size(4000)
	b, rows, queries := e.filled(t, n, 32, compat.MetricCosine)
	// Every vector moves to where another one was, some of them twice.
	moved := append(slices.Clone(rows[n/2*32:]), rows[:n/2*32]...)
	b.insert(Ordinals(0, n), moved)
	b.insert(Ordinals(0, n/4), rows[:n/4*32])
	e.floor(t, "updated", b.recall(queries, 10, index.Query{}))
	for i := range 20 {
		if r, _ := b.search(rows[i*32:(i+1)*32], 1, index.Query{}); r != 1 && e.least() > 0 {
			t.Errorf("updated vector %d is not found by itself", i)
		}
	}
	if s := b.index.Stats(); s.Live != n {
		t.Errorf("stats after updates of %d vectors: %+v", n, s)
	}
}

func (e Engine) testFilters(t *testing.T) {
	n := e.whole(8000)
	b, _, queries := e.filled(t, n, 32, compat.MetricCosine)
	rng := rand.New(rand.NewPCG(seed, 4))
	for _, share := range []float64{1, 0.5, 0.1, 0.01, 0.001, 0} {
		set := RandomSet(rng, n, share)
		for _, ef := range []int{64, 32} { // narrower walks are cheaper than scans
			_, plan := b.search(queries[:32], 10, index.Query{Filter: set, Ef: ef})
			t.Logf("%d of %d admitted, ef %d: plan %s", set.Count(), n, ef, plan)
			e.floor(t, "filtered", b.recall(queries[:20*32], 10, index.Query{Filter: set, Ef: ef}))
		}
	}
	// A filter that goes along with nearness: only what is far from the query.
	query := queries[:32]
	kth, _ := b.oracle.Kth(query, n/2, nil)
	var far []uint32
	for ordinal := range b.oracle.vectors {
		if b.oracle.Score(query, ordinal) < kth {
			far = append(far, ordinal)
		}
	}
	slices.Sort(far)
	if r, plan := b.search(query, 10, index.Query{Filter: NewSet(far)}); r < e.least() {
		t.Errorf("plan %s among what is far: recall %.3f", plan, r)
	}
	// Admitted but deleted ordinals are no matches.
	b.delete(far[:len(far)-5])
	b.search(query, 10, index.Query{Filter: NewSet(far)})
}

func (e Engine) testContext(t *testing.T) {
	n := 2000
	if raceEnabled {
		n = 500
	}
	b, rows, _ := e.filled(t, n, 16, compat.MetricCosine)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	v := b.space.Stamp(t, rows[:16])
	if _, err := b.index.Search(ctx, index.Query{Vector: v, K: 10}); !errors.Is(err, context.Canceled) {
		t.Errorf("Search: %v", err)
	}
	if err := b.index.Insert(ctx, []uint32{9999}, v); !errors.Is(err, context.Canceled) {
		t.Errorf("Insert: %v", err)
	}
	if s := b.index.Stats(); s.Live != n {
		t.Errorf("stats: %+v", s)
	}
}

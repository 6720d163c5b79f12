package hnsw

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/indextest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newGraph(t testing.TB, dim int, metric compat.Metric) (*Graph, *indextest.Space) {
	t.Helper()
	space := indextest.NewSpace(t, "hnsw", dim, metric)
	g, err := New(space.Config)
	if err != nil {
		t.Fatal(err)
	}
	return g, space
}

func insert(t testing.TB, g *Graph, space *indextest.Space, first uint32, rows []float32) {
	t.Helper()
	if err := g.Insert(context.Background(), indextest.Ordinals(first, len(rows)/space.Config.Dimension), space.Stamp(t, rows)); err != nil {
		t.Fatal(err)
	}
}

// equalNodes reports whether two nodes have the same vector, bit by bit.
func equalNodes(a *arrays, x, y uint32) bool {
	if a.book != nil {
		return a.book.Row(a.rows, x).Equal(a.book.Row(a.rows, y))
	}
	return slices.Equal(a.vector(x), a.vector(y))
}

// checkInvariants looks at what the package comment promises of a graph that
// nobody writes to, and gives the share of its nodes that level 0 leads to.
func checkInvariants(t *testing.T, g *Graph) (reached float64) {
	t.Helper()
	c := g.core.Load()
	a, n := c.arrays.Load(), c.nodes.Load()
	seen := make([]bool, n)
	hung := 0
	for id := range n {
		for next := a.twins[id]; next != 0 && a.levels[id] != twin; next = a.twins[next-1] {
			if a.levels[next-1] != twin || !equalNodes(a, id, next-1) {
				t.Fatalf("node %d hangs on node %d without being its equal", next-1, id)
			}
			hung++
		}
		if a.levels[id] == twin {
			hung--
			continue
		}
		for level := range int(a.levels[id]) + 1 {
			links := map[uint32]bool{}
			ended := false
			for _, link := range a.block(id, level) {
				ended = ended || link == 0
				if ended {
					if link != 0 {
						t.Fatalf("node %d has a link behind the end of level %d", id, level)
					}
					continue
				}
				to := link - 1
				if to >= n || to == id || links[to] || a.levels[to] == twin || int(a.levels[to]) < level {
					t.Fatalf("node %d links to node %d at level %d", id, to, level)
				}
				links[to] = true
			}
		}
	}
	if hung != 0 {
		t.Errorf("%d twins hang on more or fewer than one node", hung)
	}
	entry := c.entry.Load()
	if n == 0 {
		return 1
	}
	stack := []uint32{uint32(entry) - 1}
	seen[stack[0]] = true
	count, all := 0, 0
	for len(stack) > 0 {
		id := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		count++
		for _, link := range a.block(id, 0) {
			if link != 0 && !seen[link-1] {
				seen[link-1] = true
				stack = append(stack, link-1)
			}
		}
	}
	for id := range n {
		if a.levels[id] != twin {
			all++
		}
	}
	return float64(count) / float64(all)
}

func TestGraphIsConnected(t *testing.T) {
	const dim, seed = 24, 5
	n := 2500
	switch {
	case raceEnabled:
		n = 400
	case testing.Short():
		n = 1000
	}
	t.Logf("seed %d", seed)
	// Inner products leave some short vectors without a link to them.
	for metric, floor := range map[compat.Metric]float64{compat.MetricCosine: 0.999, compat.MetricL2: 0.999, compat.MetricDot: 0.99} {
		g, space := newGraph(t, dim, metric)
		rows := indextest.Clustered(seed, n, dim, 60, 0.3)
		insert(t, g, space, 0, rows)
		insert(t, g, space, uint32(n), rows[:n/4*dim]) // twins
		g.Delete(indextest.Ordinals(0, n/2))
		insert(t, g, space, 0, indextest.Clustered(seed+1, n/2, dim, 60, 0.3))
		if reached := checkInvariants(t, g); reached < floor {
			t.Errorf("%s: level 0 leads to %.4f of the nodes", metric, reached)
		}
		if err := g.Compact(context.Background()); err != nil {
			t.Fatal(err)
		}
		if reached := checkInvariants(t, g); reached < floor {
			t.Errorf("%s: after Compact level 0 leads to %.4f of the nodes", metric, reached)
		}
	}
}

// TestArraysGrow has them outgrown again and again, beside searches.
func TestArraysGrow(t *testing.T) {
	const dim, writers, seed = 8, 3, 6
	n := 3000
	if raceEnabled {
		n = 1500
	}
	t.Logf("seed %d", seed)
	g, space := newGraph(t, dim, compat.MetricL2)
	rows := indextest.Clustered(seed, n, dim, 30, 0.5)
	capacity := 64
	shrink := func() { // as if there were room for no more
		g.writers.Lock()
		a := *g.core.Load().arrays.Load()
		a.capacity = min(a.capacity, max(capacity, int(g.core.Load().nodes.Load())))
		g.core.Load().arrays.Store(&a)
		g.writers.Unlock()
	}
	shrink()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := w; i < n; i += writers {
				if err := g.Insert(context.Background(), []uint32{uint32(i)}, space.Stamp(t, rows[i*dim:(i+1)*dim])); err != nil {
					t.Errorf("Insert: %v", err)
				}
				if w == 0 && i > capacity*3/4 {
					capacity *= 2
					shrink()
				}
				if answer, err := g.Search(context.Background(), index.Query{Vector: space.Stamp(t, rows[i*dim:(i+1)*dim]), K: 1}); err != nil || len(answer.Hits) != 1 || answer.Hits[0].Score != 0 {
					t.Errorf("vector %d after its insert: %v, %v", i, answer, err)
				}
			}
		})
	}
	wg.Wait()
	if s := g.Stats(); s.Live != n {
		t.Errorf("stats: %+v", s)
	}
	checkInvariants(t, g)
}

func TestSearchAllocatesTheAnswerOnly(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates, too")
	}
	const n, dim = 3000, 16
	g, space := newGraph(t, dim, compat.MetricCosine)
	rows := indextest.Clustered(1, n, dim, 30, 0.5)
	insert(t, g, space, 0, rows)
	q := index.Query{Vector: space.Stamp(t, rows[:dim]), K: 10}
	ctx := context.Background()
	filter := indextest.RandomSet(rand.New(rand.NewPCG(1, 1)), n, 0.7)
	for i, f := range []index.Filter{nil, filter, filter} {
		q.Filter = f
		q.Ef = []int{64, 64, 12}[i] // the last one walks
		if allocs := testing.AllocsPerRun(200, func() {
			if _, err := g.Search(ctx, q); err != nil {
				t.Fatal(err)
			}
		}); allocs > 1.5 { // a scratch may be collected in between
			t.Errorf("%.1f allocations a search with filter %v, ef %d", allocs, f != nil, q.Ef)
		}
	}
}

// countdown is a context that ends when it has been asked often enough.
type countdown struct {
	context.Context
	left int
}

func (c *countdown) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

func TestSearchStopsInTheMiddle(t *testing.T) {
	const n, dim = 2500, 4
	g, space := newGraph(t, dim, compat.MetricL2)
	insert(t, g, space, 0, indextest.Clustered(1, n, dim, 30, 2))
	v := space.Stamp(t, []float32{1, 2, 3, 4})
	most := indextest.RandomSet(rand.New(rand.NewPCG(1, 1)), n, 0.99)
	for name, q := range map[string]index.Query{
		"graph":          {Vector: v, K: 10, Ef: 120},
		"graph-filtered": {Vector: v, K: 10, Ef: 20, Filter: most},
		"exact":          {Vector: v, K: 10, Exact: true},
	} {
		answer, err := g.Search(&countdown{Context: context.Background(), left: 1}, q)
		if err != context.Canceled || len(answer.Hits) != 0 || string(answer.Plan) != name {
			t.Errorf("%s: plan %s, %d hits, %v", name, answer.Plan, len(answer.Hits), err)
		}
		if _, err := g.Search(context.Background(), q); err != nil {
			t.Errorf("%s afterwards: %v", name, err)
		}
	}
}

func TestLevelsFollowTheSeed(t *testing.T) {
	space := indextest.NewSpace(t, "levels", 2, compat.MetricL2)
	draw := func(seed uint64) (counts [maxLevel + 1]int, first [100]int) {
		cfg := space.Config.WithDefaults()
		cfg.Seed = seed
		c := core{cfg: cfg}
		for i := range 1 << 16 {
			level := c.drawLevel()
			counts[level]++
			if i < len(first) {
				first[i] = level
			}
		}
		return counts, first
	}
	counts, first := draw(1)
	// 1/16 of the nodes are above level 0: 4096 +- 62.
	if above := 1<<16 - counts[0]; above < 3700 || above > 4500 {
		t.Errorf("%d of 65536 nodes above level 0", above)
	}
	if _, again := draw(1); again != first {
		t.Error("the same seed drew other levels")
	}
	if _, other := draw(2); other == first {
		t.Error("another seed drew the same levels")
	}
}

func TestPoolIsASortedPrefix(t *testing.T) {
	const seed = 8
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		var p pool
		p.reset(1 + rng.IntN(70))
		var all []item
		expanded := map[uint32]bool{}
		for id := range uint32(60) {
			it := newItem(rng.Uint32N(100), id)
			p.insert([]uint32{it.key()}, []uint32{id})
			all = append(all, it)
			if rng.IntN(3) == 0 {
				if e, ok := p.expand(); ok {
					if expanded[e] {
						t.Fatalf("node %d expanded twice", e)
					}
					expanded[e] = true
				}
			}
		}
		nearestFirst(all)
		found := p.found()
		if len(found) != min(p.limit, len(all)) {
			t.Fatalf("%d items of %d in a pool of %d", len(found), len(all), p.limit)
		}
		for i, it := range found {
			if it.key() != all[i].key() || it&1 == 1 != expanded[it.id()] {
				t.Fatalf("item %d of the pool is %x, want key %x", i, it, all[i].key())
			}
		}
	}
}

func TestHeapSorts(t *testing.T) {
	const seed = 9
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	var h heap
	var want []item
	for range 500 {
		it := item(rng.Uint64N(300))
		h.push(it)
		want = append(want, it)
	}
	nearestFirst(want)
	for _, it := range want {
		if got := h.pop(); got != it {
			t.Fatalf("popped %d, want %d", got, it)
		}
	}
}

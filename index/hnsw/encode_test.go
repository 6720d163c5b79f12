package hnsw

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/exact"
	"github.com/vecino-db/vecino/index/indextest"
)

var coded = []compat.Encoding{compat.EncodingInt8, compat.EncodingLVQ4x8}

func newEncoded(t testing.TB, encoding compat.Encoding, dim int, metric compat.Metric) (*Graph, *indextest.Space) {
	t.Helper()
	space := indextest.NewSpace(t, "hnsw", dim, metric)
	space.Config.Build.Encoding = encoding
	g, err := New(space.Config)
	if err != nil {
		t.Fatal(err)
	}
	return g, space
}

func (g *Graph) encoded() bool { return g.core.Load().arrays.Load().book != nil }

// skipRace leaves out what has one goroutine, or those that other tests have.
func skipRace(t *testing.T) {
	if raceEnabled {
		t.Skip("long, and nothing of its own for the race detector")
	}
}

// TestEncodingBegins: vectors are float32 until a sample is there; searches that
// run meanwhile notice nothing.
func TestEncodingBegins(t *testing.T) {
	const dim, seed = 64, 21
	t.Logf("seed %d", seed)
	for _, encoding := range coded {
		g, space := newEncoded(t, encoding, dim, compat.MetricCosine)
		const n = sampleSize + 400
		rows := indextest.Clustered(seed, n, dim, 20, 0.5)
		insert(t, g, space, 0, rows[:(sampleSize-1)*dim])
		if g.encoded() {
			t.Fatalf("%s: encoded with %d vectors", encoding, sampleSize-1)
		}
		before := g.Stats()
		var reading, writing sync.WaitGroup
		done := make(chan struct{})
		for r := range 2 {
			reading.Go(func() {
				for i := r; ; i = (i + 7) % (sampleSize - 1) {
					select {
					case <-done:
						return
					default:
					}
					q := index.Query{Vector: space.Stamp(t, rows[i*dim:(i+1)*dim]), K: 3, Exact: i%2 == 0}
					answer, err := g.Search(context.Background(), q)
					if err != nil || len(answer.Hits) != 3 || math.Abs(float64(answer.Hits[0].Score)-1) > 1e-3 {
						t.Errorf("vector %d by itself: %v, %v", i, answer, err)
						return
					}
				}
			})
		}
		for w := range 2 {
			writing.Go(func() {
				for i := sampleSize - 1 + w; i < n; i += 2 {
					if err := g.Insert(context.Background(), []uint32{uint32(i)}, space.Stamp(t, rows[i*dim:(i+1)*dim])); err != nil {
						t.Errorf("Insert: %v", err)
					}
				}
			})
		}
		writing.Wait()
		close(done)
		reading.Wait()
		if !g.encoded() {
			t.Fatalf("%s: not encoded with %d vectors", encoding, n)
		}
		after := g.Stats()
		if after.Live != n || after.Bytes/int64(after.Live) >= before.Bytes/int64(before.Live) {
			t.Errorf("%s: stats %+v before, %+v after", encoding, before, after)
		}
		checkInvariants(t, g)
	}
}

// TestCompactKeepsCodesUnlessTheyDrifted: codes that fit go over to the bit,
// codes that do not are made anew, and the recall comes back.
func TestCompactKeepsCodesUnlessTheyDrifted(t *testing.T) {
	skipRace(t)
	const dim, n, seed = 32, 1200, 22
	t.Logf("seed %d", seed)
	for _, encoding := range coded {
		g, space := newEncoded(t, encoding, dim, compat.MetricL2)
		rows := indextest.Clustered(seed, n, dim, 30, 0.7)
		insert(t, g, space, 0, rows)
		book := g.core.Load().arrays.Load().book
		records := func() map[uint32]string {
			c := g.core.Load()
			a := c.arrays.Load()
			m := map[uint32]string{}
			for id := range c.nodes.Load() {
				if c.isLive(a, id) {
					m[a.ordinals[id]] = string(a.book.Append(nil, a.book.Row(a.rows, id)))
				}
			}
			return m
		}
		before := records()
		if err := g.Compact(context.Background()); err != nil {
			t.Fatal(err)
		}
		after := records()
		if g.core.Load().arrays.Load().book != book || len(after) != len(before) {
			t.Fatalf("%s: Compact made a new book of the same vectors", encoding)
		}
		for ordinal, r := range before {
			if after[ordinal] != r {
				t.Fatalf("%s: ordinal %d has other codes after Compact", encoding, ordinal)
			}
		}
		if s := g.Stats(); s.Drifted || s.Crowded() {
			t.Errorf("%s: drifted from its own sample: %+v", encoding, s)
		}

		// Ten times as long, and elsewhere.
		far := indextest.Clustered(seed+1, 2*n, dim, 30, 0.7)
		for i := range far {
			far[i] = 10*far[i] + 25
		}
		insert(t, g, space, n, far)
		if s := g.Stats(); !s.Drifted || !s.Crowded() {
			t.Errorf("%s: nobody noticed the drift: %+v", encoding, s)
		}
		if err := g.Compact(context.Background()); err != nil {
			t.Fatal(err)
		}
		if g.core.Load().arrays.Load().book == book || g.Stats().Drifted || g.Stats().Live != 3*n {
			t.Errorf("%s: Compact kept a book that does not fit: %+v", encoding, g.Stats())
		}
		checkInvariants(t, g)
		if recall := truthRecall(t, g, space, append(slices.Clone(rows), far...), far[:50*dim], 64); recall < 0.95 {
			t.Errorf("%s: recall@10 %.3f after the drift", encoding, recall)
		}
	}
}

// TestTwoScalesAreNoDrift: vectors of two scales, which no book fits, do not
// have the owner compact over and over.
func TestTwoScalesAreNoDrift(t *testing.T) {
	const dim, n, seed = 32, 2 * sampleSize, 26
	t.Logf("seed %d", seed)
	for _, encoding := range coded {
		// Nothing here depends on how good the graph is.
		space := indextest.NewSpace(t, "scales", dim, compat.MetricL2)
		space.Config.Build.Encoding, space.Config.Build.M, space.Config.Build.EfConstruction = encoding, 4, 16
		g, err := New(space.Config)
		if err != nil {
			t.Fatal(err)
		}
		small := indextest.Clustered(seed, n, dim, 30, 0.7)
		insert(t, g, space, 0, small)
		large := indextest.Clustered(seed+1, 2*n, dim, 30, 0.7)
		for i := range large {
			large[i] *= 40
		}
		insert(t, g, space, n, large)
		for range 2 {
			if err := g.Compact(context.Background()); err != nil {
				t.Fatal(err)
			}
			insert(t, g, space, 0, small)
			insert(t, g, space, n, large)
			if s := g.Stats(); s.Drifted {
				t.Errorf("%s: the same vectors again have drifted: %+v", encoding, s)
			}
		}
	}
}

// TestCompactAndTheFirstCodes: while Compact runs nothing is encoded, and what
// came to a sample meanwhile is as soon as it is done, or at the next insert.
func TestCompactAndTheFirstCodes(t *testing.T) {
	const dim, n, seed = 8, sampleSize + 100, 25
	t.Logf("seed %d", seed)
	rows := indextest.Clustered(seed, n+1, dim, 20, 0.7)
	for _, encoding := range coded {
		for _, compact := range []bool{false, true} {
			g, space := newEncoded(t, encoding, dim, compat.MetricL2)
			insert(t, g, space, 0, rows[:100*dim])
			g.compacting.Lock()
			next, err := g.succeed(nil)
			if err != nil {
				t.Fatal(err)
			}
			insert(t, g, space, 100, rows[100*dim:n*dim])
			next.copyAll(context.Background())
			if g.encoded() || next.core.arrays.Load().book != nil {
				t.Fatalf("%s: encoded while Compact runs", encoding)
			}
			if live := next.core.live.Load(); live != n {
				t.Fatalf("%s: %d vectors in the next graph, want %d", encoding, live, n)
			}
			g.next.Store(nil)
			g.compacting.Unlock()
			live := n
			if compact {
				if err := g.Compact(context.Background()); err != nil {
					t.Fatal(err)
				}
			} else {
				insert(t, g, space, n, rows[n*dim:])
				live++
			}
			if s := g.Stats(); !g.encoded() || s.Live != live {
				t.Errorf("%s: encoded %v after Compact (%v), %+v", encoding, g.encoded(), compact, s)
			}
			checkInvariants(t, g)
		}
	}
}

// TestCompactOfCodesBesideWriters: vectors that come and go while graphs over
// codes are compacted, with the first codes in between and a drift later on,
// are there after, by the codes of the graph that serves.
func TestCompactOfCodesBesideWriters(t *testing.T) {
	const dim, first, writers, each, seed = 16, sampleSize - 200, 3, 600, 26
	t.Logf("seed %d", seed)
	for _, encoding := range coded {
		g, space := newEncoded(t, encoding, dim, compat.MetricL2)
		rows := indextest.Clustered(seed, first+writers*each, dim, 30, 0.7)
		for i := first + writers*each/2; i < first+writers*each; i++ {
			for j := range dim {
				rows[i*dim+j] = 10*rows[i*dim+j] + 25
			}
		}
		insert(t, g, space, 0, rows[:first*dim])
		var writing sync.WaitGroup
		for w := range writers {
			writing.Go(func() {
				for i := first + w; i < first+writers*each; i += writers {
					if err := g.Insert(context.Background(), []uint32{uint32(i)}, space.Stamp(t, slices.Clone(rows[i*dim:(i+1)*dim]))); err != nil {
						t.Errorf("Insert: %v", err)
					}
					if i%4 == 0 && i < 2*first {
						g.Delete([]uint32{uint32(i - first)})
					}
				}
			})
		}
		for range 4 {
			if err := g.Compact(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		writing.Wait()
		if err := g.Compact(context.Background()); err != nil {
			t.Fatal(err)
		}
		if s := g.Stats(); !g.encoded() || s.Deleted != 0 {
			t.Errorf("%s: encoded %v, %+v", encoding, g.encoded(), s)
		}
		checkInvariants(t, g)
		c := g.core.Load()
		a := c.arrays.Load()
		got := make([]float32, dim)
		for i := range first + writers*each {
			link := c.table.Get(uint32(i))
			deleted := i < first && (i+first)%4 == 0
			if (link == 0) != deleted {
				t.Fatalf("%s: ordinal %d has node %d, deleted: %v", encoding, i, link, deleted)
			}
			if deleted {
				continue
			}
			a.decode(got, link-1)
			for j, x := range rows[i*dim : (i+1)*dim] {
				if math.Abs(float64(got[j]-x)) > 1 {
					t.Fatalf("%s: ordinal %d is %v, want %v", encoding, i, got, rows[i*dim:(i+1)*dim])
				}
			}
		}
	}
}

// truthRecall is recall@10 against float32 vectors, compared exactly.
func truthRecall(t testing.TB, g *Graph, space *indextest.Space, rows, queries []float32, ef int) float64 {
	t.Helper()
	cfg := space.Config
	cfg.Build.Encoding = compat.EncodingF32
	oracle, err := exact.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	dim := cfg.Dimension
	if err := oracle.Insert(context.Background(), indextest.Ordinals(0, len(rows)/dim), space.Stamp(t, rows)); err != nil {
		t.Fatal(err)
	}
	hit, all := 0, 0
	for i := 0; i < len(queries); i += dim {
		q := index.Query{Vector: space.Stamp(t, queries[i:i+dim]), K: 10, Ef: ef}
		got, err := g.Search(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		want, err := oracle.Search(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range want.Hits {
			all++
			if slices.ContainsFunc(got.Hits, func(h index.Hit) bool { return h.Ordinal == w.Ordinal }) {
				hit++
			}
		}
	}
	return float64(hit) / float64(all)
}

// TestRecallOfEncodings shows what an encoding costs: recall@10 against exact
// search over the float32 vectors, at the ef of a graph that keeps those.
func TestRecallOfEncodings(t *testing.T) {
	skipRace(t)
	const seed, queries = 23, 100
	for _, c := range []struct{ dim, n int }{{384, 2000}, {768, 1500}, {1536, 1100}} {
		if testing.Short() && c.dim > 384 {
			continue
		}
		t.Logf("seed %d, %d x %d", seed, c.n, c.dim)
		all := indextest.Manifold(seed, c.n+queries, c.dim, 96, c.n/300, 1.2)
		rows, query := all[:c.n*c.dim], all[c.n*c.dim:]
		least := map[int]float64{}
		for _, encoding := range append([]compat.Encoding{compat.EncodingF32}, coded...) {
			g, space := newEncoded(t, encoding, c.dim, compat.MetricCosine)
			insert(t, g, space, 0, rows)
			out := ""
			for _, ef := range []int{16, 32, 64} {
				recall := truthRecall(t, g, space, rows, query, ef)
				out += fmt.Sprintf("  %.3f at ef %d", recall, ef)
				if encoding == compat.EncodingF32 {
					least[ef] = recall - 0.02
				}
				if recall < least[ef] {
					t.Errorf("%s, %d dimensions: recall@10 %.3f at ef %d, want at least %.3f", encoding, c.dim, recall, ef, least[ef])
				}
			}
			t.Logf("%-6s %4d dimensions:%s, %d bytes a vector", encoding, c.dim, out, g.Stats().Bytes/int64(c.n))
		}
	}
}

func TestEncodedSearchAllocatesTheAnswerOnly(t *testing.T) {
	const n, dim = 3000, 16
	for _, encoding := range coded {
		g, space := newEncoded(t, encoding, dim, compat.MetricL2)
		rows := indextest.Clustered(1, n, dim, 30, 0.5)
		insert(t, g, space, 0, rows)
		q := index.Query{Vector: space.Stamp(t, rows[:dim]), K: 10}
		some := indextest.RandomSet(rand.New(rand.NewPCG(1, 1)), n, 0.7)
		for i, f := range []index.Filter{nil, some, some} {
			q.Filter = f
			q.Ef = []int{64, 64, 12}[i] // the last one walks
			if allocs := testing.AllocsPerRun(200, func() {
				if _, err := g.Search(context.Background(), q); err != nil {
					t.Fatal(err)
				}
			}); allocs > 1.5 && !raceEnabled {
				t.Errorf("%s: %.1f allocations a search with filter %v", encoding, allocs, f != nil)
			}
		}
	}
}

// TestEncodedGraphIsConnected looks at links and twins of graphs over codes.
func TestEncodedGraphIsConnected(t *testing.T) {
	skipRace(t)
	const dim, n, seed = 24, 1800, 24
	t.Logf("seed %d", seed)
	for _, encoding := range coded {
		for metric, floor := range map[compat.Metric]float64{compat.MetricCosine: 0.998, compat.MetricL2: 0.998, compat.MetricDot: 0.98} {
			g, space := newEncoded(t, encoding, dim, metric)
			rows := indextest.Clustered(seed, n, dim, 60, 0.3)
			insert(t, g, space, 0, rows)
			insert(t, g, space, n, rows[:n/4*dim]) // twins
			if reached := checkInvariants(t, g); reached < floor {
				t.Errorf("%s, %s: level 0 leads to %.4f of the nodes", encoding, metric, reached)
			}
		}
	}
}

// TestCheckpointOfAnotherEncodingIsRefused, and so is one whose book is gone.
func TestCheckpointOfAnotherEncodingIsRefused(t *testing.T) {
	const dim = 8
	rows := indextest.Clustered(1, sampleSize+50, dim, 10, 1)
	save := func(g *Graph) (chunks []index.Chunk) {
		if err := g.Save(func(c index.Chunk) error { chunks = append(chunks, c); return nil }); err != nil {
			t.Fatal(err)
		}
		return chunks
	}
	load := func(encoding compat.Encoding, chunks []index.Chunk) error {
		_, space := newEncoded(t, encoding, dim, compat.MetricL2)
		_, err := Load(space.Config, index.Chunks(chunks))
		return err
	}
	every := append([]compat.Encoding{compat.EncodingF32}, coded...)
	for _, from := range every {
		for _, n := range []int{100, sampleSize + 50} {
			g, space := newEncoded(t, from, dim, compat.MetricL2)
			insert(t, g, space, 0, rows[:n*dim])
			chunks := save(g)
			for _, to := range every {
				if err := load(to, slices.Clone(chunks)); (err == nil) != (from == to) {
					t.Errorf("%d vectors saved as %s, loaded as %s: %v", n, from, to, err)
				}
			}
		}
	}
}

// TestTightClusters: where a cluster is hardly wider than the steps of the codes,
// a broader search finds more, because more of what it meets is compared in the
// fine layer, too.
func TestTightClusters(t *testing.T) {
	skipRace(t)
	const n, dim, clusters, seed = 6000, 32, 8, 27
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	centres := indextest.Clustered(seed, clusters, dim, clusters, 0.01)
	rows := make([]float32, n*dim)
	for i := range rows {
		rows[i] = centres[i/dim%clusters*dim+i%dim] + 0.1*float32(rng.NormFloat64())
	}
	queries := rows[:100*dim]
	for encoding, floor := range map[compat.Encoding]float64{compat.EncodingInt8: 0.9, compat.EncodingLVQ4x8: 0.75} {
		g, space := newEncoded(t, encoding, dim, compat.MetricCosine)
		insert(t, g, space, 0, rows)
		narrow, broad := truthRecall(t, g, space, rows, queries, 32), truthRecall(t, g, space, rows, queries, 250)
		t.Logf("%s: recall@10 %.3f at ef 32, %.3f at 250", encoding, narrow, broad)
		if broad < floor || broad < narrow {
			t.Errorf("%s: recall@10 %.3f at ef 32, %.3f at 250, want %.2f", encoding, narrow, broad, floor)
		}
	}
}

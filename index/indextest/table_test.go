package indextest_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/coder"
	"github.com/vecino-db/vecino/index/exact"
	"github.com/vecino-db/vecino/index/hnsw"
	"github.com/vecino-db/vecino/index/indextest"
)

var (
	tableSize  = flag.Int("table.n", 10000, "vectors of BenchmarkEngines")
	tableDim   = flag.Int("table.dim", 128, "their dimension")
	tableOf    = flag.String("table.engines", "exact,coder,hnsw", "the engines to compare")
	annDir     = flag.String("ann", "", "directory of base.f32, query.f32 and gtN.i32, for BenchmarkAnn")
	annDim     = flag.Int("ann.dim", 384, "dimension of that data set")
	annEf      = flag.String("ann.ef", "10,12,16,20,30,40,60,80,120,200,400", "the ef of the sweep")
	annCode    = flag.String("ann.encoding", "f32", "how the graph keeps vectors: f32, int8 or lvq4x8")
	annRows    = flag.Int("ann.n", 0, "take only the first so many; 0: all")
	annBetter  = flag.Bool("ann.optimize", false, "sweep again after Optimize")
	annWriters = flag.Int("ann.writers", 1, "goroutines that insert at once")
	annSaved   = flag.String("ann.saved", "", "a file to keep the built graph in")
)

func open(t testing.TB, name string, cfg index.Config) index.Index {
	var (
		x   index.Index
		err error
	)
	switch name {
	case "exact":
		x, err = exact.New(cfg)
	case "coder":
		x, err = coder.New(cfg)
	case "hnsw":
		x, err = hnsw.New(cfg)
	default:
		t.Fatalf("no engine %q", name)
	}
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// BenchmarkEngines compares the engines on one set of clustered vectors, in CPU
// time, and prints a table:
//
//	go test ./index/indextest -run '^$' -bench Engines -benchtime 1x
//	go test ./index/indextest -run '^$' -bench Engines -benchtime 1x -table.n 100000 -table.dim 384
func BenchmarkEngines(b *testing.B) {
	const (
		seed    = 7
		queries = 500
	)
	n, dim := *tableSize, *tableDim
	// Points near a surface of 96 dimensions, in clusters that overlap, as
	// embeddings are; see Manifold.
	rows := indextest.Manifold(seed, n+queries, dim, min(96, dim), max(n/300, 1), 1.2)
	space := indextest.NewSpace(b, "table", dim, compat.MetricCosine)
	base := space.Stamp(b, rows[:n*dim])
	query := space.Stamp(b, rows[n*dim:])

	var out bytes.Buffer
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "engine\tef\trecall@10\tqueries/s\tinserts/s\tbytes a vector\t\n")
	for range b.N {
		for _, name := range strings.Split(*tableOf, ",") {
			x := open(b, name, space.Config)
			start := cpuTime()
			if err := x.Insert(context.Background(), indextest.Ordinals(0, n), base); err != nil {
				b.Fatal(err)
			}
			inserts := float64(n) / (cpuTime() - start).Seconds()
			efs := []int{64}
			if name == "hnsw" {
				efs = []int{16, 32, 64, 128}
			}
			for _, ef := range efs {
				recall, err := index.MeasureRecall(context.Background(), x, query.Slice(0, 200), 10, ef)
				if err != nil {
					b.Fatal(err)
				}
				fmt.Fprintf(w, "%s\t%d\t%.3f\t%.0f\t%.0f\t%d\t\n", name, ef, recall.Recall, rate(b, x, query, ef), inserts, x.Stats().Bytes/int64(n))
			}
		}
	}
	w.Flush()
	fmt.Printf("\n%d x %d, cosine, clustered, seed %d, %s/%s, one goroutine, CPU time\n%s\n", n, dim, seed, runtime.GOOS, runtime.GOARCH, out.String())
}

// rate is the queries per second of CPU time, best of three rounds.
func rate(b *testing.B, x index.Index, queries compat.Vectors, ef int) float64 {
	best := time.Duration(1 << 62)
	for range 3 {
		start := cpuTime()
		for i := range queries.Len() {
			if _, err := x.Search(context.Background(), index.Query{Vector: queries.Slice(i, i+1), K: 10, Ef: ef}); err != nil {
				b.Fatal(err)
			}
		}
		best = min(best, cpuTime()-start)
	}
	return float64(queries.Len()) / best.Seconds()
}

// BenchmarkAnn runs the hnsw engine on a data set in the files that the usual
// comparison programs read: base.f32 and query.f32 (row-major, little-endian)
// and gtN.i32 (the ten true neighbours of each query among N). It prints the
// same columns as those programs, in CPU time:
//
//	go test ./index/indextest -run '^$' -bench Ann -benchtime 1x -ann DIR -ann.dim 384 -ann.encoding int8
func BenchmarkAnn(b *testing.B) {
	if *annDir == "" {
		b.Skip("name a data set with -ann DIR")
	}
	dim := *annDim
	baseRows, queryRows := floats(b, "base.f32"), floats(b, "query.f32")
	if *annRows > 0 {
		baseRows = baseRows[:*annRows*dim]
	}
	n := len(baseRows) / dim
	truth := read(b, fmt.Sprintf("gt%d.i32", n))
	space := indextest.NewSpace(b, "ann", dim, compat.MetricCosine)
	space.Config.Build.Encoding = compat.Encoding(*annCode)
	queries := space.Stamp(b, queryRows)
	for range b.N {
		x := annGraph(b, space, baseRows, n)
		annSweep(b, x, queries, truth, n)
		if !*annBetter {
			continue
		}
		start := cpuTime()
		if err := x.(index.Optimizer).Optimize(context.Background(), nil); err != nil {
			b.Fatal(err)
		}
		fmt.Printf("vecino %s n=%d optimize %.1fs\n", *annCode, n, (cpuTime() - start).Seconds())
		annSweep(b, x, queries, truth, n)
	}
}

// annSweep prints recall and rate at each ef.
func annSweep(b *testing.B, x index.Index, queries compat.Vectors, truth []byte, n int) {
	for _, field := range strings.Split(*annEf, ",") {
		var ef int
		if _, err := fmt.Sscan(field, &ef); err != nil {
			b.Fatal(err)
		}
		hit := 0
		for i := range queries.Len() {
			answer, err := x.Search(context.Background(), index.Query{Vector: queries.Slice(i, i+1), K: 10, Ef: ef})
			if err != nil {
				b.Fatal(err)
			}
			var want [10]uint32
			for j := range want {
				want[j] = binary.LittleEndian.Uint32(truth[(i*10+j)*4:])
			}
			for _, h := range answer.Hits {
				if slices.Contains(want[:], h.Ordinal) {
					hit++
				}
			}
		}
		perSecond := rate(b, x, queries, ef)
		fmt.Printf("vecino %s n=%d ef=%d recall@10=%.4f qps=%.0f us=%.1f\n", *annCode, n, ef, float64(hit)/float64(10*queries.Len()), perSecond, 1e6/perSecond)
	}
}

// annGraph builds the graph, or loads the one of an earlier run.
func annGraph(b *testing.B, space *indextest.Space, rows []float32, n int) index.Index {
	if data, err := os.ReadFile(*annSaved); err == nil && *annSaved != "" {
		var chunks index.Chunks
		for len(data) > 0 {
			size := binary.LittleEndian.Uint64(data)
			chunks = append(chunks, data[8:8+size])
			data = data[8+size:]
		}
		x, err := hnsw.Load(space.Config, chunks)
		if err != nil {
			b.Fatal(err)
		}
		return x
	}
	x := open(b, "hnsw", space.Config)
	start := cpuTime()
	insertAll(b, x, space.Stamp(b, rows), *annWriters)
	seconds := (cpuTime() - start).Seconds()
	fmt.Printf("\nvecino %s n=%d build %.1fs %.0f vec/s bytes/vec %d\n", *annCode, n, seconds, float64(n)/seconds, x.Stats().Bytes/int64(n))
	if *annSaved != "" {
		var out []byte
		if err := x.Save(func(c index.Chunk) error {
			out = binary.LittleEndian.AppendUint64(out, uint64(len(c)))
			out = append(out, c...)
			return nil
		}); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(*annSaved, out, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	return x
}

// insertAll inserts vectors by several goroutines, each of which takes the next
// hundred when it is done.
func insertAll(b *testing.B, x index.Index, vectors compat.Vectors, writers int) {
	const batch = 100
	n := vectors.Len()
	var next atomic.Int64
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for {
				at := int(next.Add(batch)) - batch
				if at >= n {
					return
				}
				end := min(at+batch, n)
				if err := x.Insert(context.Background(), indextest.Ordinals(uint32(at), end-at), vectors.Slice(at, end)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

func read(b *testing.B, name string) []byte {
	data, err := os.ReadFile(filepath.Join(*annDir, name))
	if err != nil {
		b.Fatal(err)
	}
	return data
}

func floats(b *testing.B, name string) []float32 {
	data := read(b, name)
	rows := make([]float32, len(data)/4)
	if _, err := binary.Decode(data, binary.LittleEndian, rows); err != nil {
		b.Fatal(err)
	}
	return rows
}

func TestManifoldIsRepeatable(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	if !slices.Equal(indextest.Manifold(seed, 20, 16, 4, 3, 1), indextest.Manifold(seed, 20, 16, 4, 3, 1)) {
		t.Error("the same seed gave other vectors")
	}
}

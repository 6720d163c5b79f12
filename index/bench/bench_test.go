package bench_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/bench"
	"github.com/vecino-db/vecino/index/dataset"
	"github.com/vecino-db/vecino/index/indextest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	exactly = bench.Engine{Engine: compat.EngineExact, Encoding: compat.EncodingF32}
	graph   = bench.Engine{Engine: compat.EngineHNSW, Encoding: compat.EncodingF32}
	codes   = bench.Engine{Engine: compat.EngineHNSW, Encoding: compat.EncodingLVQ4x8}
	growing = bench.Engine{Engine: compat.EngineAuto, Encoding: compat.EncodingF32}
)

const k = 5

// small makes data, and the oracle of its vectors.
func small(t *testing.T, n, queries int, seed uint64, threads int) (*bench.Data, dataset.Set, *indextest.Oracle) {
	t.Helper()
	base, asked, err := dataset.Clustered{N: n, Queries: queries, Dim: 24, Clusters: 10, Seed: seed}.Make(1)
	if err != nil {
		t.Fatal(err)
	}
	d, err := bench.NewData(base, asked, dataset.Neighbours{}, bench.Params{Metric: compat.MetricCosine, M: 8, EfConstruction: 40, K: k, Threads: threads})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.FindTruth(t.Context(), 2, nil); err != nil {
		t.Fatal(err)
	}
	oracle := indextest.NewOracle(compat.MetricCosine)
	oracle.Put(indextest.Ordinals(0, n), base.Data)
	return d, asked, oracle
}

// TestSweep: what is reported is what can be counted by hand.
func TestSweep(t *testing.T) {
	for _, threads := range []int{1, 3} {
		d, queries, oracle := small(t, 2000, 40, 1, threads)
		for _, e := range []bench.Engine{exactly, graph, codes} {
			var calls atomic.Int64
			b, err := d.NewBuilt(t.Context(), e, func(int) { calls.Add(1) })
			if err != nil {
				t.Fatal(err)
			}
			told := calls.Load() // once a batch of 256
			if told != 8 && threads == 1 || b.Build.Vectors != 2000 || b.Index.Stats().Live != 2000 || b.Build.PerSecond <= 0 || b.Build.BytesPer < 24 {
				t.Errorf("%s: told %d times, %+v", e, told, b.Build)
			}
			points, err := d.Sweep(t.Context(), b, []int{5, 50}, 1, nil)
			if err != nil || len(points) != map[bool]int{true: 2, false: 1}[e.Graph()] {
				t.Fatalf("%s: %d points, %v", e, len(points), err)
			}
			for _, p := range points {
				right := 0
				for q := range queries.Len() {
					kth, _ := oracle.Kth(queries.Row(q), k, nil)
					a, err := b.Index.Search(t.Context(), index.Query{Vector: d.Queries.Slice(q, q+1), K: k, Ef: p.Ef})
					if err != nil {
						t.Fatal(err)
					}
					for _, h := range a.Hits {
						if oracle.Score(queries.Row(q), h.Ordinal) >= kth-1e-6 {
							right++
						}
					}
				}
				if want := float64(right) / float64(k*queries.Len()); math.Abs(p.Recall-want) > 1e-9 {
					t.Errorf("%s, ef %d: recall %v, counted %v", e, p.Ef, p.Recall, want)
				}
				if p.QPS <= 0 || p.WallQPS <= 0 || p.P50 > p.P99 || p.Fewer != 0 || p.Plan == "" || math.Abs(p.Micros*p.QPS-1e6) > 1 {
					t.Errorf("%s: %+v", e, p)
				}
			}
			if e == exactly && points[0].Recall != 1 {
				t.Errorf("exact has a recall of %v", points[0].Recall)
			}
			if e == graph && points[0].Recall > points[1].Recall {
				t.Errorf("recall falls with ef: %v, %v", points[0].Recall, points[1].Recall)
			}
		}
	}
}

// TestAuto: what outgrows its scan is measured with its graph.
func TestAuto(t *testing.T) {
	d, _, _ := small(t, 18_000, 10, 1, 1)
	b, err := d.NewBuilt(t.Context(), growing, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	points, err := d.Sweep(t.Context(), b, []int{20}, 1, nil)
	if err != nil || len(points) != 1 || points[0].Plan != string(index.PlanGraph) || points[0].Recall < 0.8 {
		t.Errorf("%+v %v", points, err)
	}
}

// TestGivenTruth: a truth that is wrong shows as recall that is low.
func TestGivenTruth(t *testing.T) {
	base, queries, _ := dataset.Clustered{N: 300, Queries: 10, Dim: 8, Seed: 1}.Make(1)
	wrong := dataset.Neighbours{K: k, IDs: make([]uint32, 10*k)}
	p := bench.Params{Metric: compat.MetricL2, M: 8, EfConstruction: 40, K: k}
	d, err := bench.NewData(base, queries, wrong, p)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.FindTruth(t.Context(), 1, nil); err != nil || !slices.Equal(d.Truth.IDs, wrong.IDs) {
		t.Errorf("the given truth was replaced: %v", err)
	}
	b, err := d.NewBuilt(t.Context(), exactly, nil)
	if err != nil {
		t.Fatal(err)
	}
	if points, err := d.Sweep(t.Context(), b, nil, 1, nil); err != nil || points[0].Recall > 0.2 {
		t.Errorf("%+v %v", points, err)
	}
	for name, f := range map[string]func() error{
		"another dimension": func() error {
			_, err := bench.NewData(base, dataset.Set{Dim: 4, Data: queries.Data}, dataset.Neighbours{}, p)
			return err
		},
		"no queries": func() error {
			_, err := bench.NewData(base, dataset.Set{Dim: 8}, dataset.Neighbours{}, p)
			return err
		},
		"not a number": func() error {
			_, err := bench.NewData(dataset.Set{Dim: 1, Data: []float32{float32(math.NaN())}}, queries, dataset.Neighbours{}, p)
			return err
		},
		"a short truth": func() error {
			_, err := bench.NewData(base, queries, dataset.Neighbours{K: k, IDs: make([]uint32, k)}, p)
			return err
		},
	} {
		if f() == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if _, err := d.NewBuilt(t.Context(), bench.Engine{Engine: "none"}, nil); err == nil {
		t.Error("an unknown engine is built")
	}
}

// TestFilters: filters admit what they say, and the truth is that of what they
// admit.
func TestFilters(t *testing.T) {
	const n = 1000
	d, queries, oracle := small(t, n, 8, 2, 1)
	b, err := d.NewBuilt(t.Context(), graph, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, how := range bench.Correlations() {
		for _, share := range []float64{0.5, 0.02, 0.0001} {
			set, err := d.Filters(t.Context(), how, share, 7)
			if err != nil {
				t.Fatal(err)
			}
			want := max(k, int(share*n))
			for q := range queries.Len() {
				filter := set.Admits(q)
				var in, out []float64
				seen := 0
				for o := range uint32(n) {
					if filter.Contains(o) {
						in = append(in, oracle.Score(queries.Row(q), o))
					} else {
						out = append(out, oracle.Score(queries.Row(q), o))
					}
				}
				last := -1
				filter.Each(func(o uint32) bool {
					if !filter.Contains(o) || int(o) <= last {
						t.Errorf("%d after %d", o, last)
					}
					last = int(o)
					seen++
					return true
				})
				if len(in) != want || filter.Count() != want || seen != want {
					t.Errorf("%s %v: %d matches, %d counted, %d listed, want %d", how, share, len(in), filter.Count(), seen, want)
				}
				if how == bench.Near && slices.Min(in) < slices.Max(out)-1e-6 || how == bench.Far && slices.Max(in) > slices.Min(out)+1e-6 {
					t.Errorf("%s %v does not admit the right ones", how, share)
				}
			}
			f, err := d.Filtered(t.Context(), b, set, 60, 1)
			if err != nil || f.ExactRecall != 1 || f.Recall < 0.9 || f.Matches != want || f.QPS <= 0 || f.ExactQPS <= 0 || len(f.Plans) == 0 {
				t.Errorf("%s %v: %+v %v", how, share, f, err)
			}
		}
	}
	if _, err := d.Filters(t.Context(), bench.Random, 1.5, 1); err == nil {
		t.Error("a share above 1 is taken")
	}
}

// TestChurn: an exact index finds everything after it, so what is taken for the
// truth is; a graph finds about as much as a fresh one.
func TestChurn(t *testing.T) {
	d, _, _ := small(t, 1500, 20, 3, 1)
	for _, e := range []bench.Engine{exactly, graph} {
		out, err := d.Churn(t.Context(), e, 0.5, []int{40}, 1, 9, nil)
		if err != nil || len(out) != 1 {
			t.Fatal(out, err)
		}
		c := out[0]
		if c.Vectors != 1000 || c.Tombstones < 400 || e == exactly && (c.Recall != 1 || c.FreshRecall != 1) {
			t.Errorf("%+v", c)
		}
		if e == graph && (math.Abs(c.Recall-c.FreshRecall) > 0.05 || c.CompactedPending != 0 || c.CompactedRecall < 0.9) {
			t.Errorf("%+v", c)
		}
	}
	if _, err := d.Churn(t.Context(), graph, 0, []int{40}, 1, 9, nil); err == nil {
		t.Error("a share of zero is taken")
	}
}

func TestBeside(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	d, _, _ := small(t, 1000, 10, 4, 1)
	out, err := d.Beside(t.Context(), graph, 20, 20*time.Millisecond, nil)
	if err != nil || out.Vectors != 800 || out.Inserted < 1 || out.Inserted > 200 || out.AloneQPS <= 0 || out.BesideQPS <= 0 {
		t.Errorf("%+v %v", out, err)
	}
	runtime.GOMAXPROCS(1)
	if _, err := d.Beside(t.Context(), graph, 20, time.Millisecond, nil); err == nil {
		t.Error("two cores were taken for one")
	}
}

// TestKept: a graph is kept, opened, and built anew where it is another's.
func TestKept(t *testing.T) {
	d, _, _ := small(t, 600, 5, 5, 1)
	other, _, _ := small(t, 600, 5, 6, 1)
	dir := t.TempDir()
	kept := func(d *bench.Data, loaded bool) *bench.Built {
		t.Helper()
		b, err := d.Kept(t.Context(), codes, dir, nil)
		if err != nil || b.Build.Loaded != loaded || b.Index.Stats().Live != 600 {
			t.Fatalf("loaded %v, %v", b.Build.Loaded, err)
		}
		return b
	}
	kept(d, false)
	kept(d, true)
	kept(other, false) // of other vectors: refused, built, kept
	b := kept(other, true)
	files, _ := filepath.Glob(filepath.Join(dir, "*.graph"))
	if len(files) != 1 {
		t.Fatalf("files %q", files)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{3, 4000} {
		bad := slices.Clone(data)
		bad[at] ^= 0x40
		if err := os.WriteFile(files[0], bad, 0o600); err != nil {
			t.Fatal(err)
		}
		kept(other, false)
	}
	if err := os.WriteFile(files[0], data[:len(data)-9], 0o600); err != nil {
		t.Fatal(err)
	}
	kept(other, false)
	opened, err := other.Reopen(b, dir)
	if err != nil || opened.OpenSeconds <= 0 || opened.Bytes < 10_000 {
		t.Errorf("%+v %v", opened, err)
	}
	absent := filepath.Join(dir, "absent")
	if _, err := other.Kept(t.Context(), codes, absent, nil); err != nil {
		t.Errorf("a directory that is not there: %v", err)
	}
	if files, err := os.ReadDir(absent); err != nil || len(files) != 1 {
		t.Errorf("it holds %v, %v", files, err)
	}
}

// TestEnd: everything ends with its context.
func TestEnd(t *testing.T) {
	d, _, _ := small(t, 600, 5, 5, 1)
	b, err := d.NewBuilt(t.Context(), graph, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for name, f := range map[string]func() error{
		"truth":   func() error { return d.First(100).FindTruth(ctx, 1, nil) },
		"build":   func() error { _, err := d.NewBuilt(ctx, graph, nil); return err },
		"sweep":   func() error { _, err := d.Sweep(ctx, b, []int{10}, 1, nil); return err },
		"filters": func() error { _, err := d.Filters(ctx, bench.Near, 0.1, 1); return err },
		"churn":   func() error { _, err := d.Churn(ctx, graph, 0.1, []int{10}, 1, 1, nil); return err },
	} {
		if err := f(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What was measured before is given beside the error.
	ctx, cancel = context.WithCancel(context.Background())
	points, err := d.Sweep(ctx, b, []int{10, 20, 30}, 1, cancel)
	if !errors.Is(err, context.Canceled) || len(points) != 1 {
		t.Errorf("%d points, %v", len(points), err)
	}
}

func TestRates(t *testing.T) {
	c := bench.Curve{Points: []bench.CurvePoint{{10, 0.90, 10_000}, {20, 0.96, 5000}, {30, 0.98, 2500}}}
	for recall, want := range map[float64]float64{0.90: 10_000, 0.93: 1 / (0.5/10_000 + 0.5/5000), 0.96: 5000, 0.97: 1 / (0.5/5000 + 0.5/2500), 0.99: 0} {
		if got, beyond := c.Rate(recall); math.Abs(got-want) > 1e-6 || beyond {
			t.Errorf("at %v: %v %v, want %v", recall, got, beyond, want)
		}
	}
	if got, beyond := c.Rate(0.8); got != 10_000 || !beyond {
		t.Errorf("below the first: %v %v", got, beyond)
	}
	round := func(qps ...float64) (points []bench.Point) {
		for i, q := range qps {
			points = append(points, bench.Point{Name: "x", Ef: 10 * (i + 1), QPS: q, Recall: q / 100})
		}
		return points
	}
	got := bench.Medians([][]bench.Point{round(1, 10), round(3, 30), round(2)})
	if len(got) != 2 || got[0].QPS != 2 || got[0].Recall != 0.02 || got[1].QPS != 20 || got[1].Ef != 20 {
		t.Errorf("%+v", got)
	}
}

// TestReadCurves reads what a program of another library prints, and what we
// write.
func TestReadCurves(t *testing.T) {
	printed := `some heading
hnswlib M=16 efc=200 n=1000 build 40.7s 2456 vec/s rss/vec 1808 B
hnswlib n=1000 ef=10 recall@10=0.8088 qps=24028 us=41.6 fewer_than_k=0 cal_ns=6
hnswlib n=1000 ef=12 recall@10=0.8466 qps=21683 us=46.1 fewer_than_k=0 cal_ns=6

`
	got, err := bench.ReadCurves(strings.NewReader(printed))
	want := []bench.Curve{{Name: "hnswlib", Vectors: 1000, PerSecond: 2456, BytesPer: 1808, Points: []bench.CurvePoint{{10, 0.8088, 24028}, {12, 0.8466, 21683}}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v %v", got, err)
	}
	var file bytes.Buffer
	builds := []bench.Build{{Name: "a", Vectors: 7, PerSecond: 5, BytesPer: 9}, {Name: "b", Vectors: 7, PerSecond: 6, BytesPer: 9, ResidentPer: 8, Loaded: true}}
	points := []bench.Point{{Name: "a", Vectors: 7, Ef: 1, Recall: 0.5, QPS: 10}, {Name: "a", Vectors: 7, Ef: 2, Recall: 0.75, QPS: 5}, {Name: "b", Vectors: 7, Recall: 1, QPS: 2}}
	if err := bench.WriteCSV(&file, builds, points); err != nil {
		t.Fatal(err)
	}
	got, err = bench.ReadCurves(&file)
	want = []bench.Curve{
		{Name: "a", Vectors: 7, PerSecond: 5, BytesPer: 9, Points: []bench.CurvePoint{{1, 0.5, 10}, {2, 0.75, 5}}},
		{Name: "b", Vectors: 7, BytesPer: 8, Points: []bench.CurvePoint{{0, 1, 2}}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v %v", got, err)
	}
	for _, bad := range []string{"", "nothing here\n", "name,vectors,dimension\n1,2,3\n", "name,vectors,\"\n", fmt.Sprintf("x %s\n", strings.Repeat("y", 1<<17))} {
		if c, err := bench.ReadCurves(strings.NewReader(bad)); err == nil {
			t.Errorf("%.40q gives %v", bad, c)
		}
	}
}

// TestReadBandwidth only wants a figure that a machine may have.
func TestReadBandwidth(t *testing.T) {
	if testing.Short() {
		t.Skip("it reads a few GB")
	}
	d, _, _ := small(t, 100, 2, 8, 1)
	if got := d.ReadBandwidth(); got < 1e8 || got > 1e13 {
		t.Errorf("%v bytes a second", got)
	}
}

package bench

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
)

// Point is what one engine does at one ef.
type Point struct {
	Name    string  `json:"name"`
	Vectors int     `json:"vectors"`
	Ef      int     `json:"ef"` // 0: the engine has none
	K       int     `json:"k"`
	Queries int     `json:"queries"`
	Threads int     `json:"threads"`
	Recall  float64 `json:"recall"`
	QPS     float64 `json:"queries_per_second"`      // of processor time: one core's
	WallQPS float64 `json:"wall_queries_per_second"` // all threads together
	Micros  float64 `json:"microseconds"`            // of processor time, a query
	P50     float64 `json:"p50_microseconds"`        // on the wall
	P99     float64 `json:"p99_microseconds"`
	Fewer   int     `json:"fewer_than_k"` // answers with less than k hits
	Plan    string  `json:"plan"`         // of most answers
}

// slowPass is the time of a pass over the queries beyond which it is not
// repeated.
const slowPass = 4 * time.Second

// Sweep asks all queries at each ef: one pass for recall and latencies, then so
// many for the rate, of which the fastest counts. Engines without an ef are
// asked once. report is told after each ef.
func (d *Data) Sweep(ctx context.Context, b *Built, efs []int, passes int, report func()) ([]Point, error) {
	if !b.Engine.Graph() {
		efs = []int{0}
	}
	var points []Point
	for _, ef := range efs {
		p, err := d.point(ctx, b, ef, passes)
		if err != nil {
			return points, err
		}
		points = append(points, p)
		if report != nil {
			report()
		}
	}
	return points, nil
}

// point measures one ef.
func (d *Data) point(ctx context.Context, b *Built, ef, passes int) (Point, error) {
	n := d.Queries.Len()
	p := Point{Name: b.Engine.String(), Vectors: d.Base.Len(), Ef: ef, K: d.params.K, Queries: n, Threads: d.threads()}
	plans := map[index.Plan]int{}
	var mu sync.Mutex
	micros := make([]float64, n)
	c := startClock()
	found := 0
	err := d.ask(ctx, b.Index, func(int) index.Query { return index.Query{Ef: ef} }, func(i int, a index.Answer, took time.Duration) {
		right := d.right(i, a.Hits)
		mu.Lock()
		defer mu.Unlock()
		micros[i] = float64(took.Nanoseconds()) / 1e3
		plans[a.Plan]++
		found += right
		if len(a.Hits) < p.K {
			p.Fewer++
		}
	})
	if err != nil {
		return p, err
	}
	processor, wall := c.stop()
	if took := time.Duration(wall * float64(time.Second)); took < slowPass {
		processor, wall = 1e18, 1e18
		for range max(1, passes) {
			c := startClock()
			if err := d.ask(ctx, b.Index, func(int) index.Query { return index.Query{Ef: ef} }, nil); err != nil {
				return p, err
			}
			a, w := c.stop()
			processor, wall = min(processor, a), min(wall, w)
		}
	}
	p.Recall = float64(found) / float64(n*p.K)
	p.QPS, p.WallQPS, p.Micros = float64(n)/processor, float64(n)/wall, 1e6*processor/float64(n)
	slices.Sort(micros)
	p.P50, p.P99 = quantile(micros, 0.5), quantile(micros, 0.99)
	for plan, times := range plans {
		if p.Plan == "" || times > plans[index.Plan(p.Plan)] {
			p.Plan = string(plan)
		}
	}
	return p, nil
}

// right counts the hits that are among the true k.
func (d *Data) right(query int, hits []index.Hit) int {
	return rightOf(d.Truth.Row(query)[:d.params.K], hits)
}

func rightOf(truth []uint32, hits []index.Hit) int {
	n := 0
	for _, h := range hits {
		if slices.Contains(truth, h.Ordinal) {
			n++
		}
	}
	return n
}

// ask asks all queries, on the threads of the parameters; with says what else
// is asked, but vector and k. got, where it isn't nil, is called with each answer
// from the asking goroutine.
func (d *Data) ask(ctx context.Context, x index.Index, with func(i int) index.Query, got func(i int, a index.Answer, took time.Duration)) error {
	var next atomic.Int64
	one := func() error {
		for {
			i := int(next.Add(1)) - 1
			if i >= d.Queries.Len() {
				return nil
			}
			q := with(i)
			q.Vector, q.K = d.Queries.Slice(i, i+1), d.params.K
			if got == nil {
				if _, err := x.Search(ctx, q); err != nil {
					return err
				}
				continue
			}
			begun := time.Now()
			a, err := x.Search(ctx, q)
			if err != nil {
				return err
			}
			got(i, a, time.Since(begun))
		}
	}
	if d.threads() == 1 {
		return one()
	}
	errs := make([]error, d.threads())
	var wg sync.WaitGroup
	for t := range errs {
		wg.Go(func() { errs[t] = one() })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Medians joins rounds of the same sweep: of each point the median of each
// value. A round that was cut short counts for the points that it has.
func Medians(rounds [][]Point) []Point {
	var out []Point
	for i := 0; ; i++ {
		var same []Point
		for _, r := range rounds {
			if i < len(r) {
				same = append(same, r[i])
			}
		}
		if len(same) == 0 {
			return out
		}
		p := same[0]
		for _, f := range []func(*Point) *float64{
			func(p *Point) *float64 { return &p.Recall }, func(p *Point) *float64 { return &p.QPS },
			func(p *Point) *float64 { return &p.WallQPS }, func(p *Point) *float64 { return &p.Micros },
			func(p *Point) *float64 { return &p.P50 }, func(p *Point) *float64 { return &p.P99 },
		} {
			values := make([]float64, len(same))
			for j := range same {
				values[j] = *f(&same[j])
			}
			*f(&p) = Median(values)
		}
		out = append(out, p)
	}
}

// Median is that of values, which are sorted by it; of an even number the mean
// of the middle two, of none 0.
func Median(values []float64) float64 {
	slices.Sort(values)
	n := len(values)
	switch {
	case n == 0:
		return 0
	case n%2 == 1:
		return values[n/2]
	}
	return (values[n/2-1] + values[n/2]) / 2
}

// quantile is that of sorted values, the next above where there is none.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// Environment is where something was measured.
type Environment struct {
	System        string `json:"system"`
	Processors    int    `json:"processors"` // that may be used
	ProcessorTime bool   `json:"processor_time"`
}

// Here is this process.
func Here() Environment {
	return Environment{System: runtime.GOOS + "/" + runtime.GOARCH, Processors: runtime.GOMAXPROCS(0), ProcessorTime: HasProcessorTime}
}

// Encodings are those that an engine has, the plain one first.
func Encodings(e compat.Engine) []compat.Encoding {
	if (Engine{Engine: e}).Graph() {
		return []compat.Encoding{compat.EncodingF32, compat.EncodingInt8, compat.EncodingLVQ4x8}
	}
	return []compat.Encoding{compat.EncodingF32}
}

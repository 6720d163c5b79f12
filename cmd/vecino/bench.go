package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"time"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index/bench"
)

// benchCmd measures indexes.
type benchCmd struct {
	benchData
	Metric         string   `help:"How vectors are compared." enum:"cosine,dot,l2" default:"cosine"`
	Engine         []string `help:"Engines to compare: hnsw, auto, coder, exact." default:"hnsw" placeholder:"NAME"`
	Encoding       []string `help:"Encodings of hnsw and auto to compare: f32, int8, lvq4x8." default:"f32" placeholder:"NAME"`
	Optimize       bool     `help:"Also measure graphs after their optimization; their names end in +."`
	M              int      `name:"m" help:"Links of a node on the upper levels; twice as many on the lowest." default:"16"`
	EfConstruction int      `help:"Breadth of the search for the links of a new node." default:"200"`
	K              int      `short:"k" help:"Neighbours asked for." default:"10"`
	Ef             []int    `help:"Breadths of the search, one after the other." default:"10,12,16,20,30,40,60,80,120,200,400" placeholder:"N"`
	Threads        int      `help:"Threads that build, and that ask." default:"1"`
	Rounds         int      `help:"Rounds of all engines in turn; the median counts." default:"3"`
	Passes         int      `help:"Passes over the queries in a round; the fastest counts." default:"3"`
	Graphs         string   `help:"Keep built graphs in this directory, and open them from there the next time." placeholder:"DIR"`

	Sizes        []int     `help:"Measure the first so many vectors instead of all, one size after the other: how costs grow." placeholder:"N"`
	FilterShare  []float64 `help:"Also ask with filters that admit these shares: at random, what is near the query, what is far from it." placeholder:"SHARE"`
	InsertBeside bool      `help:"Also ask beside inserts on another core."`
	Churn        float64   `help:"Also delete this share of the vectors and insert as many others, and compare with a fresh build." placeholder:"SHARE"`
	Open         bool      `help:"Also open the index from a checkpoint."`
	AtEf         []int     `help:"The breadths of these additional measurements." default:"40,100" placeholder:"N"`

	Recall     []float64 `help:"Recalls at which rates are compared, between the neighbouring ef." default:"0.90,0.95,0.99" placeholder:"RECALL"`
	Peer       []string  `help:"Compare with what another program printed (ef=, recall@10=, qps= on a line), or with a CSV file of before." placeholder:"FILE"`
	Ours       []string  `help:"Measure nothing: compare these CSV files with those of --peer, pair by pair, and give medians." placeholder:"FILE"`
	CSV        string    `name:"csv" help:"Write every point into this file." placeholder:"FILE"`
	SVG        string    `name:"svg" help:"Draw recall against queries a second into this file; with --sizes, the costs by size." placeholder:"FILE"`
	JSON       bool      `help:"Print everything as JSON."`
	CPUProfile string    `name:"cpuprofile" help:"Write PREFIX-build.prof and PREFIX-search.prof." placeholder:"PREFIX"`
}

// Help teaches.
func (benchCmd) Help() string {
	return `Examples:
  vecino bench --generate clustered --n 20000 --dim 128
  vecino bench --generate clustered --n 100000 --dim 384 --encoding f32,int8,lvq4x8 --svg curve.svg --csv curve.csv
  vecino bench --base sift_base.fvecs --query sift_query.fvecs --truth sift_groundtruth.ivecs --metric l2
  vecino bench --base t10k-images-idx3-ubyte.gz --hold-out 1000 --metric l2 --engine hnsw,exact
  vecino bench --base base.npy --query query.npy --filter-share 0.5,0.1,0.01 --churn 0.5 --open
  vecino bench --generate clustered --dim 128 --sizes 10000,30000,100000 --svg growth.svg
  vecino bench --ours ours1.csv,ours2.csv,ours3.csv --peer peer1.txt,peer2.txt,peer3.txt

Vectors are read from .f32 (row-major, needs --dim), .fvecs, .bvecs, .npy and
idx files (MNIST's), compressed by gzip or not; the truth from .i32, .ivecs or
.npy, and it is computed where there is none. Rates are by processor time, so
that other programs on the machine weigh less: qps is what one core does,
"wall qps" what all --threads did by the clock. recall@k is the share of the
true k nearest that came back. Ctrl-C ends it; what was measured is printed.`
}

// benchReport is all that was measured.
type benchReport struct {
	Version     string            `json:"version"`
	Environment bench.Environment `json:"environment"`
	Source      string            `json:"source"`
	Metric      string            `json:"metric"`
	Queries     int               `json:"queries"`
	Builds      []bench.Build     `json:"builds"`
	Points      []bench.Point     `json:"points"`
	Rates       []benchRate       `json:"rates,omitempty"`
	Filtered    []bench.Filtered  `json:"filtered,omitempty"`
	Beside      []bench.Beside    `json:"beside,omitempty"`
	Churn       []bench.Churn     `json:"churn,omitempty"`
	Reopened    []bench.Reopened  `json:"reopened,omitempty"`
	// Bytes a second that one core reads from memory, where exact was measured.
	ReadBandwidth float64      `json:"read_bandwidth,omitempty"`
	Compared      []benchRatio `json:"compared,omitempty"`
}

// Run measures, or compares.
func (c *benchCmd) Run(ctx context.Context, out *output) error {
	engines, err := c.check()
	if err != nil {
		return usageError{err}
	}
	if len(c.Ours) > 0 {
		return c.comparePairs(out)
	}
	r := &benchRun{benchCmd: c, engines: engines, progress: newBenchProgress(out)}
	err = r.run(ctx)
	r.progress.end()
	if r.data == nil {
		return err
	}
	r.report.Rates = ratesOf(bench.Curves(r.report.Builds, r.report.Points), r.Recall)
	if len(c.Peer) > 0 && len(r.report.Points) > 0 {
		compared, failed := r.compare()
		r.report.Compared, err = compared, errors.Join(err, failed)
	}
	if c.JSON {
		err = errors.Join(err, out.JSON(r.report))
	} else {
		r.report.print(out)
	}
	return errors.Join(err, r.write())
}

// check says what can't be meant, and gives the engines.
func (c *benchCmd) check() ([]bench.Engine, error) {
	positive := func(list []int) bool {
		return !slices.ContainsFunc(list, func(n int) bool { return n < 1 || n > compat.MaxEf })
	}
	shares := append(slices.Clone(c.FilterShare), c.Recall...)
	if c.Churn != 0 {
		shares = append(shares, c.Churn)
	}
	switch {
	case len(c.Ours) > 0 && len(c.Ours) != len(c.Peer):
		return nil, fmt.Errorf("--ours names %d files and --peer %d; give them in pairs, in the order in which they were measured", len(c.Ours), len(c.Peer))
	case c.M < compat.MinM || c.M > compat.MaxM:
		return nil, fmt.Errorf("--m is %d to %d", compat.MinM, compat.MaxM)
	case c.EfConstruction < 1 || c.EfConstruction > compat.MaxEf || len(c.Ef) == 0 || len(c.AtEf) == 0 || !positive(c.Ef) || !positive(c.AtEf):
		return nil, fmt.Errorf("--ef-construction, --ef and --at-ef are 1 to %d", compat.MaxEf)
	case c.K < 1 || c.K > compat.MaxEf:
		return nil, fmt.Errorf("-k is 1 to %d", compat.MaxEf)
	case c.Threads < 1 || c.Threads > 1024 || c.Rounds < 1 || c.Rounds > 1000 || c.Passes < 1 || c.Passes > 1000:
		return nil, errors.New("--threads, --rounds and --passes are 1 or more, and not more than 1000")
	case slices.ContainsFunc(shares, func(s float64) bool { return !(s > 0 && s <= 1) }):
		return nil, errors.New("--filter-share, --churn and --recall are above 0, and at most 1")
	case slices.ContainsFunc(c.Sizes, func(n int) bool { return n < c.K }):
		return nil, errors.New("--sizes are k or more")
	}
	slices.Sort(c.Ef)
	slices.Sort(c.Sizes)
	var engines []bench.Engine
	for _, name := range c.Engine {
		for _, encoding := range c.Encoding {
			e := bench.Engine{Engine: compat.Engine(name), Encoding: compat.Encoding(encoding)}
			if !e.Graph() {
				e.Encoding = compat.EncodingF32
			}
			if err := e.Validate(); err != nil {
				return nil, err
			}
			if slices.Contains(engines, e) {
				continue
			}
			if engines = append(engines, e); c.Optimize && e.Graph() {
				e.Optimized = true
				engines = append(engines, e)
			}
		}
	}
	return engines, nil
}

// benchRun is a measurement on its way.
type benchRun struct {
	*benchCmd
	engines  []bench.Engine
	progress *benchProgress
	data     *bench.Data
	report   benchReport
}

// run measures everything that was asked for; what was done before an error is
// in the report.
func (r *benchRun) run(ctx context.Context) error {
	data, source, err := r.load(ctx)
	if err != nil {
		return err
	}
	r.data = data
	r.report = benchReport{Version: version(), Environment: bench.Here(), Source: source, Metric: r.Metric, Queries: data.Queries.Len()}
	if len(r.Sizes) == 0 {
		built, err := r.size(ctx, data)
		if err == nil {
			err = r.additional(ctx, built)
		}
		return errors.Join(err, closeAll(built))
	}
	for _, n := range r.Sizes {
		if n > data.Base.Len() {
			return fmt.Errorf("--sizes %d: there are only %d vectors", n, data.Base.Len())
		}
		built, err := r.size(ctx, data.First(n))
		if err = errors.Join(err, closeAll(built)); err != nil {
			return err
		}
	}
	return nil
}

// size builds and sweeps all engines over one set. What was built is given
// beside an error, too.
func (r *benchRun) size(ctx context.Context, data *bench.Data) ([]*bench.Built, error) {
	r.progress.stage("true neighbours", 1000)
	if err := data.FindTruth(ctx, runtime.GOMAXPROCS(0), func(share float64) { r.progress.set(int(1000 * share)) }); err != nil {
		return nil, err
	}
	if err := r.saveTruth(data); err != nil {
		return nil, err
	}
	built, err := r.build(ctx, data)
	if err != nil {
		return built, err
	}
	stop, err := r.profile("search")
	if err != nil {
		return built, err
	}
	defer stop()
	rounds := make([][][]bench.Point, len(built)) // by engine
	defer func() {
		for _, points := range rounds {
			r.report.Points = append(r.report.Points, bench.Medians(points)...)
		}
	}()
	for round := range r.Rounds {
		for i, b := range built {
			r.progress.stage(fmt.Sprintf("%s, round %d of %d, breadths", b.Engine, round+1, r.Rounds), len(r.Ef))
			points, err := asked(data, b).Sweep(ctx, b, r.Ef, r.Passes, func() { r.progress.add(1) })
			rounds[i] = append(rounds[i], points)
			if err != nil {
				return built, err
			}
		}
	}
	return built, nil
}

// closeAll ends what goes on in the background of indexes.
func closeAll(built []*bench.Built) (err error) {
	for _, b := range built {
		err = errors.Join(err, b.Close())
	}
	return err
}

// slowQueries are enough for engines that look at everything.
const slowQueries = 100

// asked is the data with the queries that an engine is asked.
func asked(data *bench.Data, b *bench.Built) *bench.Data {
	if b.Engine.Graph() {
		return data
	}
	return data.Ask(slowQueries)
}

// build builds all engines.
func (r *benchRun) build(ctx context.Context, data *bench.Data) ([]*bench.Built, error) {
	stop, err := r.profile("build")
	if err != nil {
		return nil, err
	}
	defer stop()
	var built []*bench.Built
	for _, e := range r.engines {
		r.progress.stage("build "+e.String(), data.Base.Len())
		var b *bench.Built
		if r.Graphs == "" {
			b, err = data.NewBuilt(ctx, e, r.progress.set)
		} else {
			b, err = data.Kept(ctx, e, r.Graphs, r.progress.set)
		}
		if err != nil {
			return built, err
		}
		built = append(built, b)
		r.report.Builds = append(r.report.Builds, b.Build)
	}
	return built, nil
}

// besideFor is how long queries are asked alone, and beside inserts, in turn.
const besideFor = 500 * time.Millisecond

// filterQueries are asked under each filter: every one has a truth of its own.
const filterQueries = 200

// additional measures what was asked for beside the sweep.
func (r *benchRun) additional(ctx context.Context, built []*bench.Built) error {
	if slices.ContainsFunc(r.engines, func(e bench.Engine) bool { return e.Engine == compat.EngineExact }) {
		r.report.ReadBandwidth = r.data.ReadBandwidth()
	}
	if r.Open {
		dir, err := os.MkdirTemp(r.Graphs, "vecino-bench-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		for _, b := range built {
			r.progress.stage("open "+b.Engine.String(), 1)
			opened, err := r.data.Reopen(b, dir)
			if err != nil {
				return err
			}
			r.report.Reopened = append(r.report.Reopened, opened)
		}
	}
	if err := r.filtered(ctx, built); err != nil {
		return err
	}
	for _, e := range r.engines {
		if e.Optimized {
			continue // what follows builds its own
		}
		for _, ef := range r.AtEf {
			if !r.InsertBeside || !e.Graph() {
				break
			}
			r.progress.stage(fmt.Sprintf("%s beside inserts, ef %d", e, ef), r.data.Base.Len())
			beside, err := r.data.Beside(ctx, e, ef, besideFor, r.progress.set)
			if err != nil {
				return err
			}
			r.report.Beside = append(r.report.Beside, beside)
		}
		if r.Churn == 0 {
			continue
		}
		r.progress.stage(e.String()+" with deletes", r.data.Base.Len())
		churned, err := r.data.Churn(ctx, e, r.Churn, r.AtEf, r.Passes, r.Seed, r.progress.set)
		if err != nil {
			return err
		}
		r.report.Churn = append(r.report.Churn, churned...)
	}
	return nil
}

// filtered asks with filters.
func (r *benchRun) filtered(ctx context.Context, built []*bench.Built) error {
	data := r.data.Ask(filterQueries)
	for _, how := range bench.Correlations() {
		for _, share := range r.FilterShare {
			r.progress.stage(fmt.Sprintf("filter %s %g", how, share), len(built)*len(r.AtEf))
			set, err := data.Filters(ctx, how, share, r.Seed)
			if err != nil {
				return err
			}
			for _, b := range built {
				for _, ef := range r.AtEf {
					f, err := data.Filtered(ctx, b, set, ef, r.Passes)
					if err != nil {
						return err
					}
					r.report.Filtered = append(r.report.Filtered, f)
					r.progress.add(1)
					if !b.Engine.Graph() {
						break
					}
				}
			}
		}
	}
	return nil
}

// profile begins a CPU profile where one is wanted.
func (r *benchRun) profile(of string) (stop func(), err error) {
	if r.CPUProfile == "" {
		return func() {}, nil
	}
	f, err := os.Create(r.CPUProfile + "-" + of + ".prof")
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { pprof.StopCPUProfile(); f.Close() }, nil
}

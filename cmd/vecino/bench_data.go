package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index/bench"
	"github.com/vecino-db/vecino/index/dataset"
)

// benchData says where vectors come from.
type benchData struct {
	Base    string `help:"Vectors to index: .f32, .fvecs, .bvecs, .npy or idx." placeholder:"FILE"`
	Query   string `help:"Vectors to ask." placeholder:"FILE"`
	HoldOut int    `help:"Without --query: take the last so many of --base as queries." default:"1000" placeholder:"N"`
	Truth   string `help:"True neighbours of the queries: .i32, .ivecs or .npy; computed when left out." placeholder:"FILE"`
	Dim     int    `help:"Dimension, of .f32 files and generated vectors." placeholder:"N"`

	Generate string  `help:"Make vectors: clustered, as embeddings lie." enum:",clustered" default:"" placeholder:"clustered"`
	N        int     `name:"n" help:"How many vectors: of --base the first ones, 0 for all; of --generate, 20000 when left out." placeholder:"N"`
	Queries  int     `help:"Generated queries." default:"1000"`
	Latent   int     `help:"Dimensions in which generated vectors lie, before they are mapped to all: the more, the harder. A quarter of them, at most 96, when left out." placeholder:"N"`
	Clusters int     `help:"Their clusters." default:"300"`
	Spread   float64 `help:"Spread of a cluster, where the centres have 1." default:"1.2"`
	Seed     uint64  `help:"Seed of everything that is random." default:"42"`
	Save     string  `help:"Write what is measured into this directory for other programs: base.f32, query.f32, gtN.i32." placeholder:"DIR"`
}

// load reads or makes the data, and says what it is.
func (r *benchRun) load(context.Context) (*bench.Data, string, error) {
	var base, queries dataset.Set
	var source string
	var err error
	switch {
	case r.Base != "" && r.Generate != "":
		return nil, "", usageError{errors.New("--base and --generate are two sources of vectors; give one of them")}
	case r.Generate != "":
		base, queries, source, err = r.generate()
	case r.Base != "":
		base, queries, source, err = r.read()
	default:
		return nil, "", usageError{errors.New("name a file of vectors by --base, or make some by --generate clustered --dim 128")}
	}
	if err != nil {
		return nil, "", err
	}
	if r.Save != "" {
		if err := errors.Join(os.MkdirAll(r.Save, 0o755), dataset.Write(filepath.Join(r.Save, "base.f32"), base), dataset.Write(filepath.Join(r.Save, "query.f32"), queries)); err != nil {
			return nil, "", err
		}
	}
	var truth dataset.Neighbours
	if r.Truth != "" && len(r.Sizes) == 0 {
		if truth, err = dataset.ReadNeighbours(r.Truth, queries.Len(), base.Len()); err != nil {
			return nil, "", err
		}
	}
	data, err := bench.NewData(base, queries, truth, bench.Params{
		Metric: compat.Metric(r.Metric), M: r.M, EfConstruction: r.EfConstruction, K: r.K, Threads: r.Threads,
	})
	return data, source, err
}

// generate makes vectors.
func (r *benchRun) generate() (base, queries dataset.Set, source string, err error) {
	c := dataset.Clustered{N: r.N, Queries: r.Queries, Dim: r.Dim, Latent: r.Latent, Clusters: r.Clusters, Spread: r.Spread, Seed: r.Seed}
	if c.Dim == 0 {
		return base, queries, "", usageError{errors.New("--generate needs --dim")}
	}
	for _, n := range r.Sizes {
		c.N = max(c.N, n)
	}
	if c.N == 0 {
		c.N = 20_000
	}
	c = c.WithDefaults()
	r.progress.stage("make vectors", 0)
	if base, queries, err = c.Make(runtime.GOMAXPROCS(0)); err != nil {
		return base, queries, "", usageError{err}
	}
	source = fmt.Sprintf("clustered: %d x %d, latent %d, %d clusters, spread %g, seed %d", base.Len(), base.Dim, c.Latent, c.Clusters, c.Spread, c.Seed)
	return base, queries, source, nil
}

// read reads files.
func (r *benchRun) read() (base, queries dataset.Set, source string, err error) {
	r.progress.stage("read vectors", 0)
	limit := r.N
	if r.Query == "" {
		limit = 0
	}
	if base, err = dataset.Read(r.Base, dataset.ReadOptions{Dim: r.Dim, Limit: limit}); err != nil {
		return base, queries, "", err
	}
	if r.Query != "" {
		queries, err = dataset.Read(r.Query, dataset.ReadOptions{Dim: base.Dim})
	} else {
		if r.HoldOut < 1 || r.HoldOut >= base.Len() {
			return base, queries, "", usageError{fmt.Errorf("--hold-out %d of %d vectors leaves none to index or to ask", r.HoldOut, base.Len())}
		}
		cut := base.Len() - r.HoldOut
		queries = base.Slice(cut, base.Len())
		base = base.Slice(0, cut)
		if r.N > 0 && r.N < cut {
			base = base.Slice(0, r.N)
		}
	}
	return base, queries, fmt.Sprintf("%s: %d x %d", filepath.Base(r.Base), base.Len(), base.Dim), err
}

// saveTruth writes the neighbours beside the vectors.
func (r *benchRun) saveTruth(data *bench.Data) error {
	if r.Save == "" {
		return nil
	}
	return dataset.WriteNeighbours(filepath.Join(r.Save, fmt.Sprintf("gt%d.i32", data.Base.Len())), data.Truth)
}

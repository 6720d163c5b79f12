// Package bench measures indexes: how fast they are built, how much memory a
// vector takes, and which recall they reach at how many queries a second; with
// filters, beside inserts, after deletes, opened from a checkpoint, and growing.
//
// # Units
//
// Rates are by processor time of the process (user and system, garbage
// collection included) where a field does not say "wall": other programs on the
// machine then weigh less, and one thread is one core. On systems that don't
// tell processor time the clock on the wall is taken instead (see
// HasProcessorTime). Recall@k is the share of the true k nearest, by number,
// that an answer holds.
//
// # Fairness
//
// What is compared is measured in the same run: Sweep is asked for a round of
// each engine in turn, and Medians joins the rounds. A pass over all queries is
// repeated, and the fastest counts, as in the comparison programs of other
// libraries.
//
// Functions stop at the end of their context with its error; what they return
// beside it was measured.
package bench

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/auto"
	"github.com/vecino-db/vecino/index/coder"
	"github.com/vecino-db/vecino/index/dataset"
	"github.com/vecino-db/vecino/index/exact"
	"github.com/vecino-db/vecino/index/hnsw"
)

// Engine is one way to keep vectors.
type Engine struct {
	Engine   compat.Engine
	Encoding compat.Encoding
	// Optimized: after index.Optimizer's Optimize.
	Optimized bool
}

// String is "hnsw/int8", or "exact" where there is but one encoding; an
// optimized one ends in "+".
func (e Engine) String() string {
	name := string(e.Engine)
	if e.Graph() {
		name += "/" + string(e.Encoding)
	}
	if e.Optimized {
		name += "+"
	}
	return name
}

// Graph reports whether ef changes what it answers; auto has a graph from some
// number of vectors on.
func (e Engine) Graph() bool {
	return e.Engine == compat.EngineHNSW || e.Engine == compat.EngineAuto
}

// Params are what a graph is built and asked with.
type Params struct {
	Metric         compat.Metric
	M              int
	EfConstruction int
	K              int
	Threads        int // of building and asking; 0: one
}

// Data is what is measured on: vectors, queries, and the truth about them, all
// of one space. It is safe for concurrent reading.
type Data struct {
	Base    compat.Vectors
	Queries compat.Vectors
	Truth   dataset.Neighbours

	params  Params
	space   compat.Space
	stamper *compat.Stamper
}

// NewData stamps vectors and queries, which it keeps. Truth may be left zero;
// see FindTruth. The space is named after the vectors themselves, so that a
// saved graph of others is refused.
func NewData(base, queries dataset.Set, truth dataset.Neighbours, p Params) (*Data, error) {
	m := compat.Manifest{
		Space: compat.Space{
			Encoder: "raw/1", Weights: digest(base), Pooling: compat.PoolingNone, Normalization: compat.NormalizeNone,
			Precision: compat.PrecisionF32, Dimension: base.Dim, FullDimension: base.Dim,
		},
		Metric: p.Metric,
	}.WithDefaults()
	stamper, err := m.Stamper()
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	d := &Data{Truth: truth, params: p, space: m.Space, stamper: stamper}
	if d.Base, err = stamper.Stamp(base.Data); err != nil {
		return nil, fmt.Errorf("bench: vectors: %w", err)
	}
	if d.Queries, err = stamper.Stamp(queries.Data); err != nil {
		return nil, fmt.Errorf("bench: queries: %w", err)
	}
	switch {
	case queries.Dim != base.Dim:
		return nil, fmt.Errorf("bench: queries have %d dimensions, vectors %d", queries.Dim, base.Dim)
	case d.Queries.Len() == 0:
		return nil, fmt.Errorf("bench: there are no queries")
	case p.K < 1 || p.K > d.Base.Len():
		return nil, fmt.Errorf("bench: %d nearest of %d vectors can't be asked for", p.K, d.Base.Len())
	case truth.K != 0 && (truth.K < p.K || truth.Len() != d.Queries.Len()):
		return nil, fmt.Errorf("bench: the truth has %d neighbours of %d queries; %d of %d are needed", truth.K, truth.Len(), p.K, d.Queries.Len())
	}
	return d, nil
}

// digest tells sets of vectors apart.
func digest(s dataset.Set) compat.Digest {
	h := sha256.New()
	var buffer [64 << 10]byte
	for at := 0; at < len(s.Data); {
		n := 0
		for ; n < len(buffer) && at < len(s.Data); n, at = n+4, at+1 {
			binary.LittleEndian.PutUint32(buffer[n:], math.Float32bits(s.Data[at]))
		}
		_, _ = h.Write(buffer[:n]) // a hash takes all
	}
	return compat.Digest(h.Sum(nil))
}

// FindTruth finds the true neighbours of all queries, where there are none.
func (d *Data) FindTruth(ctx context.Context, threads int, report func(share float64)) error {
	if d.Truth.K != 0 {
		return nil
	}
	truth, err := dataset.Nearest(ctx, d.Base, d.Queries, dataset.NearestOptions{Metric: d.params.Metric, K: d.params.K, Threads: threads, Report: report})
	if err != nil {
		return err
	}
	d.Truth = truth
	return nil
}

// First is the same with the first n vectors alone, and no truth about them.
func (d *Data) First(n int) *Data {
	c := *d
	c.Base, c.Truth = d.Base.Slice(0, n), dataset.Neighbours{}
	return &c
}

// Ask is the same with the first n queries alone.
func (d *Data) Ask(n int) *Data {
	c := *d
	n = min(n, d.Queries.Len())
	c.Queries = d.Queries.Slice(0, n)
	c.Truth.IDs = d.Truth.IDs[:n*d.Truth.K]
	return &c
}

// config is what an engine needs to know.
func (d *Data) config(e Engine) index.Config {
	return index.Config{
		Fingerprint: d.space.Fingerprint(), Stored: d.space.Fingerprint(), Dimension: d.Base.Dim(), Metric: d.params.Metric,
		Build:  compat.IndexBuild{Engine: e.Engine, M: d.params.M, EfConstruction: d.params.EfConstruction, Encoding: e.Encoding},
		Search: compat.SearchDefaults{},
	}.WithDefaults()
}

// open makes an empty index.
func (d *Data) open(e Engine) (index.Index, error) {
	switch e.Engine {
	case compat.EngineHNSW:
		return hnsw.New(d.config(e))
	case compat.EngineAuto:
		return auto.New(d.config(e), auto.Options{})
	case compat.EngineCoder:
		return coder.New(d.config(e))
	case compat.EngineExact:
		return exact.New(d.config(e))
	}
	return nil, fmt.Errorf("bench: no engine %q; hnsw, auto, coder and exact are there", e.Engine)
}

// load opens a checkpoint.
func (d *Data) load(e Engine, source index.Source) (index.Index, error) {
	switch e.Engine {
	case compat.EngineHNSW:
		return hnsw.Load(d.config(e), source)
	case compat.EngineAuto:
		return auto.Load(d.config(e), source, auto.Options{})
	case compat.EngineCoder:
		return coder.Load(d.config(e), source)
	case compat.EngineExact:
		return exact.Load(d.config(e), source)
	}
	return nil, fmt.Errorf("bench: no engine %q; hnsw, auto, coder and exact are there", e.Engine)
}

// ordinals are n of them from first on.
func ordinals(first, n int) []uint32 {
	o := make([]uint32, n)
	for i := range o {
		o[i] = uint32(first + i)
	}
	return o
}

// Validate says which engines and encodings there are not.
func (e Engine) Validate() error {
	switch e.Engine {
	case compat.EngineHNSW, compat.EngineAuto, compat.EngineCoder, compat.EngineExact:
	default:
		return fmt.Errorf("bench: no engine %q; hnsw, auto, coder and exact are there", e.Engine)
	}
	for _, known := range Encodings(e.Engine) {
		if e.Encoding == known {
			return nil
		}
	}
	return fmt.Errorf("bench: %s keeps no vectors as %q; it has %v", e.Engine, e.Encoding, Encodings(e.Engine))
}

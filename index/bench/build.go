package bench

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"github.com/vecino-db/vecino/index"
)

// Build is what a built index has cost.
type Build struct {
	Name           string  `json:"name"`
	Vectors        int     `json:"vectors"`
	Dim            int     `json:"dimension"`
	M              int     `json:"m"`
	EfConstruction int     `json:"ef_construction"`
	Threads        int     `json:"threads"`
	Loaded         bool    `json:"loaded,omitempty"` // from a kept graph: the times are those of loading
	Seconds        float64 `json:"seconds"`          // of processor time
	WallSeconds    float64 `json:"wall_seconds"`
	// OptimizeSeconds of processor time came after, for an optimized one; they are
	// in none of the others.
	OptimizeSeconds float64 `json:"optimize_seconds,omitempty"`
	PerSecond       float64 `json:"vectors_per_second"`      // of processor time
	WallPerSecond   float64 `json:"wall_vectors_per_second"` // with all threads
	BytesPer        float64 `json:"bytes_per_vector"`        // as the index counts
	ResidentPer     float64 `json:"resident_per_vector"`     // as the system counts; 0: not known
}

// Built is an index with what it cost.
type Built struct {
	Engine Engine
	Index  index.Index
	Build  Build
}

// insertBatch is how many vectors an Insert takes at once.
const insertBatch = 256

// NewBuilt builds an index of all vectors, ordinal i for vector i. report is
// told how many are in, from all building threads.
func (d *Data) NewBuilt(ctx context.Context, e Engine, report func(done int)) (*Built, error) {
	before := settled()
	c := startClock()
	x, err := d.open(e)
	if err != nil {
		return nil, err
	}
	if err := d.insert(ctx, x, 0, d.Base.Len(), d.threads(), report); err != nil {
		return nil, errors.Join(err, end(x))
	}
	processor, wall := c.stop()
	optimizing := startClock()
	if e.Optimized {
		if err := optimize(ctx, x, report); err != nil {
			return nil, errors.Join(err, end(x))
		}
	}
	b := d.built(e, x, before, processor, wall)
	if e.Optimized {
		b.Build.OptimizeSeconds, _ = optimizing.stop()
	}
	return b, nil
}

// optimize makes searches of an engine better that can.
func optimize(ctx context.Context, x index.Index, report func(done int)) error {
	o, ok := index.As[index.Optimizer](x)
	if !ok {
		return errors.New("bench: the engine has nothing to optimize")
	}
	return o.Optimize(ctx, func(done, _ int) {
		if report != nil {
			report(done)
		}
	})
}

// built notes what an index cost.
func (d *Data) built(e Engine, x index.Index, before int64, processor, wall float64) *Built {
	n := float64(d.Base.Len())
	b := &Built{Engine: e, Index: x, Build: Build{
		Name: e.String(), Vectors: d.Base.Len(), Dim: d.Base.Dim(), M: d.params.M, EfConstruction: d.params.EfConstruction, Threads: d.threads(),
		Seconds: processor, WallSeconds: wall, PerSecond: n / processor, WallPerSecond: n / wall, BytesPer: float64(x.Stats().Bytes) / n,
	}}
	if after := settled(); after > before && before > 0 {
		b.Build.ResidentPer = float64(after-before) / n
	}
	return b
}

func (d *Data) threads() int { return max(1, d.params.Threads) }

// insert puts the vectors from..to-1 into x, on so many threads, and waits
// until they are where searches find them fastest. The index copies them.
func (d *Data) insert(ctx context.Context, x index.Index, from, to, threads int, report func(done int)) error {
	var next, done atomic.Int64
	next.Store(int64(from))
	var wg sync.WaitGroup
	errs := make([]error, threads)
	for t := range threads {
		wg.Go(func() {
			for errs[t] == nil {
				first := int(next.Add(insertBatch)) - insertBatch
				if first >= to {
					return
				}
				last := min(first+insertBatch, to)
				errs[t] = x.Insert(ctx, ordinals(first, last-first), d.Base.Slice(first, last))
				if n := done.Add(int64(last - first)); report != nil {
					report(int(n))
				}
			}
		})
	}
	wg.Wait()
	if s, ok := index.As[index.Settler](x); ok {
		errs = append(errs, s.Settle(ctx))
	}
	return errors.Join(errs...)
}

// Close ends what goes on in the background of the index.
func (b *Built) Close() error { return end(b.Index) }

func end(x index.Index) error {
	if c, ok := index.As[io.Closer](x); ok {
		return c.Close()
	}
	return nil
}

package bert

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/kernels/gemm"
)

// group is sequences that run through the network together, laid end to end.
type group struct {
	ids    []uint32 // of all sequences
	starts []int    // where each begins, and the end of the last
}

func (g *group) reset() { g.ids, g.starts = g.ids[:0], append(g.starts[:0], 0) }

func (g *group) add(ids []uint32) {
	g.ids = append(g.ids, ids...)
	g.starts = append(g.starts, len(g.ids))
}

// len is the number of sequences.
func (g *group) len() int { return len(g.starts) - 1 }

// span is where sequence i begins and ends.
func (g *group) span(i int) (from, to int) { return g.starts[i], g.starts[i+1] }

// arena is the memory of one group's way through the network. It grows to what
// the largest group needed and is used again. One group at a time.
type arena struct {
	group
	rows   []int32   // of network.place, for each token; or its place in the sequence
	states []float32 // tokens x hidden
	middle []float32 // tokens x hidden: states between attention and feed-forward part
	qkv    []float32 // tokens x 3*hidden
	mixed  []float32 // tokens x hidden: what attention gives
	bias   []float32 // heads x distances: of relative positions
	angles []angles
	lanes  []lane
	pooled [2][]float32 // sequences x dimension: what steps work on
}

// lane is the memory of one of the goroutines that work on a group.
type lane struct {
	inner, gate []float32 // rows x inner
	normed      []float32 // rows x hidden
	scores      []float32 // queries x keys
	keys        gemm.Packed
	values      gemm.Packed
	quantized   gemm.Scratch
}

// tokens is the most tokens that the arena has memory for.
func (a *arena) tokens() int { return cap(a.rows) }

// grow gives the slice n elements of any value.
func grow[T any](s *[]T, n int) []T {
	if cap(*s) < n {
		*s = make([]T, n)
	}
	*s = (*s)[:n]
	return *s
}

// parallel calls f for 0..n-1, on up to workers goroutines of which each has a
// number, until ctx ends, and waits; between calls it pauses as ctx asks for. One
// worker is the caller itself.
func parallel(ctx context.Context, workers, n int, f func(worker, i int)) {
	workers = min(workers, n)
	pause := embed.Pause(ctx)
	if workers <= 1 {
		for i := 0; i < n && ctx.Err() == nil; i++ {
			pause()
			f(0, i)
		}
		return
	}
	var next atomic.Int64
	work := func(worker int) {
		for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
			pause()
			f(worker, i)
		}
	}
	var wg sync.WaitGroup
	for worker := 1; worker < workers; worker++ {
		wg.Go(func() { work(worker) })
	}
	work(0)
	wg.Wait()
}

package auto

import (
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/vecino-db/vecino/index/hnsw"
)

// grown begins the graph when the scan has outgrown its threshold.
func (x *Index) grown() {
	s := x.state.Load()
	if s.scan == nil || s.graph != nil || s.scan.Len() <= x.threshold {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.built != nil || x.building.Err() != nil {
		return
	}
	x.built = make(chan struct{})
	go func() {
		defer close(x.built)
		if err := x.build(); err != nil {
			x.fail(err)
		}
	}()
}

// fail ends the building for good.
func (x *Index) fail(err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.failure == nil {
		x.failure = err
	}
	x.end()
}

// build copies the scan into a graph, and lets that answer.
func (x *Index) build() error {
	graph, err := hnsw.New(x.cfg)
	if err != nil {
		return err
	}
	// Whoever writes from here on writes to both.
	x.writers.Lock()
	scan := x.state.Load().scan
	x.state.Store(&state{scan: scan, graph: graph})
	x.writers.Unlock()

	ordinals := scan.Ordinals()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range max(1, runtime.GOMAXPROCS(0)/2) {
		wg.Go(func() {
			for x.building.Err() == nil {
				i := next.Add(1) - 1
				if i >= int64(len(ordinals)) {
					return
				}
				if err := graph.Take(scan, ordinals[i]); err != nil {
					x.fail(err)
				}
			}
		})
	}
	wg.Wait()

	x.writers.Lock()
	defer x.writers.Unlock()
	if err := x.building.Err(); err != nil {
		x.state.Store(&state{scan: scan})
		return err
	}
	x.state.Store(&state{graph: graph})
	return nil
}

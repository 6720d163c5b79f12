package train

import (
	"sync"
	"sync/atomic"
)

// workers is a number of goroutines that share work.
type workers int

// blocks calls f for the ranges [from, to) of 0..n-1 that are size long, with
// their number, and returns when all are done.
func (w workers) blocks(n, size int, f func(block, from, to int)) {
	count := (n + size - 1) / size
	var next atomic.Int64
	work := func() {
		for i := int(next.Add(1)) - 1; i < count; i = int(next.Add(1)) - 1 {
			f(i, i*size, min(n, (i+1)*size))
		}
	}
	if w <= 1 || count <= 1 {
		work()
		return
	}
	var wg sync.WaitGroup
	for range min(int(w), count) {
		wg.Go(work)
	}
	wg.Wait()
}

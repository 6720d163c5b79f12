package embed

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Traffic is what is under way in a program, by priority: who does what nobody
// waits for looks there, between pieces of its work, whether somebody waits for
// the processors. Go gives a goroutine that computes 10 ms and more before
// another may have its processor, which a query would feel.
//
// The zero value is ready, and nil is one in which nothing ever is under way. It
// is safe for concurrent use.
type Traffic struct {
	under [priorities]atomic.Int64
	last  atomic.Int64 // when a query came last, in nanoseconds since 1970

	mu    sync.Mutex
	doors []*door // that nobody uses at this moment
}

// Begin notes that work of a priority has begun, and gives what notes its end.
func (t *Traffic) Begin(p Priority) (end func()) {
	if t == nil {
		return func() {}
	}
	if p == PriorityQuery {
		t.last.Store(time.Now().UnixNano())
	}
	t.under[p].Add(1)
	return func() { t.under[p].Add(-1) }
}

// busyFor is how long queries count as coming in behind one.
const busyFor = time.Second

// Busy reports whether queries come in.
func (t *Traffic) Busy() bool {
	return t != nil && (t.under[PriorityQuery].Load() > 0 || time.Since(time.Unix(0, t.last.Load())) < busyFor)
}

// Above reports whether work is under way that goes before a priority.
func (t *Traffic) Above(p Priority) bool {
	for above := PriorityQuery; t != nil && above < p; above++ {
		if t.under[above].Load() > 0 {
			return true
		}
	}
	return false
}

const (
	// leastWork is the least time between two looks at who else wants to work.
	leastWork = 200 * time.Microsecond
	// breath is the time between two looks at those who go first.
	breath = 100 * time.Microsecond
	// yields is how many times as long as it has worked who yields waits at
	// most: where the others never end, that leaves a ninth of the time.
	yields = 8
)

// Yield lets work that goes before a priority go on alone: it waits until there
// is none, at most eight times as long as the caller has worked since it last
// yielded, and no longer than ctx. Before, it lets goroutines run that are ready,
// and while queries come in also those that the network has something for.
func (t *Traffic) Yield(ctx context.Context, p Priority, worked time.Duration) {
	if t.Busy() {
		t.letIn()
	} else {
		runtime.Gosched()
	}
	for end := time.Now().Add(yields * worked); t.Above(p) && ctx.Err() == nil && time.Now().Before(end); {
		time.Sleep(breath)
	}
}

func (t *Traffic) letIn() {
	t.mu.Lock()
	var d *door
	if n := len(t.doors); n > 0 {
		d, t.doors = t.doors[n-1], t.doors[:n-1]
	}
	t.mu.Unlock()
	if d == nil {
		d = newDoor()
	}
	d.letIn()
	t.mu.Lock()
	t.doors = append(t.doors, d)
	t.mu.Unlock()
}

// yielding is the pause of an encoding of a priority: between pieces of its work
// it yields. Goroutines of one encoding share it.
func (t *Traffic) yielding(ctx context.Context, p Priority) (pause func()) {
	var looked atomic.Int64
	began := time.Now()
	return func() {
		worked := time.Since(began) - time.Duration(looked.Load())
		if worked < leastWork {
			return
		}
		t.Yield(ctx, p, worked)
		looked.Store(int64(time.Since(began)))
	}
}

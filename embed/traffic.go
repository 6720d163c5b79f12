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
	last  atomic.Int64 // when a query came last, by clock; 0: none has come
	shut  atomic.Int64 // until when, by clock, the door costs too much

	once    sync.Once
	started time.Time

	mu    sync.Mutex
	doors []*door // that nobody uses at this moment
}

// Begin notes that work of a priority has begun, and gives what notes its end,
// which is to be called once. A query is under way for two seconds at most: one
// whose client reads slowly would hold up all else.
func (t *Traffic) Begin(p Priority) (end func()) {
	if t == nil {
		return func() {}
	}
	t.under[p].Add(1)
	if p != PriorityQuery {
		return func() { t.under[p].Add(-1) }
	}
	t.last.Store(int64(t.clock()))
	ended := time.AfterFunc(longestQuery, func() { t.under[p].Add(-1) })
	return func() {
		if ended.Stop() {
			t.under[p].Add(-1)
		}
	}
}

const (
	// busyFor is how long queries count as coming in behind one.
	busyFor      = time.Second
	longestQuery = 2 * time.Second
)

// clock is the time since it was first asked, which goes on steadily; it is
// positive.
func (t *Traffic) clock() time.Duration {
	t.once.Do(func() { t.started = time.Now() })
	return time.Since(t.started) + 1
}

// Busy reports whether queries come in.
func (t *Traffic) Busy() bool {
	if t == nil {
		return false
	}
	last := time.Duration(t.last.Load())
	return t.under[PriorityQuery].Load() > 0 || last > 0 && t.clock()-last < busyFor
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
	// dear is what a look at the network may take. It comes back when a processor
	// has nothing else to do: where none ever has, others run without it, too.
	dear = 2 * time.Millisecond
)

// Yield lets work that goes before a priority go on alone: it waits until there
// is none, at most eight times as long as the caller has worked since it last
// yielded, and no longer than ctx. Before, it lets goroutines run that are ready,
// and while queries come in also those that the network has something for.
func (t *Traffic) Yield(ctx context.Context, p Priority, worked time.Duration) {
	if t.Busy() && t.clock() >= time.Duration(t.shut.Load()) {
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
	began := t.clock()
	d.letIn()
	if took := t.clock() - began; took > dear {
		t.shut.Store(int64(t.clock() + yields*took))
	}
	t.mu.Lock()
	t.doors = append(t.doors, d)
	t.mu.Unlock()
}

// yielding is how an encoding of a priority yields between pieces of its work.
// Its goroutines share it.
type yielding struct {
	traffic  *Traffic
	ctx      context.Context
	priority Priority
	looked   atomic.Int64 // by clock
	waited   atomic.Int64 // by all goroutines
}

func (t *Traffic) yielding(ctx context.Context, p Priority) *yielding {
	y := &yielding{traffic: t, ctx: ctx, priority: p}
	y.looked.Store(int64(t.clock()))
	return y
}

func (y *yielding) pause() {
	began := y.traffic.clock()
	worked := began - time.Duration(y.looked.Load())
	if worked < leastWork {
		return
	}
	y.traffic.Yield(y.ctx, y.priority, worked)
	now := y.traffic.clock()
	y.looked.Store(int64(now))
	y.waited.Add(int64(now - began))
}

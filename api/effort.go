package api

import (
	"context"
	"errors"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/compat/migrate"
	"github.com/vecino-db/vecino/embed"
)

// What a migration takes of the processors, so that those who wait for answers
// hardly notice it: it works in lanes of one goroutine each, which hold all of
// its encoding and its linking. Beside queries there is one lane less than
// processors, because Go gives a goroutine that computes 10 ms and more before
// another may have its processor; and each lane, between pieces of its work,
// waits while a query is under way.

// Asked notes that a query has come, and gives what notes the end of its answer:
// migrations wait in between. Collection.Query does so itself; a transport, which
// has an answer to write, too, begins before and ends behind it.
func (s *Service) Asked() (end func()) { return s.traffic.Begin(embed.PriorityQuery) }

const (
	// piece is the least time between two looks at who else wants to work.
	piece = 200 * time.Microsecond
	// leastRest is not worth its timer; within mostRest other limits are noticed.
	leastRest = time.Millisecond
	mostRest  = time.Second
)

// effort is the lanes of one run, and what they have used.
type effort struct {
	traffic *embed.Traffic
	limits  func() migrate.Limits // of this moment
	pace    migrate.Pace
	used    atomic.Int64 // since take
	owed    atomic.Int64 // since the pace was told
}

func newEffort(t *embed.Traffic, limits func() migrate.Limits) *effort {
	return &effort{traffic: t, limits: limits}
}

// unlimited are the limits of what has none.
func unlimited() migrate.Limits { return migrate.Limits{} }

// lanes is how many may work now.
func (e *effort) lanes() int {
	most := runtime.GOMAXPROCS(0)
	if e.traffic.Busy() {
		most = max(1, most-1)
	}
	if cpus := e.limits().CPUs; cpus > 0 {
		most = min(most, int(math.Ceil(cpus)))
	}
	return most
}

// take is the processor time that was used since it was last called.
func (e *effort) take() time.Duration { return time.Duration(e.used.Swap(0)) }

// lane is one goroutine at work.
type lane struct {
	effort *effort
	ctx    context.Context
	looked time.Time     // when it last looked who else wants to work
	thread int           // that it ran on then
	clock  time.Duration // processor time of that thread, then
}

// alone does work in one lane, the caller's goroutine.
func (e *effort) alone(ctx context.Context, work func(l *lane) error) error {
	l := &lane{effort: e, ctx: ctx}
	l.begin()
	defer l.count()
	return work(l)
}

// each does work for 0..n-1 in up to so many lanes, of which each has a number,
// and waits.
func (e *effort) each(ctx context.Context, lanes, n int, work func(l *lane, i int)) {
	var next atomic.Int64
	run := func(l *lane) error {
		for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
			work(l, i)
		}
		return ctx.Err() // it was done all the same
	}
	var group sync.WaitGroup
	for range min(lanes, n) - 1 {
		group.Go(func() { _ = e.alone(ctx, run) })
	}
	_ = e.alone(ctx, run)
	group.Wait()
}

// begin begins a piece of work.
func (l *lane) begin() {
	l.looked = time.Now()
	l.thread, l.clock = threadTime()
}

// count counts a piece of work and begins another. Where Go has moved the
// goroutine to another thread in the middle of it, which a piece is mostly too
// short for, it counts as if it had computed all the time.
func (l *lane) count() {
	began, thread, clock := l.looked, l.thread, l.clock
	l.begin()
	used := l.clock - clock
	if thread != l.thread {
		used = l.looked.Sub(began)
	}
	l.effort.used.Add(int64(used))
	l.effort.owed.Add(int64(used))
}

// waiting does what waits for others than processors, the disk among them: on
// one thread, because a goroutine that waits is moved.
func (l *lane) waiting(work func()) {
	l.count()
	runtime.LockOSThread()
	l.begin()
	work()
	l.count()
	runtime.UnlockOSThread()
}

// yield lets what goes before a priority go first, and no more: who calls it
// holds what others may wait for.
func (l *lane) yield(p embed.Priority) {
	worked := time.Since(l.looked)
	if worked < piece {
		return
	}
	l.count()
	l.effort.traffic.Yield(l.ctx, p, worked)
	l.begin()
}

// pause lets others go first, and rests where the limit wants it.
func (l *lane) pause() {
	l.yield(embed.PriorityMigration)
	for l.ctx.Err() == nil { // who works looks at it, too
		rest := l.effort.pace.Rest(l.effort.limits().CPUs, time.Now(), time.Duration(l.effort.owed.Swap(0)))
		if rest < leastRest {
			return
		}
		_ = systemClock{}.Sleep(l.ctx, min(rest, mostRest))
		l.begin()
	}
}

// link does the linking of a batch in as many lanes as may work, this one, which
// is waiting for it, among them.
func (l *lane) link(n int, link func(i int)) {
	l.count()
	runtime.UnlockOSThread()
	defer func() { // the other lane of this goroutine has counted
		runtime.LockOSThread()
		l.begin()
	}()
	l.effort.each(l.ctx, l.effort.lanes(), n, func(l *lane, i int) {
		link(i)
		l.yield(embed.PriorityIngest) // an ingest may wait for the points of the batch
	})
}

// encode is encodeSome in as many lanes as may work. Equal texts go to one lane,
// which pays for them once. A remote model is asked as ever: its queue has the
// bounds of its server.
func (e *effort) encode(ctx context.Context, remote bool, encode encodeFunc, texts []string) (done embed.Encoded, rows []int, err error) {
	if remote {
		err = e.alone(ctx, func(l *lane) error {
			l.waiting(func() { done, rows, err = encodeSome(ctx, texts, encode) })
			l.pause()
			return err
		})
		return done, rows, err
	}
	parts := share(texts, e.lanes())
	encoded, some, errs := make([]embed.Encoded, len(parts)), make([][]int, len(parts)), make([]error, len(parts))
	e.each(ctx, len(parts), len(parts), func(l *lane, i int) {
		own := make([]string, len(parts[i]))
		for j, at := range parts[i] {
			own[j] = texts[at]
		}
		encoded[i], some[i], errs[i] = encodeSome(l.aside(), own, encode)
	})
	if err := errors.Join(errs...); err != nil {
		return embed.Encoded{}, nil, err
	}
	rows = make([]int, len(texts))
	var vectors []compat.Vectors
	n := 0
	for i, part := range parts {
		for j, at := range part {
			if rows[at] = some[i][j]; rows[at] >= 0 {
				rows[at] += n
			}
		}
		done.Tokens, done.Truncated = append(done.Tokens, encoded[i].Tokens...), append(done.Truncated, encoded[i].Truncated...)
		if rows := encoded[i].Vectors; rows.Len() > 0 {
			vectors, n = append(vectors, rows), n+rows.Len()
		}
	}
	done.Vectors, err = compat.Concat(vectors...)
	return done, rows, err
}

// share gives the places of texts to so many parts of about equal bytes, those
// of equal texts to one.
func share(texts []string, parts int) [][]int {
	list, bytes, of := make([][]int, parts), make([]int, parts), map[string]int{}
	for i, text := range texts {
		part, ok := of[text]
		if !ok {
			part = slices.Index(bytes, slices.Min(bytes))
			of[text] = part
			bytes[part] += len(text) + 1
		}
		list[part] = append(list[part], i)
	}
	return slices.DeleteFunc(list, func(part []int) bool { return len(part) == 0 })
}

// aside is the context of encodings in the lane.
func (l *lane) aside() context.Context { return embed.Aside(l.ctx, l.pause) }

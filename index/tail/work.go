package tail

import (
	"context"
	"fmt"
	"time"
)

// breath is how long a worker waits where searches want the processors.
const breath = 500 * time.Microsecond

// work links rows until there are none.
func (x *Index) work() {
	x.mu.Lock()
	defer x.mu.Unlock()
	defer func() {
		x.active--
		x.changed.Broadcast()
	}()
	for !x.closed && x.failed == nil {
		if busy := len(x.linking); busy > 0 && busy+int(x.searching.Load()) >= x.workers {
			x.mu.Unlock()
			time.Sleep(breath)
			x.mu.Lock()
			if x.taken == x.appended {
				return
			}
			continue
		}
		b, i := x.takeLocked()
		if b == nil {
			return
		}
		ordinal, from := b.ordinals[i], b.sources[i]
		x.linking[ordinal] = struct{}{}
		x.mu.Unlock()
		err := x.engine.Insert(context.Background(), []uint32{ordinal}, from.batch.Slice(from.row, from.row+1))
		x.mu.Lock()
		delete(x.linking, ordinal)
		if err != nil {
			x.failed = fmt.Errorf("linking ordinal %d: %w", ordinal, err)
			return
		}
		delete(x.waiting, ordinal)
		b.sources[i] = source{}
		b.states[i].Store(x.clock.Add(1))
		x.settleLocked()
	}
}

// takeLocked gives the next row to link; nil: there is none.
func (x *Index) takeLocked() (b *block, i int) {
	x.taken = max(x.taken, x.settled)
	for x.taken < x.appended {
		b, i := x.row(x.taken)
		x.taken++
		if b.states[i].Load() == pending {
			return b, i
		}
	}
	return nil, 0
}

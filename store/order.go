package store

import "sync"

// pointLocks keep writes of the same point apart from each other, and let all
// others run beside each other.
type pointLocks struct {
	mu    sync.Mutex
	freed sync.Cond // some ids left held
	held  map[ID]struct{}
}

func (p *pointLocks) init() {
	p.freed.L = &p.mu
	p.held = map[ID]struct{}{}
}

// lock waits until none of the ids, which are distinct, is held, and holds
// them all. Taking all at once or none rules deadlocks out.
func (p *pointLocks) lock(ids []ID) (unlock func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.anyHeldLocked(ids) {
		p.freed.Wait()
	}
	for _, id := range ids {
		p.held[id] = struct{}{}
	}
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, id := range ids {
			delete(p.held, id)
		}
		p.freed.Broadcast()
	}
}

func (p *pointLocks) anyHeldLocked(ids []ID) bool {
	for _, id := range ids {
		if _, ok := p.held[id]; ok {
			return true
		}
	}
	return false
}

// watermark follows sequences that finish out of order: all up to its level
// have finished.
type watermark struct {
	mu    sync.Mutex
	level uint64
	ahead map[uint64]struct{} // finished above the level
}

// reset sets the level where nothing is under way.
func (w *watermark) reset(level uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.level, w.ahead = level, map[uint64]struct{}{}
}

func (w *watermark) finish(sequence uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ahead == nil {
		w.ahead = map[uint64]struct{}{}
	}
	w.ahead[sequence] = struct{}{}
	for {
		if _, ok := w.ahead[w.level+1]; !ok {
			return
		}
		w.level++
		delete(w.ahead, w.level)
	}
}

func (w *watermark) get() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.level
}

package migrate

import (
	"sync"
	"time"
)

// saved is the allowance that a Pace keeps of a time in which less was used:
// what rests for long may not then take all processors for as long.
const saved = 100 * time.Millisecond

// Pace turns Limits.CPUs into rests: over any time longer than a piece of work,
// no more processor time is used than the limit times that time. It is safe for
// concurrent use.
type Pace struct {
	cpus float64 // 0: no limit

	mu   sync.Mutex
	paid time.Time // until when what was used is allowed
}

// NewPace is the pace of limits.
func NewPace(l Limits) *Pace { return &Pace{cpus: l.CPUs} }

// Rest counts processor time that was used until now, and gives how long
// whoever works has to rest; 0: not at all.
func (p *Pace) Rest(now time.Time, used time.Duration) time.Duration {
	if p.cpus <= 0 {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if least := now.Add(-saved); p.paid.Before(least) {
		p.paid = least
	}
	p.paid = p.paid.Add(time.Duration(float64(used) / p.cpus))
	return max(0, p.paid.Sub(now))
}

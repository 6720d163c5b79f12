package migrate

import (
	"sync"
	"time"
)

// saved is the allowance that a Pace keeps of a time in which less was used:
// what rests for long may not then take all processors for as long.
const saved = 100 * time.Millisecond

// Pace turns Limits.CPUs into rests: over any time longer than a piece of work,
// no more processor time is used than the limit times that time. The limit may
// change. The zero value is ready; it is safe for concurrent use.
type Pace struct {
	mu   sync.Mutex
	at   time.Time // of owed
	owed float64   // processor time that was used and is not allowed yet, in seconds
}

// Rest counts processor time that was used until now, and gives how long
// whoever works has to rest under a limit (0: none); 0: not at all.
func (p *Pace) Rest(cpus float64, now time.Time, used time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if cpus <= 0 {
		p.at, p.owed = now, 0
		return 0
	}
	p.owed = max(p.owed-cpus*now.Sub(p.at).Seconds(), -cpus*saved.Seconds()) + used.Seconds()
	p.at = now
	return max(0, time.Duration(p.owed/cpus*float64(time.Second)))
}

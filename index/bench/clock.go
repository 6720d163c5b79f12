package bench

import (
	"runtime"
	"runtime/debug"
	"time"
)

// clock takes the time in both ways.
type clock struct {
	wall      time.Time
	processor time.Duration
}

func startClock() clock { return clock{wall: time.Now(), processor: processorTime()} }

// stop is the seconds since the start.
func (c clock) stop() (processor, wall float64) {
	processor = (processorTime() - c.processor).Seconds()
	wall = time.Since(c.wall).Seconds()
	return max(processor, 1e-9), max(wall, 1e-9)
}

// settled collects garbage and gives free memory back, then says how much the
// process holds; 0 where the system doesn't tell.
func settled() int64 {
	runtime.GC()
	debug.FreeOSMemory()
	return residentBytes()
}

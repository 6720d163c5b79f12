package api

import (
	"time"

	"golang.org/x/sys/unix"
)

// threadTime is the calling thread and the processor time that it has used.
func threadTime() (thread int, used time.Duration) {
	for thread = unix.Gettid(); ; {
		var t unix.Timespec
		if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) != nil {
			return 0, time.Duration(time.Now().UnixNano())
		}
		now := unix.Gettid()
		if now == thread {
			return thread, time.Duration(t.Nano())
		}
		thread = now // Go moved the goroutine in between
	}
}

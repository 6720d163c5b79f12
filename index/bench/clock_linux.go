package bench

import (
	"bytes"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// HasProcessorTime says whether rates are by processor time.
const HasProcessorTime = true

// processorTime is what the process has used.
func processorTime() time.Duration { return clockTime(unix.CLOCK_PROCESS_CPUTIME_ID) }

// threadTime is what this thread has used; its goroutine must be locked to it.
func threadTime() time.Duration { return clockTime(unix.CLOCK_THREAD_CPUTIME_ID) }

func clockTime(id int32) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(id, &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// residentBytes is the memory that the process holds and no file backs.
func residentBytes() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, ok := bytes.Cut(status, []byte("RssAnon:"))
	if !ok {
		return 0
	}
	value, _, _ := bytes.Cut(rest, []byte("kB"))
	n, err := strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64)
	if err != nil {
		return 0
	}
	return n << 10
}

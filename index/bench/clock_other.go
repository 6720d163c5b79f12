//go:build !linux

package bench

import "time"

// HasProcessorTime says whether rates are by processor time.
const HasProcessorTime = false

// processorTime is the time on the wall, where the system tells no other.
func processorTime() time.Duration { return time.Duration(time.Now().UnixNano()) }

// threadTime is likewise.
func threadTime() time.Duration { return processorTime() }

// residentBytes is not known.
func residentBytes() int64 { return 0 }

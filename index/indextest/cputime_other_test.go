//go:build !unix

package indextest_test

import "time"

var began = time.Now()

// cpuTime is the time on the clock, where processor time is not to be had.
func cpuTime() time.Duration { return time.Since(began) }

//go:build !linux

package token

import "time"

var began = time.Now()

// threadTime is the time by the clock, where that of a thread isn't to be had.
func threadTime() time.Duration { return time.Since(began) }

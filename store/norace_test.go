//go:build !race

package store

const raceEnabled = false

// fewer is how many repetitions of a test are worth their time.
func fewer(n int) int { return n }

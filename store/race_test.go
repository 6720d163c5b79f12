//go:build race

package store

const raceEnabled = true

// fewer is how many repetitions of a test are worth their time: the race
// detector makes each some ten times slower, and a data race shows early.
func fewer(n int) int { return (n + 5) / 6 }

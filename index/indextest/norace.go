//go:build !race

package indextest

const raceEnabled = false

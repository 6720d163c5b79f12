//go:build !noasm

package cpu

// detect returns NEON: Advanced SIMD is part of every processor that Go's arm64
// port runs on.
func detect() []Tier { return []Tier{NEON} }

package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// byteSize is a number of bytes, written as "0", "65536", "64KiB", "64MiB" or "1GiB".
type byteSize int64

// UnmarshalText reads it.
func (b *byteSize) UnmarshalText(text []byte) error {
	digits, shift := string(text), 0
	for suffix, n := range map[string]int{"KiB": 10, "MiB": 20, "GiB": 30} {
		if rest, ok := strings.CutSuffix(string(text), suffix); ok {
			digits, shift = rest, n
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64>>shift {
		return fmt.Errorf("%q is no size; write it as 65536, 64KiB, 64MiB or 1GiB", text)
	}
	*b = byteSize(n << shift)
	return nil
}

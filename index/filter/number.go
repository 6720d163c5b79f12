package filter

import (
	"cmp"
	"math"
	"strconv"
	"strings"
)

// number is a JSON number: exact when it is written as a whole number and fits
// sign and 64 bits, otherwise the nearest float64. Equal values have equal
// numbers, so that it can be the key of a map.
type number struct {
	whole    bool
	negative bool   // of a whole number other than 0
	size     uint64 // magnitude of a whole number
	float    float64
}

// parseNumber reads the literal of a JSON number. It is false for what is no
// number, and for one beyond float64, which is returned as an infinity.
func parseNumber(literal string) (number, bool) {
	digits, negative := strings.CutPrefix(literal, "-")
	if size, err := strconv.ParseUint(digits, 10, 64); err == nil && (!negative || size <= 1<<63) {
		return number{whole: true, negative: negative && size != 0, size: size}, true
	}
	f, err := strconv.ParseFloat(literal, 64)
	if err != nil {
		return number{float: f}, false
	}
	return floatNumber(f), true
}

// floatNumber is f as a whole number where it is one within range.
func floatNumber(f float64) number {
	magnitude := math.Abs(f)
	if f == math.Trunc(f) && (magnitude < 1<<63 || f > 0 && magnitude < 1<<64 || f == -(1<<63)) {
		return number{whole: true, negative: f < 0, size: uint64(magnitude)}
	}
	return number{float: f}
}

// compare orders by value.
func (a number) compare(b number) int {
	switch {
	case a.whole && b.whole:
		return compareWhole(a, b)
	case a.whole:
		return -compareFloat(b.float, a)
	case b.whole:
		return compareFloat(a.float, b)
	default:
		return cmp.Compare(a.float, b.float)
	}
}

func compareWhole(a, b number) int {
	switch {
	case a.negative != b.negative && a.negative:
		return -1
	case a.negative != b.negative:
		return 1
	case a.negative:
		return cmp.Compare(b.size, a.size)
	default:
		return cmp.Compare(a.size, b.size)
	}
}

// compareFloat compares a float, which either has a fraction or lies beyond
// all whole numbers, with a whole number w, exactly.
func compareFloat(f float64, w number) int {
	floor := floatNumber(math.Floor(f))
	if !floor.whole { // beyond every whole number
		return cmp.Compare(f, 0)
	}
	// floor < f < floor+1, so f lies above w exactly when floor >= w.
	if compareWhole(floor, w) >= 0 {
		return 1
	}
	return -1
}

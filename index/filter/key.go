package filter

import (
	"math"
	"time"
)

// Key stands for a number or a time in the order of a sorted index: of two
// values the lesser never has the greater key.
type Key int64

// The ends of all keys.
const (
	minKey = Key(math.MinInt64)
	maxKey = Key(math.MaxInt64)
)

// numberKey is the order of the nearest float64: the bits of a float sort as a
// whole number does once those of a negative one are turned over.
func numberKey(n number) Key {
	f := n.float
	if n.whole {
		if f = float64(n.size); n.negative {
			f = -f
		}
	}
	bits := int64(math.Float64bits(f + 0)) // -0 is 0
	return Key(bits ^ (bits>>63)&math.MaxInt64)
}

// numberKeyExact reports whether one number alone has the key of n: from 2^53
// on whole numbers share the nearest float64.
func numberKeyExact(n number) bool {
	if n.whole {
		return n.size < 1<<53
	}
	return math.Abs(n.float) < 1<<53
}

// timeKey is twice the microseconds since 1970, and one more for what lies
// between two of them. Years of four digits are far from its ends.
func timeKey(t time.Time) Key {
	key := Key(t.UnixMicro()) * 2
	if !timeKeyExact(t) {
		key++
	}
	return key
}

// timeKeyExact reports whether one time alone has the key of t.
func timeKeyExact(t time.Time) bool { return t.Nanosecond()%1000 == 0 }

// Interval is the keys from Low to High, both included; none when Low > High.
type Interval struct{ Low, High Key }

// Contains reports whether a key lies within.
func (i Interval) Contains(k Key) bool { return i.Low <= k && k <= i.High }

// Range is what a range admits in terms of keys: a value whose key lies in
// Sure is within the range, one whose key lies outside of Possible isn't.
type Range struct{ Sure, Possible Interval }

// keyRange translates bounds.
func keyRange[T any](b bounds[T], key func(T) Key, exact func(T) bool) Range {
	r := Range{Sure: Interval{minKey, maxKey}, Possible: Interval{minKey, maxKey}}
	low := func(sure, possible Key) {
		r.Sure.Low, r.Possible.Low = max(r.Sure.Low, sure), max(r.Possible.Low, possible)
	}
	high := func(sure, possible Key) {
		r.Sure.High, r.Possible.High = min(r.Sure.High, sure), min(r.Possible.High, possible)
	}
	// A key is never at the ends of its type, so that one more or less is a key.
	if v := b.gt; v != nil {
		if k := key(*v); exact(*v) {
			low(k+1, k+1)
		} else {
			low(k+1, k)
		}
	}
	if v := b.gte; v != nil {
		if k := key(*v); exact(*v) {
			low(k, k)
		} else {
			low(k+1, k)
		}
	}
	if v := b.lt; v != nil {
		if k := key(*v); exact(*v) {
			high(k-1, k-1)
		} else {
			high(k-1, k)
		}
	}
	if v := b.lte; v != nil {
		if k := key(*v); exact(*v) {
			high(k, k)
		} else {
			high(k-1, k)
		}
	}
	return r
}

// pointRange is the keys of one number.
func pointRange(n number) Range {
	return keyRange(bounds[number]{gte: &n, lte: &n}, numberKey, numberKeyExact)
}

// countRange is what bounds of whole numbers admit.
func countRange(b bounds[number]) Interval {
	whole := func(n number) Key { return Key(min(n.size, math.MaxInt64/2)) }
	return keyRange(b, whole, func(number) bool { return true }).Sure
}

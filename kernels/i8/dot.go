// Package i8 has the int8 kernels: the inner product of quantized vectors, one by
// one and over the rows of a slab.
//
// The arithmetic is exact for every int8 including -128, so all tiers give the
// same result to the bit. A sum is an int32: vectors of up to 131,071 elements
// can't overflow it (131,072 * 16,384 = 2^31); beyond, it wraps as Go's int32
// does, in every tier alike.
//
// Slices of unequal length and row numbers outside of the slab are programming
// errors: they panic before anything is read. No kernel reads or writes outside
// of its arguments, allocates, or retains them. All are safe for concurrent use
// as far as their destinations don't overlap.
package i8

import "fmt"

// Dot returns the inner product of a and b, which have one length; 0 when they
// are empty.
func Dot(a, b []int8) int32 {
	if len(a) != len(b) {
		panicLengths("Dot", len(a), len(b))
	}
	return dot(a, b)
}

// panicLengths stays out of line, which keeps the entries of the kernels small.
//
//go:noinline
func panicLengths(op string, a, b int) {
	panic(fmt.Sprintf("i8: %s of slices of lengths %d and %d: they must be equal", op, a, b))
}

// dotGeneric is the reference.
func dotGeneric(a, b []int8) int32 {
	var s0, s1, s2, s3 int32
	for len(a) >= 4 && len(b) >= 4 {
		s0 += int32(a[0]) * int32(b[0])
		s1 += int32(a[1]) * int32(b[1])
		s2 += int32(a[2]) * int32(b[2])
		s3 += int32(a[3]) * int32(b[3])
		a, b = a[4:], b[4:]
	}
	s := s0 + s1 + s2 + s3
	for i := range min(len(a), len(b)) {
		s += int32(a[i]) * int32(b[i])
	}
	return s
}

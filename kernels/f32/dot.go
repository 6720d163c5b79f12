package f32

import "fmt"

// Dot returns the inner product of a and b, which have one length; 0 when they
// are empty.
func Dot(a, b []float32) float32 {
	if len(a) != len(b) {
		panicLengths("Dot", len(a), len(b))
	}
	return dot(a, b)
}

// SquaredL2 returns the squared Euclidean distance of a and b, which have one
// length; 0 when they are empty.
func SquaredL2(a, b []float32) float32 {
	if len(a) != len(b) {
		panicLengths("SquaredL2", len(a), len(b))
	}
	return squaredL2(a, b)
}

// panicLengths stays out of line, which keeps the entries of the kernels small.
//
//go:noinline
func panicLengths(op string, a, b int) {
	panic(fmt.Sprintf("f32: %s of slices of lengths %d and %d: they must be equal", op, a, b))
}

// dotGeneric is the reference. Four chains of additions run beside each other,
// since one alone would wait for the adder's latency.
func dotGeneric(a, b []float32) float32 {
	var s0, s1, s2, s3 float32
	for len(a) >= 4 && len(b) >= 4 {
		s0 += a[0] * b[0]
		s1 += a[1] * b[1]
		s2 += a[2] * b[2]
		s3 += a[3] * b[3]
		a, b = a[4:], b[4:]
	}
	s := (s0 + s2) + (s1 + s3)
	for i := range min(len(a), len(b)) {
		s += a[i] * b[i]
	}
	return s
}

// squaredL2Generic is the reference.
func squaredL2Generic(a, b []float32) float32 {
	var s0, s1, s2, s3 float32
	for len(a) >= 4 && len(b) >= 4 {
		d0, d1, d2, d3 := a[0]-b[0], a[1]-b[1], a[2]-b[2], a[3]-b[3]
		s0 += d0 * d0
		s1 += d1 * d1
		s2 += d2 * d2
		s3 += d3 * d3
		a, b = a[4:], b[4:]
	}
	s := (s0 + s2) + (s1 + s3)
	for i := range min(len(a), len(b)) {
		d := a[i] - b[i]
		s += d * d
	}
	return s
}

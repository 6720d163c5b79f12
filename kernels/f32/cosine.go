package f32

import "math"

// minSumOfSquares is the smallest float32 sum of squares that is trusted: above
// it what the squares of single elements lose to underflow (2^-149 each) is far
// below the rounding of the sum.
const minSumOfSquares = 0x1p-100

// Cosine returns the cosine similarity of a and b, which have one length, in
// [-1, 1]. It is 0 when a side has no elements or only zeros, and NaN when an
// element is NaN or infinite. Magnitudes don't matter: vectors whose squares
// leave the range of float32 are computed in float64.
func Cosine(a, b []float32) float32 {
	if len(a) != len(b) {
		panicLengths("Cosine", len(a), len(b))
	}
	ab, aa, bb := dotNorms(a, b)
	if !trusted(aa) || !trusted(bb) {
		return cosineWide(a, b)
	}
	return clampCosine(float64(ab) / (math.Sqrt(float64(aa)) * math.Sqrt(float64(bb))))
}

// Normalize scales v to unit Euclidean length in place and returns the length it
// had. A zero vector is left alone and gives 0. A vector with a NaN or an
// infinite element is left alone too, and gives NaN or +Inf, so a caller that
// checks the norm for a positive finite number knows that v is a unit vector.
// Any finite magnitude is normalized correctly; a length above the largest
// float32 is returned as that.
func Normalize(v []float32) (norm float32) {
	sum := dot(v, v)
	if !trusted(sum) {
		return normalizeWide(v)
	}
	length := math.Sqrt(float64(sum))
	scale(v, float32(1/length))
	return float32(length)
}

// trusted reports whether a float32 sum of squares has neither overflowed nor
// lost bits to underflow. NaN isn't trusted.
func trusted(sum float32) bool { return sum >= minSumOfSquares && sum <= math.MaxFloat32 }

// cosineWide computes in float64, where no square of a float32 overflows or
// underflows.
func cosineWide(a, b []float32) float32 {
	var ab, aa, bb float64
	for i, x := range a {
		x, y := float64(x), float64(b[i])
		ab += x * y
		aa += x * x
		bb += y * y
	}
	if aa == 0 || bb == 0 {
		// A NaN on the other side is still not a zero.
		if math.IsNaN(ab) {
			return float32(ab)
		}
		return 0
	}
	return clampCosine(ab / (math.Sqrt(aa) * math.Sqrt(bb)))
}

// normalizeWide is Normalize in float64.
func normalizeWide(v []float32) float32 {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if sum == 0 || math.IsNaN(sum) || math.IsInf(sum, 0) {
		return float32(sum)
	}
	length := math.Sqrt(sum)
	for i, x := range v {
		v[i] = float32(float64(x) / length)
	}
	return float32(min(length, math.MaxFloat32))
}

// clampCosine takes back what rounding put beyond 1. NaN stays.
func clampCosine(c float64) float32 {
	if c > 1 {
		return 1
	}
	if c < -1 {
		return -1
	}
	return float32(c)
}

// dotNormsGeneric is the reference: a.b, a.a and b.b.
func dotNormsGeneric(a, b []float32) (ab, aa, bb float32) {
	var ab1, aa1, bb1 float32
	for len(a) >= 2 && len(b) >= 2 {
		ab += a[0] * b[0]
		aa += a[0] * a[0]
		bb += b[0] * b[0]
		ab1 += a[1] * b[1]
		aa1 += a[1] * a[1]
		bb1 += b[1] * b[1]
		a, b = a[2:], b[2:]
	}
	for i := range min(len(a), len(b)) {
		ab += a[i] * b[i]
		aa += a[i] * a[i]
		bb += b[i] * b[i]
	}
	return ab + ab1, aa + aa1, bb + bb1
}

// scaleGeneric is the reference of v *= s.
func scaleGeneric(v []float32, s float32) {
	for i := range v {
		v[i] *= s
	}
}

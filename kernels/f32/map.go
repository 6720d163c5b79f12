package f32

import "math"

// Add adds b to dst element by element. They have one length, and are the same or
// don't overlap.
func Add(dst, b []float32) {
	if len(dst) != len(b) {
		panicLengths("Add", len(dst), len(b))
	}
	add(dst, b)
}

// Mul multiplies dst by b element by element. They have one length, and are the
// same or don't overlap.
func Mul(dst, b []float32) {
	if len(dst) != len(b) {
		panicLengths("Mul", len(dst), len(b))
	}
	mul(dst, b)
}

// Axpy adds s*b to dst element by element. They have one length, and are the same
// or don't overlap.
func Axpy(dst []float32, s float32, b []float32) {
	if len(dst) != len(b) {
		panicLengths("Axpy", len(dst), len(b))
	}
	axpy(dst, b, s)
}

// Scale multiplies v by s.
func Scale(v []float32, s float32) { scale(v, s) }

// Softmax replaces v by exp(v[i]) / sum of exp(v[j]), computed from the differences
// to the greatest element, so that nothing overflows. Elements that lie more than
// 87.3 below the greatest become 0, and so does -Inf. A NaN or a +Inf makes all of
// v NaN, as does a v of nothing but -Inf.
func Softmax(v []float32) {
	if len(v) == 0 {
		return
	}
	softmax(v, len(v))
}

// SoftmaxRows is Softmax of each of the rows of n that make up v.
func SoftmaxRows(v []float32, n int) {
	if n < 0 || len(v) > 0 && (n == 0 || len(v)%n != 0) {
		panicLengths("SoftmaxRows", len(v), n)
	}
	if len(v) > 0 {
		softmax(v, n)
	}
}

// LayerNorm replaces v by (v-mean)/sqrt(variance+eps) * gamma + beta, where mean and
// variance (of the population) are those of v. The three have one length.
func LayerNorm(v, gamma, beta []float32, eps float32) {
	if len(v) != len(gamma) {
		panicLengths("LayerNorm", len(v), len(gamma))
	}
	if len(v) != len(beta) {
		panicLengths("LayerNorm", len(v), len(beta))
	}
	if len(v) == 0 {
		return
	}
	n := float64(len(v))
	mean := float32(float64(sum(v)) / n)
	variance := float64(deviations(v, mean)) / n
	affine(v, gamma, beta, mean, float32(1/math.Sqrt(variance+float64(eps))))
}

func addGeneric(dst, b []float32) {
	for i, x := range b {
		dst[i] += x
	}
}

func mulGeneric(dst, b []float32) {
	for i, x := range b {
		dst[i] *= x
	}
}

func axpyGeneric(dst, b []float32, s float32) {
	for i, x := range b {
		dst[i] += s * x
	}
}

func maximumGeneric(v []float32) float32 {
	top := float32(math.Inf(-1))
	for _, x := range v {
		if x > top {
			top = x
		}
	}
	return top
}

// leastExponent is about the logarithm of the smallest normal float32. What lies
// below counts as 0 in Softmax and GELU.
const leastExponent = -87.33654

func expSumGeneric(v []float32, top float32) float32 {
	var sum float64
	for i, x := range v {
		y := x - top
		e := float32(0)
		if !(y < leastExponent) {
			e = float32(math.Exp(float64(y)))
		}
		v[i] = e
		sum += float64(e)
	}
	return float32(sum)
}

func softmaxGeneric(v []float32, n int) {
	for ; len(v) > 0; v = v[n:] {
		row := v[:n]
		scale(row, 1/expSumGeneric(row, maximumGeneric(row)))
	}
}

func sumGeneric(v []float32) float32 {
	var s0, s1, s2, s3 float32
	for len(v) >= 4 {
		s0, s1, s2, s3 = s0+v[0], s1+v[1], s2+v[2], s3+v[3]
		v = v[4:]
	}
	s := (s0 + s2) + (s1 + s3)
	for _, x := range v {
		s += x
	}
	return s
}

func deviationsGeneric(v []float32, mean float32) float32 {
	var s0, s1 float32
	for len(v) >= 2 {
		d0, d1 := v[0]-mean, v[1]-mean
		s0 += d0 * d0
		s1 += d1 * d1
		v = v[2:]
	}
	for _, x := range v {
		s0 += (x - mean) * (x - mean)
	}
	return s0 + s1
}

func affineGeneric(v, gamma, beta []float32, mean, inverse float32) {
	for i, x := range v {
		v[i] = (x-mean)*inverse*gamma[i] + beta[i]
	}
}

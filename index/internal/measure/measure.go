// Package measure compares vectors as a metric has it, over the kernels.
//
// Inside an index a comparison is a raw value: the inner product under cosine
// and dot, the squared Euclidean distance under L2. Raw values become distances
// (smaller is nearer, the order of the graph), 32-bit keys (the same order, as
// unsigned integers) or scores (what users see). Under cosine vectors are
// normalized copies, so that their inner product is the similarity.
//
// A Measure is immutable and safe for concurrent use.
package measure

import (
	"math"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/kernels/f32"
)

// Measure is one metric. Make it with Of.
type Measure struct {
	metric compat.Metric
	l2     bool
	// flip turns the key of a raw value into the key of its distance.
	flip uint32
	// sign turns a raw value into a distance.
	sign float32
}

// Of is the measure of a metric.
func Of(metric compat.Metric) Measure {
	if metric == compat.MetricL2 {
		return Measure{metric: metric, l2: true, sign: 1}
	}
	return Measure{metric: metric, flip: math.MaxUint32, sign: -1}
}

// Metric is what it measures.
func (m Measure) Metric() compat.Metric { return m.metric }

// Prepare copies src to dst, normalized under cosine. The lengths are equal.
func (m Measure) Prepare(dst, src []float32) {
	copy(dst, src)
	if m.metric == compat.MetricCosine {
		f32.Normalize(dst)
	}
}

// Rows sets dst[i] to the raw value of q against row rows[i] of slab
// (row-major, n x len(q)).
func (m Measure) Rows(dst, q, slab []float32, rows []uint32) {
	if m.l2 {
		f32.SquaredL2Rows(dst, q, slab, rows)
		return
	}
	f32.DotRows(dst, q, slab, rows)
}

// Raw is the raw value of a and b.
func (m Measure) Raw(a, b []float32) float32 {
	if m.l2 {
		return f32.SquaredL2(a, b)
	}
	return f32.Dot(a, b)
}

// Wide is the raw value of a and b, summed in float64.
func (m Measure) Wide(a, b []float32) float64 {
	b = b[:len(a)]
	var s0, s1 float64
	if m.l2 {
		for i, x := range a {
			d := float64(x) - float64(b[i])
			s0, s1 = s1, s0+d*d
		}
		return s0 + s1
	}
	for i, x := range a {
		s0, s1 = s1, s0+float64(x)*float64(b[i])
	}
	return s0 + s1
}

// Distance of a raw value: smaller is nearer.
func (m Measure) Distance(raw float32) float32 { return m.sign * raw }

// Key of a raw value: smaller is nearer. Not for NaN.
func (m Measure) Key(raw float32) uint32 {
	b := math.Float32bits(raw)
	// All bits of a negative number are turned around, the sign of others.
	b ^= uint32(int32(b)>>31) | 1<<31
	return b ^ m.flip
}

// RawOf is the raw value that has the key.
func (m Measure) RawOf(key uint32) float32 {
	b := key ^ m.flip
	b ^= ^uint32(int32(b)>>31) | 1<<31
	return math.Float32frombits(b)
}

// Score of a raw value, as users see it.
func (m Measure) Score(raw float64) float32 {
	if m.l2 {
		return float32(math.Sqrt(raw))
	}
	return float32(raw)
}

// Package kerneltest is what the tests of all kernel packages share: running a
// test in every tier, memory that faults beyond its end, numbers worth trying,
// and tolerances.
//
// Tolerances come from the usual bound of floating-point summation (Higham,
// Accuracy and Stability of Numerical Algorithms, section 4.2): whatever the
// order, the error of a sum of n rounded products is at most about n*u times the
// sum of the absolute products, u = 2^-24. A wrong lane or a missed tail lies
// orders of magnitude beyond that on random data.
package kerneltest

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/vecino-db/vecino/kernels/cpu"
)

// MaxLen is the greatest length that conformance tests try; they try all below.
const MaxLen = 1100

// EachTier runs f once in every tier of this machine, as a subtest of its name.
// Subtests must not run in parallel.
func EachTier(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	for _, tier := range cpu.Supported() {
		t.Run(tier.String(), func(t *testing.T) {
			restore, err := cpu.Force(tier)
			if err != nil {
				t.Fatal(err)
			}
			defer restore()
			f(t)
		})
	}
}

// EachTierB is EachTier for benchmarks.
func EachTierB(b *testing.B, f func(b *testing.B)) {
	b.Helper()
	for _, tier := range cpu.Supported() {
		b.Run(tier.String(), func(b *testing.B) {
			restore, err := cpu.Force(tier)
			if err != nil {
				b.Fatal(err)
			}
			defer restore()
			f(b)
		})
	}
}

// Rand returns a generator whose seed is printed when the test fails.
func Rand(tb testing.TB) *rand.Rand {
	tb.Helper()
	seed := rand.Uint64()
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("seed %d", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 0))
}

// Fixed returns a generator that is the same for a seed in every tier.
func Fixed(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

// Normal fills v with normally distributed numbers.
func Normal(r *rand.Rand, v []float32) {
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
}

// Bytes fills v with all of int8, its extremes often.
func Bytes(r *rand.Rand, v []int8) {
	for i := range v {
		switch r.IntN(8) {
		case 0:
			v[i] = -128
		case 1:
			v[i] = 127
		default:
			v[i] = int8(r.IntN(256) - 128)
		}
	}
}

// Close reports whether got, a sum of n rounded terms, may stand for want, whose
// absolute terms sum to magnitude. NaN matches NaN, infinities match themselves.
func Close(got float32, want, magnitude float64, n int) bool {
	g := float64(got)
	switch {
	case math.IsNaN(want):
		return math.IsNaN(g)
	case math.IsInf(want, 0) || math.Abs(want) > math.MaxFloat32:
		return math.IsInf(g, int(math.Copysign(1, want)))
	}
	// The denormal term: each product may lose half of the smallest denormal.
	tolerance := float64(n+4)*0x1p-24*magnitude + float64(n+4)*0x1p-149
	return math.Abs(g-want) <= tolerance
}

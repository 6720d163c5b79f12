// Package f32 has the float32 kernels: inner product, squared Euclidean
// distance, cosine, normalization, and the same over rows of a slab, which is
// what a graph search spends its time in.
//
// Every kernel exists in plain Go and in the tiers of package cpu; the plain Go
// form is the specification of the others. Tiers differ in the order in which
// they add, and so in the last bits: results agree to a relative error of about
// n * 2^-24 of the sum of the absolute terms, never to the bit. Within one tier
// equal arguments give equal bits, whatever their alignment; and Dot and DotRows
// (SquaredL2 and SquaredL2Rows) may differ in the last bits.
//
// NaN and infinities carry through as IEEE 754 has it: a NaN among the arguments
// gives NaN. Denormals are computed with, not flushed.
//
// Slices of unequal length and row numbers outside of the slab are programming
// errors: they panic before anything is read. No kernel reads or writes outside
// of its arguments, allocates, or retains them. All are safe for concurrent use
// as far as their destinations don't overlap.
package f32

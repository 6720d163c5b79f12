// Package gemm multiplies activations by weights: the part of a transformer that
// takes nearly all of its time.
//
//	dst (m x n)  =  epilogue( a (m x k)  *  b (k x n) )
//
// Matrices are row-major. The right side is packed once (PackB, PackBT): cut into
// panels as wide as the micro-kernel of the tier, each contiguous along k:
//
//	panel 0: b[0][0..w)  b[1][0..w)  ...  b[k-1][0..w)
//	panel 1: b[0][w..2w) ...
//
// and the last one filled up with zeros. The left side is read where it lies. The
// micro-kernel keeps a tile in registers (12 x 32 with AVX-512, 6 x 16 with AVX2,
// 8 x 8 with NEON, 4 x 4 in plain Go) over a stretch of k; the loops around it
// keep the panels in the second-level cache (Goto and van de Geijn, Anatomy of
// High-Performance Matrix Multiplication, 2008). A bias is added, and integers
// become floats, while the tile is in registers; GELU and a residual follow while
// a stripe of the result is still near.
//
// One call runs on the caller's goroutine and allocates nothing. To use more
// processors, split the rows: calls on different rows of dst are independent, and
// a row's result doesn't depend on which rows are computed beside it, not even in
// its last bit.
//
// Shapes that don't fit are programming errors and panic before anything is
// written. Tiers agree to rounding, as with package f32.
package gemm

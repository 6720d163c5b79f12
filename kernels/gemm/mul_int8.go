package gemm

import "fmt"

// Scratch is the memory that MulInt8 works in: it grows to what the largest call
// needed and is used again. The zero value is ready. One goroutine at a time.
type Scratch struct {
	bytes  []uint8 // quantized rows of a, in tiers that take bytes
	words  []int16 // and in those that take 16 bits
	scales []float32
}

func grow[T any](s *[]T, n int) []T {
	if cap(*s) < n {
		*s = make([]T, n)
	}
	*s = (*s)[:n]
	return *s
}

// MulInt8 is Mul with a quantized right side, and a quantized row by row as it
// comes: every row's scale is its greatest magnitude / 127. Products and sums are
// exact, and so without an epilogue all tiers give the same bits. A row of a with a
// NaN or an infinity gives a row of NaN. dst must not overlap a, and the residual
// must not be dst.
func MulInt8(dst []float32, ldc int, a []float32, lda, m int, b *PackedInt8, s *Scratch, e Epilogue) {
	checkMatrix("MulInt8", "dst", len(dst), m, b.n, ldc)
	checkMatrix("MulInt8", "a", len(a), m, b.k, lda)
	if e.Bias != nil && len(e.Bias) != b.n {
		panic(fmt.Sprintf("gemm: MulInt8: a bias of %d for %d columns", len(e.Bias), b.n))
	}
	if e.Residual != nil {
		checkMatrix("MulInt8", "the residual", len(e.Residual), m, b.n, e.ResidualStride)
	}
	if m == 0 || b.n == 0 {
		return
	}
	if e.Residual != nil && &e.Residual[0] == &dst[0] {
		panic("gemm: MulInt8: the residual can't be dst")
	}
	quantizeRows(a, lda, m, b, s)
	bias := addend{data: e.Bias}
	tall := integerRows(b.tier)
	// Columns whose panels stay in the second-level cache.
	block := max(1, blockBytes/max(1, b.padded*b.width)) * b.width
	for j := 0; j < b.n; j += block {
		cols := min(block, b.n-j)
		for i := 0; i < m; i += tall {
			rows := min(tall, m-i)
			for c := j; c < j+cols; c += b.width {
				integerStripe(dst[i*ldc+c:], ldc, rows, min(b.width, j+cols-c), b, s, i, c, bias)
			}
			e.apply(dst, ldc, i, rows, j, cols, false)
		}
	}
}

// quantizeRows fills s with the quantized rows of a, each padded as b is; the
// padding meets weights of 0, so its values don't matter.
func quantizeRows(a []float32, lda, m int, b *PackedInt8, s *Scratch) {
	scales := grow(&s.scales, m)
	if unsignedRows(b.tier) {
		q := grow(&s.bytes, m*b.padded)
		for i := range m {
			row := a[i*lda : i*lda+b.k]
			scale, inverse := quantum(absMax(b.tier, row))
			scales[i] = scale
			quantizeBytes(q[i*b.padded:i*b.padded+b.k], row, inverse)
		}
		return
	}
	q := grow(&s.words, m*b.padded)
	for i := range m {
		row := a[i*lda : i*lda+b.k]
		scale, inverse := quantum(absMax(b.tier, row))
		scales[i] = scale
		quantizeWords(b.tier, q[i*b.padded:i*b.padded+b.k], row, inverse)
	}
}

func quantizeWordsGeneric(dst []int16, v []float32, inverse float32) {
	for i, x := range v {
		dst[i] = int16(quantized(x, inverse))
	}
}

func quantizeBytesGeneric(dst []uint8, v []float32, inverse float32) {
	for i, x := range v {
		dst[i] = uint8(quantized(x, inverse) + 128)
	}
}

// integerStripe computes rows of dst from row i of a on, and cols from column j
// on, which are one panel.
func integerStripe(dst []float32, ldc, rows, cols int, b *PackedInt8, s *Scratch, i, j int, bias addend) {
	if cols == b.width {
		integerTiles(b, s, i, rows, j, dst, ldc, bias.from(j))
		return
	}
	// The last columns are fewer than a panel: aside, and copied.
	var aside [maxRows * maxWidth]float32
	integerTiles(b, s, i, rows, j, aside[:], b.width, addend{})
	bias.from(j).addTo(aside[:], b.width, rows, cols)
	for r := range rows {
		copy(dst[r*ldc:r*ldc+cols], aside[r*b.width:])
	}
}

// integerTilesGeneric is the reference: a panel is one column, whole, or any
// panel of nothing.
func integerTilesGeneric(b *PackedInt8, s *Scratch, i, rows, j int, dst []float32, ldc int, d addend) {
	for r := range rows {
		to := dst[r*ldc:][:b.width]
		clear(to)
		if b.padded > 0 {
			sum := dotWords(s.words[(i+r)*b.padded:][:b.padded], b.data[j*b.padded:][:b.padded])
			to[0] = float32(sum+b.offsets[j]) * s.scales[i+r] * b.scales[j]
		}
	}
	d.addTo(dst, ldc, rows, b.width)
}

func dotWords(a []int16, b []int8) int32 {
	var s0, s1 int32
	for len(a) >= 2 && len(b) >= 2 {
		s0 += int32(a[0]) * int32(b[0])
		s1 += int32(a[1]) * int32(b[1])
		a, b = a[2:], b[2:]
	}
	for i := range a {
		s0 += int32(a[i]) * int32(b[i])
	}
	return s0 + s1
}

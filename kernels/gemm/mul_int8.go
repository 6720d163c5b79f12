package gemm

import "fmt"

// Scratch is the memory that MulInt8 works in: it grows to what the largest call
// needed and is used again. The zero value is ready. One goroutine at a time.
type Scratch struct {
	bytes  []uint8 // quantized rows of a, in tiers that take bytes
	words  []int16 // and in those that take 16 bits
	scales []float32
	sums   []int32 // a stripe of sums
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
	tall := integerRows(b.tier)
	// Columns whose panels stay in the second-level cache.
	block := max(1, blockBytes/max(1, b.padded*b.width)) * b.width
	for j := 0; j < b.n; j += block {
		cols := min(block, b.n-j)
		stride := (cols + b.width - 1) / b.width * b.width
		sums := grow(&s.sums, tall*stride)
		for i := 0; i < m; i += tall {
			rows := min(tall, m-i)
			for c := 0; c < cols; c += b.width {
				panel := b.data[(j+c)*b.padded:][:b.width*b.padded]
				integerTiles(b, s, i, rows, panel, sums[c:], stride)
			}
			for r := range rows {
				at := (i+r)*ldc + j
				dequantize(b.tier, dst[at:at+cols], sums[r*stride:r*stride+cols], b.correction[j:j+cols], b.scales[j:j+cols], s.scales[i+r])
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

func dequantizeGeneric(dst []float32, sums, correction []int32, scales []float32, scale float32) {
	for i, c := range sums {
		dst[i] = float32(c-correction[i]) * scale * scales[i]
	}
}

// integerTilesGeneric is the reference: a panel is one column, whole.
func integerTilesGeneric(words []int16, stride, rows int, panel []int8, sums []int32, ldc int) {
	for r := range rows {
		row := words[r*stride : r*stride+len(panel)]
		var s0, s1 int32
		for i, w := range panel {
			if i&1 == 0 {
				s0 += int32(w) * int32(row[i])
			} else {
				s1 += int32(w) * int32(row[i])
			}
		}
		sums[r*ldc] = s0 + s1
	}
}

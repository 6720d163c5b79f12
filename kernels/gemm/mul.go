package gemm

import (
	"fmt"

	"github.com/vecino-db/vecino/kernels/f32"
)

const (
	// stretch is the most of k that a micro-kernel goes over at once: a panel's
	// part then takes 64 KB with AVX-512, and stays in the second-level cache
	// beside others while the rows pass by.
	stretch = 512
	// blockBytes bounds the panels that are kept in the second-level cache.
	blockBytes = 384 << 10
	// maxRows and maxWidth bound a tile over all tiers.
	maxRows, maxWidth = 12, 32
)

// Epilogue is what is done to the product, in the order of the fields. The zero
// value does nothing.
type Epilogue struct {
	// Bias of n is added to every row, unless it is nil.
	Bias []float32
	// GELU applies x * Phi(x).
	GELU bool
	// Residual, m x n with row stride ResidualStride, is added, unless it is nil.
	// It may be dst itself, of dst's stride, if GELU isn't set: the product is then
	// added to what dst holds.
	Residual       []float32
	ResidualStride int
}

// Mul sets dst, m x n with row stride ldc, to a*b with the epilogue applied. a is
// m x k with row stride lda, and k x n is the shape of b. dst must not overlap a.
func Mul(dst []float32, ldc int, a []float32, lda, m int, b *Packed, e Epilogue) {
	checkMatrix("Mul", "dst", len(dst), m, b.n, ldc)
	checkMatrix("Mul", "a", len(a), m, b.k, lda)
	if e.Bias != nil && len(e.Bias) != b.n {
		panic(fmt.Sprintf("gemm: Mul: a bias of %d for %d columns", len(e.Bias), b.n))
	}
	if e.Residual != nil {
		checkMatrix("Mul", "the residual", len(e.Residual), m, b.n, e.ResidualStride)
	}
	if m == 0 || b.n == 0 {
		return
	}
	inPlace := e.Residual != nil && &e.Residual[0] == &dst[0]
	if inPlace && (e.GELU || e.ResidualStride != ldc) {
		panic("gemm: Mul: a residual that is dst wants dst's stride, and no GELU")
	}
	if b.k == 0 {
		mulEmpty(dst, ldc, m, b, e, inPlace)
		return
	}
	parts := (b.k + stretch - 1) / stretch
	step := (b.k + parts - 1) / parts
	block := max(1, blockBytes/(4*step*b.width)) * b.width
	tall := tileRows(b.tier)
	for j := 0; j < b.n; j += block {
		cols := min(block, b.n-j)
		for p := 0; p < b.k; p += step {
			depth := min(step, b.k-p)
			for i := 0; i < m; i += tall {
				rows := min(tall, m-i)
				to, d := dst[i*ldc+j:], addend{}
				switch {
				case p > 0 || inPlace:
					d = addend{to, ldc}
				case e.Bias != nil:
					d = addend{e.Bias[j:], 0}
				}
				stripe(to, ldc, a[i*lda+p:], lda, rows, cols, b, j, p, depth, d)
				if p+depth == b.k {
					e.apply(dst, ldc, i, rows, j, cols, inPlace)
				}
			}
		}
	}
}

// mulEmpty is Mul with a k of 0, whose product is 0.
func mulEmpty(dst []float32, ldc, m int, b *Packed, e Epilogue, inPlace bool) {
	for i := range m {
		if !inPlace {
			clear(dst[i*ldc : i*ldc+b.n])
			if e.Bias != nil {
				copy(dst[i*ldc:i*ldc+b.n], e.Bias)
			}
		}
		e.apply(dst, ldc, i, 1, 0, b.n, inPlace)
	}
}

// addend is what a product is added to, while it is still in registers: a matrix,
// a row that stands for every row (stride 0), or nothing (nil).
type addend struct {
	data   []float32
	stride int
}

// row returns where row r begins.
func (d addend) row(r int) *float32 {
	if d.data == nil {
		return nil
	}
	return &d.data[r*d.stride]
}

// from returns the columns from c on.
func (d addend) from(c int) addend {
	if d.data == nil {
		return d
	}
	return addend{d.data[c:], d.stride}
}

// check panics unless a tile of rows x width lies in the addend.
func (d addend) check(rows, width int) {
	if d.data != nil {
		_ = d.data[(rows-1)*d.stride+width-1]
	}
}

// addTo adds rows x cols to dst.
func (d addend) addTo(dst []float32, ldc, rows, cols int) {
	if d.data == nil {
		return
	}
	for r := range rows {
		to, from := dst[r*ldc:r*ldc+cols], d.data[r*d.stride:]
		for i := range to {
			to[i] += from[i]
		}
	}
}

// stripe computes rows x cols of dst from the panels of b that begin at column j,
// over depth of k from p on.
func stripe(dst []float32, ldc int, a []float32, lda, rows, cols int, b *Packed, j, p, depth int, d addend) {
	w := b.width
	for c := 0; c < cols; c += w {
		panel := b.data[(j+c)*b.k+p*w:][:depth*w]
		if c+w <= cols {
			tiles(b.tier, dst[c:], ldc, a, lda, rows, panel, depth, d.from(c))
			continue
		}
		// The last columns are fewer than a panel: aside, and copied.
		var aside [maxRows * maxWidth]float32
		tiles(b.tier, aside[:], w, a, lda, rows, panel, depth, addend{})
		d.from(c).addTo(aside[:], w, rows, cols-c)
		for r := range rows {
			copy(dst[r*ldc+c:r*ldc+cols], aside[r*w:])
		}
	}
}

// apply runs what is left of the epilogue on rows from i on and columns from j on:
// the bias is in the product already, except where that was added to what dst held.
func (e *Epilogue) apply(dst []float32, ldc, i, rows, j, cols int, inPlace bool) {
	if !e.GELU && e.Residual == nil {
		return
	}
	for r := i; r < i+rows; r++ {
		row := dst[r*ldc+j : r*ldc+j+cols]
		if e.GELU {
			f32.GELU(row)
		}
		switch {
		case !inPlace && e.Residual != nil:
			f32.Add(row, e.Residual[r*e.ResidualStride+j:r*e.ResidualStride+j+cols])
		case inPlace && e.Bias != nil:
			f32.Add(row, e.Bias[j:j+cols])
		}
	}
}

// genericRows and genericWidth are the tile of plain Go.
const genericRows, genericWidth = 4, 4

// tileGeneric is the reference of the micro-kernels: rows x 4 at dst.
func tileGeneric(dst []float32, ldc int, a []float32, lda, rows int, panel []float32, depth int, d addend) {
	for r := range rows {
		var s0, s1, s2, s3 float32
		rest := panel
		for _, x := range a[r*lda : r*lda+depth] {
			row := rest[:4]
			s0 += x * row[0]
			s1 += x * row[1]
			s2 += x * row[2]
			s3 += x * row[3]
			rest = rest[4:]
		}
		if d.data != nil {
			from := d.data[r*d.stride:][:4]
			s0, s1, s2, s3 = s0+from[0], s1+from[1], s2+from[2], s3+from[3]
		}
		to := dst[r*ldc:][:4]
		to[0], to[1], to[2], to[3] = s0, s1, s2, s3
	}
}

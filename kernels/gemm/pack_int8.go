package gemm

import (
	"fmt"
	"math"

	"github.com/vecino-db/vecino/kernels/cpu"
)

// maxInt8K bounds k so that no sum of products overflows an int32: a byte with its
// offset is at most 255, a weight at most 127, and 2^16 * 255 * 127 < 2^31.
const maxInt8K = 1 << 16

// tiny is the magnitude below which a whole row counts as zeros: its scale could
// not be inverted.
const tiny = 0x1p-100

// PackedInt8 is the right side of a quantized product. Every column has a scale of
// its own, its greatest magnitude / 127, and its elements are rounded to int8. It
// is in the layout of the tier that was active when it was packed, which then also
// computes with it. Safe for concurrent use.
//
// A panel of width columns goes along k in groups, so that what one instruction
// multiplies lies together:
//
//	avx512vnni     width 32, groups of 4
//	avx2, avx512   width 16, groups of 2
//	others         width 1, one group of all
type PackedInt8 struct {
	k, n         int
	width, group int
	padded       int // k, up to a multiple of group
	tier         cpu.Tier
	data         []int8
	scales       []float32 // of every column, of the padding too
	// offsets is where a column's sums begin: minus what the 128 that are added to
	// unsigned activations add up to; zeros in tiers whose activations are signed.
	offsets []int32
}

// Shape returns the rows and columns of the matrix that was packed.
func (p *PackedInt8) Shape() (k, n int) { return p.k, p.n }

// Bytes returns the memory that p takes.
func (p *PackedInt8) Bytes() int {
	return len(p.data) + 4*len(p.scales) + 4*len(p.offsets)
}

// PackInt8T quantizes and packs the transpose of bt, which is n x k (output x
// input) with row stride ldb >= k. k is at most 65,536. A column with a NaN or an
// infinite weight gives NaN in every product.
func PackInt8T(bt []float32, n, k, ldb int) *PackedInt8 {
	checkMatrix("PackInt8T", "bt", len(bt), n, k, ldb)
	if k > maxInt8K {
		panic(fmt.Sprintf("gemm: PackInt8T: k is %d, above %d", k, maxInt8K))
	}
	p := &PackedInt8{k: k, n: n, tier: cpu.Active()}
	p.width, p.group = integerLayout(p.tier, max(k, 1))
	p.padded = (k + p.group - 1) / p.group * p.group
	columns := (n + p.width - 1) / p.width * p.width
	p.data = make([]int8, columns*p.padded)
	p.scales, p.offsets = make([]float32, columns), make([]int32, columns)
	for j := range n {
		column := bt[j*ldb : j*ldb+k]
		scale, inverse := quantum(absMaxGeneric(column))
		p.scales[j] = scale
		panel := p.data[j/p.width*p.width*p.padded:]
		var sum int32
		for i, x := range column {
			q := quantized(x, inverse)
			panel[i/p.group*p.group*p.width+j%p.width*p.group+i%p.group] = int8(q)
			sum += q
		}
		if unsignedRows(p.tier) {
			p.offsets[j] = -128 * sum
		}
	}
	return p
}

// quantum returns the scale of a row or column whose greatest magnitude has the
// given bits, and its inverse. Where there are only zeros both are 0; where there
// is a NaN or an infinity the scale is NaN.
func quantum(bits uint32) (scale, inverse float32) {
	top := math.Float32frombits(bits)
	switch {
	case !(top <= math.MaxFloat32):
		return float32(math.NaN()), 0
	case top < tiny:
		return 0, 0
	}
	return top / 127, 127 / top
}

// quantized rounds to the nearest, to even when between: what VCVTPS2DQ does.
func quantized(x, inverse float32) int32 {
	if inverse == 0 {
		return 0
	}
	return int32(math.RoundToEven(float64(x * inverse)))
}

// absMaxGeneric is the reference of the greatest magnitude's bits: as integers NaN
// is above infinity, and that above every number.
func absMaxGeneric(v []float32) uint32 {
	var top uint32
	for _, x := range v {
		top = max(top, math.Float32bits(x)&0x7fffffff)
	}
	return top
}

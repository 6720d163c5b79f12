// Package quant keeps vectors as codes of a few bits, and compares them.
//
// A vector x is held in two layers (locally-adaptive vector quantization:
// Aguerrebere et al., "Similarity search in the blink of an eye with compressed
// indices", 2023). The coarse one decides where a search goes, the fine one is
// touched only for what the search returns:
//
//	x = mean + bound + step*code + low + fineStep*fine
//
//	           code    bound and step             fine
//	int8       8 bits  of all rows: -128s and s   8 bits, low and fineStep of the row
//	lvq4x8     4 bits  of the row                 8 bits, low and fineStep of the row
//
// s and the mean come from a sample (Train). The mean is subtracted by lvq4x8,
// and under L2 by both; it is zero otherwise.
//
// A row stands in three slabs, at fixed strides:
//
//	codes   int8: dim bytes. lvq4x8: blocks of 128 dimensions (see package codes),
//	        then bound and step, float32, little-endian
//	fines   dim bytes
//	params  float32: low, fineStep; int8: then the sum of code-128; under L2: then
//	        the squared norm of the coarse layer, and of both in two parts
//
// Queries are two layers of signed bytes, so that every comparison is a sum of
// exact integer products: scores are the same to the bit in all kernel tiers.
package quant

import (
	"fmt"
	"math"
	"slices"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index/internal/measure"
	"github.com/vecino-db/vecino/kernels/codes"
)

const (
	// inline is the bytes of bound and step behind the nibbles.
	inline = 8
	// percentile of the sample's magnitudes, three times which int8 codes reach at
	// most.
	percentile = 0.9999
	// tiny magnitudes are taken for zero: their inverse has no float32.
	tiny = 1e-30
)

// Book is what all rows of a slab have in common. It is immutable and safe for
// concurrent use.
type Book struct {
	encoding compat.Encoding
	measure  measure.Measure
	l2       bool
	nibbles  bool
	dim      int
	scale    float32   // the step of an int8 code; of lvq4x8, of one on stage
	mean     []float32 // zero where it is not subtracted
	centred  bool      // the mean is subtracted
	origin   []float32 // of lvq4x8: the mean in units of scale where staged rows have it
	typical  float32   // mean step of the sample's rows, of lvq4x8
	params   int       // floats of a row in params
	codeLen  int
	padded   int // dimensions of a query
}

// Encodes reports whether the package knows an encoding.
func Encodes(e compat.Encoding) bool {
	return e == compat.EncodingInt8 || e == compat.EncodingLVQ4x8
}

// blank is a book without scale and mean.
func blank(encoding compat.Encoding, metric compat.Metric, dim int) *Book {
	b := &Book{
		encoding: encoding, measure: measure.Of(metric), l2: metric == compat.MetricL2,
		nibbles: encoding == compat.EncodingLVQ4x8, dim: dim, mean: make([]float32, dim),
		params: 2, codeLen: dim, padded: dim,
	}
	b.centred = b.nibbles || b.l2
	if b.nibbles {
		b.padded = (dim + codes.Block - 1) / codes.Block * codes.Block
		b.codeLen = b.padded/2 + inline
	} else {
		b.params++
	}
	if b.l2 {
		b.params += 3
	}
	return b
}

// Train makes a book from n sample vectors, prepared as measure.Prepare does.
// n is at least 1.
func Train(encoding compat.Encoding, metric compat.Metric, dim, n int, row func(i int) []float32) *Book {
	b := blank(encoding, metric, dim)
	if b.centred {
		sums := make([]float64, dim)
		for i := range n {
			for j, x := range row(i) {
				sums[j] += float64(x)
			}
		}
		for j, s := range sums {
			b.mean[j] = float32(s / float64(n))
		}
	}
	magnitudes := make([]float32, 0, n*dim)
	for i := range n {
		for j, x := range row(i) {
			if b.l2 {
				x -= b.mean[j]
			}
			magnitudes = append(magnitudes, max(x, -x))
		}
	}
	slices.Sort(magnitudes)
	reach := magnitudes[min(int(percentile*float64(len(magnitudes))), len(magnitudes)-1)]
	// A clipped component costs its row the precision of the fine layer, a wider
	// range costs all rows a bit of the coarse one at most, which it can spare.
	top := magnitudes[len(magnitudes)-1]
	reach = min(top, 3*reach)
	if reach <= tiny {
		// Nearly all are zero: whatever is not decides.
		reach = max(top, 1)
	}
	b.scale = reach / 127
	b.setOrigin()
	if b.nibbles {
		rec := b.NewRecord()
		var sum float64
		for i := range n {
			b.Encode(rec, row(i))
			sum += float64(rec.step(b))
		}
		b.typical = float32(sum / float64(n))
	}
	return b
}

// setOrigin follows from scale and mean.
func (b *Book) setOrigin() {
	if !b.nibbles {
		return
	}
	b.origin = make([]float32, b.dim)
	if !b.l2 {
		for i, x := range b.mean {
			b.origin[i] = x / b.scale
		}
	}
}

// CodeBytes is the stride of codes.
func (b *Book) CodeBytes() int { return b.codeLen }

// FineBytes is the stride of fines.
func (b *Book) FineBytes() int { return b.dim }

// Params is the stride of params, in floats.
func (b *Book) Params() int { return b.params }

// The places of a row's params.
const (
	atLow  = 0
	atStep = 1
	atSum  = 2 // of int8
)

func (b *Book) atNorms() int { return b.params - 3 }

// Scale is the step of a code. A checkpoint must keep it, Typical and Mean.
func (b *Book) Scale() float32 { return b.scale }

// Typical is the mean step of the sample's rows, of lvq4x8.
func (b *Book) Typical() float32 { return b.typical }

// Mean is zero where no mean is subtracted. The slice is the book's.
func (b *Book) Mean() []float32 { return b.mean }

// Restore makes the book that had these. It believes nothing.
func Restore(encoding compat.Encoding, metric compat.Metric, scale, typical float32, mean []float32) (*Book, error) {
	b := blank(encoding, metric, len(mean))
	const most = 1e17
	if !(scale >= tiny/127 && scale <= most) || !(typical >= 0 && typical <= most) {
		return nil, fmt.Errorf("a scale of %g and a step of %g", scale, typical)
	}
	for i, x := range mean {
		if !(x >= -most && x <= most) || x != 0 && !b.centred {
			return nil, fmt.Errorf("component %d of the mean is %g", i, x)
		}
	}
	b.scale, b.typical = scale, typical
	copy(b.mean, mean)
	b.setOrigin()
	return b, nil
}

// Drifted reports whether rows like those of another book should be encoded
// anew: the scale or the spread has changed by more than a quarter, or the mean
// by more than a quarter of a typical component.
func (b *Book) Drifted(fresh *Book) bool {
	far := func(x, y float32) bool { return x > y*1.25 || y > x*1.25 }
	if far(b.scale, fresh.scale) || far(b.typical, fresh.typical) {
		return true
	}
	var moved float64
	for i, x := range b.mean {
		d := float64(x - fresh.mean[i])
		moved += d * d
	}
	spread := float64(fresh.scale) * 127 / 4 // the 99.99th percentile of a normal is 3.9 sigma
	return math.Sqrt(moved/float64(b.dim)) > spread/4
}

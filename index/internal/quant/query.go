package quant

import (
	"math"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/kernels/codes"
	"github.com/vecino-db/vecino/kernels/f32"
)

// Slabs are the rows of a book, which a Query is compared with.
type Slabs struct {
	Codes, Fines []uint8
	Params       []float32
}

// Row is one of them.
func (b *Book) Row(s Slabs, id uint32) Record {
	c, f, p := int(id)*b.codeLen, int(id)*b.dim, int(id)*b.params
	return Record{
		Code:   s.Codes[c : c+b.codeLen : c+b.codeLen],
		Fine:   s.Fines[f : f+b.dim : f+b.dim],
		Params: s.Params[p : p+b.params : p+b.params],
	}
}

// Query is a vector to compare rows with, in two layers of signed bytes. Its
// memory serves one vector after the other. Not safe for concurrent use.
type Query struct {
	first, second []int8 // padded
	s1, s2        float32
	sum1          int32
	sum           float64 // of all components, as the two layers have them
	sumFirst      float32 // of the first layer
	offset        float32 // what the mean adds to an inner product
	norm          float64 // squared, of both layers
	normFirst     float32 // of the first
	dots          [4][]int32
	moved         []float32 // the vector less the mean, under L2
}

// Prepare takes in a vector, prepared as measure.Prepare does.
func (b *Book) Prepare(q *Query, v []float32) {
	if len(q.first) != b.padded {
		q.first, q.second = make([]int8, b.padded), make([]int8, b.padded)
	}
	q.offset = 0
	switch {
	case b.l2:
		if len(q.moved) != len(v) {
			q.moved = make([]float32, len(v))
		}
		for i, x := range v {
			q.moved[i] = x - b.mean[i]
		}
		v = q.moved
	case b.centred:
		q.offset = f32.Dot(v, b.mean)
	}
	// Magnitudes are in the order of their bits.
	var top uint32
	for _, x := range v {
		top = max(top, math.Float32bits(x)&^(1<<31))
	}
	reach := math.Float32frombits(top)
	q.s1 = reach / 127
	if reach <= tiny {
		q.s1 = 0
		clear(q.first)
		clear(q.second)
	}
	// What the first layer leaves is half of its step at most, and rounding.
	q.s2 = q.s1 / 253
	var inverse1, inverse2 float32
	if q.s1 > 0 {
		inverse1, inverse2 = 1/q.s1, 253/q.s1
	}
	var sum1, sum2 int32
	for i, x := range v {
		c := round(x * inverse1)
		d := round((x - q.s1*float32(c)) * inverse2)
		q.first[i], q.second[i] = int8(c), int8(d)
		sum1 += c
		sum2 += d
	}
	s1, s2 := float64(q.s1), float64(q.s2)
	q.sum1 = sum1
	q.sum = s1*float64(sum1) + s2*float64(sum2)
	q.sumFirst = q.s1 * float32(sum1)
	if b.l2 {
		// Both layers in units of the second, which are integers.
		var norm, first int64
		for i, c := range q.first {
			x := 253*int64(c) + int64(q.second[i])
			norm += x * x
			first += int64(c) * int64(c)
		}
		q.norm = float64(norm) * s2 * s2
		q.normFirst = float32(float64(first) * s1 * s1)
	}
}

// room for n results of each of the integer kernels.
func (q *Query) room(n int) {
	for i := range q.dots {
		if cap(q.dots[i]) < n {
			q.dots[i] = make([]int32, max(n, 64))
		}
		q.dots[i] = q.dots[i][:n]
	}
}

// Coarse sets dst[i] to the raw value (see package measure) of q against the
// coarse layer of row rows[i].
func (b *Book) Coarse(dst []float32, q *Query, s Slabs, rows []uint32) {
	q.room(len(rows))
	dots := q.dots[0]
	if b.nibbles {
		codes.NibbleRows(dots, q.first, s.Codes, b.codeLen, rows)
		for i, r := range rows {
			at := int(r)*b.codeLen + b.codeLen - inline
			tail := s.Codes[at : at+inline]
			dst[i] = q.offset + (float(tail)*q.sumFirst + float(tail[4:])*(q.s1*float32(dots[i])))
		}
	} else {
		codes.DotRows(dots, q.first, s.Codes, b.codeLen, rows)
		factor, shift := b.scale*q.s1, 128*q.sum1
		for i, d := range dots {
			dst[i] = factor * float32(d-shift)
		}
	}
	if b.l2 {
		for i, r := range rows {
			norm := s.Params[int(r)*b.params+b.atNorms()]
			dst[i] = max(q.normFirst+norm-2*dst[i], 0)
		}
	}
}

// Keys sets dst[i] to the key (see package measure) of what Coarse gives. It
// reports false, and does nothing, under L2, which has more to add to a row.
func (b *Book) Keys(dst []uint32, q *Query, s Slabs, rows []uint32) bool {
	switch {
	case b.l2:
		return false
	case b.nibbles:
		codes.NibbleKeys(dst, q.first, s.Codes, b.codeLen, rows, q.offset, q.sumFirst, q.s1)
	default:
		codes.DotKeys(dst, q.first, s.Codes, b.codeLen, rows, 128*q.sum1, b.scale*q.s1)
	}
	return true
}

// Fine is Coarse with both layers of the rows and of the query.
func (b *Book) Fine(dst []float32, q *Query, s Slabs, rows []uint32) {
	q.room(len(rows))
	if b.nibbles {
		codes.NibbleRows(q.dots[0], q.first, s.Codes, b.codeLen, rows)
		codes.NibbleRows(q.dots[1], q.second, s.Codes, b.codeLen, rows)
	} else {
		codes.DotRows(q.dots[0], q.first, s.Codes, b.codeLen, rows)
		codes.DotRows(q.dots[1], q.second, s.Codes, b.codeLen, rows)
	}
	codes.DotRows(q.dots[2], q.first[:b.dim], s.Fines, b.dim, rows)
	codes.DotRows(q.dots[3], q.second[:b.dim], s.Fines, b.dim, rows)
	s1, s2 := float64(q.s1), float64(q.s2)
	for i, id := range rows {
		r := b.Row(s, id)
		dot := float64(q.offset) + (float64(r.bound(b))+float64(r.Params[atLow]))*q.sum
		dot += float64(r.step(b)) * (s1*float64(q.dots[0][i]) + s2*float64(q.dots[1][i]))
		dot += float64(r.Params[atStep]) * (s1*float64(q.dots[2][i]) + s2*float64(q.dots[3][i]))
		if b.l2 {
			n := b.atNorms()
			dot = math.Max(q.norm+float64(r.Params[n+1])+float64(r.Params[n+2])-2*dot, 0)
		}
		dst[i] = float32(dot)
	}
}

// FineStep is the step of a row's fine layer.
func (b *Book) FineStep(s Slabs, id uint32) float32 { return s.Params[int(id)*b.params+atStep] }

// Error is the standard error of the score of q against rows like one of them by
// Fine, given the mean square of their fine steps: what is rounded to a step is
// off by 1/sqrt(12) of it, in every dimension.
func (b *Book) Error(q *Query, fineSteps float64, s Slabs, id uint32) float32 {
	own := float64(q.s2) * float64(q.s2)
	query, row := 1.0, 1.0 // squared norms
	switch b.measure.Metric() {
	case compat.MetricL2:
		// The error of a squared distance is the distance times twice this.
		return float32(math.Sqrt((fineSteps + own) / 12))
	case compat.MetricDot:
		query, row = 0, 0
		r := b.Row(s, id)
		bound, step := r.bound(b), r.step(b)
		for i := range b.dim {
			x := 253*int64(q.first[i]) + int64(q.second[i])
			query += float64(x * x)
			y := float64(bound + step*r.at(b, i))
			row += y * y
		}
		query *= own
	}
	return float32(math.Sqrt((fineSteps*query + own*row) / 12))
}

// Pairs sets dst[i] to the raw value of row id against row rows[i], of int8, in
// the coarse layer. q lends its memory only.
func (b *Book) Pairs(dst []float32, q *Query, s Slabs, id uint32, rows []uint32) {
	q.room(len(rows))
	dots := q.dots[0]
	own := b.Row(s, id)
	codes.PairRows(dots, own.Code, s.Codes, b.codeLen, rows)
	factor, shift := b.scale*b.scale, 128*int32(own.Params[atSum])
	for i, d := range dots {
		dst[i] = factor * float32(d-shift)
	}
	if b.l2 {
		n := b.atNorms()
		for i, r := range rows {
			dst[i] = max(own.Params[n]+s.Params[int(r)*b.params+n]-2*dst[i], 0)
		}
	}
}

// Blur is the share of a vector's squared norm within which the inner products
// of Pairs and StagedPairs tell nothing of nearness.
func (b *Book) Blur() float32 { return 3e-4 }

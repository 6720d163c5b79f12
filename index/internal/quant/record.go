package quant

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// Record is one row, wherever it stands.
type Record struct {
	Code, Fine []uint8
	Params     []float32
}

// NewRecord is a row of its own.
func (b *Book) NewRecord() Record {
	return Record{Code: make([]uint8, b.codeLen), Fine: make([]uint8, b.dim), Params: make([]float32, b.params)}
}

// Copy sets r to other.
func (r Record) Copy(other Record) {
	copy(r.Code, other.Code)
	copy(r.Fine, other.Fine)
	copy(r.Params, other.Params)
}

// Equal reports whether both stand for the same vector, given one book.
func (r Record) Equal(other Record) bool {
	return bytes.Equal(r.Code, other.Code) && slices.Equal(r.Params, other.Params) && bytes.Equal(r.Fine, other.Fine)
}

func float(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) }

func putFloat(b []byte, f float32) { binary.LittleEndian.PutUint32(b, math.Float32bits(f)) }

// bound and step of the coarse layer.
func (r Record) bound(b *Book) float32 {
	if b.nibbles {
		return float(r.Code[b.codeLen-inline:])
	}
	return -128 * b.scale
}

func (r Record) step(b *Book) float32 {
	if b.nibbles {
		return float(r.Code[b.codeLen-inline+4:])
	}
	return b.scale
}

// at is the code of a dimension.
func (r Record) at(b *Book, i int) float32 {
	if !b.nibbles {
		return float32(r.Code[i])
	}
	x := r.Code[i>>7<<6|i&63]
	return float32(x >> (i >> 4 & 4) & 15)
}

// round is the nearest integer to x, ties to even, for magnitudes below 2^22.
func round(x float32) int32 {
	const magic = 3 << 22
	return int32(math.Float32bits(x+magic)) - 0x4b400000
}

// Encode writes a vector, prepared as measure.Prepare does, to r. It reports
// false when the book fits the vector badly.
func (b *Book) Encode(r Record, v []float32) (fits bool) {
	if b.nibbles {
		fits = b.encodeNibbles(r, v)
	} else {
		fits = b.encodeBytes(r, v)
	}
	b.encodeFine(r, v)
	b.Finish(r)
	return fits
}

func (b *Book) encodeBytes(r Record, v []float32) (fits bool) {
	inverse := 1 / b.scale
	clipped, reach := 0, int32(0)
	for i, x := range v {
		y := (x - b.mean[i]) * inverse
		if y > 127 || y < -127 {
			clipped++
			y = min(max(y, -127), 127)
		}
		c := round(y)
		reach = max(reach, c, -c)
		r.Code[i] = uint8(c + 128)
	}
	return clipped*100 <= len(v) && reach >= 16
}

// encodeNibbles tries ranges from the row's own down to 0.55 of it, as long as
// the squared error falls.
func (b *Book) encodeNibbles(r Record, v []float32) (fits bool) {
	low, high := float32(math.Inf(1)), float32(math.Inf(-1))
	for i, x := range v {
		x -= b.mean[i]
		low, high = min(low, x), max(high, x)
	}
	var bound, step float32
	best := float32(math.Inf(1))
	for shrink := float32(1); shrink >= 0.54; shrink -= 0.075 {
		width := (high - low) * shrink
		if width <= tiny {
			if best == float32(math.Inf(1)) {
				bound, step = low, 0
			}
			break
		}
		from, s := (low+high-width)/2, width/15
		inverse := 1 / s
		var sum float32
		for i, x := range v {
			x -= b.mean[i]
			d := x - from - s*float32(round(min(max((x-from)*inverse, 0), 15)))
			sum += d * d
		}
		if !(sum < best) {
			break
		}
		best, bound, step = sum, from, s
	}
	inverse := float32(0)
	if step > 0 {
		inverse = 1 / step
	}
	clear(r.Code)
	for i, x := range v {
		c := round(min(max((x-b.mean[i]-bound)*inverse, 0), 15))
		r.Code[i>>7<<6|i&63] |= uint8(c) << (i >> 4 & 4)
	}
	putFloat(r.Code[b.codeLen-inline:], bound)
	putFloat(r.Code[b.codeLen-inline+4:], step)
	return step <= 2*b.typical
}

// encodeFine writes what the coarse layer leaves.
func (b *Book) encodeFine(r Record, v []float32) {
	bound, step := r.bound(b), r.step(b)
	rest := func(i int, x float32) float32 { return x - b.mean[i] - (bound + step*r.at(b, i)) }
	low, high := float32(math.Inf(1)), float32(math.Inf(-1))
	for i, x := range v {
		d := rest(i, x)
		low, high = min(low, d), max(high, d)
	}
	fineStep, inverse := (high-low)/255, float32(0)
	if fineStep <= tiny {
		fineStep = 0
	} else {
		inverse = 1 / fineStep
	}
	for i, x := range v {
		r.Fine[i] = uint8(round(min(max((rest(i, x)-low)*inverse, 0), 255)))
	}
	r.Params[atLow], r.Params[atStep] = low, fineStep
}

// Finish computes those params that follow from the rest of a row.
func (b *Book) Finish(r Record) {
	if !b.nibbles {
		sum := -128 * len(r.Code)
		for _, c := range r.Code {
			sum += int(c)
		}
		r.Params[atSum] = float32(sum)
	}
	if !b.l2 {
		return
	}
	bound, step := float64(r.bound(b)), float64(r.step(b))
	low, fineStep := float64(r.Params[atLow]), float64(r.Params[atStep])
	var coarse, fine float64
	for i, f := range r.Fine {
		x := bound + step*float64(r.at(b, i))
		coarse += x * x
		x += low + fineStep*float64(f)
		fine += x * x
	}
	n := b.atNorms()
	high := float32(fine)
	r.Params[n], r.Params[n+1], r.Params[n+2] = float32(coarse), high, float32(fine-float64(high))
}

// Decode writes the vector that r stands for to v.
func (b *Book) Decode(v []float32, r Record) {
	bound, step := r.bound(b)+r.Params[atLow], r.step(b)
	fineStep := r.Params[atStep]
	for i := range v {
		v[i] = b.mean[i] + (bound + step*r.at(b, i) + fineStep*float32(r.Fine[i]))
	}
}

// Append writes what must be kept of a row: code, fine, low and fineStep.
func (b *Book) Append(to []byte, r Record) []byte {
	to = append(append(to, r.Code...), r.Fine...)
	to = binary.LittleEndian.AppendUint32(to, math.Float32bits(r.Params[atLow]))
	return binary.LittleEndian.AppendUint32(to, math.Float32bits(r.Params[atStep]))
}

// RecordBytes is what Append writes.
func (b *Book) RecordBytes() int { return b.codeLen + b.dim + 8 }

// Parse reads what Append wrote, RecordBytes long, and believes nothing.
func (b *Book) Parse(r Record, from []byte) error {
	copy(r.Code, from)
	copy(r.Fine, from[b.codeLen:])
	low, step := float(from[b.codeLen+b.dim:]), float(from[b.codeLen+b.dim+4:])
	const most = 1e17
	for _, x := range []float32{r.bound(b), r.step(b), low, step} {
		if !(x >= -most && x <= most) {
			return fmt.Errorf("bounds and steps %g, %g, %g, %g", r.bound(b), r.step(b), low, step)
		}
	}
	if r.step(b) < 0 || step < 0 {
		return fmt.Errorf("steps %g and %g", r.step(b), step)
	}
	r.Params[atLow], r.Params[atStep] = low, step
	b.Finish(r)
	return nil
}

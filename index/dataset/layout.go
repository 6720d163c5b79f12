package dataset

import (
	"encoding/binary"
	"math"
	"strings"
)

// kind is what a component is in a file.
type kind uint8

const (
	kindU8 kind = iota
	kindI8
	kindU16
	kindI16
	kindU32
	kindI32
	kindI64
	kindF16
	kindF32
	kindF64
)

// widths are the bytes of a component, by kind.
var widths = [...]int{kindU8: 1, kindI8: 1, kindU16: 2, kindI16: 2, kindU32: 4, kindI32: 4, kindI64: 8, kindF16: 2, kindF32: 4, kindF64: 8}

// integer reports whether a kind holds whole numbers.
func (k kind) integer() bool { return k < kindF16 }

// layout is what the header of a file says. Nothing of it is believed yet.
type layout struct {
	rows   int // -1: as many as there are
	cols   int // 0: the first row says, where rows are framed
	kind   kind
	order  binary.ByteOrder
	framed bool // every row begins with its length, an int32
}

// rowBytes is the size of a row in the file.
func (l layout) rowBytes() int {
	n := l.cols * widths[l.kind]
	if l.framed {
		n += 4
	}
	return n
}

// floats appends the components of a row.
func (l layout) floats(dst []float32, row []byte) []float32 {
	switch l.kind {
	case kindU8:
		for _, b := range row {
			dst = append(dst, float32(b))
		}
	case kindF32:
		for i := 0; i+4 <= len(row); i += 4 {
			dst = append(dst, math.Float32frombits(l.order.Uint32(row[i:])))
		}
	default:
		for i := 0; i < len(row); i += widths[l.kind] {
			dst = append(dst, l.float(row[i:]))
		}
	}
	return dst
}

// float is one component of any kind.
func (l layout) float(b []byte) float32 {
	switch l.kind {
	case kindF16:
		return half(l.order.Uint16(b))
	case kindF32:
		return math.Float32frombits(l.order.Uint32(b))
	case kindF64:
		return float32(math.Float64frombits(l.order.Uint64(b)))
	}
	return float32(l.whole(b))
}

// whole is one component of an integer kind.
func (l layout) whole(b []byte) int64 {
	switch l.kind {
	case kindU8:
		return int64(b[0])
	case kindI8:
		return int64(int8(b[0]))
	case kindU16:
		return int64(l.order.Uint16(b))
	case kindI16:
		return int64(int16(l.order.Uint16(b)))
	case kindU32:
		return int64(l.order.Uint32(b))
	case kindI32:
		return int64(int32(l.order.Uint32(b)))
	default:
		return int64(l.order.Uint64(b))
	}
}

// half widens an IEEE 754 binary16.
func half(h uint16) float32 {
	sign, exponent, mantissa := uint32(h>>15)<<31, uint32(h>>10)&31, uint32(h)&1023
	switch exponent {
	case 0:
		f := float32(mantissa) / (1 << 24)
		return math.Float32frombits(math.Float32bits(f) | sign)
	case 31:
		return math.Float32frombits(sign | 0xff<<23 | mantissa<<13)
	}
	return math.Float32frombits(sign | (exponent+112)<<23 | mantissa<<13)
}

// format names the layout of a file by its name, without ".gz".
func format(path string) string {
	name := strings.ToLower(path[strings.LastIndexAny(path, `/\`)+1:])
	name = strings.TrimSuffix(name, ".gz")
	for _, ext := range []string{"f32", "fvecs", "bvecs", "ivecs", "i32", "npy", "idx"} {
		if strings.HasSuffix(name, "."+ext) {
			return ext
		}
	}
	// train-images-idx3-ubyte, or with a dot as some unpackers write it.
	for _, digit := range "1234" {
		if strings.Contains(name, "idx"+string(digit)+"-") {
			return "idx"
		}
	}
	return ""
}

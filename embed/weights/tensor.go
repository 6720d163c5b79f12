package weights

import (
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"
)

// Tensor is one array of a File. It shares the file's memory, and must not be
// used after the file is closed. It is immutable.
type Tensor struct {
	Name  string
	DType DType
	Shape []int // row-major, outermost first; empty for a scalar

	path string
	from uint64
	data []byte
}

// Len is the number of elements.
func (t Tensor) Len() int { return len(t.data) / t.DType.Size() }

// Bytes are the elements, little-endian. The caller must not change them.
func (t Tensor) Bytes() []byte { return t.data }

// Float32s are the elements as float32. For F32 that lies well in memory it is
// the file's own memory, so the caller must not change it; otherwise it is a
// copy. Integers become the same numbers: nothing is scaled. F8 and BOOL
// tensors are refused.
func (t Tensor) Float32s() ([]float32, error) {
	if t.DType == F32 && aligned(t.data, 4) && littleEndian() {
		return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(t.data))), t.Len()), nil
	}
	convert := t.converter()
	if convert == nil {
		return nil, t.refuse("float32")
	}
	out := make([]float32, t.Len())
	size := t.DType.Size()
	for i := range out {
		out[i] = convert(t.data[i*size:])
	}
	return out, nil
}

// Int64s are the elements of an integer tensor. Others are refused, and so is
// a U64 beyond int64.
func (t Tensor) Int64s() ([]int64, error) {
	out := make([]int64, t.Len())
	b, le := t.data, binary.LittleEndian
	for i := range out {
		switch t.DType {
		case I64:
			out[i] = int64(le.Uint64(b[8*i:]))
		case I32:
			out[i] = int64(int32(le.Uint32(b[4*i:])))
		case I16:
			out[i] = int64(int16(le.Uint16(b[2*i:])))
		case I8:
			out[i] = int64(int8(b[i]))
		case U64:
			u := le.Uint64(b[8*i:])
			if u > math.MaxInt64 {
				return nil, &FormatError{Path: t.path, Tensor: t.Name, Reason: fmt.Sprintf("element %d is %d, which is beyond 64 signed bits", i, u)}
			}
			out[i] = int64(u)
		case U32:
			out[i] = int64(le.Uint32(b[4*i:]))
		case U16:
			out[i] = int64(le.Uint16(b[2*i:]))
		case U8:
			out[i] = int64(b[i])
		default:
			return nil, t.refuse("integers")
		}
	}
	return out, nil
}

func (t Tensor) refuse(as string) error {
	return fmt.Errorf("%s: tensor %q: %s can't be read as %s: convert the model to F32, F16 or BF16", t.path, t.Name, t.DType, as)
}

// converter reads one element as float32; nil for dtypes without a number.
func (t Tensor) converter() func(b []byte) float32 {
	le := binary.LittleEndian
	switch t.DType {
	case F64:
		return func(b []byte) float32 { return float32(math.Float64frombits(le.Uint64(b))) }
	case F32:
		return func(b []byte) float32 { return math.Float32frombits(le.Uint32(b)) }
	case F16:
		return func(b []byte) float32 { return float16(le.Uint16(b)) }
	case BF16:
		return func(b []byte) float32 { return math.Float32frombits(uint32(le.Uint16(b)) << 16) }
	case I64:
		return func(b []byte) float32 { return float32(int64(le.Uint64(b))) }
	case I32:
		return func(b []byte) float32 { return float32(int32(le.Uint32(b))) }
	case I16:
		return func(b []byte) float32 { return float32(int16(le.Uint16(b))) }
	case I8:
		return func(b []byte) float32 { return float32(int8(b[0])) }
	case U64:
		return func(b []byte) float32 { return float32(le.Uint64(b)) }
	case U32:
		return func(b []byte) float32 { return float32(le.Uint32(b)) }
	case U16:
		return func(b []byte) float32 { return float32(le.Uint16(b)) }
	case U8:
		return func(b []byte) float32 { return float32(b[0]) }
	default:
		return nil
	}
}

// float16 widens an IEEE 754 binary16; every value has an exact float32.
func float16(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	exponent, fraction := uint32(h>>10)&0x1f, uint32(h)&0x3ff
	switch exponent {
	case 0: // zero or subnormal: fraction * 2^-24
		f := float32(fraction) * (1.0 / (1 << 24))
		return math.Float32frombits(math.Float32bits(f) | sign)
	case 0x1f: // infinity or NaN
		return math.Float32frombits(sign | 0x7f800000 | fraction<<13)
	default:
		return math.Float32frombits(sign | (exponent+127-15)<<23 | fraction<<13)
	}
}

func aligned(b []byte, n uintptr) bool {
	return uintptr(unsafe.Pointer(unsafe.SliceData(b)))%n == 0
}

func littleEndian() bool { return binary.NativeEndian.Uint16([]byte{1, 0}) == 1 }

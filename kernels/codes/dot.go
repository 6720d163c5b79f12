package codes

import (
	"fmt"
	"unsafe"
)

// Block is the number of dimensions of a block of 4-bit codes.
const Block = 128

// flipSigned turns an unsigned code u into the signed u - 128.
const flipSigned = 0x80808080

// DotRows sets dst[i] to the inner product of q and row rows[i] of slab, 8-bit
// codes of len(q) dimensions, for every i below len(rows). Rows are taken four
// at a time while the coming four are prefetched. With an empty q every result
// is 0.
func DotRows(dst []int32, q []int8, slab []uint8, stride int, rows []uint32) {
	if check("DotRows", len(dst), len(q), len(slab), stride, rows) {
		u8Rows(dst[:len(rows)], q, slab, stride, rows, 0)
	} else {
		clear(dst[:len(rows)])
	}
}

// PairRows is DotRows of a row of codes: dst[i] is the inner product of row
// rows[i] with code, of which each u stands for u - 128.
func PairRows(dst []int32, code, slab []uint8, stride int, rows []uint32) {
	if check("PairRows", len(dst), len(code), len(slab), stride, rows) {
		q := unsafe.Slice((*int8)(unsafe.Pointer(unsafe.SliceData(code))), len(code))
		u8Rows(dst[:len(rows)], q, slab, stride, rows, flipSigned)
	} else {
		clear(dst[:len(rows)])
	}
}

// PairNear is PairRows of rows that lie in the processor's cache: none is
// prefetched.
func PairNear(dst []int32, code, slab []uint8, stride int, rows []uint32) {
	if check("PairNear", len(dst), len(code), len(slab), stride, rows) {
		q := unsafe.Slice((*int8)(unsafe.Pointer(unsafe.SliceData(code))), len(code))
		u8Near(dst[:len(rows)], q, slab, stride, rows, flipSigned)
	} else {
		clear(dst[:len(rows)])
	}
}

// NibbleRows is DotRows over 4-bit codes. The length of q is a multiple of
// Block; a row is half as many bytes.
func NibbleRows(dst []int32, q []int8, slab []uint8, stride int, rows []uint32) {
	checkBlocks("NibbleRows", q)
	if check("NibbleRows", len(dst), len(q)/2, len(slab), stride, rows) {
		nibbleRows(dst[:len(rows)], q, slab, stride, rows)
	} else {
		clear(dst[:len(rows)])
	}
}

// Fetch asks for size bytes of rows of slab, which are about to be read, to be
// brought near the processor.
func Fetch(slab []uint8, stride, size int, rows []uint32) {
	if check("Fetch", len(rows), size, len(slab), stride, rows) {
		fetch(slab, stride, size, rows)
	}
}

// checkBlocks panics on a query that ends within a block.
func checkBlocks(op string, q []int8) {
	if len(q)%Block != 0 {
		panic(fmt.Sprintf("codes: %s of %d dimensions: they must be a multiple of %d", op, len(q), Block))
	}
}

// check panics on arguments that would reach outside of the slices, and reports
// whether there is anything to compute. The kernels rely on it.
func check(op string, dst, row, slab, stride int, rows []uint32) bool {
	if dst < len(rows) {
		panic(fmt.Sprintf("codes: %s of %d rows into a destination of %d", op, len(rows), dst))
	}
	if stride < row {
		panic(fmt.Sprintf("codes: %s of rows of %d bytes at a stride of %d", op, row, stride))
	}
	if len(rows) == 0 || row == 0 {
		return false
	}
	// Four maxima, none of which waits for another.
	var top, t1, t2, t3 uint32
	rest := rows
	for ; len(rest) >= 4; rest = rest[4:] {
		top, t1, t2, t3 = max(top, rest[0]), max(t1, rest[1]), max(t2, rest[2]), max(t3, rest[3])
	}
	for _, r := range rest {
		top = max(top, r)
	}
	top = max(top, t1, t2, t3)
	if row > slab || int(top) > (slab-row)/max(stride, 1) {
		panic(fmt.Sprintf("codes: %s: row index out of range [%d] of a slab of %d bytes at a stride of %d", op, top, slab, stride))
	}
	return true
}

// row returns the n bytes of row r.
func row(slab []uint8, stride, n int, r uint32) []uint8 {
	at := int(r) * stride
	return slab[at : at+n : at+n]
}

// u8Generic is the reference.
func u8Generic(q []int8, row []uint8, flip uint32) int32 {
	row = row[:len(q)]
	var s0, s1 int32
	for i, x := range q {
		s0, s1 = s1, s0+int32(int8(uint8(x)^uint8(flip)))*int32(row[i])
	}
	return s0 + s1
}

// nibbleGeneric is the reference.
func nibbleGeneric(q []int8, row []uint8) int32 {
	var s0, s1 int32
	for ; len(q) >= Block; q, row = q[Block:], row[Block/2:] {
		first, second, block := q[:Block/2], q[Block/2:Block], row[:Block/2]
		for i, b := range block {
			s0 += int32(first[i]) * int32(b&15)
			s1 += int32(second[i]) * int32(b>>4)
		}
	}
	return s0 + s1
}

func u8RowsGeneric(dst []int32, q []int8, slab []uint8, stride int, rows []uint32, flip uint32) {
	for i, r := range rows {
		dst[i] = u8Generic(q, row(slab, stride, len(q), r), flip)
	}
}

func nibbleRowsGeneric(dst []int32, q []int8, slab []uint8, stride int, rows []uint32) {
	for i, r := range rows {
		dst[i] = nibbleGeneric(q, row(slab, stride, len(q)/2, r))
	}
}

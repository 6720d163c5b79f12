package quant

import (
	"math/bits"
	"unsafe"

	"github.com/vecino-db/vecino/kernels/codes"
)

// Stage holds some rows of lvq4x8 as int8 codes, for comparing them with each
// other: their 4-bit codes alone are too coarse for it. Its memory serves again
// and again. Not safe for concurrent use.
type Stage struct {
	n     int
	ids   []uint32 // of rows
	codes []uint8
	sums  []int32   // of codes: code-128
	norms []float32 // under L2, squared
	all   []uint32  // 0, 1, 2, ..
	dots  []int32
	ones  []int8

	// table finds rows by their ids: age << 32 | row, by open addressing. Entries
	// of another age are empty. Its length is a power of two.
	table []uint64
	age   uint32
}

// fewest rows that there is room for.
const fewest = 256

// ahead rows are fetched in advance.
const ahead = 8

// Stages reports whether rows must be staged before they are compared with each
// other by StagedPairs; else Pairs takes them where they are.
func (b *Book) Stages() bool { return b.nibbles }

// Clear takes all rows off.
func (st *Stage) Clear() {
	st.n = 0
	if st.age++; st.age == 0 {
		clear(st.table)
		st.age = 1
	}
}

// Len is the number of rows on st.
func (st *Stage) Len() int { return st.n }

// ID is the id of a row of st.
func (st *Stage) ID(row uint32) uint32 { return st.ids[row] }

// Stage brings ids to st, as far as they aren't there, and sets rows[i] to the
// row of ids[i].
func (b *Book) Stage(rows []uint32, st *Stage, s Slabs, ids []uint32) {
	first := st.n
	st.room(st.n+len(ids), b.dim)
	for i, id := range ids {
		rows[i] = st.row(id)
	}
	b.decodeTo(st, s, first)
}

// row is that of an id, a new one if it has none. There is room.
func (st *Stage) row(id uint32) uint32 {
	mask := uint32(len(st.table) - 1)
	at := id * 0x9e3779b1 >> 15
	for {
		at &= mask
		e := st.table[at]
		if uint32(e>>32) != st.age {
			break
		}
		if row := uint32(e); st.ids[row] == id {
			return row
		}
		at++
	}
	row := uint32(st.n)
	st.table[at] = uint64(st.age)<<32 | uint64(row)
	st.ids[row] = id
	st.n++
	return row
}

// decodeTo makes the codes of rows from first on.
func (b *Book) decodeTo(st *Stage, s Slabs, first int) {
	n := st.n
	ids := st.ids[first:n]
	b.Fetch(s, ids[:min(ahead, len(ids))])
	inverse := 1 / b.scale
	for i, id := range ids {
		if i%ahead == 0 && i+ahead < len(ids) {
			b.Fetch(s, ids[i+ahead:min(i+2*ahead, len(ids))])
		}
		r, at := b.Row(s, id), (first+i)*b.dim
		bound, step := r.bound(b)+r.Params[atLow], r.step(b)
		codes.DecodeNibbles(st.codes[at:at+b.dim], r.Code, r.Fine, b.origin, bound*inverse, step*inverse, r.Params[atStep]*inverse)
	}
	codes.DotRows(st.sums[first:n], st.ones, st.codes, b.dim, st.all[first:n])
	for i := first; i < n; i++ {
		st.sums[i] -= int32(128 * b.dim)
	}
	if b.l2 {
		for i := first; i < n; i++ {
			codes.PairNear(st.dots, st.codes[i*b.dim:(i+1)*b.dim], st.codes, b.dim, st.all[i:i+1])
			st.norms[i] = b.scale * b.scale * float32(st.dots[0]-128*st.sums[i])
		}
	}
}

// room makes room for n rows, and keeps those there are.
func (st *Stage) room(n, dim int) {
	if len(st.ones) != dim {
		st.ones = make([]int8, dim)
		for i := range st.ones {
			st.ones[i] = 1
		}
	}
	if len(st.codes) < n*dim {
		grown := make([]uint8, max(n+n/2, fewest)*dim)
		copy(grown, st.codes[:st.n*dim])
		st.codes = grown
	}
	for len(st.all) < n {
		st.ids = append(st.ids, 0)
		st.all = append(st.all, uint32(len(st.all)))
		st.sums, st.norms, st.dots = append(st.sums, 0), append(st.norms, 0), append(st.dots, 0)
	}
	if len(st.table) < 2*n {
		st.table = make([]uint64, 1<<bits.Len(uint(3*n)))
		old := st.n
		st.n = 0
		st.age = max(st.age, 1)
		for _, id := range st.ids[:old] {
			st.row(id)
		}
	}
}

// StagedPairs sets dst[i] to the raw value of row r against row rows[i] of st.
func (b *Book) StagedPairs(dst []float32, st *Stage, r uint32, rows []uint32) {
	at := int(r) * b.dim
	dots := st.dots[:len(rows)]
	codes.PairNear(dots, st.codes[at:at+b.dim], st.codes, b.dim, rows)
	factor, shift := b.scale*b.scale, 128*st.sums[r]
	for i, d := range dots {
		dst[i] = factor * float32(d-shift)
	}
	if b.l2 {
		for i, row := range rows {
			dst[i] = max(st.norms[r]+st.norms[row]-2*dst[i], 0)
		}
	}
}

// Fetch asks for rows to be brought near, which are about to be compared in both
// layers.
func (b *Book) Fetch(s Slabs, ids []uint32) {
	codes.Fetch(s.Codes, b.codeLen, b.codeLen, ids)
	b.FetchFine(s, ids)
}

// FetchFine is Fetch of what Fine wants beyond the coarse layer.
func (b *Book) FetchFine(s Slabs, ids []uint32) {
	codes.Fetch(s.Fines, b.dim, b.dim, ids)
	b.FetchParams(s, ids)
}

// FetchParams is Fetch of params alone.
func (b *Book) FetchParams(s Slabs, ids []uint32) {
	params := unsafe.Slice((*uint8)(unsafe.Pointer(unsafe.SliceData(s.Params))), 4*len(s.Params))
	codes.Fetch(params, 4*b.params, 4*b.params, ids)
}

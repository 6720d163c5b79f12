package quant

import (
	"unsafe"

	"github.com/vecino-db/vecino/kernels/codes"
)

// Stage holds some rows of lvq4x8 as int8 codes, for comparing them with each
// other: their 4-bit codes alone are too coarse for it. Its memory serves again
// and again. Not safe for concurrent use.
type Stage struct {
	n     int
	codes []uint8
	sums  []int32   // of codes: code-128
	norms []float32 // under L2, squared
	all   []uint32  // 0, 1, 2, ..
	dots  []int32
	ones  []int8
}

// ahead rows are fetched in advance.
const ahead = 8

// Stages reports whether rows must be staged before they are compared with each
// other by StagedPairs; else Pairs takes them where they are.
func (b *Book) Stages() bool { return b.nibbles }

// Stage clears st and brings rows ids[i] to it, as rows i.
func (b *Book) Stage(st *Stage, s Slabs, ids []uint32) {
	st.n = 0
	b.StageMore(st, s, ids)
}

// StageMore adds rows to those of st.
func (b *Book) StageMore(st *Stage, s Slabs, ids []uint32) {
	first, n := st.n, st.n+len(ids)
	st.room(n, b.dim)
	st.n = n
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
			codes.PairRows(st.dots, st.codes[i*b.dim:(i+1)*b.dim], st.codes, b.dim, st.all[i:i+1])
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
		grown := make([]uint8, (n+n/2)*dim)
		copy(grown, st.codes[:st.n*dim])
		st.codes = grown
	}
	for len(st.all) < n {
		st.all = append(st.all, uint32(len(st.all)))
		st.sums, st.norms, st.dots = append(st.sums, 0), append(st.norms, 0), append(st.dots, 0)
	}
}

// StagedPairs sets dst[i] to the raw value of row r against row rows[i] of st.
func (b *Book) StagedPairs(dst []float32, st *Stage, r uint32, rows []uint32) {
	at := int(r) * b.dim
	dots := st.dots[:len(rows)]
	codes.PairRows(dots, st.codes[at:at+b.dim], st.codes, b.dim, rows)
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

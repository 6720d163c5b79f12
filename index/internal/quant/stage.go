package quant

import "github.com/vecino-db/vecino/kernels/codes"

// Stage holds some rows of lvq4x8 as int8 codes, for comparing them with each
// other: their 4-bit codes alone are too coarse for it. Its memory serves again
// and again. Not safe for concurrent use.
type Stage struct {
	codes []uint8
	sums  []int32   // of codes: code-128
	norms []float32 // under L2, squared
	all   []uint32  // 0, 1, 2, ..
	dots  []int32
	ones  []int8
}

// Stages reports whether rows must be staged before they are compared with each
// other by StagedPairs; else Pairs takes them where they are.
func (b *Book) Stages() bool { return b.nibbles }

// Stage brings rows ids[i] to st, as rows i.
func (b *Book) Stage(st *Stage, s Slabs, ids []uint32) {
	n := len(ids)
	if cap(st.codes) < n*b.dim || len(st.ones) != b.dim {
		most := n + n/2
		st.codes = make([]uint8, most*b.dim)
		st.ones = make([]int8, b.dim)
		for i := range st.ones {
			st.ones[i] = 1
		}
	}
	if len(st.all) < n {
		most := n + n/2
		st.sums, st.dots, st.norms = make([]int32, most), make([]int32, most), make([]float32, most)
		st.all = make([]uint32, most)
		for i := range st.all {
			st.all[i] = uint32(i)
		}
	}
	st.codes = st.codes[:n*b.dim]
	inverse := 1 / b.scale
	for i, id := range ids {
		r := b.Row(s, id)
		bound, step := r.bound(b)+r.Params[atLow], r.step(b)
		codes.DecodeNibbles(st.codes[i*b.dim:(i+1)*b.dim], r.Code, r.Fine, b.origin, bound*inverse, step*inverse, r.Params[atStep]*inverse)
	}
	codes.DotRows(st.sums, st.ones, st.codes, b.dim, st.all[:n])
	for i := range n {
		st.sums[i] -= int32(128 * b.dim)
	}
	if b.l2 {
		for i := range n {
			codes.PairRows(st.dots, st.codes[i*b.dim:(i+1)*b.dim], st.codes, b.dim, st.all[i:i+1])
			st.norms[i] = b.scale * b.scale * float32(st.dots[0]-128*st.sums[i])
		}
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

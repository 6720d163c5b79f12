package compat

import "fmt"

// Concat is the rows of the parts, one part after the other, as one batch. It
// copies, and does not check the rows again. Parts without a space (the zero
// Vectors) are left out; parts of different spaces are refused with
// ErrMismatch.
func Concat(parts ...Vectors) (Vectors, error) {
	var out Vectors
	size := 0
	for i, p := range parts {
		switch {
		case p.fingerprint.IsZero():
			continue
		case out.fingerprint.IsZero():
			out.fingerprint, out.dim = p.fingerprint, p.dim
		case !p.fingerprint.Matches(out.fingerprint):
			return Vectors{}, fmt.Errorf("vectors: %w: part %d is of space %v, the parts before it of %v", ErrMismatch, i, p.fingerprint, out.fingerprint)
		}
		size += len(p.data)
	}
	out.data = make([]float32, 0, size)
	for _, p := range parts {
		out.data = append(out.data, p.data...)
	}
	return out, nil
}

// Select is a batch of the rows named, in that order: its row i is v's row
// rows[i]. It copies. A row may be named more than once; like Row, it panics
// for one outside 0..Len-1.
func (v Vectors) Select(rows []int) Vectors {
	data := make([]float32, 0, len(rows)*v.dim)
	for _, i := range rows {
		data = append(data, v.Row(i)...)
	}
	v.data = data
	return v
}

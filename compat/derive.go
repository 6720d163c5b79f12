package compat

import (
	"fmt"
	"math"
)

// Derivation computes the vectors of one space from stored vectors of another,
// without an encoder. It is immutable and safe for concurrent use.
type Derivation struct {
	have    Fingerprint
	stamper *Stamper
	dim     int  // of the wanted space
	scale   bool // the rows are brought to length 1
}

// NewDerivation is the way from the vectors of have to those of want, or nil
// where only an encoder leads there: the spaces may differ in the query prompt
// (the rows stay as they are), in a dimension that shrinks (the leading
// components) and in a normalization from none to l2. It refuses a manifest
// that does not validate with *InvalidError.
func NewDerivation(have, want Manifest) (*Derivation, error) {
	if err := have.Validate(); err != nil {
		return nil, fmt.Errorf("derive vectors: %w", err)
	}
	stamper, err := want.Stamper()
	if err != nil {
		return nil, fmt.Errorf("derive vectors: %w", err)
	}
	lost := have.Space.Normalization == NormalizeL2 && want.Space.Normalization == NormalizeNone
	if !derivable(&have, &want) || want.Space.Dimension > have.Space.Dimension || lost {
		return nil, nil
	}
	scale := want.Space.Normalization == NormalizeL2 &&
		(want.Space.Dimension < have.Space.Dimension || have.Space.Normalization != NormalizeL2)
	return &Derivation{have: have.Space.Fingerprint(), stamper: stamper, dim: want.Space.Dimension, scale: scale}, nil
}

// Derive computes row i of the result from row i of v. It refuses, by
// ErrMismatch, vectors of another space, and by *VectorError rows without a
// direction in the wanted space.
func (d *Derivation) Derive(v Vectors) (Vectors, error) {
	if v.Len() == 0 {
		return d.stamper.Stamp(nil)
	}
	if !v.Fingerprint().Matches(d.have) {
		return Vectors{}, fmt.Errorf("derive vectors: %w: they are stamped %v, and the derivation begins at %v", ErrMismatch, v.Fingerprint(), d.have)
	}
	rows := make([]float32, 0, v.Len()*d.dim)
	for i := range v.Len() {
		row := v.Row(i)[:d.dim]
		rows = append(rows, row...)
		if d.scale {
			normalizeRow(rows[len(rows)-d.dim:])
		}
	}
	return d.stamper.Stamp(rows)
}

// normalizeRow scales a row to length 1; one without a direction becomes zero,
// which the stamper refuses.
func normalizeRow(row []float32) {
	norm := math.Sqrt(sumSquares(row))
	if norm < minNorm {
		clear(row)
		return
	}
	for i, x := range row {
		row[i] = float32(float64(x) / norm)
	}
}

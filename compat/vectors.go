package compat

import (
	"errors"
	"fmt"
	"math"
)

// What a Stamper refuses. Errors are *VectorError, which wraps one of these.
var (
	ErrDimension = errors.New("wrong dimension")
	ErrNotFinite = errors.New("not a finite number")
	ErrZeroNorm  = errors.New("zero vector")
	ErrNorm      = errors.New("not normalized")
	ErrTooLarge  = errors.New("too large")
)

// VectorError says which row of a batch was refused, and why.
type VectorError struct {
	Row    int   // index of the row in the batch; -1: the batch as a whole
	Err    error // one of the Err values above
	Detail string
}

// Error is the reason in words.
func (e *VectorError) Error() string {
	if e.Row < 0 {
		return fmt.Sprintf("vectors: %v: %s", e.Err, e.Detail)
	}
	return fmt.Sprintf("vector %d: %v: %s", e.Row, e.Err, e.Detail)
}

// Unwrap gives the sentinel.
func (e *VectorError) Unwrap() error { return e.Err }

// Vectors is a stamped batch: n rows of dim finite floats that are known to
// belong to one space. Only a Stamper makes one, so code that holds Vectors
// need not check them again. The zero Vectors is an empty batch of no space.
// Vectors are immutable and safe for concurrent use.
type Vectors struct {
	fingerprint Fingerprint
	dim         int
	data        []float32 // row-major, n x dim
}

// Fingerprint is the space of the batch.
func (v Vectors) Fingerprint() Fingerprint { return v.fingerprint }

// Dim is the number of floats of a row.
func (v Vectors) Dim() int { return v.dim }

// Len is the number of rows.
func (v Vectors) Len() int {
	if v.dim == 0 {
		return 0
	}
	return len(v.data) / v.dim
}

// Row is the i-th vector. The caller must not change it.
func (v Vectors) Row(i int) []float32 {
	return v.data[i*v.dim : (i+1)*v.dim : (i+1)*v.dim]
}

// Slice is the rows from..to-1 as a batch of their own that shares memory.
func (v Vectors) Slice(from, to int) Vectors {
	v.data = v.data[from*v.dim : to*v.dim : to*v.dim]
	return v
}

// Stamper stamps batches of one space. It is immutable and safe for
// concurrent use.
type Stamper struct {
	fingerprint Fingerprint
	space       Space
	refuseZero  bool
}

// normTolerance bounds how far the length of a normalized row may lie from 1:
// float32 rounding over MaxDimension terms stays well below it.
const normTolerance = 1e-3

// maxMagnitude bounds a component so that no dot product of two rows of
// MaxDimension components overflows float32: 1e16^2 * 65536 < 3.4e38. It is 1e16 as float32
// rounds it.
const maxMagnitude = float64(float32(1e16))

// Stamper makes the stamper of the manifest's space. It refuses a manifest
// that does not validate.
func (m *Manifest) Stamper() (*Stamper, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	return &Stamper{
		fingerprint: m.Space.Fingerprint(),
		space:       m.Space,
		refuseZero:  m.Metric == MetricCosine,
	}, nil
}

// Fingerprint is the space that the stamper stamps for.
func (s *Stamper) Fingerprint() Fingerprint { return s.fingerprint }

// Dimension is the number of floats of a row.
func (s *Stamper) Dimension() int { return s.space.Dimension }

// Stamp checks rows (row-major, n x Dimension) and returns them as Vectors,
// which own the slice from then on. It refuses, by *VectorError, a length that
// is no multiple of the dimension, components that are not finite or beyond
// 1e16 in magnitude, rows that are not of length 1 in a normalized space, and
// zero rows under cosine, where they have no direction.
func (s *Stamper) Stamp(rows []float32) (Vectors, error) {
	dim := s.space.Dimension
	if len(rows)%dim != 0 {
		return Vectors{}, &VectorError{Row: -1, Err: ErrDimension, Detail: fmt.Sprintf("%d floats are no multiple of the dimension %d: send vectors of %d numbers", len(rows), dim, dim)}
	}
	for i := 0; i*dim < len(rows); i++ {
		if err := s.check(rows[i*dim : (i+1)*dim]); err != nil {
			err.Row = i
			return Vectors{}, err
		}
	}
	return Vectors{fingerprint: s.fingerprint, dim: dim, data: rows}, nil
}

// check looks at one row. The sum of squares alone clears nearly every row: it
// is NaN or infinite when a component is, and a component beyond maxMagnitude
// makes it greater than that squared. Only a row with a greater sum is looked at
// component by component.
func (s *Stamper) check(row []float32) *VectorError {
	sum := sumSquares(row)
	if !(sum <= maxMagnitude*maxMagnitude) {
		if err := checkComponents(row); err != nil {
			return err
		}
	}
	norm := math.Sqrt(sum)
	switch {
	case s.space.Normalization == NormalizeL2 && norm == 0:
		return &VectorError{Err: ErrZeroNorm, Detail: "it has no direction, so it can be compared with nothing: leave it out"}
	case s.space.Normalization == NormalizeL2 && math.Abs(norm-1) > normTolerance:
		return &VectorError{Err: ErrNorm, Detail: fmt.Sprintf("its length is %g, but vectors of this space have length 1: divide it by its length", norm)}
	case s.refuseZero && norm < minNorm:
		return &VectorError{Err: ErrZeroNorm, Detail: "it has no direction, so cosine similarity is not defined: leave it out, or use the metric dot or l2"}
	}
	return nil
}

// checkComponents names the first component that is not finite or too large.
func checkComponents(row []float32) *VectorError {
	for i, x := range row {
		v := float64(x)
		switch {
		case math.IsNaN(v) || math.IsInf(v, 0):
			return &VectorError{Err: ErrNotFinite, Detail: fmt.Sprintf("component %d is %v: send finite numbers", i, x)}
		case math.Abs(v) > maxMagnitude:
			return &VectorError{Err: ErrTooLarge, Detail: fmt.Sprintf("component %d is %g: scale the vectors so that none is beyond 1e16", i, x)}
		}
	}
	return nil
}

// sumSquares adds in float64, where squares of float32 neither overflow nor
// vanish, in four sums that don't wait for one another.
func sumSquares(row []float32) float64 {
	var a, b, c, d float64
	for len(row) >= 4 {
		r := (*[4]float32)(row)
		w, x, y, z := float64(r[0]), float64(r[1]), float64(r[2]), float64(r[3])
		a += w * w
		b += x * x
		c += y * y
		d += z * z
		row = row[4:]
	}
	for _, v := range row {
		a += float64(v) * float64(v)
	}
	return (a + b) + (c + d)
}

// minNorm is the length below which the inverse of a squared norm overflows
// float32, so that normalizing would give infinities.
const minNorm = 1e-18

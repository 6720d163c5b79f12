package embed

import (
	"errors"
	"fmt"

	"github.com/vecino-db/vecino/compat"
)

// rawEncoder is Space.Encoder of vectors that clients bring: no algorithm of
// ours made them.
const rawEncoder = "raw/1"

// RawSpace is the space of a new collection whose vectors clients bring and
// declare no model for. random must be fresh random bytes: they are all that
// tells the space from others, so that an equal dimension never passes for an
// equal space.
func RawSpace(dimension int, random [32]byte) compat.Space {
	return compat.Space{
		Encoder:       rawEncoder,
		Weights:       random,
		Pooling:       compat.PoolingNone,
		Normalization: compat.NormalizeNone,
		Precision:     compat.PrecisionF32,
		Dimension:     dimension,
		FullDimension: dimension,
	}
}

// Raw stamps vectors that clients bring, for the space of a stored manifest.
// Its checks are those of compat.Stamper: length, finiteness, norm. That a
// vector comes from the model that the manifest names is the client's word. It
// is immutable and safe for concurrent use.
type Raw struct {
	stamper *compat.Stamper
}

// NewRaw makes the stamper of vectors for the manifest's space and metric. It
// refuses a manifest that does not validate, with *compat.InvalidError.
func NewRaw(m compat.Manifest) (*Raw, error) {
	s, err := m.Stamper()
	if err != nil {
		return nil, fmt.Errorf("raw vectors: %w", err)
	}
	return &Raw{stamper: s}, nil
}

// Fingerprint is the space that Stamp stamps for.
func (r *Raw) Fingerprint() compat.Fingerprint { return r.stamper.Fingerprint() }

// Dimension is the number of floats that a row must have.
func (r *Raw) Dimension() int { return r.stamper.Dimension() }

// maxRowErrors bounds how many bad rows of a batch one error lists.
const maxRowErrors = 16

// Stamp copies the rows into a stamped batch. If rows are refused, nothing is
// stamped, and the error joins (as errors.Join does) a *compat.VectorError for
// each of them, up to 16, in the order of the rows.
func (r *Raw) Stamp(rows [][]float32) (compat.Vectors, error) {
	if r.fit(rows) {
		data := make([]float32, 0, len(rows)*r.Dimension())
		for _, row := range rows {
			data = append(data, row...)
		}
		if v, err := r.stamper.Stamp(data); err == nil {
			return v, nil
		}
	}
	return compat.Vectors{}, r.refuse(rows)
}

// fit reports whether every row has the length of the space.
func (r *Raw) fit(rows [][]float32) bool {
	for _, row := range rows {
		if len(row) != r.Dimension() {
			return false
		}
	}
	return true
}

// refuse lists what is wrong with rows that can't be stamped.
func (r *Raw) refuse(rows [][]float32) error {
	var bad []error
	for i, row := range rows {
		if len(row) != r.Dimension() {
			bad = append(bad, &compat.VectorError{
				Row: i, Err: compat.ErrDimension,
				Detail: fmt.Sprintf("it has %d components; vectors of this collection have %d", len(row), r.Dimension()),
			})
		} else if _, err := r.stamper.Stamp(row); err != nil {
			bad = append(bad, atRow(err, i))
		}
		if len(bad) == maxRowErrors {
			break
		}
	}
	return errors.Join(bad...)
}

// atRow gives the error of a batch of one row the row's place.
func atRow(err error, row int) error {
	var refused *compat.VectorError
	if !errors.As(err, &refused) {
		return err
	}
	return &compat.VectorError{Row: row, Err: refused.Err, Detail: refused.Detail}
}

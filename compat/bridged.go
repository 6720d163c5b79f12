package compat

import "fmt"

// Searchable is a batch of rows that may be searched with: Vectors, and
// Bridged. What stores or indexes rows takes Vectors, so that a bridged row
// can be searched with and never be kept. No other type can implement it.
type Searchable interface {
	// Fingerprint is the space whose vectors the rows may be compared with.
	Fingerprint() Fingerprint
	// Len is the number of rows.
	Len() int
	// Dim is the number of floats of a row.
	Dim() int
	// Row is the i-th row. The caller must not change it.
	Row(i int) []float32
	// Bridge is the space that the rows were encoded in, where a bridge has
	// carried them over, and the zero Fingerprint otherwise.
	Bridge() Fingerprint

	searchable()
}

// Bridge is the zero Fingerprint: the rows were encoded in their own space.
func (v Vectors) Bridge() Fingerprint { return Fingerprint{} }

func (v Vectors) searchable() {}

// Bridged is a batch of queries that a fitted map has carried from the space
// that they were encoded in to another one: near to what the other space's
// encoder would have made of their texts, and not the same. They may be
// searched with; they are no Vectors, and nothing makes Vectors of them. Only a
// Stamper makes them. The zero Bridged is an empty batch of no space. Bridged
// are immutable and safe for concurrent use.
type Bridged struct {
	vectors Vectors
	from    Fingerprint
}

// Fingerprint is the space that the rows were carried to.
func (b Bridged) Fingerprint() Fingerprint { return b.vectors.fingerprint }

// Bridge is the space that the rows were encoded in.
func (b Bridged) Bridge() Fingerprint { return b.from }

// Len is the number of rows.
func (b Bridged) Len() int { return b.vectors.Len() }

// Dim is the number of floats of a row.
func (b Bridged) Dim() int { return b.vectors.Dim() }

// Row is the i-th row. The caller must not change it.
func (b Bridged) Row(i int) []float32 { return b.vectors.Row(i) }

func (b Bridged) searchable() {}

// StampBridged checks rows as Stamp does and returns them as queries that were
// carried from another space. It refuses a batch from no space, and one from
// the stamper's own, with ErrMismatch: rows of the space itself are stamped.
func (s *Stamper) StampBridged(from Fingerprint, rows []float32) (Bridged, error) {
	if from.IsZero() || from == s.fingerprint {
		return Bridged{}, fmt.Errorf("bridged queries: %w: they come from %v, and a bridge joins two spaces: stamp vectors of the space itself", ErrMismatch, from)
	}
	v, err := s.Stamp(rows)
	if err != nil {
		return Bridged{}, err
	}
	return Bridged{vectors: v, from: from}, nil
}

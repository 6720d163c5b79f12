package index

import (
	"encoding/binary"
	"fmt"
)

// Resealer gives the chunks of a checkpoint to another space, which has the
// same vectors: what they hold stays, byte for byte, and each is sealed anew.
type Resealer struct {
	from, to Config
	put      func(number int, chunk Chunk) error
	writer   *Writer // nil: no chunk was seen
	old      []uint64
	done     bool
}

// NewResealer takes chunks of the space of from, and hands them to put as those
// of the space of to. The dimension and the metric must be the same.
func NewResealer(from, to Config, put func(number int, chunk Chunk) error) (*Resealer, error) {
	if from.Dimension != to.Dimension || from.Metric != to.Metric || from.Build != to.Build {
		return nil, fmt.Errorf("index: reseal: %d dimensions under %s in %+v are not %d under %s in %+v; build the index anew",
			from.Dimension, from.Metric, from.Build, to.Dimension, to.Metric, to.Build)
	}
	return &Resealer{from: from, to: to, put: put}, nil
}

// Take takes the next chunk, in the order of Index.Save: the parts, and at last
// the head. Errors: ErrCorrupt, ErrSpace, and those of put.
func (r *Resealer) Take(chunk Chunk) error {
	seal, payload, err := Unseal(chunk)
	switch {
	case err != nil:
		return fmt.Errorf("index: reseal: %w", err)
	case !seal.Fingerprint.Matches(r.from.Stored):
		return fmt.Errorf("index: reseal: %w: chunk %d holds %.12s, not %.12s", ErrSpace, seal.Number, seal.Fingerprint, r.from.Stored)
	case r.done || seal.Number != len(r.old):
		return fmt.Errorf("index: reseal: %w: chunk %d stands in place of %d", ErrCorrupt, seal.Number, len(r.old))
	}
	if r.writer == nil {
		r.writer = NewWriter(r.to, seal.Engine, r.put)
	}
	if !seal.Head {
		r.old = append(r.old, checksum(chunk))
		return r.writer.Part(payload)
	}
	// The head names its parts by their checksums, which are others by now.
	for i, sum := range r.old {
		if len(payload) < 8*len(r.old) || binary.LittleEndian.Uint64(payload[8*i:]) != sum {
			return fmt.Errorf("index: reseal: %w: the head is of other parts", ErrCorrupt)
		}
	}
	r.done = true
	_, err = r.writer.Head(payload[8*len(r.old):])
	return err
}

// Done reports whether the head has been taken: without it the chunks are no
// checkpoint.
func (r *Resealer) Done() bool { return r.done }

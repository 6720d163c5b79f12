package exact

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
)

// A payload is rows, little-endian, to its end:
//
//	4 bytes  ordinal
//	4 x dim  the vector, normalized under cosine
//
// An empty index saves one chunk with an empty payload.

// Save writes the live rows; see index.Index. Writers wait only while the table
// of ordinals is copied.
func (x *Index) Save(put func(chunk index.Chunk) error) error {
	x.mu.RLock()
	slabs := x.slabs[:len(x.slabs):len(x.slabs)]
	live := make([]uint32, 0, len(x.slots))
	for n, r := range x.rows {
		if !r.dead {
			live = append(live, uint32(n))
		}
	}
	ordinals := make([]uint32, len(live))
	for i, n := range live {
		ordinals[i] = x.rows[n].ordinal
	}
	x.mu.RUnlock()

	perChunk := max(1, index.ChunkTarget/x.rowBytes())
	seal := index.Seal{
		Engine:      compat.EngineExact,
		Checkpoint:  rand.Uint64(),
		Count:       max(1, (len(live)+perChunk-1)/perChunk),
		Fingerprint: x.cfg.Stored,
	}
	var payload []byte
	for ; seal.Number < seal.Count; seal.Number++ {
		from := seal.Number * perChunk
		to := min(from+perChunk, len(live))
		payload = payload[:0]
		for i := from; i < to; i++ {
			payload = binary.LittleEndian.AppendUint32(payload, ordinals[i])
			for _, f := range x.vector(slabs, live[i]) {
				payload = binary.LittleEndian.AppendUint32(payload, math.Float32bits(f))
			}
		}
		if err := put(seal.Close(payload)); err != nil {
			return err
		}
	}
	return nil
}

func (x *Index) rowBytes() int { return 4 + 4*x.cfg.Dimension }

// Load reads what Save wrote for the same space. A damaged checkpoint is
// index.ErrCorrupt, one of another space index.ErrSpace.
func Load(cfg index.Config, source index.Source) (*Index, error) {
	x, err := New(cfg)
	if err != nil {
		return nil, err
	}
	r := index.NewChunkReader(x.cfg, compat.EngineExact, source)
	for {
		payload, err := r.Next()
		if errors.Is(err, io.EOF) {
			return x, nil
		}
		if err != nil {
			return nil, err
		}
		if err := x.read(payload); err != nil {
			return nil, err
		}
	}
}

// read appends the rows of one payload. The index is not shared yet.
func (x *Index) read(payload []byte) error {
	size := x.rowBytes()
	if len(payload)%size != 0 {
		return fmt.Errorf("%w: %d bytes are no rows of dimension %d", index.ErrCorrupt, len(payload), x.cfg.Dimension)
	}
	for ; len(payload) > 0; payload = payload[size:] {
		ordinal := binary.LittleEndian.Uint32(payload)
		if _, ok := x.slots[ordinal]; ok {
			return fmt.Errorf("%w: ordinal %d stands in it twice", index.ErrCorrupt, ordinal)
		}
		dst := x.appendLocked(ordinal)
		for j := range dst {
			f := math.Float32frombits(binary.LittleEndian.Uint32(payload[4+4*j:]))
			if !(f >= -index.MaxMagnitude && f <= index.MaxMagnitude) {
				return fmt.Errorf("%w: component %d of ordinal %d is %g", index.ErrCorrupt, j, ordinal, f)
			}
			dst[j] = f
		}
	}
	return nil
}

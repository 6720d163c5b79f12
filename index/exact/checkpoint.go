package exact

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
)

// The payload of a part is rows, little-endian, to its end:
//
//	4 bytes  ordinal
//	4 x dim  the vector, normalized under cosine
//
// The head has nothing to add.

// Save writes the live rows; see index.Index. Writers wait only while the table
// of ordinals is copied.
func (x *Index) Save(put func(chunk index.Chunk) error) error {
	return x.SaveAs(compat.EngineExact, put)
}

// SaveAs is Save under the name of another engine, which keeps its vectors here.
func (x *Index) SaveAs(engine compat.Engine, put func(chunk index.Chunk) error) error {
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
	w := index.NewWriter(x.cfg, engine, func(_ int, chunk index.Chunk) error { return put(chunk) })
	var payload []byte
	for from := 0; from < len(live); from += perChunk {
		payload = payload[:0]
		for i := from; i < min(from+perChunk, len(live)); i++ {
			payload = binary.LittleEndian.AppendUint32(payload, ordinals[i])
			for _, f := range x.vector(slabs, live[i]) {
				payload = binary.LittleEndian.AppendUint32(payload, math.Float32bits(f))
			}
		}
		if err := w.Part(payload); err != nil {
			return err
		}
	}
	_, err := w.Head(nil)
	return err
}

func (x *Index) rowBytes() int { return 4 + 4*x.cfg.Dimension }

// Load reads what Save wrote for the same space. A damaged checkpoint is
// index.ErrCorrupt, one of another space index.ErrSpace.
func Load(cfg index.Config, source index.Source) (*Index, error) {
	return LoadAs(cfg, compat.EngineExact, source)
}

// LoadAs is Load of what SaveAs wrote.
func LoadAs(cfg index.Config, engine compat.Engine, source index.Source) (*Index, error) {
	x, err := New(cfg)
	if err != nil {
		return nil, err
	}
	r, err := index.NewReader(x.cfg, engine, source)
	if err != nil {
		return nil, err
	}
	if len(r.Head()) != 0 {
		return nil, fmt.Errorf("%w: %d bytes in the head", index.ErrCorrupt, len(r.Head()))
	}
	for i := range r.Sums() {
		if err := r.Part(i, x.read); err != nil {
			return nil, err
		}
	}
	return x, nil
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

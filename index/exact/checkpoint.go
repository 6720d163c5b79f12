package exact

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
)

// The payload of a part is rows, little-endian, to its end:
//
//	4 bytes  ordinal
//	4 x dim  the vector, normalized under cosine
//
// The head has nothing to add.

// Save writes the live rows; see index.Index. Everybody else waits while the
// table of ordinals is copied.
func (x *Index) Save(put func(chunk index.Chunk) error) error {
	return x.SaveAs(compat.EngineExact, put)
}

// SaveAs is Save under the name of another engine, which keeps its vectors here.
func (x *Index) SaveAs(engine compat.Engine, put func(chunk index.Chunk) error) error {
	_, err := x.save(engine, nil, func(_ int, chunk index.Chunk) error { return put(chunk) })
	return err
}

// SaveSince writes the parts whose rows have changed since base; see
// index.Incremental.
func (x *Index) SaveSince(base *index.Saved, put func(number int, chunk index.Chunk) error) (*index.Saved, error) {
	return x.save(compat.EngineExact, base, put)
}

// Loaded is the checkpoint that Load read; nil: none.
func (x *Index) Loaded() *index.Saved { return x.loaded }

// save writes a part for each perPart rows, with those of them that are live.
func (x *Index) save(engine compat.Engine, base *index.Saved, put func(number int, chunk index.Chunk) error) (*index.Saved, error) {
	x.mu.Lock()
	slabs := x.slabs[:len(x.slabs):len(x.slabs)]
	rows := slices.Clone(x.rows)
	touched := slices.Clone(x.touched)
	x.epoch++
	epoch := x.epoch
	x.mu.Unlock()

	w := index.NewWriter(x.cfg, engine, put)
	var payload []byte
	for part, at := range touched {
		if base != nil && at < base.Epoch && part < len(base.Sums) {
			w.Keep(base.Sums[part])
			continue
		}
		payload = payload[:0]
		for n := part * x.perPart(); n < min((part+1)*x.perPart(), len(rows)); n++ {
			if rows[n].dead {
				continue
			}
			payload = binary.LittleEndian.AppendUint32(payload, rows[n].ordinal)
			for _, f := range x.vector(slabs, uint32(n)) {
				payload = binary.LittleEndian.AppendUint32(payload, math.Float32bits(f))
			}
		}
		if err := w.Part(payload); err != nil {
			return nil, err
		}
	}
	sums, err := w.Head(nil)
	if err != nil {
		return nil, err
	}
	return &index.Saved{Sums: sums, Epoch: epoch}, nil
}

func (x *Index) rowBytes() int { return 4 + 4*x.cfg.Dimension }

// perPart is the number of rows of a part.
func (x *Index) perPart() int { return max(1, index.ChunkTarget/x.rowBytes()) }

// touchLocked notes that the part of a row has changed.
func (x *Index) touchLocked(n int) {
	part := n / x.perPart()
	if part == len(x.touched) {
		x.touched = append(x.touched, 0)
	}
	x.touched[part] = x.epoch
}

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
		x.padTo(i * x.perPart())
		if err := r.Part(i, x.read); err != nil {
			return nil, err
		}
	}
	x.padTo(len(r.Sums()) * x.perPart())
	x.loaded = &index.Saved{Sums: r.Sums(), Epoch: 1}
	x.touched, x.epoch = make([]uint64, len(r.Sums())), 1
	return x, nil
}

// padTo appends dead rows, in the places of those that a part left out: so the
// parts of the next checkpoint are those of this one.
func (x *Index) padTo(n int) {
	for len(x.rows) < n {
		if len(x.rows) == len(x.slabs)*x.perSlab {
			x.slabs = append(x.slabs, make([]float32, x.perSlab*x.cfg.Dimension))
		}
		x.rows = append(x.rows, row{dead: true})
	}
}

// read appends the rows of one payload. The index is not shared yet.
func (x *Index) read(payload []byte) error {
	size := x.rowBytes()
	if len(payload) > size*x.perPart() {
		return fmt.Errorf("%w: %d bytes are too many for one part", index.ErrCorrupt, len(payload))
	}
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

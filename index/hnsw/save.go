package hnsw

import (
	"encoding/binary"
	"math"
	"runtime"
	"sync/atomic"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
)

// A checkpoint, little-endian. Where vectors are encoded part 0 is the book:
//
//	4 bytes  scale
//	4        typical step
//	4 x dim  mean
//
// Then there are two parts for each range of nodes, a power of two of them, the
// last one cut short. The first has their vectors:
//
//	4 x dim  the vector, normalized under cosine; or, encoded, its code and its
//	         fine layer, then low and fineStep (see package quant)
//
// and the second the rest, in columns:
//
//	4 bytes  ordinal
//	4        next twin: node + 1; 0: none
//	1        highest level, or ff: a twin
//	4 x 2M   links of level 0: node + 1, and zeros behind them
//	4 x M    the same for each level from 1 to the highest, none for a twin
//
// The head has of the engine:
//
//	4 bytes  dimension
//	4        M
//	4        efConstruction
//	1        metric: 0 cosine, 1 dot, 2 l2
//	1        encoding: 0 f32, 1 int8, 2 lvq4x8
//	1        1: vectors are encoded, 0: they are float32 as yet; + 2: searches
//	         need seeds
//	1        logarithm of the nodes of a range
//	4        nodes
//	8        entry: level << 32 | node + 1; 0 when there are no nodes
//	8        levels drawn
//	8        seed
//	8        share of misfits that the book was chosen with, a float64
//	8        vectors encoded by the book since
//	8        and those of them that it fits badly
//	4 each   32 nodes, the first in the lowest bit: 1, it is not live
const headBytes = 68

// snapshot is what Save takes down while writers wait.
type snapshot struct {
	core   *core
	arrays *arrays
	nodes  int
	entry  uint64
	drawn  uint64
	epoch  uint64 // of what comes after
	dead   []uint32
	// The ranges that must be written; nil: all.
	rows, links []bool
}

// Save writes a checkpoint; see index.Index. Writers wait only while a bit for
// each node is copied; links that they change after that may be saved, those to
// younger nodes are left out.
func (g *Graph) Save(put func(chunk index.Chunk) error) error {
	_, err := g.SaveSince(nil, func(_ int, chunk index.Chunk) error { return put(chunk) })
	return err
}

// Loaded is the checkpoint that Load read; nil: none.
func (g *Graph) Loaded() *index.Saved { return g.loaded }

// SaveSince writes what has changed since base; see index.Incremental.
func (g *Graph) SaveSince(base *index.Saved, put func(number int, chunk index.Chunk) error) (*index.Saved, error) {
	s := g.snapshot(base)
	a := s.arrays
	defer runtime.KeepAlive(a)
	w := index.NewWriter(g.cfg, compat.EngineHNSW, put)
	number := 0
	part := func(changed bool, payload func() []byte) error {
		number++
		if !changed && number <= len(base.Sums) {
			w.Keep(base.Sums[number-1])
			return nil
		}
		return w.Part(payload())
	}
	if a.book != nil {
		if err := part(s.rows == nil, s.book); err != nil {
			return nil, err
		}
	}
	var payload []byte
	for i := range a.ranges(s.nodes) {
		from := i << a.shift
		to := min(from+a.perRange(), s.nodes)
		err := part(s.rows == nil || s.rows[i], func() []byte {
			payload = s.appendRows(payload[:0], from, to)
			return payload
		})
		if err != nil {
			return nil, err
		}
		err = part(s.links == nil || s.links[i], func() []byte {
			payload = s.appendNodes(payload[:0], from, to)
			return payload
		})
		if err != nil {
			return nil, err
		}
	}
	sums, err := w.Head(g.head(s))
	if err != nil {
		return nil, err
	}
	return &index.Saved{Sums: sums, Epoch: s.epoch, Owner: g.owner}, nil
}

// snapshot waits for the writers under way and keeps others out for a moment.
func (g *Graph) snapshot(base *index.Saved) *snapshot {
	g.writers.Lock()
	defer g.writers.Unlock()
	c := g.core.Load()
	a := c.arrays.Load()
	s := &snapshot{core: c, arrays: a, nodes: int(c.nodes.Load()), entry: c.entry.Load(), drawn: c.drawn.Load(), epoch: g.epoch.Add(1)}
	s.dead = append(s.dead, a.dead[:words(s.nodes)]...)
	if base == nil || base.Owner != g.owner || base.Epoch <= c.born {
		return s
	}
	n := a.ranges(s.nodes)
	s.rows, s.links = make([]bool, n), make([]bool, n)
	for i := range n {
		s.rows[i] = a.touched.rows[i].Load() >= base.Epoch
		s.links[i] = a.touched.nodes[i].Load() >= base.Epoch
	}
	return s
}

// metricCodes are the numbers of metrics in a head.
var metricCodes = map[compat.Metric]uint8{compat.MetricCosine: 0, compat.MetricDot: 1, compat.MetricL2: 2}

// encodingCodes likewise of encodings.
var encodingCodes = map[compat.Encoding]uint8{compat.EncodingF32: 0, compat.EncodingInt8: 1, compat.EncodingLVQ4x8: 2}

func (g *Graph) head(s *snapshot) []byte {
	c, flags := s.core, uint8(0)
	if s.arrays.book != nil {
		flags = 1
	}
	if seeds := c.seeds.Load(); seeds != nil && len(seeds.ids) > 0 {
		flags |= 2
	}
	b := make([]byte, 0, headBytes+4*len(s.dead))
	b = binary.LittleEndian.AppendUint32(b, uint32(g.cfg.Dimension))
	b = binary.LittleEndian.AppendUint32(b, uint32(g.cfg.Build.M))
	b = binary.LittleEndian.AppendUint32(b, uint32(g.cfg.Build.EfConstruction))
	b = append(b, metricCodes[g.cfg.Metric], encodingCodes[g.cfg.Build.Encoding], flags, uint8(s.arrays.shift))
	b = binary.LittleEndian.AppendUint32(b, uint32(s.nodes))
	b = binary.LittleEndian.AppendUint64(b, s.entry)
	b = binary.LittleEndian.AppendUint64(b, s.drawn)
	b = binary.LittleEndian.AppendUint64(b, c.cfg.Seed)
	b = binary.LittleEndian.AppendUint64(b, c.misfits.Load())
	counted := c.encoded.Load()
	b = binary.LittleEndian.AppendUint64(b, uint64(counted))
	b = binary.LittleEndian.AppendUint64(b, uint64(min(c.unfit.Load(), counted)))
	return appendWords(b, s.dead)
}

// book is the payload of that part.
func (s *snapshot) book() []byte {
	book := s.arrays.book
	b := binary.LittleEndian.AppendUint32(nil, math.Float32bits(book.Scale()))
	b = binary.LittleEndian.AppendUint32(b, math.Float32bits(book.Typical()))
	return appendWords(b, book.Mean())
}

// appendRows writes the vectors of nodes.
func (s *snapshot) appendRows(b []byte, from, to int) []byte {
	a := s.arrays
	if a.book == nil {
		return appendWords(b, a.vectors[from*a.dim:to*a.dim])
	}
	for id := from; id < to; id++ {
		b = a.book.Append(b, a.book.Row(a.rows, uint32(id)))
	}
	return b
}

// appendNodes writes all else of them.
func (s *snapshot) appendNodes(b []byte, from, to int) []byte {
	a := s.arrays
	b = appendWords(b, a.ordinals[from:to])
	for id := from; id < to; id++ {
		next := atomic.LoadUint32(&a.twins[id])
		for int(next) > s.nodes {
			next = atomic.LoadUint32(&a.twins[next-1])
		}
		b = binary.LittleEndian.AppendUint32(b, next)
	}
	b = append(b, a.levels[from:to]...)
	for id := from; id < to; id++ {
		b = s.appendBlock(b, uint32(id), 0)
	}
	for id := from; id < to; id++ {
		if a.levels[id] == twin {
			continue
		}
		for level := range int(a.levels[id]) {
			b = s.appendBlock(b, uint32(id), level+1)
		}
	}
	return b
}

// appendBlock writes a block without its links to nodes that are younger than
// the snapshot.
func (s *snapshot) appendBlock(b []byte, id uint32, level int) []byte {
	mu := s.core.lock(id)
	mu.Lock()
	defer mu.Unlock()
	block := s.arrays.block(id, level)
	n := 0
	for i := range block {
		link := atomic.LoadUint32(&block[i])
		if link == 0 {
			break
		}
		if int(link) <= s.nodes {
			b = binary.LittleEndian.AppendUint32(b, link)
			n++
		}
	}
	for range len(block) - n {
		b = append(b, 0, 0, 0, 0)
	}
	return b
}

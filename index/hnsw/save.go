package hnsw

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"runtime"
	"sync/atomic"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
)

// The first chunk of a checkpoint is the head, little-endian:
//
//	4 bytes  dimension
//	4        M
//	4        efConstruction
//	1        metric: 0 cosine, 1 dot, 2 l2
//	1        encoding: 0 f32, 1 int8, 2 lvq4x8
//	1        1: vectors are encoded, 0: they are float32 as yet
//	1        zero
//	4        nodes
//	8        entry: level << 32 | node + 1; 0 when there are no nodes
//	8        levels drawn
//	8        seed
//
// Where vectors are encoded the second chunk is the book:
//
//	4 bytes  scale
//	4        typical step
//	4 x dim  mean
//
// The others hold nodes in order, each:
//
//	4 bytes  ordinal
//	1        highest level, or ff: a twin
//	1        1: live, 0: a tombstone
//	4        next twin: node + 1; 0: none
//	4 x dim  the vector, normalized under cosine; or, encoded, its code and its
//	         fine layer, then low and fineStep (see package quant)
//	         for each level from 0 to the highest, none for a twin:
//	2        number of links
//	4 each   node
const headBytes = 44

// snapshot is what Save takes down while writers wait.
type snapshot struct {
	arrays   *arrays
	nodes    int
	entry    uint64
	drawn    uint64
	seed     uint64
	ordinals []uint32
	live     []bool
}

// Save writes a checkpoint; see index.Index. Writers wait only while the table
// of ordinals is copied; links that they change after that may be saved, those
// to younger nodes are left out.
func (g *Graph) Save(put func(chunk index.Chunk) error) error {
	snap := g.snapshot()
	a := snap.arrays
	defer runtime.KeepAlive(a)
	perChunk := max(1, index.ChunkTarget/(a.vectorBytes()+4*a.strideB+16))
	first := 1 // chunk of nodes
	if a.book != nil {
		first = 2
	}
	seal := index.Seal{
		Engine:      compat.EngineHNSW,
		Checkpoint:  rand.Uint64(),
		Count:       first + (snap.nodes+perChunk-1)/perChunk,
		Fingerprint: g.cfg.Stored,
	}
	if err := put(seal.Close(g.head(snap))); err != nil {
		return err
	}
	var payload []byte
	if b := a.book; b != nil {
		payload = binary.LittleEndian.AppendUint32(payload, math.Float32bits(b.Scale()))
		payload = binary.LittleEndian.AppendUint32(payload, math.Float32bits(b.Typical()))
		for _, x := range b.Mean() {
			payload = binary.LittleEndian.AppendUint32(payload, math.Float32bits(x))
		}
		seal.Number = 1
		if err := put(seal.Close(payload)); err != nil {
			return err
		}
	}
	for seal.Number = first; seal.Number < seal.Count; seal.Number++ {
		payload = payload[:0]
		from := (seal.Number - first) * perChunk
		for id := from; id < min(from+perChunk, snap.nodes); id++ {
			payload = snap.appendNode(payload, uint32(id))
		}
		if err := put(seal.Close(payload)); err != nil {
			return err
		}
	}
	return nil
}

// snapshot waits for the writers under way and keeps others out for a moment.
func (g *Graph) snapshot() *snapshot {
	g.writers.Lock()
	defer g.writers.Unlock()
	c := g.core.Load()
	a := c.arrays.Load()
	s := &snapshot{arrays: a, nodes: int(c.nodes.Load()), entry: c.entry.Load(), drawn: c.drawn.Load(), seed: c.cfg.Seed}
	s.ordinals = append(s.ordinals, a.ordinals[:s.nodes]...)
	s.live = make([]bool, s.nodes)
	for id := range s.live {
		s.live[id] = c.isLive(a, uint32(id))
	}
	return s
}

// metricCodes are the numbers of metrics in a head.
var metricCodes = map[compat.Metric]uint8{compat.MetricCosine: 0, compat.MetricDot: 1, compat.MetricL2: 2}

// encodingCodes likewise of encodings.
var encodingCodes = map[compat.Encoding]uint8{compat.EncodingF32: 0, compat.EncodingInt8: 1, compat.EncodingLVQ4x8: 2}

func (g *Graph) head(s *snapshot) []byte {
	encoded := uint8(0)
	if s.arrays.book != nil {
		encoded = 1
	}
	b := make([]byte, 0, headBytes)
	b = binary.LittleEndian.AppendUint32(b, uint32(g.cfg.Dimension))
	b = binary.LittleEndian.AppendUint32(b, uint32(g.cfg.Build.M))
	b = binary.LittleEndian.AppendUint32(b, uint32(g.cfg.Build.EfConstruction))
	b = append(b, metricCodes[g.cfg.Metric], encodingCodes[g.cfg.Build.Encoding], encoded, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(s.nodes))
	b = binary.LittleEndian.AppendUint64(b, s.entry)
	b = binary.LittleEndian.AppendUint64(b, s.drawn)
	return binary.LittleEndian.AppendUint64(b, s.seed)
}

// appendNode writes one node.
func (s *snapshot) appendNode(b []byte, id uint32) []byte {
	a := s.arrays
	b = binary.LittleEndian.AppendUint32(b, s.ordinals[id])
	b = append(b, a.levels[id])
	if s.live[id] {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	next := atomic.LoadUint32(&a.twins[id])
	for int(next) > s.nodes {
		next = atomic.LoadUint32(&a.twins[next-1])
	}
	b = binary.LittleEndian.AppendUint32(b, next)
	if a.book != nil {
		b = a.book.Append(b, a.book.Row(a.rows, id))
	} else {
		for _, f := range a.vector(id) {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(f))
		}
	}
	if a.levels[id] == twin {
		return b
	}
	for level := range int(a.levels[id]) + 1 {
		at := len(b)
		b = append(b, 0, 0)
		n := uint16(0)
		block := a.block(id, level)
		for i := range block {
			link := atomic.LoadUint32(&block[i])
			if link == 0 {
				break
			}
			if int(link) <= s.nodes {
				b = binary.LittleEndian.AppendUint32(b, link-1)
				n++
			}
		}
		binary.LittleEndian.PutUint16(b[at:], n)
	}
	return b
}

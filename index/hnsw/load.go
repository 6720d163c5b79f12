package hnsw

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/internal/quant"
)

// Load reads what Save wrote for the same space. Nothing that it reads is
// believed: a checkpoint that is damaged, or of a graph of other parameters, is
// index.ErrCorrupt, one of another space index.ErrSpace.
func Load(cfg index.Config, source index.Source) (*Graph, error) {
	g, err := New(cfg)
	if err != nil {
		return nil, err
	}
	l := loader{core: g.core.Load(), reader: index.NewChunkReader(g.cfg, compat.EngineHNSW, source)}
	if err := l.load(); err != nil {
		return nil, err
	}
	return g, nil
}

// loader reads into a core that nobody shares yet. Memory grows with what is
// read, never with what is claimed.
type loader struct {
	*core
	reader *index.ChunkReader
	want   uint32 // nodes that the head promises
	// encoded: a book comes before the nodes.
	encoded bool
}

// corrupt is an error that wraps index.ErrCorrupt.
func corrupt(format string, args ...any) error {
	return fmt.Errorf("hnsw: %w: %s", index.ErrCorrupt, fmt.Sprintf(format, args...))
}

func (l *loader) load() error {
	head, err := l.reader.Next()
	if err != nil {
		return err
	}
	if err := l.readHead(head); err != nil {
		return err
	}
	if l.encoded {
		payload, err := l.reader.Next()
		if errors.Is(err, io.EOF) {
			return corrupt("there is no book")
		}
		if err != nil {
			return err
		}
		if err := l.readBook(payload); err != nil {
			return err
		}
	}
	for {
		payload, err := l.reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		for r := (cursor{rest: payload}); len(r.rest) > 0; {
			if err := l.readNode(&r); err != nil {
				return err
			}
		}
	}
	return l.check()
}

func (l *loader) readHead(head []byte) error {
	if len(head) != headBytes {
		return corrupt("a head of %d bytes, not %d", len(head), headBytes)
	}
	u32 := func(at int) uint32 { return binary.LittleEndian.Uint32(head[at:]) }
	build := l.cfg.Build
	switch {
	case u32(0) != uint32(l.cfg.Dimension):
		return corrupt("dimension %d, not %d", u32(0), l.cfg.Dimension)
	case u32(4) != uint32(build.M) || u32(8) != uint32(build.EfConstruction) || head[12] != metricCodes[l.cfg.Metric]:
		return corrupt("built with M %d, efConstruction %d, metric %d; wanted are %d, %d, %s: build the graph anew", u32(4), u32(8), head[12], build.M, build.EfConstruction, l.cfg.Metric)
	case head[13] != encodingCodes[build.Encoding]:
		return corrupt("vectors kept in encoding %d, not as %s: build the graph anew", head[13], build.Encoding)
	case head[14] > 1 || head[14] > head[13] || head[15] != 0:
		return corrupt("reserved bytes of the head are not zero")
	}
	l.encoded = head[14] == 1
	l.want = u32(16)
	l.entry.Store(binary.LittleEndian.Uint64(head[20:]))
	l.drawn.Store(binary.LittleEndian.Uint64(head[28:]))
	// Levels that were drawn before go on as they would have.
	l.cfg.Seed = binary.LittleEndian.Uint64(head[36:])
	if l.want > maxNodes {
		return corrupt("%d nodes", l.want)
	}
	return nil
}

// readBook makes arrays of encoded vectors.
func (l *loader) readBook(payload []byte) error {
	dim := l.cfg.Dimension
	if len(payload) != 8+4*dim {
		return corrupt("a book of %d bytes, not %d", len(payload), 8+4*dim)
	}
	f32 := func(at int) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(payload[at:])) }
	mean := make([]float32, dim)
	for i := range mean {
		mean[i] = f32(8 + 4*i)
	}
	book, err := quant.Restore(l.cfg.Build.Encoding, l.cfg.Metric, f32(0), f32(4), mean)
	if err != nil {
		return corrupt("book: %v", err)
	}
	a, err := newArrays(book, dim, l.cfg.Build.M, 0, 0)
	if err != nil {
		return err
	}
	l.arrays.Store(a)
	return nil
}

// readVector takes the vector of a node.
func (l *loader) readVector(r *cursor, a *arrays, id uint32) error {
	if a.book != nil {
		if err := a.book.Parse(a.book.Row(a.rows, id), r.take(a.book.RecordBytes())); err != nil {
			return corrupt("node %d has %v", id, err)
		}
		return nil
	}
	vector := a.vector(id)
	for i := range vector {
		f := math.Float32frombits(r.u32())
		if !(f >= -index.MaxMagnitude && f <= index.MaxMagnitude) {
			return corrupt("component %d of node %d is %g", i, id, f)
		}
		vector[i] = f
	}
	return nil
}

// readNode takes the next node of a payload.
func (l *loader) readNode(r *cursor) error {
	ordinal, level, alive, next := r.u32(), r.u8(), r.u8(), r.u32()
	height := int(level)
	if level == twin {
		height = 0
	}
	id := l.nodes.Load()
	switch {
	case r.short:
		return corrupt("node %d is cut off", id)
	case height > maxLevel || alive > 1:
		return corrupt("node %d has level %d and liveness %d", id, level, alive)
	case id >= l.want || next > l.want:
		return corrupt("node %d with twin %d of %d nodes", id, next, l.want)
	}
	if _, ok := l.allocate(height); !ok {
		if err := l.grow(); err != nil {
			return err
		}
		if _, ok := l.allocate(height); !ok {
			return corrupt("node %d finds no room", id)
		}
	}
	a := l.arrays.Load()
	a.levels[id], a.ordinals[id], a.twins[id] = level, ordinal, next
	if err := l.readVector(r, a, id); err != nil {
		return err
	}
	if level != twin {
		for h := range height + 1 {
			if err := l.readLinks(r, id, a.block(id, h)); err != nil {
				return err
			}
		}
	}
	if r.short {
		return corrupt("node %d is cut off", id)
	}
	if alive == 1 {
		if l.table.Swap(ordinal, id+1) != 0 {
			return corrupt("ordinal %d is live twice", ordinal)
		}
		l.live.Add(1)
	}
	return nil
}

// readLinks fills a block. That the links lead to nodes of the level is for
// check to see, when all nodes are there.
func (l *loader) readLinks(r *cursor, id uint32, block []uint32) error {
	n := int(r.u16())
	if n > len(block) {
		return corrupt("node %d has %d links where %d fit", id, n, len(block))
	}
	for i := range n {
		to := r.u32()
		if to >= l.want || to == id {
			return corrupt("node %d links to node %d of %d", id, to, l.want)
		}
		block[i] = to + 1
	}
	return nil
}

// check looks at what can be seen only of the whole.
func (l *loader) check() error {
	n, entry := l.nodes.Load(), l.entry.Load()
	if n != l.want {
		return corrupt("%d nodes, not %d", n, l.want)
	}
	a := l.arrays.Load()
	defer runtime.KeepAlive(a)
	node, level := uint32(entry), entry>>32
	if n == 0 && entry != 0 || n > 0 && (node == 0 || node > n || uint64(a.levels[node-1]) != level || level > maxLevel) {
		return corrupt("entry point %x of %d nodes", entry, n)
	}
	// Every twin hangs behind one node, so chains that begin at a node of the
	// graph end.
	hung := make([]bool, n)
	for id := range n {
		if next := a.twins[id]; next != 0 {
			if hung[next-1] || a.levels[next-1] != twin {
				return corrupt("node %d is no twin of node %d", next-1, id)
			}
			hung[next-1] = true
		}
		if a.levels[id] == twin {
			continue
		}
		for level := range int(a.levels[id]) + 1 {
			for _, link := range a.block(id, level) {
				if link == 0 {
					break
				}
				if to := a.levels[link-1]; to == twin || int(to) < level {
					return corrupt("node %d links to node %d at level %d, which it has not", id, link-1, level)
				}
			}
		}
	}
	return nil
}

// cursor reads numbers; what is beyond the end reads as zero and is noted.
type cursor struct {
	rest  []byte
	short bool
}

func (r *cursor) take(n int) []byte {
	if len(r.rest) < n {
		r.rest, r.short = nil, true
		return make([]byte, n)
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *cursor) u8() uint8   { return r.take(1)[0] }
func (r *cursor) u16() uint16 { return binary.LittleEndian.Uint16(r.take(2)) }
func (r *cursor) u32() uint32 { return binary.LittleEndian.Uint32(r.take(4)) }

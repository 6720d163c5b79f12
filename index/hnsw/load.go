package hnsw

import (
	"encoding/binary"
	"fmt"
	"math"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/internal/arena"
	"github.com/vecino-db/vecino/index/internal/quant"
)

// Load reads what Save wrote for the same space, on all processors. Nothing that
// it reads is believed: a checkpoint that is damaged, or of a graph of other
// parameters, is index.ErrCorrupt, one of another space index.ErrSpace.
func Load(cfg index.Config, source index.Source) (*Graph, error) {
	g, err := New(cfg)
	if err != nil {
		return nil, err
	}
	l := loader{core: g.core.Load()}
	if l.reader, err = index.NewReader(g.cfg, compat.EngineHNSW, source); err != nil {
		return nil, err
	}
	if err := l.load(); err != nil {
		return nil, err
	}
	// Nothing has been touched in the first epoch yet.
	g.loaded = &index.Saved{Sums: l.reader.Sums(), Epoch: g.epoch.Load(), Owner: g.owner}
	return g, nil
}

// loader reads into a core that nobody shares yet.
type loader struct {
	*core
	reader *index.Reader
	want   int      // nodes that the head promises
	first  int      // the first part that is not the book
	seeded bool     // searches of it need seeds
	upper  [][]byte // by range: the links above level 0
}

// corrupt is an error that wraps index.ErrCorrupt.
func corrupt(format string, args ...any) error {
	return fmt.Errorf("hnsw: %w: %s", index.ErrCorrupt, fmt.Sprintf(format, args...))
}

func (l *loader) load() error {
	dead, err := l.readHead(l.reader.Head())
	if err != nil {
		return err
	}
	var book *quant.Book
	if l.first == 1 {
		if len(l.reader.Sums()) == 0 {
			return corrupt("there is no book")
		}
		err := l.reader.Part(0, func(payload []byte) (err error) {
			book, err = l.readBook(payload)
			return err
		})
		if err != nil {
			return err
		}
	}
	if err := l.makeRoom(book, dead); err != nil {
		return err
	}
	if err := l.reader.Each(l.first, l.readPart); err != nil {
		return err
	}
	if err := l.placeUpper(); err != nil {
		return err
	}
	return l.check()
}

// readHead gives what the head says of liveness.
func (l *loader) readHead(head []byte) (dead []byte, err error) {
	if len(head) < headBytes {
		return nil, corrupt("a head of %d bytes, not %d", len(head), headBytes)
	}
	u32 := func(at int) uint32 { return binary.LittleEndian.Uint32(head[at:]) }
	u64 := func(at int) uint64 { return binary.LittleEndian.Uint64(head[at:]) }
	build := l.cfg.Build
	switch {
	case u32(0) != uint32(l.cfg.Dimension):
		return nil, corrupt("dimension %d, not %d", u32(0), l.cfg.Dimension)
	case u32(4) != uint32(build.M) || u32(8) != uint32(build.EfConstruction) || head[12] != metricCodes[l.cfg.Metric]:
		return nil, corrupt("built with M %d, efConstruction %d, metric %d; wanted are %d, %d, %s: build the graph anew", u32(4), u32(8), head[12], build.M, build.EfConstruction, l.cfg.Metric)
	case head[13] != encodingCodes[build.Encoding]:
		return nil, corrupt("vectors kept in encoding %d, not as %s: build the graph anew", head[13], build.Encoding)
	case head[14] > 3 || head[14]&1 > head[13]:
		return nil, corrupt("encoded vectors of encoding %d", head[13])
	case head[15] > 24:
		return nil, corrupt("ranges of 2^%d nodes", head[15])
	case u32(16) > maxNodes || len(head) != headBytes+4*words(int(u32(16))):
		return nil, corrupt("%d nodes in a head of %d bytes", u32(16), len(head))
	}
	l.want, l.first, l.seeded = int(u32(16)), int(head[14]&1), head[14]&2 != 0 && u32(16) > 0
	ranges := (l.want + 1<<head[15] - 1) >> head[15]
	if parts := len(l.reader.Sums()); parts != l.first+2*ranges {
		return nil, corrupt("%d nodes in %d parts", l.want, parts)
	}
	l.upper = make([][]byte, ranges)
	l.entry.Store(u64(20))
	l.drawn.Store(u64(28))
	// Levels that were drawn before go on as they would have.
	l.cfg.Seed = u64(36)
	misfits, encoded, unfit := math.Float64frombits(u64(44)), u64(52), u64(60)
	if !(misfits >= 0 && misfits <= 1) || encoded > math.MaxInt64 || unfit > encoded {
		return nil, corrupt("%g misfits, %d of %d", misfits, unfit, encoded)
	}
	l.misfits.Store(math.Float64bits(misfits))
	l.encoded.Store(int64(encoded))
	l.unfit.Store(int64(unfit))
	return head[headBytes:], nil
}

func (l *loader) readBook(payload []byte) (*quant.Book, error) {
	dim := l.cfg.Dimension
	if len(payload) != 8+4*dim {
		return nil, corrupt("a book of %d bytes, not %d", len(payload), 8+4*dim)
	}
	f32 := func(at int) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(payload[at:])) }
	mean := make([]float32, dim)
	loadWords(mean, payload[8:])
	book, err := quant.Restore(l.cfg.Build.Encoding, l.cfg.Metric, f32(0), f32(4), mean)
	if err != nil {
		return nil, corrupt("book: %v", err)
	}
	return book, nil
}

// makeRoom makes the arrays for all nodes. Where unwritten memory is not free,
// the head's number of nodes is not believed before all their vectors are seen.
func (l *loader) makeRoom(book *quant.Book, dead []byte) error {
	a := l.arrays.Load()
	if book != nil {
		var err error
		if a, err = newArrays(book, a.dim, a.strideU, 0, 0); err != nil {
			return err
		}
	}
	if l.reader.Head()[15] != uint8(a.shift) {
		return corrupt("ranges of 2^%d nodes, not 2^%d", l.reader.Head()[15], a.shift)
	}
	if !arena.Lazy {
		err := l.reader.Each(l.first, func(number int, payload []byte) error {
			_, from, to := l.rangeOf(a, number)
			return l.checkSize(a, number, to-from, payload)
		})
		if err != nil {
			return err
		}
	}
	a, err := newArrays(book, a.dim, a.strideU, l.want, 0)
	if err != nil {
		return err
	}
	l.huge = l.want*a.vectorBytes() >= hugeBytes
	loadWords(a.dead[:words(l.want)], dead)
	l.arrays.Store(a)
	l.nodes.Store(uint32(l.want))
	return nil
}

// rangeOf is the range of nodes that a part is about.
func (l *loader) rangeOf(a *arrays, number int) (i, from, to int) {
	i = (number - l.first) / 2
	from = i << a.shift
	return i, from, min(from+a.perRange(), l.want)
}

// isRows reports whether a part has vectors.
func (l *loader) isRows(number int) bool { return (number-l.first)%2 == 0 }

// checkSize refuses a part that is not as long as n nodes must be.
func (l *loader) checkSize(a *arrays, number, n int, payload []byte) error {
	if l.isRows(number) {
		size := 4 * a.dim
		if a.book != nil {
			size = a.book.RecordBytes()
		}
		if len(payload) != n*size {
			return corrupt("%d vectors in %d bytes", n, len(payload))
		}
		return nil
	}
	fixed, blocks := n*(9+4*a.strideB), 0
	if len(payload) < fixed {
		return corrupt("%d nodes in %d bytes", n, len(payload))
	}
	for i, level := range payload[8*n : 9*n] {
		if level > maxLevel && level != twin {
			return corrupt("node %d of a range has level %d", i, level)
		}
		if level != twin {
			blocks += int(level)
		}
	}
	if len(payload) != fixed+4*blocks*a.strideU {
		return corrupt("%d nodes with %d blocks in %d bytes", n, blocks, len(payload))
	}
	return nil
}

// readPart takes one part. Others are taken beside it.
func (l *loader) readPart(number int, payload []byte) error {
	a := l.arrays.Load()
	i, from, to := l.rangeOf(a, number)
	if err := l.checkSize(a, number, to-from, payload); err != nil {
		return err
	}
	if l.isRows(number) {
		return l.readRows(a, from, to, payload)
	}
	return l.readNodes(a, i, from, to, payload)
}

func (l *loader) readRows(a *arrays, from, to int, payload []byte) error {
	if b := a.book; b != nil {
		for id := from; id < to; id++ {
			if err := b.Parse(b.Row(a.rows, uint32(id)), payload[:b.RecordBytes()]); err != nil {
				return corrupt("node %d has %v", id, err)
			}
			payload = payload[b.RecordBytes():]
		}
		return nil
	}
	rows := a.vectors[from*a.dim : to*a.dim]
	loadWords(rows, payload)
	// What is greater than this, without its sign, is too large or no number.
	largest, most := uint32(0), math.Float32bits(index.MaxMagnitude)
	for _, x := range rows {
		largest = max(largest, math.Float32bits(x)&^(1<<31))
	}
	if largest > most {
		return corrupt("a vector of nodes %d..%d has component %g", from, to-1, math.Float32frombits(largest))
	}
	return nil
}

// readNodes takes the rest of a range but its upper links, which have no place
// yet. That links lead to nodes of the level is for check to see, when all
// nodes are there.
func (l *loader) readNodes(a *arrays, i, from, to int, payload []byte) error {
	n := to - from
	take := func(bytes int) []byte {
		b := payload[:bytes]
		payload = payload[bytes:]
		return b
	}
	loadWords(a.ordinals[from:to], take(4*n))
	loadWords(a.twins[from:to], take(4*n))
	copy(a.levels[from:to], take(n))
	loadWords(a.base[from*a.strideB:to*a.strideB], take(4*n*a.strideB))
	l.upper[i] = append(l.upper[i], payload...)
	for id := from; id < to; id++ {
		if int(a.twins[id]) > l.want {
			return corrupt("node %d with twin %d of %d nodes", id, a.twins[id], l.want)
		}
		if err := l.checkLinks(uint32(id), a.block(uint32(id), 0)); err != nil {
			return err
		}
		if a.dead[id>>5]>>(id&31)&1 == 0 {
			if l.table.Swap(a.ordinals[id], uint32(id)+1) != 0 {
				return corrupt("ordinal %d is live twice", a.ordinals[id])
			}
			l.live.Add(1)
		}
	}
	return nil
}

// checkLinks looks at one block.
func (l *loader) checkLinks(id uint32, block []uint32) error {
	ended := false
	for _, link := range block {
		if link == 0 {
			ended = true
		} else if ended || int(link) > l.want || link == id+1 {
			return corrupt("node %d links to node %d of %d", id, link-1, l.want)
		}
	}
	return nil
}

// placeUpper gives the upper links their places, in the order of the nodes.
func (l *loader) placeUpper() error {
	a := l.arrays.Load()
	for i, links := range l.upper {
		for id := i << a.shift; id < min((i+1)<<a.shift, l.want); id++ {
			height := int(a.levels[id])
			if height == twin {
				height = 0
			}
			for l.blocks+height > a.blocks {
				if err := l.grow(); err != nil {
					return err
				}
				a = l.arrays.Load()
			}
			a.upperAt[id] = uint32(l.blocks)
			l.blocks += height
			for h := 1; h <= height; h++ {
				block := a.block(uint32(id), h)
				loadWords(block, links[:4*len(block)])
				links = links[4*len(block):]
				if err := l.checkLinks(uint32(id), block); err != nil {
					return err
				}
			}
		}
		l.upper[i] = nil
	}
	return nil
}

// check looks at what can be seen only of the whole.
func (l *loader) check() error {
	n, entry := uint32(l.want), l.entry.Load()
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
	}
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range l.upper {
		group.Go(func() error { return l.checkTargets(a, i<<a.shift, min((i+1)<<a.shift, l.want)) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	s := l.scratch.Get().(*scratch)
	defer l.scratch.Put(s)
	// Otherwise the next inserts find out whether any are needed: where the trial
	// of those before the checkpoint had come is not in it.
	if n := l.nodes.Load(); l.seeded {
		l.seeds.Store(l.seedsOf(a, s, l.sampleLive(a, n), n))
	}
	return nil
}

// checkTargets: links of nodes lead to nodes of their level.
func (l *loader) checkTargets(a *arrays, from, to int) error {
	for id := from; id < to; id++ {
		if a.levels[id] == twin {
			continue
		}
		for level := range int(a.levels[id]) + 1 {
			for _, link := range a.block(uint32(id), level) {
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

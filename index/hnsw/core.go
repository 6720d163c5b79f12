package hnsw

import (
	"fmt"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/internal/arena"
	"github.com/vecino-db/vecino/index/internal/measure"
	"github.com/vecino-db/vecino/index/internal/quant"
	"github.com/vecino-db/vecino/index/internal/radix"
	"github.com/vecino-db/vecino/kernels/codes"
)

const (
	// maxNodes leaves a bit of an item of the pool for its mark.
	maxNodes = 1<<31 - 2
	// maxLevel of a node. With M = 2, the flattest, 2^24 nodes reach it.
	maxLevel = 24
	// twin is what levels says of a node without links.
	twin = 0xff
	// lazyBytes of address space are asked for where they cost nothing.
	lazyBytes = 16 << 30
	// firstNodes is the capacity to begin with where they do.
	firstNodes = 1024
	// hugeBytes of vectors are worth huge pages.
	hugeBytes = 16 << 20
	stripes   = 512
)

// arrays is the memory of a graph: see the package comment. Searches hold the
// value that they loaded until they end (runtime.KeepAlive).
type arrays struct {
	region   *arena.Region
	capacity int // nodes
	blocks   int // blocks of upper
	dim      int
	strideB  int // links of a block of base
	strideU  int // links of a block of upper

	// book is how vectors are encoded; nil while they are kept as they are.
	book    *quant.Book
	vectors []float32   // without a book
	rows    quant.Slabs // with one

	base    []uint32
	upper   []uint32
	upperAt []uint32
	levels  []uint8
	// settled links of a block of base, the first ones, don't cover each other.
	settled  []uint8
	ordinals []uint32 // atomic: a scan may meet a node before it is written
	twins    []uint32 // atomic
	dead     []uint32 // atomic: one bit a node; see bury

	touched touched
	shift   uint // of ranges; see touched
}

// bytesFor is the region that arrays of these capacities take.
func (a *arrays) bytesFor(nodes, blocks int) int {
	vectors := arena.Size[float32](nodes * a.dim)
	if b := a.book; b != nil {
		vectors = arena.Size[uint8](nodes*b.CodeBytes()) + arena.Size[uint8](nodes*b.FineBytes()) + arena.Size[float32](nodes*b.Params())
	}
	return vectors + arena.Size[uint32](nodes*a.strideB) +
		arena.Size[uint32](blocks*a.strideU) + 3*arena.Size[uint32](nodes) + arena.Size[uint32](words(nodes)) + 2*arena.Size[uint8](nodes)
}

// newArrays makes empty arrays for at least this many nodes and blocks.
func newArrays(book *quant.Book, dim, m, nodes, blocks int) (*arrays, error) {
	a := &arrays{book: book, dim: dim, strideB: 2 * m, strideU: m, capacity: max(nodes, firstNodes)}
	if arena.Lazy {
		a.capacity = max(a.capacity, lazyBytes/a.bytesFor(1, 1))
	}
	a.capacity = min(a.capacity, maxNodes)
	if nodes > a.capacity {
		return nil, fmt.Errorf("hnsw: %d nodes are more than the %d that a graph can hold; split the collection", nodes, maxNodes)
	}
	a.blocks = blocksFor(a.capacity, blocks, m)
	region, err := arena.New(a.bytesFor(a.capacity, a.blocks))
	if err != nil && arena.Lazy {
		// Address space may be short: what is needed now, then.
		a.capacity = min(max(nodes, firstNodes), maxNodes)
		a.blocks = blocksFor(a.capacity, blocks, m)
		region, err = arena.New(a.bytesFor(a.capacity, a.blocks))
	}
	if err != nil {
		return nil, err
	}
	a.region = region
	if book == nil {
		a.vectors = arena.Slice[float32](region, a.capacity*dim)
	} else {
		a.rows.Codes = arena.Slice[uint8](region, a.capacity*book.CodeBytes())
		a.rows.Fines = arena.Slice[uint8](region, a.capacity*book.FineBytes())
		a.rows.Params = arena.Slice[float32](region, a.capacity*book.Params())
	}
	a.base = arena.Slice[uint32](region, a.capacity*a.strideB)
	a.upper = arena.Slice[uint32](region, a.blocks*a.strideU)
	a.upperAt = arena.Slice[uint32](region, a.capacity)
	a.ordinals = arena.Slice[uint32](region, a.capacity)
	a.twins = arena.Slice[uint32](region, a.capacity)
	a.dead = arena.Slice[uint32](region, words(a.capacity))
	a.levels = arena.Slice[uint8](region, a.capacity)
	a.settled = arena.Slice[uint8](region, a.capacity)
	if nodes*a.vectorBytes() >= hugeBytes {
		a.adviseHuge()
	}
	a.shift = a.rangeShift()
	a.touched.rows = make([]atomic.Uint64, a.ranges(a.capacity))
	a.touched.nodes = make([]atomic.Uint64, a.ranges(a.capacity))
	return a, nil
}

// blocksFor leaves ample room: on average a node has 1/(M-1) blocks.
func blocksFor(nodes, atLeast, m int) int { return max(atLeast, 2*nodes/(m-1)+maxLevel) }

// vectorBytes is the memory of one vector.
func (a *arrays) vectorBytes() int {
	if b := a.book; b != nil {
		return b.CodeBytes() + b.FineBytes() + 4*b.Params()
	}
	return 4 * a.dim
}

// vector is the row of a node, where there is no book.
func (a *arrays) vector(id uint32) []float32 {
	at := int(id) * a.dim
	return a.vectors[at : at+a.dim : at+a.dim]
}

// block is the links of a node at a level that it has.
func (a *arrays) block(id uint32, level int) []uint32 {
	if level == 0 {
		at := int(id) * a.strideB
		return a.base[at : at+a.strideB : at+a.strideB]
	}
	at := (int(a.upperAt[id]) + level - 1) * a.strideU
	return a.upper[at : at+a.strideU : at+a.strideU]
}

// core is one graph. Compact replaces it as a whole.
type core struct {
	cfg     index.Config
	measure measure.Measure
	arrays  atomic.Pointer[arrays]
	table   radix.Table // ordinal -> its live node + 1

	entry   atomic.Uint64 // level << 32 | node + 1; 0: empty
	nodes   atomic.Uint32 // numbers given out
	live    atomic.Int64
	changed atomic.Uint64 // how often a node ceased to be live
	drawn   atomic.Uint64 // levels drawn

	links [stripes]sync.Mutex // the locks of blocks, by node

	mu     sync.Mutex // guards handing out numbers, and changes of entry
	blocks int        // of arrays.upper, given out
	huge   bool       // huge pages have been asked for

	encoded atomic.Int64  // vectors that were encoded by the present book
	unfit   atomic.Int64  // and of these, those that it fits badly
	misfits atomic.Uint64 // float64 bits: their share of what the book was chosen for

	epoch *atomic.Uint64 // the graph's; see touched
	born  uint64         // the epoch in which this core began to serve, or its rows were encoded; guarded by the writers' lock

	seeds   atomic.Pointer[seeds] // nil: too few nodes
	seeding sync.Mutex            // one chooses seeds at a time
	trial   *trial                // nil: none is under way; guarded by seeding

	scratch sync.Pool // of *scratch
}

func newCore(cfg index.Config, epoch *atomic.Uint64, book *quant.Book, nodes, blocks int) (*core, error) {
	a, err := newArrays(book, cfg.Dimension, cfg.Build.M, nodes, blocks)
	if err != nil {
		return nil, err
	}
	c := &core{cfg: cfg, measure: measure.Of(cfg.Metric), epoch: epoch}
	c.arrays.Store(a)
	c.scratch.New = func() any { return newScratch(cfg) }
	return c, nil
}

// allocate gives out a node and the blocks of its levels. It reports false when
// the arrays are full: see grow.
func (c *core) allocate(level int) (id uint32, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.arrays.Load()
	id = c.nodes.Load()
	if int(id) >= a.capacity || c.blocks+level > a.blocks {
		return 0, false
	}
	a.upperAt[id] = uint32(c.blocks)
	a.levels[id] = uint8(level)
	c.blocks += level
	c.nodes.Store(id + 1)
	if !c.huge && int(id)*a.vectorBytes() >= hugeBytes {
		c.huge = true
		a.adviseHuge()
	}
	return id, true
}

// adviseHuge asks for huge pages behind what searches touch at random.
func (a *arrays) adviseHuge() {
	arena.AdviseHuge(a.region, a.vectors)
	arena.AdviseHuge(a.region, a.rows.Codes)
	arena.AdviseHuge(a.region, a.rows.Fines)
	arena.AdviseHuge(a.region, a.rows.Params)
	arena.AdviseHuge(a.region, a.base)
}

// grow doubles the arrays. The caller has the writers' lock alone.
func (c *core) grow() error {
	old, n := c.arrays.Load(), int(c.nodes.Load())
	a, err := newArrays(old.book, old.dim, old.strideU, 2*old.capacity, 2*old.blocks)
	if err != nil {
		return err
	}
	if b := old.book; b != nil {
		copy(a.rows.Codes, old.rows.Codes[:n*b.CodeBytes()])
		copy(a.rows.Fines, old.rows.Fines[:n*b.FineBytes()])
		copy(a.rows.Params, old.rows.Params[:n*b.Params()])
	} else {
		copy(a.vectors, old.vectors[:n*old.dim])
	}
	c.replace(a, old, n)
	return nil
}

// replace takes over all of the first n nodes but their vectors, and makes a
// the arrays. The caller has the writers' lock alone.
func (c *core) replace(a, old *arrays, n int) {
	copy(a.base, old.base[:n*old.strideB])
	copy(a.upper, old.upper[:c.blocks*old.strideU])
	copy(a.upperAt, old.upperAt[:n])
	copy(a.levels, old.levels[:n])
	copy(a.settled, old.settled[:n])
	copy(a.ordinals, old.ordinals[:n])
	copy(a.twins, old.twins[:n])
	copy(a.dead, old.dead[:words(n)])
	if a.shift == old.shift {
		for i := range a.ranges(n) {
			a.touched.rows[i].Store(old.touched.rows[i].Load())
			a.touched.nodes[i].Store(old.touched.nodes[i].Load())
		}
	}
	c.huge = false
	c.arrays.Store(a)
}

// fetch asks for what a search wants of nodes once it has met them.
func (a *arrays) fetch(ids []uint32) {
	if a.book != nil {
		a.book.FetchFine(a.rows, ids)
	}
	codes.Fetch(octets(a.ordinals), 4, 4, ids)
	codes.Fetch(octets(a.twins), 4, 4, ids)
}

// octets is the memory of words.
func octets(words []uint32) []uint8 {
	return unsafe.Slice((*uint8)(unsafe.Pointer(unsafe.SliceData(words))), 4*len(words))
}

// isLive reports whether a node is the one that its ordinal has now.
func (c *core) isLive(a *arrays, id uint32) bool {
	return c.table.Get(atomic.LoadUint32(&a.ordinals[id])) == id+1
}

// lock is that of a node's blocks.
func (c *core) lock(id uint32) *sync.Mutex { return &c.links[id*0x9e3779b1>>23] }

// stats describes the graph.
func (c *core) stats() index.Stats {
	a := c.arrays.Load()
	c.mu.Lock()
	nodes, blocks := int(c.nodes.Load()), c.blocks
	c.mu.Unlock()
	// Live first comes down when a delete runs beside.
	live := min(int(c.live.Load()), nodes)
	s := index.Stats{Live: live, Deleted: nodes - live, Bytes: c.table.Bytes()}
	s.Bytes += int64(nodes)*int64(a.vectorBytes()+4*a.strideB+14) + int64(blocks)*int64(4*a.strideU)
	s.Drifted = a.book != nil && c.drifted()
	if e := c.entry.Load(); e != 0 {
		s.Levels = int(e>>32) + 1
	}
	return s
}

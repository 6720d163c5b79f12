package hnsw

import (
	"math"
	"runtime"
	"slices"
	"sync/atomic"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index/internal/quant"
)

// sampleSize vectors are kept as they are before a book is made of them.
const sampleSize = 1024

// target is a vector that nodes are compared with: a query, or a new node.
type target struct {
	vector []float32 // as measure.Prepare makes it
	// ready says that coded is vector in the words of book.
	ready bool
	book  *quant.Book
	coded quant.Query
}

// set makes what was written to t.vector the target.
func (t *target) set() { t.ready = false }

// prepare makes the target comparable with the vectors of a.
func (t *target) prepare(a *arrays) {
	if a.book == nil || t.ready && t.book == a.book {
		return
	}
	a.book.Prepare(&t.coded, t.vector)
	t.ready, t.book = true, a.book
}

// coarse sets dst[i] to the raw value of the target against node ids[i], as
// exact as a walk wants it. prepare was called.
func (c *core) coarse(dst []float32, a *arrays, t *target, ids []uint32) {
	if a.book == nil {
		c.measure.Rows(dst, t.vector, a.vectors, ids)
		return
	}
	a.book.Coarse(dst, &t.coded, a.rows, ids)
}

// fine is coarse as exact as can be.
func (c *core) fine(dst []float32, a *arrays, t *target, ids []uint32) {
	t.prepare(a)
	if a.book == nil {
		c.measure.Rows(dst, t.vector, a.vectors, ids)
		return
	}
	a.book.Fine(dst, &t.coded, a.rows, ids)
}

// pairs sets dst[i] to the raw value of row id against row ids[i]. Rows are nodes,
// or what was staged.
func (c *core) pairs(dst []float32, a *arrays, s *scratch, id uint32, ids []uint32) {
	switch {
	case a.book == nil:
		c.measure.Rows(dst, a.vector(id), a.vectors, ids)
	case a.book.Stages():
		a.book.StagedPairs(dst, &s.stage, id, ids)
	default:
		a.book.Pairs(dst, &s.pair, a.rows, id, ids)
	}
}

// decode writes the vector of a node to v.
func (a *arrays) decode(v []float32, id uint32) {
	if a.book == nil {
		copy(v, a.vector(id))
		return
	}
	a.book.Decode(v, a.book.Row(a.rows, id))
}

// recall writes the vector of a node to v as it was given, or else as decode
// does.
func (a *arrays) recall(v []float32, id uint32, given original) {
	if a.book == nil || given == nil || !given(v, atomic.LoadUint32(&a.ordinals[id])) {
		a.decode(v, id)
	}
}

// newcomer is a vector in the form in which the arrays will keep it.
type newcomer struct {
	book   *quant.Book
	record quant.Record
}

// encode brings the target into the form of a: s.own, where there is a book.
func (c *core) encode(a *arrays, s *scratch) {
	if a.book == nil {
		return
	}
	if s.own.book != a.book {
		s.own = newcomer{a.book, a.book.NewRecord()}
	}
	if !a.book.Encode(s.own.record, s.target.vector) {
		c.unfit.Add(1)
	}
	c.encoded.Add(1)
}

// write stores the target, which was encoded, as a node's vector.
func (a *arrays) write(s *scratch, id uint32) {
	if a.book == nil {
		copy(a.vector(id), s.target.vector)
		return
	}
	a.book.Row(a.rows, id).Copy(s.own.record)
}

// same reports whether a node has the very vector of the target, which was
// encoded.
func (a *arrays) same(s *scratch, id uint32) bool {
	if a.book == nil {
		v := a.vector(id)
		return v[0] == s.target.vector[0] && slices.Equal(v, s.target.vector)
	}
	return a.book.Row(a.rows, id).Equal(s.own.record)
}

// drifted reports whether more vectors came that the book fits badly than it was
// chosen with: a fifth of all more. No book fits vectors of two scales, and a new
// one would be no better.
func (c *core) drifted() bool {
	n := c.encoded.Load()
	share := 0.2 + math.Float64frombits(c.misfits.Load())
	return n >= sampleSize && float64(c.unfit.Load()) > share*float64(n)
}

// sampled reports whether it is time to encode what is float32 yet.
func (c *core) sampled() bool {
	return c.cfg.Build.Encoding != compat.EncodingF32 && c.arrays.Load().book == nil && c.nodes.Load() >= sampleSize
}

// encodeAll encodes the vectors there are. It does nothing while Compact runs,
// whose successor has the present codes or none: Compact itself, or the next
// insert, asks again.
func (g *Graph) encodeAll(c *core) error {
	if !g.compacting.TryLock() {
		return nil
	}
	defer g.compacting.Unlock()
	g.writers.Lock()
	defer g.writers.Unlock()
	if g.core.Load() != c || !c.sampled() {
		return nil
	}
	return c.encodeAll()
}

// encodeAll makes a book of the vectors there are and encodes them by it. The
// caller has the writers' lock alone.
func (c *core) encodeAll() error {
	old, n := c.arrays.Load(), int(c.nodes.Load())
	book := quant.Train(c.cfg.Build.Encoding, c.cfg.Metric, old.dim, n, func(i int) []float32 { return old.vector(uint32(i)) })
	a, err := newArrays(book, old.dim, old.strideU, old.capacity, old.blocks)
	if err != nil {
		return err
	}
	unfit := 0
	for id := range uint32(n) {
		if !book.Encode(book.Row(a.rows, id), old.vector(id)) {
			unfit++
		}
	}
	c.misfits.Store(math.Float64bits(float64(unfit) / float64(n)))
	c.replace(a, old, n)
	c.born = c.epoch.Load()
	return nil
}

// bookFor is the book of a graph that is made of the live nodes of another: the
// same one, unless it has drifted away from them. The caller keeps the other one
// from growing. misfits is the share of these nodes that it fits badly.
func bookFor(old *core, given original) (book *quant.Book, misfits float64) {
	a := old.arrays.Load()
	defer runtime.KeepAlive(a)
	if a.book == nil {
		return nil, 0
	}
	var sample []uint32
	n := old.nodes.Load()
	for id := uint32(0); id < n; id += (n + 2*sampleSize - 1) / (2 * sampleSize) {
		if old.isLive(a, id) {
			sample = append(sample, id)
		}
	}
	if len(sample) < sampleSize {
		return a.book, math.Float64frombits(old.misfits.Load())
	}
	v := make([]float32, a.dim)
	fresh := quant.Train(old.cfg.Build.Encoding, old.cfg.Metric, a.dim, len(sample), func(i int) []float32 {
		a.recall(v, sample[i], given)
		return v
	})
	book = a.book
	if book.Drifted(fresh) {
		book = fresh
	}
	unfit, record := 0, book.NewRecord()
	for _, id := range sample {
		a.recall(v, id, given)
		if !book.Encode(record, v) {
			unfit++
		}
	}
	return book, float64(unfit) / float64(len(sample))
}

// copyAbsent adds a node of another graph, in the very codes that it has there
// if the book is the same, unless its ordinal has one here; see insert.
func (c *core) copyAbsent(from *arrays, node, ordinal uint32, given original) (id uint32, ok bool) {
	s := c.scratch.Get().(*scratch)
	defer c.scratch.Put(s)
	a := c.arrays.Load()
	defer runtime.KeepAlive(a)
	if a.book == from.book {
		given = nil
	}
	from.recall(s.target.vector, node, given)
	s.target.set()
	c.encode(a, s)
	if a.book != nil && a.book == from.book {
		// To the bit: what was encoded once is not encoded again.
		s.own.record.Copy(from.book.Row(from.rows, node))
	}
	if id, ok = c.add(a, s, ordinal); !ok {
		return 0, false
	}
	if c.table.CompareAndSwap(ordinal, 0, id+1) {
		c.live.Add(1)
	} else {
		c.bury(id)
	}
	return id, true
}

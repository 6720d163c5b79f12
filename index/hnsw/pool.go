package hnsw

import (
	"slices"
	"sort"
	"unsafe"

	"github.com/vecino-db/vecino/kernels/beam"
)

// item is a node and how near it is, in one word that sorts by nearness, then
// by node: key << 32 | node << 1 | expanded.
type item uint64

func newItem(key, id uint32) item { return item(key)<<32 | item(id)<<1 }

func (i item) key() uint32 { return uint32(i >> 32) }
func (i item) id() uint32  { return uint32(i) >> 1 }

// pool is the best nodes that a walk has met, nearest first, at most limit of
// them, and which of them it has expanded. It is the candidates and the result
// of the walk in one.
type pool struct {
	beam  []uint64 // of items; see package beam
	limit int
	next  int // everything before is expanded
}

func (p *pool) reset(limit int) {
	places := (limit + 7) &^ 7
	if places > cap(p.beam) {
		p.beam = make([]uint64, places+places/2&^7)
	}
	p.beam = p.beam[:places]
	for i := range p.beam {
		p.beam[i] = beam.Empty
	}
	p.limit = limit
	p.next = 0
}

// insert puts nodes where they belong, as far as they are nearer than the
// farthest of limit.
func (p *pool) insert(keys, ids []uint32) {
	p.next = min(p.next, beam.Insert(p.beam, p.limit, keys, ids))
}

// found is the nodes of the pool. It lends its memory.
func (p *pool) found() []item {
	n := sort.Search(p.limit, func(i int) bool { return p.beam[i] == beam.Empty })
	return unsafe.Slice((*item)(unsafe.SliceData(p.beam)), n)
}

// expand gives the nearest node that is not expanded yet, and marks it.
func (p *pool) expand() (id uint32, ok bool) {
	for i, it := range p.beam[p.next:p.limit] {
		if it&1 == 0 {
			p.next += i + 1
			p.beam[p.next-1] = it | 1
			return item(it).id(), true
		}
		if it == beam.Empty {
			break
		}
	}
	p.next = p.limit
	return 0, false
}

// peek appends to ids the nearest nodes that are not expanded yet, up to its
// capacity.
func (p *pool) peek(ids []uint32) []uint32 {
	for _, it := range p.beam[p.next:p.limit] {
		if len(ids) == cap(ids) || it == beam.Empty {
			break
		}
		if it&1 == 0 {
			ids = append(ids, item(it).id())
		}
	}
	return ids
}

// heap is a binary heap of items, the smallest first. The largest first is had
// by turning all bits around.
type heap []item

func (h *heap) push(it item) {
	s := append(*h, it)
	i := len(s) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if s[parent] <= it {
			break
		}
		s[i] = s[parent]
		i = parent
	}
	s[i] = it
	*h = s
}

func (h *heap) pop() item {
	s := *h
	top, last := s[0], s[len(s)-1]
	s = s[:len(s)-1]
	*h = s
	if len(s) == 0 {
		return top
	}
	i := 0
	for {
		child := 2*i + 1
		if child >= len(s) {
			break
		}
		if child+1 < len(s) && s[child+1] < s[child] {
			child++
		}
		if last <= s[child] {
			break
		}
		s[i] = s[child]
		i = child
	}
	s[i] = last
	return top
}

// nearestFirst sorts items.
func nearestFirst(items []item) { slices.Sort(items) }

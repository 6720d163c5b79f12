package hnsw

import "slices"

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
	items []item
	limit int
	next  int // everything before is expanded
}

func (p *pool) reset(limit int) {
	p.items = p.items[:0]
	p.limit = limit
	p.next = 0
}

// worst is the key that a node must be below to enter.
func (p *pool) worst() uint32 {
	if len(p.items) < p.limit {
		return 1<<32 - 1
	}
	return p.items[len(p.items)-1].key()
}

// insert puts a node where it belongs. The caller has compared it with worst.
func (p *pool) insert(it item) {
	items := p.items
	lo, hi := 0, len(items)
	for lo < hi {
		if mid := int(uint(lo+hi) >> 1); items[mid] < it {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if len(items) < p.limit {
		items = append(items, 0)
		p.items = items
	}
	if lo == len(items) {
		return
	}
	copy(items[lo+1:], items[lo:])
	items[lo] = it
	p.next = min(p.next, lo)
}

// expand gives the nearest node that is not expanded yet, and marks it.
func (p *pool) expand() (id uint32, ok bool) {
	for i := p.next; i < len(p.items); i++ {
		if it := p.items[i]; it&1 == 0 {
			p.items[i] = it | 1
			p.next = i + 1
			return it.id(), true
		}
	}
	p.next = len(p.items)
	return 0, false
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

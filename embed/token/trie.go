package token

import (
	"cmp"
	"slices"
)

// trie maps byte strings to ids by a double array (Aoe 1989): the child of
// node n by byte c is base^c of n, if that unit names n as its parent. Bases lie
// in blocks of 256 units, so base^c is always in range.
type trie struct{ units []unit }

type unit struct {
	base   int32
	parent int32 // -1: the unit is free
	value  int32 // the id of the string that ends here; -1: none
}

// root is the node of the empty string; none is no node.
const (
	root int32 = 0
	none int32 = -1
)

// openBlocks bounds how far back the builder looks for free units, which keeps
// building linear.
const openBlocks = 16

// newTrie builds the trie. Of equal tokens the last wins. Ids are below 2^31.
func newTrie(list []entry) *trie {
	sorted := slices.Clone(list)
	slices.SortStableFunc(sorted, func(a, b entry) int { return cmp.Compare(a.token, b.token) })
	b := trieBuilder{keys: sorted}
	b.grow()
	b.take(root, root)
	b.build(0, len(sorted))
	return &trie{units: b.units}
}

// step is the child of node by c, or none.
func (t *trie) step(node int32, c byte) int32 {
	next := t.units[node].base ^ int32(c)
	if t.units[next].parent != node || next == root {
		return none
	}
	return next
}

// find is the node of s, seen from node.
func (t *trie) find(node int32, s string) int32 {
	for i := 0; i < len(s) && node != none; i++ {
		node = t.step(node, s[i])
	}
	return node
}

// trieBuilder lays out the nodes of sorted keys.
type trieBuilder struct {
	keys  []entry
	units []unit
	open  []int32 // free units of the last blocks, ascending, some taken since
}

// job is a node whose children are still to be laid out: the keys lo..hi-1
// share its first depth bytes.
type job struct {
	node   int32
	lo, hi int
	depth  int
}

func (b *trieBuilder) build(lo, hi int) {
	jobs := []job{{root, lo, hi, 0}}
	var labels []byte
	var starts []int
	for len(jobs) > 0 {
		j := jobs[len(jobs)-1]
		jobs = jobs[:len(jobs)-1]
		labels, starts = labels[:0], starts[:0]
		for i := j.lo; i < j.hi; i++ {
			key := b.keys[i].token
			if len(key) == j.depth {
				b.units[j.node].value = int32(b.keys[i].id)
				continue
			}
			if c := key[j.depth]; len(labels) == 0 || labels[len(labels)-1] != c {
				labels, starts = append(labels, c), append(starts, i)
			}
		}
		if len(labels) == 0 {
			continue
		}
		base := b.base(labels)
		b.units[j.node].base = base
		for k, c := range labels {
			child, end := base^int32(c), j.hi
			if k+1 < len(starts) {
				end = starts[k+1]
			}
			b.take(child, j.node)
			jobs = append(jobs, job{child, starts[k], end, j.depth + 1})
		}
	}
}

// base finds where units for all labels are free.
func (b *trieBuilder) base(labels []byte) int32 {
	kept := b.open[:0]
	found := none
	for i, free := range b.open {
		if b.units[free].parent != none {
			continue // taken since it was listed
		}
		kept = append(kept, free)
		if base := free ^ int32(labels[0]); b.fits(base, labels) {
			found = base
			kept = append(kept, b.open[i+1:]...)
			break
		}
	}
	b.open = kept
	if found == none {
		start := int32(len(b.units))
		b.grow()
		found = start ^ int32(labels[0])
		if !b.fits(found, labels) {
			found = start
		}
	}
	return found
}

func (b *trieBuilder) fits(base int32, labels []byte) bool {
	for _, c := range labels {
		if b.units[base^int32(c)].parent != none {
			return false
		}
	}
	return true
}

func (b *trieBuilder) take(node, parent int32) {
	b.units[node].parent, b.units[node].value = parent, -1
}

// grow adds a block and closes the oldest open one.
func (b *trieBuilder) grow() {
	n := len(b.units)
	for i := range 256 {
		b.units = append(b.units, unit{parent: none, value: -1})
		b.open = append(b.open, int32(n+i))
	}
	closed := int32(n - (openBlocks-1)*256)
	keep := 0
	for keep < len(b.open) && b.open[keep] < closed {
		keep++
	}
	b.open = b.open[keep:]
}

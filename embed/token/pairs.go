package token

import "math/bits"

// pairTable maps pairs of tokens to what they merge to: a hash table of open
// addressing, at most half full, that is only read once it is built.
type pairTable struct {
	slots []pairSlot
	shift uint // of the hash, which leaves the number of a slot
}

type pairSlot struct {
	pair uint64 // left<<32 | right, and one; 0: the slot is empty
	merged
}

func newPairTable(n int) *pairTable {
	size := bits.Len(uint(2*n + 1)) // 2^size > 2n
	return &pairTable{slots: make([]pairSlot, 1<<size), shift: uint(64 - size)}
}

// slot is where the pair is, or where it belongs.
func (t *pairTable) slot(key uint64) *pairSlot {
	mask := len(t.slots) - 1
	// Multiplication by 2^64 / golden ratio (Knuth 6.4).
	for i := int(key * 0x9E3779B97F4A7C15 >> t.shift); ; i = (i + 1) & mask {
		if s := &t.slots[i]; s.pair == key || s.pair == 0 {
			return s
		}
	}
}

func keyOf(left, right uint32) uint64 { return (uint64(left)<<32 | uint64(right)) + 1 }

// put sets what a pair merges to. There must be no more pairs than the table
// was made for.
func (t *pairTable) put(left, right uint32, to merged) {
	key := keyOf(left, right)
	*t.slot(key) = pairSlot{key, to}
}

func (t *pairTable) get(left, right uint32) (merged, bool) {
	s := t.slot(keyOf(left, right))
	return s.merged, s.pair != 0
}

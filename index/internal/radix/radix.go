// Package radix maps 32-bit ordinals to 32-bit values without locks on the
// reading side.
//
// Three levels of tables (11, 11 and 10 bits of the ordinal) are allocated as
// ordinals appear in them: dense ordinals cost 4 bytes each, a lone one 20 KiB
// at most.
package radix

import "sync/atomic"

const (
	topBits  = 11
	midBits  = 11
	leafBits = 10
)

type (
	leaf [1 << leafBits]atomic.Uint32
	mid  [1 << midBits]atomic.Pointer[leaf]
)

// Table is the map. Absent ordinals have the value 0. All methods are safe for
// concurrent use. The zero Table is empty.
type Table struct {
	top   [1 << topBits]atomic.Pointer[mid]
	bytes atomic.Int64
}

// Get is the value of the ordinal.
func (t *Table) Get(ordinal uint32) uint32 {
	m := t.top[ordinal>>(midBits+leafBits)].Load()
	if m == nil {
		return 0
	}
	l := m[ordinal>>leafBits&(1<<midBits-1)].Load()
	if l == nil {
		return 0
	}
	return l[ordinal&(1<<leafBits-1)].Load()
}

// Swap sets the value of the ordinal and gives the one that it had.
func (t *Table) Swap(ordinal, value uint32) (old uint32) {
	at := t.slot(ordinal, value != 0)
	if at == nil {
		return 0
	}
	return at.Swap(value)
}

// CompareAndSwap sets the value of the ordinal if it is old, and reports
// whether it was.
func (t *Table) CompareAndSwap(ordinal, old, value uint32) bool {
	at := t.slot(ordinal, value != 0)
	if at == nil {
		return old == 0
	}
	return at.CompareAndSwap(old, value)
}

// slot is where the value of the ordinal stands; nil: nowhere, and it is not to
// be made.
func (t *Table) slot(ordinal uint32, create bool) *atomic.Uint32 {
	top := &t.top[ordinal>>(midBits+leafBits)]
	m := top.Load()
	if m == nil {
		if !create {
			return nil
		}
		if m = new(mid); top.CompareAndSwap(nil, m) {
			t.bytes.Add(8 << midBits)
		} else {
			m = top.Load()
		}
	}
	at := &m[ordinal>>leafBits&(1<<midBits-1)]
	l := at.Load()
	if l == nil {
		if !create {
			return nil
		}
		if l = new(leaf); at.CompareAndSwap(nil, l) {
			t.bytes.Add(4 << leafBits)
		} else {
			l = at.Load()
		}
	}
	return &l[ordinal&(1<<leafBits-1)]
}

// Bytes is the memory of the tables.
func (t *Table) Bytes() int64 { return t.bytes.Load() + 8<<topBits }

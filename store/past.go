package store

import (
	"errors"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// Pebble has a batch before the graph has it: in between, and in searches that
// began in between, the graph finds ordinals that Pebble knows no more. past
// keeps them readable, so that a point is found as it was until it is found as
// it is: each write that replaces or deletes vectors leaves a moment, which
// stays until no search is under way that may meet its ordinals in the graph.
//
// Searches and the ends of writes are put in order by eras. A search belongs to
// the era in which it begins. The end of a write, when the graph has its
// change, ends the era, too: the searches of later eras don't meet what it
// replaced. So its moment goes when that era and those before have no more
// searches.
type past struct {
	mu      sync.Mutex
	moments map[uint32]*moment // by the ordinals that they keep
	oldest  *era
	newest  *era
}

// moment is the collection before a write.
type moment struct {
	snapshot *pebble.Snapshot
	ordinals []uint32
	left     uint64 // the era that ended when the graph had the write; 0: it has it not
}

// era is the time between the ends of two writes. past.mu guards it.
type era struct {
	number   uint64
	searches int     // that began in it and are under way
	end      *moment // of the write that ended it
	next     *era
}

func (p *past) init() {
	p.moments = map[uint32]*moment{}
	p.oldest = &era{number: 1}
	p.newest = p.oldest
}

// keep takes down the moment before a write that makes these ordinals go. The
// caller holds their points and calls leave when the graph has the write.
func (p *past) keep(db *pebble.DB, ordinals []uint32) *moment {
	m := &moment{ordinals: ordinals}
	if len(ordinals) == 0 {
		return m
	}
	m.snapshot = db.NewSnapshot()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, ordinal := range ordinals {
		p.moments[ordinal] = m
	}
	return m
}

// leave lets a moment go when the searches of now have ended.
func (p *past) leave(m *moment) error {
	if m.snapshot == nil {
		return nil
	}
	p.mu.Lock()
	m.left = p.newest.number
	p.newest.end = m
	p.newest.next = &era{number: m.left + 1}
	p.newest = p.newest.next
	gone := p.sweepLocked()
	p.mu.Unlock()
	return closeMoments(gone)
}

// begin notes a search; end must follow.
func (p *past) begin() *era {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.newest.searches++
	return p.newest
}

func (p *past) end(e *era) error {
	p.mu.Lock()
	e.searches--
	gone := p.sweepLocked()
	p.mu.Unlock()
	return closeMoments(gone)
}

// sweepLocked forgets the moments that no search needs, for their snapshots to
// be closed.
func (p *past) sweepLocked() (gone []*moment) {
	for p.oldest != p.newest && p.oldest.searches == 0 {
		m := p.oldest.end
		for _, ordinal := range m.ordinals {
			delete(p.moments, ordinal)
		}
		gone = append(gone, m)
		p.oldest = p.oldest.next
	}
	return gone
}

func closeMoments(moments []*moment) (err error) {
	for _, m := range moments {
		err = errors.Join(err, m.snapshot.Close())
	}
	return err
}

// empty reports whether there are no moments. If so at any time during a
// search, every ordinal that the graph found until then is in each snapshot
// taken before, and no two of them are one point's.
func (p *past) empty() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.moments) == 0
}

// find gives the state in which an ordinal is there, or nil. It is good until
// the search ends that asks, which is of era e.
func (p *past) find(e *era, ordinal uint32) *pebble.Snapshot {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m := p.moments[ordinal]; m.keptFor(e) {
		return m.snapshot
	}
	return nil
}

// all gives the ordinals that are kept for a search of era e, with the states
// in which they are there.
func (p *past) all(e *era) map[uint32]*pebble.Snapshot {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := map[uint32]*pebble.Snapshot{}
	for ordinal, m := range p.moments {
		if m.keptFor(e) {
			all[ordinal] = m.snapshot
		}
	}
	return all
}

// keptFor reports whether the moment stays until the searches of an era have
// ended; others may stay for older ones.
func (m *moment) keptFor(e *era) bool {
	return m != nil && (m.left == 0 || m.left >= e.number)
}

package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
)

// ledgerDoc is what one id should be.
type ledgerDoc struct {
	there   bool
	version int
	n       int // the payload's
}

// entry is what is known of one id.
type entry struct {
	op      sync.Mutex  // held over a request that changes the id
	may     []ledgerDoc // what it may be: one, unless a request was cut off
	at      uint64      // the ledger's time when it became so
	pending bool        // a request is under way
}

// ledger knows every write and delete that a server has acknowledged.
type ledger struct {
	seed uint64
	long bool           // texts of the length of a paragraph
	base map[int]string // texts that stand in front of those that are made up

	mu      sync.Mutex
	clock   uint64
	entries []*entry
	texts   map[string]int // every text that was ever sent, and its id
}

func newLedger(seed uint64) *ledger {
	return &ledger{seed: seed, base: map[int]string{}, texts: map[string]int{}}
}

// Words that texts are made of.
var ledgerWords = strings.Fields(`harbour ferry storm copper lantern orchard velvet granite meadow whistle
	pepper compass violin thunder saddle marble candle willow anchor basket feather glacier hammer island
	jacket kettle ladder mirror needle oyster pillow quarry ribbon shelter tunnel umbrella valley window
	pressure boundary laminar turbulent supersonic wing flutter nozzle shock velocity heat transfer panel`)

// text is that of one version of an id: words by chance, and its name.
func (l *ledger) text(id, version int) string {
	r := rand.New(rand.NewPCG(l.seed+uint64(id), uint64(version)))
	words := []string{l.base[id]}
	n := 5
	if l.long {
		n = 24
	}
	for range n {
		words = append(words, ledgerWords[r.IntN(len(ledgerWords))])
	}
	words = append(words, fmt.Sprintf("entry%d edition%d", id, version))
	return strings.TrimSpace(strings.Join(words, " "))
}

// add makes ids that are not there yet.
func (l *ledger) add(n int) (ids []int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for range n {
		ids = append(ids, len(l.entries))
		l.entries = append(l.entries, &entry{may: []ledgerDoc{{}}})
	}
	return ids
}

// pick takes up to n ids by chance.
func (l *ledger) pick(r *rand.Rand, n int) (ids []int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for range n {
		if len(l.entries) > 0 {
			ids = append(ids, r.IntN(len(l.entries)))
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// change sends one request that changes ids, of which none may repeat. want
// says what an id becomes, and whether it takes part. send gives whether the
// server has acknowledged it, and whether that is known.
func (l *ledger) change(ids []int, want func(d ledgerDoc) (ledgerDoc, bool), send func(ids []int, docs []ledgerDoc) (acknowledged, known bool)) {
	slices.Sort(ids)
	var held []*entry
	defer func() {
		for _, e := range held {
			e.op.Unlock()
		}
	}()
	var taken []int
	var docs []ledgerDoc
	var entries []*entry
	for _, id := range ids {
		l.mu.Lock()
		e := l.entries[id]
		l.mu.Unlock()
		e.op.Lock()
		held = append(held, e)
		l.mu.Lock()
		if len(e.may) == 1 {
			if d, ok := want(e.may[0]); ok {
				taken, docs, entries = append(taken, id), append(docs, d), append(entries, e)
				e.pending = true
				if d.there {
					l.texts[l.text(id, d.version)] = id
				}
			}
		}
		l.mu.Unlock()
	}
	if len(taken) == 0 {
		return
	}
	acknowledged, known := send(taken, docs)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clock++
	for i, e := range entries {
		e.pending, e.at = false, l.clock
		switch {
		case !known:
			e.may = append(e.may, docs[i])
		case acknowledged:
			e.may = []ledgerDoc{docs[i]}
		}
	}
}

// now is the ledger's time.
func (l *ledger) now() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.clock
}

// settled is what an id is for certain since a time; ok is false where it
// changed after it, or may have.
func (l *ledger) settled(id int, since uint64) (d ledgerDoc, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if id < 0 || id >= len(l.entries) {
		return ledgerDoc{}, true
	}
	e := l.entries[id]
	return e.may[0], !e.pending && e.at <= since && len(e.may) == 1
}

// observe takes what was found of an id for what it is, where that may be.
func (l *ledger) observe(id int, found ledgerDoc) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entries[id]
	for _, d := range e.may {
		if d == found || !d.there && !found.there {
			e.may = []ledgerDoc{d}
			return true
		}
	}
	return false
}

// ids is every id that ever was.
func (l *ledger) ids() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.entries)
}

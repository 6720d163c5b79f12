package index

import (
	"github.com/vecino-db/vecino/compat"
)

// TopK keeps the k nearest of the hits it is offered. Hits of equal score are
// kept, and given, by ascending ordinal, whatever the order of the offers. Its
// memory follows what is offered, never k alone. The zero TopK keeps nothing.
// Not safe for concurrent use.
type TopK struct {
	k         int
	ascending bool  // a smaller score is nearer
	heap      []Hit // binary heap, the farthest at 0
}

// NewTopK keeps k hits, scored as the metric has it.
func NewTopK(k int, metric compat.Metric) *TopK {
	t := &TopK{}
	t.Reset(k, metric)
	return t
}

// Reset empties t for another round; its memory is kept.
func (t *TopK) Reset(k int, metric compat.Metric) {
	t.k = max(k, 0)
	t.ascending = metric == compat.MetricL2
	t.heap = t.heap[:0]
}

// Len is the number of hits held.
func (t *TopK) Len() int { return len(t.heap) }

// Farthest is the worst score held, and whether t is full: a hit scored worse
// than that need not be offered.
func (t *TopK) Farthest() (score float32, full bool) {
	if len(t.heap) == 0 {
		return 0, t.k == 0
	}
	return t.heap[0].Score, len(t.heap) >= t.k
}

// Offer considers one hit. An ordinal must be offered at most once.
func (t *TopK) Offer(h Hit) {
	if len(t.heap) < t.k {
		t.heap = append(t.heap, h)
		t.up(len(t.heap) - 1)
		return
	}
	if t.k == 0 || !t.nearer(h, t.heap[0]) {
		return
	}
	t.heap[0] = h
	t.down(0, len(t.heap))
}

// Take returns the hits, nearest first, and empties t. The slice is the
// caller's; t keeps its memory for another round.
func (t *TopK) Take() []Hit { return t.AppendTo(make([]Hit, 0, len(t.heap))) }

// AppendTo is Take into memory that the caller has.
func (t *TopK) AppendTo(hits []Hit) []Hit {
	t.sort()
	hits = append(hits, t.heap...)
	t.heap = t.heap[:0]
	return hits
}

// sort turns the heap into an ascending list.
func (t *TopK) sort() {
	for n := len(t.heap) - 1; n > 0; n-- {
		t.heap[0], t.heap[n] = t.heap[n], t.heap[0]
		t.down(0, n)
	}
}

// nearer is the order of an answer.
func (t *TopK) nearer(a, b Hit) bool {
	if a.Score != b.Score {
		return (a.Score < b.Score) == t.ascending
	}
	return a.Ordinal < b.Ordinal
}

func (t *TopK) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !t.nearer(t.heap[parent], t.heap[i]) {
			return
		}
		t.heap[i], t.heap[parent] = t.heap[parent], t.heap[i]
		i = parent
	}
}

func (t *TopK) down(i, n int) {
	for {
		child := 2*i + 1
		if child >= n {
			return
		}
		if right := child + 1; right < n && t.nearer(t.heap[child], t.heap[right]) {
			child = right
		}
		if !t.nearer(t.heap[i], t.heap[child]) {
			return
		}
		t.heap[i], t.heap[child] = t.heap[child], t.heap[i]
		i = child
	}
}

// SortHits puts hits in the order of an answer: nearest first, ties by
// ascending ordinal.
func SortHits(hits []Hit, metric compat.Metric) {
	t := TopK{ascending: metric == compat.MetricL2, heap: hits}
	for i := len(hits)/2 - 1; i >= 0; i-- {
		t.down(i, len(hits))
	}
	t.sort()
}

package embed

import (
	"slices"
	"time"
)

// Metrics are what a Scheduler did since it was made, and what it has before
// it. Counts only grow.
type Metrics struct {
	Priorities      [3]PriorityMetrics // by Priority
	Running         int                // batches that are being encoded
	TokensPerSecond float64            // measured, of one worker; 0: nothing was measured yet
	BatchTexts      Histogram          // texts of a batch
	BatchTokens     Histogram          // tokens of a batch
	BatchSeconds    Histogram          // time of the encoder for a batch
	Isolated        uint64             // batches that were encoded request by request, because of one text
}

// PriorityMetrics are those of the requests of one priority.
type PriorityMetrics struct {
	Waiting       int // requests
	WaitingTokens int
	Done          uint64    // requests that got their rows
	Failed        uint64    // requests that got an error of the encoder, or of Close
	Rejected      uint64    // requests that were not let in: *OverloadedError
	Cancelled     uint64    // requests whose caller left before the end
	QueueSeconds  Histogram // time from coming to the first text's batch; 0 for those that did not wait
}

// Histogram counts values by buckets.
type Histogram struct {
	Bounds []float64 // inclusive upper bounds, ascending; the last bucket has none
	Counts []uint64  // values in each bucket, one more than Bounds
	Count  uint64
	Sum    float64
}

// Cumulative is the number of values at or below each bound, as Prometheus
// counts them.
func (h Histogram) Cumulative() map[float64]uint64 {
	buckets := make(map[float64]uint64, len(h.Bounds))
	below := uint64(0)
	for i, bound := range h.Bounds {
		below += h.Counts[i]
		buckets[bound] = below
	}
	return buckets
}

// doubling is a histogram of n bounds from first on, each twice the one before.
func doubling(first float64, n int) Histogram {
	h := Histogram{Bounds: make([]float64, n), Counts: make([]uint64, n+1)}
	for i := range h.Bounds {
		h.Bounds[i] = first
		first *= 2
	}
	return h
}

func (h *Histogram) observe(value float64) {
	bucket, _ := slices.BinarySearch(h.Bounds, value)
	h.Counts[bucket]++
	h.Count++
	h.Sum += value
}

// clone is a copy that shares nothing that changes.
func (h Histogram) clone() Histogram {
	h.Counts = slices.Clone(h.Counts)
	return h
}

// counters are guarded by the scheduler's mu.
type counters struct {
	of                                    [priorities]PriorityMetrics
	batchTexts, batchTokens, batchSeconds Histogram
	isolated                              uint64
}

// Times are counted from 0.1 ms (13 s with 18 bounds), texts to 2,048, tokens
// to 65,536.
func newCounters() counters {
	c := counters{batchTexts: doubling(1, 12), batchTokens: doubling(8, 14), batchSeconds: doubling(1e-4, 18)}
	for p := range c.of {
		c.of[p].QueueSeconds = doubling(1e-4, 18)
	}
	return c
}

// waited counts a request whose first batch begins.
func (c *counters) waited(p Priority, d time.Duration) {
	c.of[p].QueueSeconds.observe(d.Seconds())
}

// ended counts the outcome of a request that was let in.
func (c *counters) ended(p Priority, err error, left bool) {
	switch {
	case err == nil:
		c.of[p].Done++
	case left:
		c.of[p].Cancelled++
	default:
		c.of[p].Failed++
	}
}

// Metrics is a snapshot of one moment.
func (s *Scheduler) Metrics() Metrics {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := Metrics{
		Priorities:   s.counts.of,
		Running:      s.running[asked] + s.running[others],
		BatchTexts:   s.counts.batchTexts.clone(),
		BatchTokens:  s.counts.batchTokens.clone(),
		BatchSeconds: s.counts.batchSeconds.clone(),
		Isolated:     s.counts.isolated,
	}
	if per := s.pace.perToken(); per > 0 {
		m.TokensPerSecond = float64(time.Second) / per
	}
	for p := range m.Priorities {
		line := &m.Priorities[p]
		line.QueueSeconds = line.QueueSeconds.clone()
		line.Waiting, line.WaitingTokens = s.lines[p].requests.Len(), s.lines[p].tokens
	}
	return m
}

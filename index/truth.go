package index

import (
	"math"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index/internal/measure"
)

// Truth finds the true nearest of some queries: its owner shows it every vector
// as it was stored, whatever an engine made of it. Not safe for concurrent use.
type Truth struct {
	cfg     Config
	measure measure.Measure
	queries []float32 // row-major, prepared
	all     []uint32  // 0, 1, ...
	own     []int64   // the ordinal that a query is itself; -1: none
	best    []TopK
	row     []float32
	raw     []float32
	until   uint64           // ordinals from here on are left out
	nearest [][]Hit          // after Done, nearest first
	rank    []map[uint32]int // in nearest, by ordinal
}

// NewTruth asks for the k nearest of each query.
func NewTruth(cfg Config, queries []compat.Searchable, k int) *Truth {
	dim := cfg.Dimension
	t := &Truth{
		cfg: cfg, measure: measure.Of(cfg.Metric), queries: make([]float32, len(queries)*dim),
		own: make([]int64, len(queries)), best: make([]TopK, len(queries)), row: make([]float32, dim), raw: make([]float32, len(queries)), until: math.MaxUint64,
	}
	for i, q := range queries {
		t.measure.Prepare(t.queries[i*dim:(i+1)*dim], q.Row(0))
		t.all = append(t.all, uint32(i))
		t.own[i] = -1
		t.best[i].Reset(k, cfg.Metric)
	}
	return t
}

// Own leaves an ordinal out for a query that is its vector: it would be its own
// nearest, which is no question.
func (t *Truth) Own(query int, ordinal uint32) { t.own[query] = int64(ordinal) }

// Until leaves the ordinals from next on out, of what is shown and of hits: they
// were given when the searches that are compared had begun, so no search need
// have seen them.
func (t *Truth) Until(next uint64) { t.until = next }

// Show considers one stored vector. Each is shown once.
func (t *Truth) Show(ordinal uint32, vector []float32) {
	if uint64(ordinal) >= t.until {
		return
	}
	t.measure.Prepare(t.row, vector)
	t.measure.Rows(t.raw, t.row, t.queries, t.all)
	for i, raw := range t.raw {
		score := t.measure.Score(float64(raw))
		farthest, full := t.best[i].Farthest()
		if full && t.measure.Distance(score) > t.measure.Distance(farthest) || t.own[i] == int64(ordinal) {
			continue
		}
		t.best[i].Offer(Hit{Ordinal: ordinal, Score: score})
	}
}

// Done ends the showing.
func (t *Truth) Done() {
	for i := range t.best {
		nearest := t.best[i].Take()
		rank := make(map[uint32]int, len(nearest))
		for at, h := range nearest {
			rank[h.Ordinal] = at
		}
		t.nearest, t.rank = append(t.nearest, nearest), append(t.rank, rank)
	}
}

// Compare says how many of the true nearest of a query there are, and how many
// of them are among hits. A hit that is as near as the last of them, up to
// rounding, counts: vector gives what is stored for its ordinal, nil if there
// is nothing any more. A hit that has gone since, or came later than Until, took
// the place of one that is there: there is one less to be found. Done comes
// before.
func (t *Truth) Compare(query int, hits []Hit, vector func(ordinal uint32) []float32) (found, wanted int) {
	nearest, rank := t.nearest[query], t.rank[query]
	wanted = len(nearest)
	var others [][]float32
	var ranks []int
	for _, h := range hits {
		if t.own[query] == int64(h.Ordinal) {
			continue
		}
		if at, ok := rank[h.Ordinal]; ok {
			ranks = append(ranks, at)
		} else if row := vector(h.Ordinal); row == nil || uint64(h.Ordinal) >= t.until {
			wanted = max(0, wanted-1)
		} else {
			others = append(others, row)
		}
	}
	for _, at := range ranks {
		if at < wanted || wanted > 0 && t.level(nearest[at].Score, nearest[wanted-1].Score) {
			found++
		}
	}
	for _, row := range others {
		if wanted > 0 && t.level(t.score(query, row), nearest[wanted-1].Score) {
			found++
		}
	}
	return min(found, wanted), wanted
}

// score compares a query with a vector.
func (t *Truth) score(query int, vector []float32) float32 {
	dim := t.cfg.Dimension
	t.measure.Prepare(t.row, vector)
	return t.measure.Score(float64(t.measure.Raw(t.queries[query*dim:(query+1)*dim], t.row)))
}

// level reports whether a score is as near as the last that counts, up to
// rounding.
func (t *Truth) level(score, last float32) bool {
	rounding := 1e-6 * math.Max(1, math.Abs(float64(last)))
	return float64(t.measure.Distance(score)-t.measure.Distance(last)) <= rounding
}

// RecallInterval is where the recall lies of which a mean over n queries was
// measured, with 95 % confidence: Wilson's interval ("Probable inference, the
// law of succession, and statistical inference", 1927) with each query for one
// trial, which holds however the hits of one query hang together.
func RecallInterval(recall float64, n int) (low, high float64) {
	if n == 0 {
		return 0, 1
	}
	const z = 1.959964
	m := float64(n)
	centre := (recall + z*z/(2*m)) / (1 + z*z/m)
	half := z / (1 + z*z/m) * math.Sqrt(recall*(1-recall)/m+z*z/(4*m*m))
	return max(0, min(recall, centre-half)), min(1, max(recall, centre+half))
}

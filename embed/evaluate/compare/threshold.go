package compare

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/vecino-db/vecino/compat"
)

// Bounds of a ThresholdMap.
const (
	defaultDepth = 10
	maxQuantiles = 201
	// minScores is the number of scores of each run below which a map would be
	// made of chance.
	minScores = 100
)

// ErrThresholds means that no threshold map can be made, or read.
var ErrThresholds = errors.New("no threshold map")

// ThresholdMap gives for a score threshold of one space that of another which
// lets pass the same share of hits. It is immutable, safe for concurrent use,
// and its JSON is all of it.
type ThresholdMap struct {
	old, new  compat.Metric
	depth     int
	queries   int
	quantiles []Quantile // nearest first; old scores strictly less and less near
}

// Quantile is a point of the map: the scores of the old and of the new space
// that a share of the hits, 0 to 1, reaches.
type Quantile struct {
	Share float64 `json:"share"`
	Old   float64 `json:"old"`
	New   float64 `json:"new"`
}

// ThresholdOptions say how a map is made. The zero value means the defaults.
type ThresholdOptions struct {
	Old, New compat.Metric // of the two spaces; "": cosine
	Depth    int           // hits of a query that count, 1 to 1000; 0: 10, the default limit of a query
}

// Validate says what is out of bounds.
func (o ThresholdOptions) Validate() error {
	if o.Depth < 0 || o.Depth > maxShown {
		return fmt.Errorf("%w: a depth of %d: give 1 to %d, or 0 for %d", ErrThresholds, o.Depth, maxShown, defaultDepth)
	}
	for _, m := range []compat.Metric{o.Old, o.New} {
		if m != "" && m != compat.MetricCosine && m != compat.MetricDot && m != compat.MetricL2 {
			return fmt.Errorf("%w: unknown metric %q", ErrThresholds, m)
		}
	}
	return nil
}

func (o ThresholdOptions) withDefaults() ThresholdOptions {
	o.Old, o.New = cmp.Or(o.Old, compat.MetricCosine), cmp.Or(o.New, compat.MetricCosine)
	o.Depth = cmp.Or(o.Depth, defaultDepth)
	return o
}

// MapThresholds makes a map from sampled queries, of which either run has 100
// scores at least within the depth. Errors wrap ErrThresholds.
func MapThresholds(queries []Query, o ThresholdOptions) (*ThresholdMap, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	before, after := scores(queries, o.Depth, o.Old, false), scores(queries, o.Depth, o.New, true)
	if least := min(len(before), len(after)); least < minScores {
		return nil, fmt.Errorf("%w: %d scores, and %d are the least: sample more queries", ErrThresholds, least, minScores)
	}
	m := &ThresholdMap{old: o.Old, new: o.New, depth: o.Depth, queries: len(queries)}
	for _, q := range smoothed(quantiles(before, after), len(queries)) {
		if last := len(m.quantiles) - 1; last >= 0 && m.quantiles[last].Old == q.Old {
			// A threshold of this score lets all hits of this score pass.
			m.quantiles[last] = q
			continue
		}
		m.quantiles = append(m.quantiles, q)
	}
	if len(m.quantiles) < 2 {
		return nil, fmt.Errorf("%w: all scores of the old space are %g", ErrThresholds, before[0])
	}
	for i := range m.quantiles {
		m.quantiles[i].Old, m.quantiles[i].New = m.turn(m.old, m.quantiles[i].Old), m.turn(m.new, m.quantiles[i].New)
	}
	return m, nil
}

// quantiles are the sampled ones at equal steps, nearest first; a greater score
// is nearer.
func quantiles(before, after []float64) []Quantile {
	out := make([]Quantile, maxQuantiles)
	for i := range out {
		share := float64(i) / (maxQuantiles - 1)
		out[i] = Quantile{Share: share, Old: at(before, share), New: at(after, share)}
	}
	return out
}

// smoothed draws for each quantile a line through those around it (least
// squares), up to a share of n^(-1/3) of the hits to either side for n queries,
// and less towards the ends, which stay as they are. A quantile jumps by the luck
// of few queries, and the line averages that out; what is curved is kept, because
// the stretch shrinks with more queries. Where one score is that of many hits,
// nothing is drawn: a threshold passes all of them or none. The map stays
// monotone.
func smoothed(q []Quantile, n int) []Quantile {
	out := slices.Clone(q)
	reach := int(math.Pow(float64(n), -1.0/3) * float64(len(q)-1))
	for i := range q {
		k := min(reach, i, len(q)-1-i)
		if around := q[i-k : i+k+1]; k > 0 && distinct(around) {
			out[i].New = line(around, q[i].Old)
		}
	}
	for i := 1; i < len(out); i++ {
		out[i].New = min(out[i].New, out[i-1].New)
	}
	return out
}

// distinct reports whether no two quantiles have one score.
func distinct(q []Quantile) bool {
	for i := 1; i < len(q); i++ {
		if q[i].Old == q[i-1].Old || q[i].New == q[i-1].New {
			return false
		}
	}
	return true
}

// line is the least squares line of new scores over old ones, at x.
func line(q []Quantile, x float64) float64 {
	var meanOld, meanNew, square, product float64
	for _, p := range q {
		meanOld += p.Old / float64(len(q))
		meanNew += p.New / float64(len(q))
	}
	for _, p := range q {
		square += (p.Old - meanOld) * (p.Old - meanOld)
		product += (p.Old - meanOld) * (p.New - meanNew)
	}
	return meanNew + product/square*(x-meanOld)
}

// scores are those of all queries' first hits, nearest first, turned so that a
// greater one is nearer.
func scores(queries []Query, depth int, metric compat.Metric, later bool) []float64 {
	var out []float64
	for _, q := range queries {
		hits := q.Old
		if later {
			hits = q.New
		}
		for _, h := range hits[:min(depth, len(hits))] {
			if !math.IsNaN(h.Score) && !math.IsInf(h.Score, 0) {
				out = append(out, turn(metric, h.Score))
			}
		}
	}
	slices.SortFunc(out, func(a, b float64) int { return cmp.Compare(b, a) })
	return out
}

// at is a quantile, linear between neighbours: 0 is the first, 1 the last.
func at(sorted []float64, share float64) float64 {
	place := share * float64(len(sorted)-1)
	i := min(int(place), len(sorted)-1)
	j := min(i+1, len(sorted)-1)
	return sorted[i] + (place-float64(i))*(sorted[j]-sorted[i])
}

// turn makes a greater score the nearer one, and back.
func turn(metric compat.Metric, score float64) float64 {
	if metric == compat.MetricL2 {
		return 0 - score // no negative zero
	}
	return score
}

func (m *ThresholdMap) turn(metric compat.Metric, score float64) float64 { return turn(metric, score) }

// Map is the threshold of the new space. sampled is false for one that is
// nearer or less near than all scores that were sampled: the answer is then
// drawn on by a line, and nobody measured it.
func (m *ThresholdMap) Map(threshold float64) (mapped float64, sampled bool) {
	q := m.quantiles
	first, last := q[0], q[len(q)-1]
	x := turn(m.old, threshold)
	if x > turn(m.old, first.Old) || x < turn(m.old, last.Old) || math.IsNaN(x) {
		from := first
		if x < turn(m.old, last.Old) {
			from = last
		}
		slope := (turn(m.new, first.New) - turn(m.new, last.New)) / (turn(m.old, first.Old) - turn(m.old, last.Old))
		return turn(m.new, turn(m.new, from.New)+slope*(x-turn(m.old, from.Old))), false
	}
	// The first quantile that is no nearer than x.
	i, exact := slices.BinarySearchFunc(q, x, func(e Quantile, x float64) int { return cmp.Compare(x, turn(m.old, e.Old)) })
	if exact || i == 0 {
		return q[i].New, true
	}
	a, b := q[i-1], q[i]
	part := (turn(m.old, a.Old) - x) / (turn(m.old, a.Old) - turn(m.old, b.Old))
	return a.New + part*(b.New-a.New), true
}

// Depth is the number of hits of a query that the shares count.
func (m *ThresholdMap) Depth() int { return m.depth }

// Queries is the number of queries that were sampled.
func (m *ThresholdMap) Queries() int { return m.queries }

// Metrics are those of the old and of the new space.
func (m *ThresholdMap) Metrics() (before, after compat.Metric) { return m.old, m.new }

// Quantiles are the points of the map, nearest first.
func (m *ThresholdMap) Quantiles() []Quantile { return slices.Clone(m.quantiles) }

// thresholdRecord is the JSON of a ThresholdMap.
type thresholdRecord struct {
	Old       compat.Metric `json:"old_metric"`
	New       compat.Metric `json:"new_metric"`
	Depth     int           `json:"depth"`
	Queries   int           `json:"queries"`
	Quantiles []Quantile    `json:"quantiles"`
}

// MarshalJSON writes the map.
func (m *ThresholdMap) MarshalJSON() ([]byte, error) {
	return json.Marshal(thresholdRecord{m.old, m.new, m.depth, m.queries, m.quantiles})
}

// UnmarshalJSON reads what MarshalJSON wrote, and refuses what is no map with
// ErrThresholds.
func (m *ThresholdMap) UnmarshalJSON(data []byte) error {
	var r thresholdRecord
	if err := json.Unmarshal(data, &r); err != nil {
		return fmt.Errorf("%w: %w", ErrThresholds, err)
	}
	if err := (ThresholdOptions{Old: r.Old, New: r.New, Depth: r.Depth}).Validate(); err != nil {
		return err
	}
	if n := len(r.Quantiles); n < 2 || n > maxQuantiles || r.Old == "" || r.New == "" || r.Depth == 0 {
		return fmt.Errorf("%w: it has %d quantiles; make it again", ErrThresholds, n)
	}
	for i, q := range r.Quantiles {
		if i == 0 {
			continue
		}
		p := r.Quantiles[i-1]
		// Written so that NaN fails.
		if !(turn(r.Old, q.Old) < turn(r.Old, p.Old)) || !(turn(r.New, q.New) <= turn(r.New, p.New)) || !(q.Share > p.Share) {
			return fmt.Errorf("%w: quantile %d is out of order; make it again", ErrThresholds, i)
		}
	}
	*m = ThresholdMap{old: r.Old, new: r.New, depth: r.Depth, queries: r.Queries, quantiles: r.Quantiles}
	return nil
}

// ThresholdCheck says how well a map keeps the share of passing hits.
type ThresholdCheck struct {
	Queries int          `json:"queries"`
	Depth   int          `json:"depth"`
	Rows    []ShareCheck `json:"rows"` // thresholds that let pass about 10 %, ..., 90 %
	// Worst is the greatest difference of the two shares, and Mean its mean,
	// 0 to 1.
	Worst float64 `json:"worst"`
	Mean  float64 `json:"mean"`
}

// ShareCheck is one threshold under both runs.
type ShareCheck struct {
	Old      float64 `json:"old"` // threshold
	New      float64 `json:"new"`
	OldShare float64 `json:"old_share"` // of the hits that pass
	NewShare float64 `json:"new_share"`
}

// Check measures the map on queries, which should be others than those that it
// was made from. Errors wrap ErrThresholds.
func (m *ThresholdMap) Check(queries []Query) (ThresholdCheck, error) {
	before, after := scores(queries, m.depth, m.old, false), scores(queries, m.depth, m.new, true)
	if len(before) == 0 || len(after) == 0 {
		return ThresholdCheck{}, fmt.Errorf("%w: no scores to check it with: give queries with hits", ErrThresholds)
	}
	out := ThresholdCheck{Queries: len(queries), Depth: m.depth}
	for tenth := 1; tenth <= 9; tenth++ {
		t := turn(m.old, at(before, float64(tenth)/10))
		mapped, _ := m.Map(t)
		row := ShareCheck{Old: t, New: mapped, OldShare: passing(before, turn(m.old, t)), NewShare: passing(after, turn(m.new, mapped))}
		difference := math.Abs(row.NewShare - row.OldShare)
		out.Worst = max(out.Worst, difference)
		out.Mean += difference / 9
		out.Rows = append(out.Rows, row)
	}
	return out, nil
}

// Kept says how well maps of halves of a sample keep the share of passing hits
// of the other halves, and what that lets one expect of a map of the whole.
type Kept struct {
	Queries int `json:"queries"`
	Splits  int `json:"splits"`
	// Worst is the greatest difference of the shares of a split, as its mean
	// over the splits, and Greatest that of the worst split, 0 to 1. Mean is the
	// mean difference of all thresholds and splits.
	Worst    float64 `json:"worst"`
	Greatest float64 `json:"greatest"`
	Mean     float64 `json:"mean"`
	// Whole is what to expect of the worst threshold of a map of the whole
	// sample over all queries of its kind: maps of resamples, drawn with
	// replacement (Efron 1979), against the sample.
	Whole float64 `json:"whole"`
}

// splits is how often a sample is parted.
const splits = 20

// CrossCheck parts the sample in halves at random, 20 times, makes a map of one
// half and checks it on the other; and resamples the whole as often. Errors are those of MapThresholds: either
// half must do for a map.
func CrossCheck(queries []Query, o ThresholdOptions, seed uint64) (Kept, error) {
	out := Kept{Queries: len(queries), Splits: splits}
	rng := rand.New(rand.NewPCG(seed, 3))
	shuffled := slices.Clone(queries)
	for range splits {
		rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		m, err := MapThresholds(shuffled[:len(shuffled)/2], o)
		if err != nil {
			return Kept{}, err
		}
		check, err := m.Check(shuffled[len(shuffled)/2:])
		if err != nil {
			return Kept{}, err
		}
		out.Worst += check.Worst / splits
		out.Mean += check.Mean / splits
		out.Greatest = max(out.Greatest, check.Worst)
	}
	resample := make([]Query, len(queries))
	for range splits {
		for i := range resample {
			resample[i] = queries[rng.IntN(len(queries))]
		}
		m, err := MapThresholds(resample, o)
		if err != nil {
			return Kept{}, err
		}
		check, err := m.Check(queries)
		if err != nil {
			return Kept{}, err
		}
		out.Whole += check.Worst / splits
	}
	return out, nil
}

// passing is the share of scores that reach a threshold.
func passing(sorted []float64, threshold float64) float64 {
	n, _ := slices.BinarySearchFunc(sorted, threshold, func(s, t float64) int {
		if s >= t {
			return -1
		}
		return 1
	})
	return float64(n) / float64(len(sorted))
}

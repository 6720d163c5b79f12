package compare

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/vecino-db/vecino/embed/evaluate"
)

// Hit is one document of a ranking.
type Hit struct {
	ID    string  `json:"id"`
	Score float64 `json:"score"`
	// Text is shown beside the hit; it may be empty, and is shortened.
	Text string `json:"text,omitempty"`
}

// Query is one query with the rankings of both runs, best first. For recall
// and thresholds they should go 100 deep. One that was asked several times may
// stand there as often, under the same id.
type Query struct {
	ID   string `json:"id"`
	Text string `json:"text"`
	Old  []Hit  `json:"old"`
	New  []Hit  `json:"new"`
}

// Options say what is compared. The zero value means the defaults.
type Options struct {
	K           int     // depth of overlap@k, 1 to 1000; 0: 10
	MostChanged int     // how many queries are shown side by side, to 1000; 0: 10
	Persistence float64 // p of RBO, above 0 and below 1; 0: 0.9
	Bootstrap   evaluate.Bootstrap
}

// Defaults and bounds of Options.
const (
	defaultK           = 10
	defaultMostChanged = 10
	defaultPersistence = 0.9
	maxShown           = 1000
	snippetLength      = 160 // characters of a text that is shown
)

// Validate says what is out of bounds.
func (o Options) Validate() error {
	switch {
	case o.K < 0 || o.K > maxShown:
		return fmt.Errorf("compare: a depth of %d: give 1 to %d, or 0 for %d", o.K, maxShown, defaultK)
	case o.MostChanged < 0 || o.MostChanged > maxShown:
		return fmt.Errorf("compare: %d queries to show: give 1 to %d, or 0 for %d", o.MostChanged, maxShown, defaultMostChanged)
	case o.Persistence != 0 && !(o.Persistence > 0 && o.Persistence < 1):
		return fmt.Errorf("compare: a persistence of %g: give one between 0 and 1, or 0 for %g", o.Persistence, defaultPersistence)
	}
	return o.Bootstrap.Validate()
}

func (o Options) withDefaults() Options {
	o.K = cmp.Or(o.K, defaultK)
	o.MostChanged = cmp.Or(o.MostChanged, defaultMostChanged)
	o.Persistence = cmp.Or(o.Persistence, defaultPersistence)
	return o
}

// ErrNoQueries means that there is nothing to compare.
var ErrNoQueries = errors.New("no queries to compare")

// Agreement says how alike two runs answer.
type Agreement struct {
	Queries int     `json:"queries"`
	K       int     `json:"k"`
	Overlap float64 `json:"overlap"` // mean of overlap@k
	// Histogram[i] is the number of queries of which i of the first K ids are
	// shared.
	Histogram   []int    `json:"histogram"`
	RBO         float64  `json:"rbo"` // mean
	Persistence float64  `json:"persistence"`
	Tau         *float64 `json:"tau"`         // mean over TauQueries; null: no query shares two ids
	TauQueries  int      `json:"tau_queries"` // queries that share two ids at least
	// SameFirst is the number of queries whose first hit is the same.
	SameFirst   int       `json:"same_first"`
	MostChanged []Changed `json:"most_changed"`
}

// Changed is a query whose answers changed much, with the first K hits of both
// runs, texts shortened.
type Changed struct {
	Query
	Overlap float64 `json:"overlap"`
	RBO     float64 `json:"rbo"`
}

// Agree compares two runs without judgements. Errors: ErrNoQueries, and those
// of Validate.
func Agree(queries []Query, o Options) (Agreement, error) {
	if err := o.Validate(); err != nil {
		return Agreement{}, err
	}
	if len(queries) == 0 {
		return Agreement{}, fmt.Errorf("%w: give one at least", ErrNoQueries)
	}
	o = o.withDefaults()
	out := Agreement{Queries: len(queries), K: o.K, Persistence: o.Persistence, Histogram: make([]int, o.K+1)}
	changed := make([]Changed, len(queries))
	tau := 0.0
	for i, q := range queries {
		before, after := ids(q.Old), ids(q.New)
		shared, share := Overlap(before, after, o.K)
		rbo := RBO(before, after, o.Persistence)
		out.Histogram[shared]++
		out.Overlap += share
		out.RBO += rbo
		if t, ok := Tau(before, after); ok {
			tau += t
			out.TauQueries++
		}
		if len(before) > 0 && len(after) > 0 && before[0] == after[0] {
			out.SameFirst++
		}
		changed[i] = Changed{Query: q, Overlap: share, RBO: rbo}
	}
	n := float64(len(queries))
	out.Overlap, out.RBO = out.Overlap/n, out.RBO/n
	if out.TauQueries > 0 {
		tau /= float64(out.TauQueries)
		out.Tau = &tau
	}
	slices.SortStableFunc(changed, func(a, b Changed) int { return cmp.Or(cmp.Compare(a.RBO, b.RBO), cmp.Compare(a.Overlap, b.Overlap)) })
	taken := map[string]bool{}
	for _, c := range changed {
		if len(out.MostChanged) < o.MostChanged && !taken[c.ID] {
			taken[c.ID] = true
			out.MostChanged = append(out.MostChanged, c)
		}
	}
	for i := range out.MostChanged {
		c := &out.MostChanged[i]
		c.Text = evaluate.Snippet(c.Text, snippetLength)
		c.Old, c.New = shown(c.Old, o.K), shown(c.New, o.K)
	}
	return out, nil
}

// shown is the first hits with shortened texts.
func shown(hits []Hit, k int) []Hit {
	out := slices.Clone(hits[:min(k, len(hits))])
	for i := range out {
		out[i].Text = evaluate.Snippet(out[i].Text, snippetLength)
	}
	return out
}

// ids of a ranking, each once.
func ids(hits []Hit) []string {
	out := make([]string, 0, len(hits))
	seen := make(map[string]bool, len(hits))
	for _, h := range hits {
		if !seen[h.ID] {
			seen[h.ID] = true
			out = append(out, h.ID)
		}
	}
	return out
}

// Overlap is the number of ids that are among the first k of both, and its
// share of the longer of the two. Neither may hold an id twice.
func Overlap(a, b []string, k int) (shared int, share float64) {
	a, b = a[:min(k, len(a))], b[:min(k, len(b))]
	in := make(map[string]bool, len(a))
	for _, id := range a {
		in[id] = true
	}
	for _, id := range b {
		if in[id] {
			shared++
		}
	}
	if longer := max(len(a), len(b)); longer > 0 {
		return shared, float64(shared) / float64(longer)
	}
	return 0, 1
}

// RBO is the extrapolated rank-biased overlap of two rankings, of which neither
// holds an id twice, with persistence p: 0 to 1.
func RBO(a, b []string, p float64) float64 {
	short, long := a, b
	if len(short) > len(long) {
		short, long = long, short
	}
	if len(short) == 0 {
		if len(long) == 0 {
			return 1
		}
		return 0
	}
	// X(d) is the overlap at depth d; beyond the end of the shorter ranking it
	// is supposed to agree as much as it did to its end.
	inShort, inLong := make(map[string]bool, len(short)), make(map[string]bool, len(long))
	overlap, atShort := 0, 0
	sum, weight := 0.0, 1.0
	s, l := float64(len(short)), float64(len(long))
	for d := 1; d <= len(long); d++ {
		if d <= len(short) {
			id := short[d-1]
			inShort[id] = true
			if inLong[id] {
				overlap++
			}
		}
		id := long[d-1]
		inLong[id] = true
		if inShort[id] {
			overlap++
		}
		if d == len(short) {
			atShort = overlap
		}
		weight *= p
		sum += float64(overlap) / float64(d) * weight
		if d > len(short) {
			sum += float64(atShort) * (float64(d) - s) / (float64(d) * s) * weight
		}
	}
	return (1-p)/p*sum + (float64(overlap-atShort)/l+float64(atShort)/s)*math.Pow(p, l)
}

// Tau is Kendall's rank correlation of the ids that both rankings hold; ok is
// false where they share fewer than two.
func Tau(a, b []string) (tau float64, ok bool) {
	rank := make(map[string]int, len(b))
	for i, id := range b {
		rank[id] = i
	}
	var order []int
	for _, id := range a {
		if r, in := rank[id]; in {
			order = append(order, r)
		}
	}
	n := len(order)
	if n < 2 {
		return 0, false
	}
	discordant := 0
	for i := range order {
		for j := i + 1; j < n; j++ {
			if order[i] > order[j] {
				discordant++
			}
		}
	}
	return 1 - 4*float64(discordant)/float64(n*(n-1)), true
}

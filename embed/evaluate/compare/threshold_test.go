package compare

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/vecino-db/vecino/compat"
)

// made are queries whose scores are drawn by old and turned into new ones by a
// monotone function, so that the right map is known.
func made(seed uint64, n int, old func(*rand.Rand) float64, turned func(float64) float64) []Query {
	rng := rand.New(rand.NewPCG(seed, 0))
	queries := make([]Query, n)
	for i := range queries {
		for range 10 {
			s := old(rng)
			queries[i].Old, queries[i].New = append(queries[i].Old, Hit{Score: s}), append(queries[i].New, Hit{Score: turned(s)})
		}
	}
	return queries
}

// TestMapFindsTheFunction: where the new score is a function of the old one,
// the map is that function.
func TestMapFindsTheFunction(t *testing.T) {
	uniform := func(r *rand.Rand) float64 { return r.Float64() }
	for name, c := range map[string]struct {
		o      ThresholdOptions
		turned func(float64) float64
	}{
		"cosine to cosine": {ThresholdOptions{}, func(s float64) float64 { return 0.2 + s*s/2 }},
		"cosine to dot":    {ThresholdOptions{New: compat.MetricDot}, func(s float64) float64 { return 100*s - 7 }},
		"cosine to l2":     {ThresholdOptions{New: compat.MetricL2}, func(s float64) float64 { return math.Sqrt(2 - 2*s) }},
		"l2 to cosine":     {ThresholdOptions{Old: compat.MetricL2}, func(s float64) float64 { return 1 - s*s/2 }},
		"l2 to l2":         {ThresholdOptions{Old: compat.MetricL2, New: compat.MetricL2}, func(s float64) float64 { return 3 * s }},
	} {
		queries := made(1, 1000, uniform, c.turned)
		m, err := MapThresholds(queries, c.o)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		last := math.NaN()
		for x := 0.01; x < 0.99; x += 0.001 {
			got, sampled := m.Map(x)
			if want := c.turned(x); !sampled || math.Abs(got-want) > 0.02*math.Abs(c.turned(1)-c.turned(0)) {
				t.Errorf("%s: %.3f gives %.4f, want %.4f", name, x, got, want)
			}
			if !math.IsNaN(last) && (got-last)*(c.turned(1)-c.turned(0)) < 0 {
				t.Errorf("%s: not monotone at %.3f", name, x)
			}
			last = got
		}
		// Beyond what was sampled it goes on in the same direction, and says so.
		above, sampled := m.Map(1.5)
		if end, _ := m.Map(0.99); sampled || (above-end)*(c.turned(1)-c.turned(0)) <= 0 {
			t.Errorf("%s: 1.5 gives %.4f, sampled %v", name, above, sampled)
		}
		below, sampled := m.Map(-0.5)
		if end, _ := m.Map(0.01); sampled || (below-end)*(c.turned(1)-c.turned(0)) >= 0 {
			t.Errorf("%s: -0.5 gives %.4f, sampled %v", name, below, sampled)
		}
		check, err := m.Check(made(2, 1000, uniform, c.turned))
		if err != nil || check.Worst > 0.02 || len(check.Rows) != 9 || check.Mean > check.Worst {
			t.Errorf("%s: %+v, %v", name, check, err)
		}
		if middle := check.Rows[4]; math.Abs(middle.OldShare-0.5) > 0.01 {
			t.Errorf("%s: the middle row is of a share of %.3f", name, middle.OldShare)
		}
	}
}

// TestMapOfTies: many hits have the same score, as texts that are there twice.
func TestMapOfTies(t *testing.T) {
	coarse := func(r *rand.Rand) float64 { return math.Floor(4*r.Float64()) / 4 }
	m, err := MapThresholds(made(1, 100, coarse, func(s float64) float64 { return s / 2 }), ThresholdOptions{})
	if err != nil {
		t.Fatal(err)
	}
	check, err := m.Check(made(2, 100, coarse, func(s float64) float64 { return s / 2 }))
	if err != nil || check.Worst > 1e-9 {
		t.Errorf("%+v, %v", check, err)
	}
	// A quarter of the scores each is 0.75, 0.5, 0.25 and 0, and a threshold lets
	// those pass that reach it.
	if first := check.Rows[0]; first.Old != 0.75 || first.New != 0.375 || math.Abs(first.OldShare-0.25) > 0.05 {
		t.Errorf("of the nearest scores: %+v", first)
	}
	for _, q := range m.Quantiles() {
		if got := passing(scores(made(1, 100, coarse, math.Sqrt), 10, compat.MetricCosine, false), q.Old); q.Old*4 == math.Floor(q.Old*4) && math.Abs(got-q.Share) > 0.011 {
			t.Errorf("%.3f of the scores reach %.2f, and the map says %.3f", got, q.Old, q.Share)
		}
	}
}

func TestMapAsJSON(t *testing.T) {
	m, err := MapThresholds(made(1, 50, func(r *rand.Rand) float64 { return r.Float64() }, math.Sqrt), ThresholdOptions{New: compat.MetricDot, Depth: 7})
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var back ThresholdMap
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	for x := -1.0; x < 2; x += 0.01 {
		a, as := m.Map(x)
		b, bs := back.Map(x)
		if a != b || as != bs {
			t.Errorf("%.2f gives %g and, read back, %g", x, a, b)
		}
	}
	if back.Depth() != 7 || back.Queries() != 50 {
		t.Errorf("depth %d of %d queries", back.Depth(), back.Queries())
	}
	text := string(data)
	for from, to := range map[string]string{
		`"old_metric":"cosine"`: `"old_metric":"hamming"`, `"new_metric":"dot"`: `"new_metric":""`, `"depth":7`: `"depth":-7`, `"share":0,`: `"share":0.9,`,
		`"quantiles":[`: `"quantiles":[{"share":-1,"old":-5,"new":9},`, `{`: `[`,
	} {
		broken := strings.Replace(text, from, to, 1)
		if broken == text {
			t.Fatalf("nothing to replace: %s", from)
		}
		if err := json.Unmarshal([]byte(broken), new(ThresholdMap)); err == nil {
			t.Errorf("%s was read", to)
		}
	}
	if err := json.Unmarshal([]byte(`{"old_metric":"cosine","new_metric":"cosine","depth":10,"quantiles":[]}`), new(ThresholdMap)); !errors.Is(err, ErrThresholds) {
		t.Errorf("no quantiles: %v", err)
	}
}

func TestMapRefuses(t *testing.T) {
	uniform := func(r *rand.Rand) float64 { return r.Float64() }
	good := made(1, 50, uniform, math.Sqrt)
	for name, c := range map[string]struct {
		queries []Query
		o       ThresholdOptions
	}{
		"no queries":     {nil, ThresholdOptions{}},
		"few queries":    {good[:9], ThresholdOptions{}},
		"a wild depth":   {good, ThresholdOptions{Depth: 1 << 40}},
		"a bad metric":   {good, ThresholdOptions{Old: "hamming"}},
		"one score":      {made(1, 50, func(*rand.Rand) float64 { return 0.5 }, math.Sqrt), ThresholdOptions{}},
		"scores without": {made(1, 50, func(*rand.Rand) float64 { return math.NaN() }, math.Sqrt), ThresholdOptions{}},
	} {
		if _, err := MapThresholds(c.queries, c.o); !errors.Is(err, ErrThresholds) {
			t.Errorf("%s: %v", name, err)
		}
	}
	m, err := MapThresholds(good, ThresholdOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Check(nil); !errors.Is(err, ErrThresholds) {
		t.Errorf("a check without queries: %v", err)
	}
	if got, sampled := m.Map(math.NaN()); sampled || !math.IsNaN(got) {
		t.Errorf("no number gives %g", got)
	}
}

// TestSmoothedMapIsNearer: of few queries whose scores are alike within a query,
// as they are, the smoothed map is off by less than the quantiles themselves,
// and it is as monotone.
func TestSmoothedMapIsNearer(t *testing.T) {
	const n, rounds = 100, 40
	drawn := func(rng *rand.Rand, n int) []Query {
		queries := make([]Query, n)
		for i := range queries {
			level := rng.NormFloat64()
			other := 0.8*level + 0.6*rng.NormFloat64()
			for range 10 {
				s := rng.NormFloat64()
				queries[i].Old, queries[i].New = append(queries[i].Old, Hit{Score: level + s}), append(queries[i].New, Hit{Score: math.Atan((2*other + s) / 4)})
			}
		}
		return queries
	}
	plain, smooth := 0.0, 0.0
	for seed := range uint64(rounds) {
		rng := rand.New(rand.NewPCG(seed, 0))
		few, many := drawn(rng, n), drawn(rng, 10*n)
		m, err := MapThresholds(few, ThresholdOptions{})
		if err != nil {
			t.Fatal(err)
		}
		raw := *m
		raw.quantiles = quantiles(scores(few, 10, compat.MetricCosine, false), scores(few, 10, compat.MetricCosine, true))
		for i, q := range m.quantiles {
			if i > 0 && (q.New > m.quantiles[i-1].New || q.Old >= m.quantiles[i-1].Old) {
				t.Fatalf("seed %d: quantile %d is out of order: %+v", seed, i, q)
			}
		}
		a, err := raw.Check(many)
		if err != nil {
			t.Fatal(err)
		}
		b, err := m.Check(many)
		if err != nil {
			t.Fatal(err)
		}
		plain, smooth = plain+a.Worst/rounds, smooth+b.Worst/rounds
	}
	t.Logf("off by %.4f, smoothed by %.4f", plain, smooth)
	if smooth > 0.95*plain {
		t.Errorf("the quantiles are off by %.4f, and smoothed by %.4f", plain, smooth)
	}
}

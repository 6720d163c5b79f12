package compare

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/vecino-db/vecino/embed/evaluate"
)

func near(t *testing.T, what string, got, want, within float64) {
	t.Helper()
	if math.IsNaN(got) || math.Abs(got-want) > within {
		t.Errorf("%s is %.12f, want %.12f", what, got, want)
	}
}

func letters(text string) []string { return strings.Split(text, "") }

func TestOverlapByHand(t *testing.T) {
	for _, c := range []struct {
		a, b   string
		k      int
		shared int
		share  float64
	}{
		{"abcde", "abcde", 3, 3, 1},
		{"abcde", "cbxya", 3, 2, 2.0 / 3},
		{"abcde", "ab", 3, 2, 2.0 / 3},
		{"abcde", "vwxyz", 5, 0, 0},
		{"a", "a", 10, 1, 1},
	} {
		shared, share := Overlap(letters(c.a), letters(c.b), c.k)
		if shared != c.shared || share != c.share {
			t.Errorf("%s and %s to %d: %d, %g", c.a, c.b, c.k, shared, share)
		}
	}
	if shared, share := Overlap(nil, nil, 10); shared != 0 || share != 1 {
		t.Errorf("nothing and nothing: %d, %g", shared, share)
	}
	if _, share := Overlap(letters("a"), nil, 10); share != 0 {
		t.Errorf("something and nothing: %g", share)
	}
}

// rboBySum is the definition (Webber, Moffat and Zobel 2010, equation 7), for
// rankings that agree wholly beyond their end.
func rboBySum(a, b []string, p float64) float64 {
	sum, weight := 0.0, 1.0
	for d := 1; d < 5000; d++ {
		agreement := 1.0
		if d <= len(a) {
			in := map[string]bool{}
			for _, id := range a[:d] {
				in[id] = true
			}
			n := 0
			for _, id := range b[:d] {
				if in[id] {
					n++
				}
			}
			agreement = float64(n) / float64(d)
		}
		sum += agreement * weight
		weight *= p
	}
	return (1 - p) * sum
}

func TestRBO(t *testing.T) {
	const seed = 3
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 50 {
		// Permutations of the same ids agree wholly at and beyond their end,
		// as the extrapolation supposes.
		n := 1 + rng.IntN(40)
		a, b := make([]string, n), make([]string, n)
		for i, j := range rng.Perm(n) {
			a[i], b[i] = fmt.Sprint(i), fmt.Sprint(j)
		}
		p := 0.5 + 0.45*rng.Float64()
		near(t, fmt.Sprintf("seed %d: RBO of %v and %v with %.3f", seed, a, b, p), RBO(a, b, p), rboBySum(a, b, p), 1e-9)
	}
	// By hand, rankings of 3: overlaps 0, 1, 2 of depths 1, 2, 3.
	// (1-p)/p (0 + p^2/2 + 2p^3/3) + 2/3 p^3 with p = 1/2.
	near(t, "RBO of abc and bad", RBO(letters("abc"), letters("bax"), 0.5), (0.0/1*0.5+2.0/2*0.25+2.0/3*0.125)+2.0/3*0.125, 1e-12)
	// Of different length: abc over ab has overlaps 1, 2, 2; the shorter agrees
	// wholly, so nothing is against the third being its third too:
	// (1-p)/p (p + p^2 + 2p^3/3 + 2 (3-2)/(3*2) p^3) + ((2-2)/3 + 2/2) p^3 = 1.
	near(t, "RBO of a ranking and its beginning", RBO(letters("abc"), letters("ab"), 0.7), 1, 1e-12)
	near(t, "RBO the other way round", RBO(letters("ab"), letters("xbay"), 0.8), RBO(letters("xbay"), letters("ab"), 0.8), 1e-15)
	near(t, "RBO of equal rankings", RBO(letters("abcdef"), letters("abcdef"), 0.9), 1, 1e-12)
	near(t, "RBO of nothing shared", RBO(letters("abc"), letters("xyz"), 0.9), 0, 1e-12)
	near(t, "RBO of nothing", RBO(nil, nil, 0.9), 1, 0)
	near(t, "RBO with nothing", RBO(nil, letters("abc"), 0.9), 0, 0)
	if first, last := RBO(letters("abcdefghij"), letters("bacdefghij"), 0.9), RBO(letters("abcdefghij"), letters("abcdefghji"), 0.9); first >= last {
		t.Errorf("a swap of the first ranks leaves %g, of the last %g", first, last)
	}
}

func TestTauByHand(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want float64
	}{
		{"abcd", "abcd", 1},
		{"abcd", "dcba", -1},
		{"abcd", "abdc", 1 - 4.0/12},
		{"axbycz", "bca", 1 - 8.0/6}, // a, b, c become 3, 1, 2: two of three pairs turned
	} {
		got, ok := Tau(letters(c.a), letters(c.b))
		if !ok {
			t.Errorf("%s and %s have none", c.a, c.b)
		}
		near(t, "tau of "+c.a+" and "+c.b, got, c.want, 1e-12)
	}
	for _, c := range [][2]string{{"abc", "xyz"}, {"abc", "cxy"}} {
		if got, ok := Tau(letters(c[0]), letters(c[1])); ok {
			t.Errorf("%v: %g", c, got)
		}
	}
}

// ranking is hits of one letter each, of scores 1, 1/2, 1/3, ...
func ranking(text string) []Hit {
	var out []Hit
	for i, id := range text {
		out = append(out, Hit{ID: string(id), Score: 1 / float64(i+1), Text: "the text of " + string(id) + strings.Repeat(" goes on", 100)})
	}
	return out
}

func TestAgree(t *testing.T) {
	queries := []Query{
		{ID: "same", Text: "one", Old: ranking("abcde"), New: ranking("abcde")},
		{ID: "other", Text: "two", Old: ranking("abcde"), New: ranking("vwxyz")},
		{ID: "turned", Text: "three", Old: ranking("abcde"), New: ranking("edcba")},
		{ID: "twice", Text: "four", Old: ranking("abc"), New: ranking("aabbcc")},
	}
	got, err := Agree(queries, Options{K: 3, MostChanged: 2})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "overlap", got.Overlap, (1+0+1.0/3+1)/4, 1e-12)
	near(t, "RBO", got.RBO, (2+0+RBO(letters("abcde"), letters("edcba"), 0.9))/4, 1e-12)
	if got.Tau == nil || got.TauQueries != 3 {
		t.Fatalf("tau over %d queries", got.TauQueries)
	}
	near(t, "tau", *got.Tau, 1.0/3, 1e-12)
	if fmt.Sprint(got.Histogram) != "[1 1 0 2]" || got.SameFirst != 2 || got.Queries != 4 || got.K != 3 || got.Persistence != 0.9 {
		t.Errorf("%+v", got)
	}
	if len(got.MostChanged) != 2 || got.MostChanged[0].ID != "other" || got.MostChanged[1].ID != "turned" {
		t.Fatalf("most changed: %+v", got.MostChanged)
	}
	first := got.MostChanged[0]
	if len(first.Old) != 3 || len(first.New) != 3 || first.New[2].ID != "x" || first.New[2].Score != 1.0/3 || len(first.New[0].Text) != snippetLength {
		t.Errorf("shown: %+v", first)
	}
	if len(queries[1].Old) != 5 || len(queries[1].Old[0].Text) < 200 {
		t.Error("the caller's queries were changed")
	}
	only, err := Agree(queries[1:2], Options{})
	if err != nil || only.Tau != nil || only.Overlap != 0 {
		t.Errorf("nothing shared: %+v, %v", only, err)
	}
	if _, err := Agree(nil, Options{}); !errors.Is(err, ErrNoQueries) {
		t.Errorf("no queries: %v", err)
	}
	for _, o := range []Options{{K: -1}, {K: 1001}, {MostChanged: -1}, {Persistence: 1}, {Persistence: math.NaN()}, {Bootstrap: evaluate.Bootstrap{Level: 2}}} {
		if _, err := Agree(queries, o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}

func TestJudge(t *testing.T) {
	var judged []evaluate.Judged
	var runs []Query
	for i := range 40 {
		id := fmt.Sprint(i)
		judged = append(judged, evaluate.Judged{ID: id, Gains: map[string]float64{"a": 1}})
		runs = append(runs, Query{ID: id, Old: ranking("xa"), New: ranking("ax")})
	}
	runs[0].New = nil
	got, err := Judge(judged, runs, Options{})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "MRR@10 before", got.Old.MRR10.Mean, 0.5, 1e-12)
	near(t, "MRR@10 after", got.New.MRR10.Mean, 39.0/40, 1e-12)
	near(t, "its difference", got.Difference.MRR10.Mean, 39.0/40-0.5, 1e-12)
	if d := got.Difference.MRR10; !d.Decided() || d.Better != 39 || d.Worse != 1 || d.P > 0.001 || got.Queries != 40 || len(got.PerQuery) != 40 || got.PerQuery[0].New.RR10 != 0 {
		t.Errorf("%+v", got.Difference)
	}
	runs[3].ID = "other"
	for _, c := range [][]Query{runs, runs[1:], nil} {
		if _, err := Judge(judged, c, Options{}); !errors.Is(err, ErrNoQueries) {
			t.Errorf("runs of other queries: %v", err)
		}
	}
}

// TestAskedTwice: a query that was asked twice counts twice, and is shown once.
func TestAskedTwice(t *testing.T) {
	far, near := Query{ID: "far", Old: []Hit{{ID: "a"}}, New: []Hit{{ID: "b"}}}, Query{ID: "near", Old: []Hit{{ID: "a"}}, New: []Hit{{ID: "a"}}}
	a, err := Agree([]Query{far, far, far, near}, Options{MostChanged: 3})
	if err != nil || a.Queries != 4 || a.Overlap != 0.25 || a.SameFirst != 1 {
		t.Fatalf("%+v, %v", a, err)
	}
	if len(a.MostChanged) != 2 || a.MostChanged[0].ID != "far" || a.MostChanged[1].ID != "near" {
		t.Errorf("shown: %+v", a.MostChanged)
	}
}

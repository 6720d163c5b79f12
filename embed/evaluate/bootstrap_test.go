package evaluate

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"
)

// TestIntervalCovers draws many samples whose true mean is known and counts how
// often the interval holds it: of a skewed distribution, as measures of queries
// are.
func TestIntervalCovers(t *testing.T) {
	const rounds, n = 400, 60
	const seed = 11
	rng := rand.New(rand.NewPCG(seed, 0))
	held, below := 0, 0
	for round := range rounds {
		values := make([]float64, n)
		for i := range values {
			values[i] = math.Pow(rng.Float64(), 3) // mean 1/4
		}
		got, err := Bootstrap{Resamples: 1000, Seed: uint64(round)}.Interval(values)
		if err != nil {
			t.Fatal(err)
		}
		if !(got.Low <= got.Mean && got.Mean <= got.High) {
			t.Fatalf("seed %d, round %d: the mean is outside: %+v", seed, round, got)
		}
		switch {
		case got.Low > 0.25:
		case got.High < 0.25:
			below++
		default:
			held++
		}
	}
	// 95 % of 400 with a standard error of 1.1 %.
	if share := float64(held) / rounds; share < 0.915 || share > 0.985 {
		t.Errorf("seed %d: %.3f of the intervals of level 0.95 hold the mean", seed, share)
	}
	// Percentile intervals lie too low for a distribution with a long tail
	// above: most of their misses are on this side.
	if below > rounds/20 {
		t.Errorf("seed %d: %d of %d intervals end below the mean", seed, below, rounds)
	}
}

// TestIntervalAgainstNormal compares with the textbook's interval of a mean,
// which is right where values are many and not skewed.
func TestIntervalAgainstNormal(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 0))
	values := make([]float64, 2000)
	for i := range values {
		values[i] = 3 + rng.NormFloat64()
	}
	m, squares := mean(values), 0.0
	for _, v := range values {
		squares += (v - m) * (v - m)
	}
	half := 1.6449 * math.Sqrt(squares/1999/2000)
	got, err := Bootstrap{Level: 0.9, Seed: 3}.Interval(values)
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(got.Low-(m-half)) > half/10 || math.Abs(got.High-(m+half)) > half/10 {
		t.Errorf("[%.4f, %.4f], want [%.4f, %.4f]", got.Low, got.High, m-half, m+half)
	}
	again, err := Bootstrap{Level: 0.9, Seed: 3}.Interval(values)
	if err != nil || again != got {
		t.Errorf("the same seed gives %+v and %+v", got, again)
	}
}

// TestPaired: what all queries share cancels out, so that a small difference on
// hard and easy queries is seen that plain intervals would hide.
func TestPaired(t *testing.T) {
	const seed = 7
	rng := rand.New(rand.NewPCG(seed, 0))
	before, after, same := make([]float64, 100), make([]float64, 100), make([]float64, 100)
	for i := range before {
		before[i] = rng.Float64()
		after[i] = before[i] + 0.02 + 0.02*rng.NormFloat64()
		same[i] = before[i] + 0.02*rng.NormFloat64()
	}
	o := Bootstrap{Resamples: 2000, Seed: seed}
	got, err := o.Paired(before, after)
	if err != nil {
		t.Fatal(err)
	}
	if !got.Decided() || got.Low < 0.012 || got.High > 0.028 || got.P > 0.001 || got.Better < 70 || got.Better+got.Worse != 100 {
		t.Errorf("seed %d: %+v", seed, got)
	}
	plain, err := o.Interval(before)
	if err != nil || plain.High-plain.Low < 5*(got.High-got.Low) {
		t.Errorf("seed %d: the interval of one run is %+v, that of the difference %+v", seed, plain, got.Interval)
	}
	back, err := o.Paired(after, before)
	if err != nil || back.P != got.P || math.Abs(back.Mean+got.Mean) > 1e-12 || back.Better != got.Worse {
		t.Errorf("seed %d: the other way round: %+v", seed, back)
	}
	if chance, err := o.Paired(before, same); err != nil || chance.P < 0.01 {
		t.Errorf("seed %d: by chance: %+v, %v", seed, chance, err)
	}
	if none, err := o.Paired(before, before); err != nil || none.Decided() || none.P != 1 || none.Low != 0 || none.High != 0 {
		t.Errorf("a run with itself: %+v, %v", none, err)
	}
}

// TestChanceByHand: of 5 equal differences, the 32 ways of giving them signs
// hold 2 that are as great; p is about 2/32.
func TestChanceByHand(t *testing.T) {
	got, err := Bootstrap{Resamples: 50_000, Seed: 1}.Paired(make([]float64, 5), []float64{.1, .1, .1, .1, .1})
	if err != nil || math.Abs(got.P-2.0/32) > 0.005 {
		t.Errorf("p is %g, want %g, %v", got.P, 2.0/32, err)
	}
}

func TestBootstrapRefuses(t *testing.T) {
	var o Bootstrap
	for _, values := range [][]float64{nil, {math.NaN()}, {1, math.Inf(1)}} {
		if _, err := o.Interval(values); !errors.Is(err, ErrNoValues) {
			t.Errorf("%v: %v", values, err)
		}
		if _, err := o.Paired(values, values); !errors.Is(err, ErrNoValues) {
			t.Errorf("%v twice: %v", values, err)
		}
	}
	if _, err := o.Paired([]float64{1}, []float64{1, 2}); !errors.Is(err, ErrNoValues) {
		t.Errorf("runs of different length: %v", err)
	}
	for _, o := range []Bootstrap{{Level: 0.4}, {Level: 1}, {Level: math.NaN()}, {Resamples: -1}, {Resamples: 99}, {Resamples: 100_001}} {
		if _, err := o.Interval([]float64{1, 2}); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
	for _, values := range [][]float64{{2}, {2, 2, 2}} {
		if got, err := o.Interval(values); err != nil || got.Low != 2 || got.High != 2 || got.Mean != 2 {
			t.Errorf("%v: %+v, %v", values, got, err)
		}
	}
	if got, err := o.Interval([]float64{0, 0, 0, 0, 0, 0, 0, 0, 0, 1}); err != nil || !(got.Low >= 0 && got.High <= 1 && got.High > 0.1) {
		t.Errorf("one of ten: %+v, %v", got, err)
	}
}

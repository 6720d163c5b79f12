package evaluate

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Bootstrap says how intervals are computed. The zero value means the defaults.
type Bootstrap struct {
	Level     float64 // share of intervals that hold the true mean, 0.5 to 0.999; 0: 0.95
	Resamples int     // 100 to 100,000; 0: 10,000
	Seed      uint64  // the same seed gives the same interval
}

// Defaults and bounds of Bootstrap.
const (
	defaultLevel     = 0.95
	defaultResamples = 10_000
	minResamples     = 100
	maxResamples     = 100_000
	// maxDraws bounds the work of one interval: for many queries fewer
	// resamples are drawn, and as many are needed.
	maxDraws = 200_000_000
)

// Validate says what is out of bounds.
func (o Bootstrap) Validate() error {
	if o.Level != 0 && !(o.Level >= 0.5 && o.Level <= 0.999) {
		return fmt.Errorf("bootstrap: a level of %g: give one of 0.5 to 0.999, or 0 for %g", o.Level, defaultLevel)
	}
	if o.Resamples != 0 && (o.Resamples < minResamples || o.Resamples > maxResamples) {
		return fmt.Errorf("bootstrap: %d resamples: give %d to %d, or 0 for %d", o.Resamples, minResamples, maxResamples, defaultResamples)
	}
	return nil
}

// withDefaults fills in the defaults, for n values.
func (o Bootstrap) withDefaults(n int) Bootstrap {
	if o.Level == 0 {
		o.Level = defaultLevel
	}
	if o.Resamples == 0 {
		o.Resamples = defaultResamples
	}
	o.Resamples = max(min(o.Resamples, maxDraws/max(n, 1)), minResamples)
	return o
}

// Interval is a mean and the interval that holds the true one in Level of such
// experiments.
type Interval struct {
	Mean    float64 `json:"mean"`
	Low     float64 `json:"low"`
	High    float64 `json:"high"`
	Level   float64 `json:"level"`
	Queries int     `json:"queries"`
}

// ErrNoValues means that there are no values, or lists of different length, or
// a value that is no number.
var ErrNoValues = errors.New("no values to compare")

// Interval is the bias-corrected and accelerated bootstrap interval (Efron
// 1987, "Better Bootstrap Confidence Intervals") of the mean of one value a
// query. Where all values are equal, it is that value. Errors: ErrNoValues,
// and those of Validate.
func (o Bootstrap) Interval(values []float64) (Interval, error) {
	if err := o.Validate(); err != nil {
		return Interval{}, err
	}
	if err := checkValues(values); err != nil {
		return Interval{}, err
	}
	n := len(values)
	o = o.withDefaults(n)
	out := Interval{Mean: mean(values), Level: o.Level, Queries: n}
	means := o.means(values)
	// The share of resampled means below the mean, ties half: z0 is its
	// correction for bias; a, by the jackknife, that for skewness.
	below := 0.0
	for _, m := range means {
		switch {
		case m < out.Mean:
			below++
		case m == out.Mean:
			below += 0.5
		}
	}
	if means[0] == means[len(means)-1] {
		out.Low, out.High = out.Mean, out.Mean
		return out, nil
	}
	z0 := normalQuantile(min(max(below/float64(len(means)), 0.5/float64(len(means))), 1-0.5/float64(len(means))))
	var squares, cubes float64
	for _, v := range values {
		d := v - out.Mean
		squares += d * d
		cubes += d * d * d
	}
	a := 0.0
	if squares > 0 {
		a = cubes / (6 * math.Pow(squares, 1.5))
	}
	at := func(tail float64) float64 {
		z := z0 + normalQuantile(tail)
		p := normalShare(z0 + z/(1-a*z))
		return means[min(max(int(p*float64(len(means))), 0), len(means)-1)]
	}
	out.Low, out.High = at((1-o.Level)/2), at((1+o.Level)/2)
	return out, nil
}

// Difference is what one run has over another on the same queries.
type Difference struct {
	Interval // of the mean of new minus old
	// P is the two-sided probability of a difference at least this great if it
	// were chance which run a query's value comes from (Fisher's randomisation
	// test on pairs; Smucker, Allan and Carterette 2007).
	P      float64 `json:"p"`
	Better int     `json:"better"` // queries with a greater value in the new run
	Worse  int     `json:"worse"`
}

// Decided reports whether the interval leaves 0 out.
func (d Difference) Decided() bool { return d.Low > 0 || d.High < 0 }

// Paired compares two runs over the same queries: values i of both belong to
// query i. The queries are resampled, so that what makes one of them hard for
// both runs cancels out. Errors are those of Interval.
func (o Bootstrap) Paired(before, after []float64) (Difference, error) {
	if len(before) != len(after) {
		return Difference{}, fmt.Errorf("%w: runs of %d and %d queries: give both runs the same queries", ErrNoValues, len(before), len(after))
	}
	if err := errors.Join(checkValues(before), checkValues(after)); err != nil {
		return Difference{}, err
	}
	differences := make([]float64, len(before))
	out := Difference{}
	for i := range before {
		differences[i] = after[i] - before[i]
		switch {
		case differences[i] > 0:
			out.Better++
		case differences[i] < 0:
			out.Worse++
		}
	}
	var err error
	if out.Interval, err = o.Interval(differences); err != nil {
		return Difference{}, err
	}
	out.P = o.withDefaults(len(differences)).chance(differences)
	return out, nil
}

// means are the means of resamples, ascending.
func (o Bootstrap) means(values []float64) []float64 {
	rng := rand.New(rand.NewPCG(o.Seed, 1))
	means := make([]float64, o.Resamples)
	for r := range means {
		sum := 0.0
		for range values {
			sum += values[rng.IntN(len(values))]
		}
		means[r] = sum / float64(len(values))
	}
	slices.Sort(means)
	return means
}

// chance is the share of random signs under which the sum of the differences is
// as great as it is, itself counted.
func (o Bootstrap) chance(differences []float64) float64 {
	rng := rand.New(rand.NewPCG(o.Seed, 2))
	// Sums of the same values in another order differ in the last bits.
	observed, slack := 0.0, 0.0
	for _, d := range differences {
		observed += d
		slack += math.Abs(d) * 1e-12
	}
	as := 1
	for range o.Resamples {
		sum := 0.0
		var bits uint64
		for i, d := range differences {
			if i%64 == 0 {
				bits = rng.Uint64()
			}
			if bits&1 == 0 {
				d = -d
			}
			bits >>= 1
			sum += d
		}
		if math.Abs(sum) >= math.Abs(observed)-slack {
			as++
		}
	}
	return float64(as) / float64(o.Resamples+1)
}

func checkValues(values []float64) error {
	if len(values) == 0 {
		return fmt.Errorf("%w: give a value for each query, one at least", ErrNoValues)
	}
	for i, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("%w: that of query %d is %v", ErrNoValues, i, v)
		}
	}
	return nil
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// normalShare is the standard normal distribution's share below z, and
// normalQuantile its inverse.
func normalShare(z float64) float64    { return math.Erfc(-z/math.Sqrt2) / 2 }
func normalQuantile(p float64) float64 { return -math.Sqrt2 * math.Erfcinv(2*p) }

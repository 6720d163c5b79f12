package bridge

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/vecino-db/vecino/compat"
)

// Bounds of a fit.
const (
	// MinPairs is the least number of pairs: a tenth of them has to say what the
	// bridge is worth.
	MinPairs = 1000
	// MaxDimension is the largest dimension of either space.
	MaxDimension = 4096

	defaultMaxPairs  = 20_000
	limitMaxPairs    = 200_000
	defaultMinRecall = 0.7
	maxHeldOut       = 2000
	depth            = 10 // of the recall
)

// Pairs are vectors of the same texts in two spaces: row i of From and row i of
// To belong to one text.
type Pairs struct {
	FromSpace, ToSpace compat.Space
	From, To           compat.Vectors
	// Metric by which To is searched; "": cosine.
	Metric compat.Metric
}

// Options say how a bridge is fitted. The zero value means the defaults.
type Options struct {
	MinRecall float64 // recall@10 on held-out pairs below which there is no bridge, above 0 to 1; 0: 0.7
	MaxPairs  int     // pairs that are used, 1,000 to 200,000, drawn at random where there are more; 0: 20,000
	Seed      uint64  // decides which pairs are held out
}

// Validate says what is out of bounds.
func (o Options) Validate() error {
	if o.MinRecall != 0 && !(o.MinRecall > 0 && o.MinRecall <= 1) {
		return fmt.Errorf("bridge: a least recall of %g: give one above 0 to 1, or 0 for %g", o.MinRecall, defaultMinRecall)
	}
	if o.MaxPairs != 0 && (o.MaxPairs < MinPairs || o.MaxPairs > limitMaxPairs) {
		return fmt.Errorf("bridge: %d pairs at most: give %d to %d, or 0 for %d", o.MaxPairs, MinPairs, limitMaxPairs, defaultMaxPairs)
	}
	return nil
}

// validate says which pairs can't be used.
func (p Pairs) validate() error {
	from, to := p.FromSpace.Fingerprint(), p.ToSpace.Fingerprint()
	switch {
	case !p.From.Fingerprint().Matches(from) || !p.To.Fingerprint().Matches(to):
		return fmt.Errorf("bridge: %w: the vectors are not of the spaces that are named", ErrPairs)
	case from == to:
		return fmt.Errorf("bridge: %w: both are of one space, which needs no bridge", ErrPairs)
	case p.From.Len() != p.To.Len():
		return fmt.Errorf("bridge: %w: %d vectors of the one space and %d of the other: give one of each for every text", ErrPairs, p.From.Len(), p.To.Len())
	case p.From.Len() < MinPairs:
		return fmt.Errorf("bridge: %w: there are %d, and %d are the least: embed more of the stored texts", ErrPairs, p.From.Len(), MinPairs)
	case max(p.From.Dim(), p.To.Dim()) > MaxDimension:
		return fmt.Errorf("bridge: %w: of %d and %d dimensions; %d is the most", ErrPairs, p.From.Dim(), p.To.Dim(), MaxDimension)
	}
	switch p.Metric {
	case "", compat.MetricCosine, compat.MetricDot, compat.MetricL2:
		return nil
	}
	return fmt.Errorf("bridge: %w: unknown metric %q", ErrPairs, p.Metric)
}

// Fit fits a bridge and checks it. Its time grows with the pairs times the
// product of the dimensions: 20,000 pairs of 768 dimensions take 2.2 s of one
// core with AVX-512, of 1,024 and 1,536 dimensions 4.6 s. It allocates about
// four times the size of the pairs' vectors. Errors: those of Validate, ErrPairs, *RecallError, and the context's.
func Fit(ctx context.Context, pairs Pairs, o Options) (*Bridge, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if err := pairs.validate(); err != nil {
		return nil, err
	}
	o.MinRecall, o.MaxPairs = cmp.Or(o.MinRecall, defaultMinRecall), cmp.Or(o.MaxPairs, defaultMaxPairs)
	order := rand.New(rand.NewPCG(o.Seed, 0)).Perm(pairs.From.Len())
	order = order[:min(len(order), o.MaxPairs)]
	held := min(len(order)/10, maxHeldOut)
	train := newTraining(pairs, order[held:])
	maps, err := train.fit(ctx)
	if err != nil {
		return nil, err
	}
	checked := newChecking(pairs, order)
	check := Check{K: depth, HeldOut: held - held/2, Pool: len(order), Pairs: len(order) - held}
	var best *Bridge
	most := -1.0
	for _, m := range maps {
		b := &Bridge{
			from: pairs.From.Fingerprint(), to: pairs.To.Fingerprint(), p: pairs.From.Dim(), q: pairs.To.Dim(),
			method: m.method, normalize: pairs.ToSpace.Normalization == compat.NormalizeL2, weights: m.weights, shift: m.shift,
		}
		recall, err := checked.recall(ctx, b, 0, held/2)
		if err != nil {
			return nil, err
		}
		check.Tried = append(check.Tried, Tried{m.method, recall})
		if recall > most {
			best, most = b, recall
		}
	}
	if check.Recall, err = checked.recall(ctx, best, held/2, held); err != nil {
		return nil, err
	}
	best.check = check
	// Written so that NaN fails.
	if !(check.Recall >= o.MinRecall) {
		return nil, &RecallError{Check: best.Check(), Least: o.MinRecall}
	}
	return best, nil
}

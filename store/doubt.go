package store

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
)

// A graph of codes says how far its scores are off, and gives a few hits beyond
// those that are wanted where that leaves open which of them belong. Those about
// the border, and no others, are looked up and scored by their vectors, as long
// as one of them may lie on the wrong side. Where all lie apart none is.

const (
	// doubtTimes the hits that are wanted are looked at by the index at most, and
	// doubtMost beyond them: what lies closer together than these can tell is left
	// as it is.
	doubtTimes = 8
	doubtMost  = 256
	// doubtErrors standard errors apart two hits are told apart.
	doubtErrors = 2
	// doubtRounds of looking up are done at most. Each one may move the border.
	doubtRounds = 4
)

// doubtful is a hit that may be looked up.
type doubtful struct {
	index.Hit
	exact  bool // its score is that of its vector
	wanted bool // to be looked up
}

// borders are the ranks after which an answer may be cut: the hits before a
// border must be those that are nearest.
func (r *searchRun) borders(k int) (from, to int) {
	if r.loose {
		return 1, min(k, doubtMost) // some of them are not admitted
	}
	return max(k-len(r.exclude), 1), k // some of which may not be among them
}

// decide leaves the K hits of a request in an answer of codes, which vectors
// decide where the scores can't.
func (r *searchRun) decide(ctx context.Context, snapshot *pebble.Snapshot, request index.Query, answer *index.Answer) (err error) {
	keep := func() { answer.Hits = answer.Hits[:min(request.K, len(answer.Hits))] }
	defer keep()
	if !(answer.Error > 0) || !r.open(answer, request.K) {
		return nil
	}
	if r.scorer == nil {
		r.scorer = index.NewScorer(r.g.config, request.Vector)
	}
	vectors, err := r.c.vectorReader(r.g, snapshot)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, vectors.iter.Close()) }()
	all := make([]doubtful, len(answer.Hits))
	for i, h := range answer.Hits {
		all[i].Hit = h
	}
	for range doubtRounds {
		if n := r.mark(all, answer.Error, request.K); n == 0 {
			break
		}
		if err := r.lookUp(ctx, snapshot, vectors, all); err != nil {
			return err
		}
	}
	for i := range all {
		answer.Hits[i] = all[i].Hit
	}
	return nil
}

// open reports whether anything is to be decided, as nearly always it isn't.
func (r *searchRun) open(answer *index.Answer, k int) bool {
	slack := doubtErrors * math.Sqrt2 * float64(answer.Error)
	from, to := r.borders(k)
	for rank := from; rank <= to && rank < len(answer.Hits); rank++ {
		if r.apart(answer.Hits[rank-1], answer.Hits[rank]) <= slack {
			return true
		}
	}
	if s := r.skip; s > 0 && s < len(answer.Hits) && r.apart(answer.Hits[s-1], answer.Hits[s]) <= slack {
		return true
	}
	return false
}

// apart is how much farther the second of two hits is than the first.
func (r *searchRun) apart(near, far index.Hit) float64 {
	d := float64(near.Score) - float64(far.Score)
	if r.g.config.Metric == compat.MetricL2 {
		return -d
	}
	return d
}

// mark chooses the hits to look up, of those that are in order: the ones that
// may belong to the other side of a border. It gives their number.
func (r *searchRun) mark(all []doubtful, standard float32, k int) (n int) {
	want := func(i int) {
		if !all[i].exact && !all[i].wanted {
			all[i].wanted = true
			n++
		}
	}
	// slack is what the errors of two hits leave open.
	slack := func(a, b doubtful) float64 {
		switch {
		case a.exact && b.exact:
			return -1
		case a.exact || b.exact:
			return doubtErrors * float64(standard)
		}
		return doubtErrors * math.Sqrt2 * float64(standard)
	}
	border := func(rank int) {
		if rank <= 0 || rank >= len(all) {
			return
		}
		last, next := all[rank-1], all[rank]
		for i := rank; i < len(all) && r.apart(last.Hit, all[i].Hit) <= doubtErrors*math.Sqrt2*float64(standard); i++ {
			if r.apart(last.Hit, all[i].Hit) <= slack(last, all[i]) {
				want(i)
				want(rank - 1)
			}
		}
		for i := rank - 1; i >= 0 && r.apart(all[i].Hit, next.Hit) <= doubtErrors*math.Sqrt2*float64(standard); i-- {
			if r.apart(all[i].Hit, next.Hit) <= slack(all[i], next) {
				want(i)
				want(rank)
			}
		}
	}
	from, to := r.borders(k)
	for rank := from; rank <= to && rank < len(all); rank++ {
		border(rank)
	}
	border(r.skip)
	return n
}

// lookUp scores the hits that are wanted by their vectors, and puts all in order.
func (r *searchRun) lookUp(ctx context.Context, snapshot *pebble.Snapshot, vectors *vectorReader, all []doubtful) error {
	slices.SortFunc(all, func(a, b doubtful) int { return cmp.Compare(a.Ordinal, b.Ordinal) })
	for i := range all {
		if !all[i].wanted {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.score(snapshot, vectors, &all[i].Hit); err != nil {
			return err
		}
		all[i].exact, all[i].wanted = true, false
	}
	slices.SortFunc(all, func(a, b doubtful) int {
		return cmp.Or(cmp.Compare(r.apart(b.Hit, a.Hit), 0), cmp.Compare(a.Ordinal, b.Ordinal))
	})
	return nil
}

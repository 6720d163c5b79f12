package store

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
)

// Where the graph keeps codes, their error decides between neighbours that lie
// closer together than it. The vectors as they were put lie in Pebble, and can
// decide in its place: by a look at more hits than are wanted, or by a scan of
// all that the filter admits. An ordinal belongs to one version of one point,
// so whatever state has its vector gives the right one.

// DefaultOversampling is how many times the hits that are wanted are rescored.
const DefaultOversampling = 2

// Rescoring says what the vectors as they were put decide, in a generation
// whose graph keeps codes. Others have nothing to rescore.
type Rescoring struct {
	// On: the hits of the index are scored and ordered anew by their vectors;
	// false: never. nil: where the query is exact, and else those hits that the
	// codes leave in doubt.
	On *bool
	// Oversampling times the hits that are wanted are looked at; not 1 to
	// compat.MaxOversampling: DefaultOversampling.
	Oversampling float64
	// IgnoreCodes: codes decide nothing. All vectors that the filter admits are
	// compared, as an exact query has them unless On is false.
	IgnoreCodes bool
}

// rescoring prepares what the vectors as they were put decide of a search.
func (r *searchRun) rescoring(request *index.Query) {
	s := &r.query.Rescoring
	if e := r.g.config.Build.Encoding; e == "" || e == compat.EncodingF32 {
		return
	}
	r.scanned = s.IgnoreCodes || r.query.Exact && (s.On == nil || *s.On)
	if !r.scanned && s.On == nil {
		r.doubts = true
		request.Spare = min((doubtTimes-1)*request.K, doubtMost)
		return
	}
	if !r.scanned && !*s.On {
		return
	}
	r.scorer = index.NewScorer(r.g.config, request.Vector)
	if r.scanned {
		return
	}
	times := s.Oversampling
	if !(times >= 1 && times <= compat.MaxOversampling) {
		times = DefaultOversampling
	}
	live := float64(r.c.current().live)
	request.K = int(min(math.Ceil(float64(request.K)*times), live))
}

// vectorReader reads vectors of a generation in a snapshot.
type vectorReader struct {
	c    *Collection
	g    *generation
	iter *pebble.Iterator
	key  []byte
	row  []float32
}

func (c *Collection) vectorReader(g *generation, snapshot *pebble.Snapshot) (*vectorReader, error) {
	prefix := vectorPrefix(c.number, g.number)
	iter, err := snapshot.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: prefixEnd(prefix)})
	if err != nil {
		return nil, err
	}
	return &vectorReader{c: c, g: g, iter: iter, key: vectorKey(c.number, g.number, 0)}, nil
}

// find gives the vector of an ordinal, or nil. It is cheapest in ascending
// order. The slice is valid until the next call.
func (v *vectorReader) find(ordinal uint32) ([]float32, error) {
	binary.BigEndian.PutUint32(v.key[len(v.key)-4:], ordinal)
	if !v.iter.SeekGE(v.key) {
		return nil, v.failed(v.iter.Error(), ordinal)
	}
	if !bytes.Equal(v.iter.Key(), v.key) {
		return nil, nil
	}
	return v.here(ordinal)
}

// here decodes what the iterator stands on.
func (v *vectorReader) here(ordinal uint32) (row []float32, err error) {
	value, err := v.iter.ValueAndErr()
	if err == nil {
		v.row, err = appendVector(v.row[:0], value, v.g.config.Dimension)
	}
	return v.row, v.failed(err, ordinal)
}

func (v *vectorReader) failed(err error, ordinal uint32) error {
	if err == nil {
		return nil
	}
	return readError(v.c.name, fmt.Sprintf("vector %d", ordinal), err)
}

// rescore scores hits by their vectors and puts them in order. Those that are
// in no state any more keep their scores: they are found missing again when
// their documents are read.
func (r *searchRun) rescore(ctx context.Context, snapshot *pebble.Snapshot, hits []index.Hit) (err error) {
	vectors, err := r.c.vectorReader(r.g, snapshot)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, vectors.iter.Close()) }()
	slices.SortFunc(hits, func(a, b index.Hit) int { return cmp.Compare(a.Ordinal, b.Ordinal) })
	for i := range hits {
		h := &hits[i]
		if i%stretch == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		if err := r.score(snapshot, vectors, h); err != nil {
			return err
		}
	}
	index.SortHits(hits, r.g.config.Metric)
	return nil
}

// score scores a hit by its vector, where there is one.
func (r *searchRun) score(snapshot *pebble.Snapshot, vectors *vectorReader, h *index.Hit) error {
	row, err := vectors.find(h.Ordinal)
	if err == nil && row == nil {
		row, err = r.missing(snapshot, h.Ordinal)
	}
	if err == nil && row != nil {
		h.Score = r.scorer.Score(row)
	}
	return err
}

// missing is the vector of an ordinal that the snapshot does not have, in the
// state that is kept for this search; nil: in none.
func (r *searchRun) missing(snapshot *pebble.Snapshot, ordinal uint32) ([]float32, error) {
	if before := r.c.past.find(r.era, ordinal); before != nil {
		return r.c.appendRow(r.g, before, nil, ordinal)
	}
	id, ok, err := r.c.owner(snapshot, ordinal)
	if err == nil && ok {
		err = r.c.damaged(fmt.Sprintf("vector %d", ordinal), "point %s names it and it is not there", id)
	}
	return nil, err
}

const (
	// scanSpare hits beyond those that are wanted are kept by a scan, whose
	// kernel differs in the last bits from the score that decides.
	scanSpare = 32
	// seekCost is what it costs to look up a vector, in vectors of a scan over
	// all of them.
	seekCost = 3
)

// scan compares the vectors that the filter admits, as they lie in a snapshot,
// with the query.
func (r *searchRun) scan(ctx context.Context, snapshot *pebble.Snapshot, request index.Query) (answer index.Answer, err error) {
	answer.Plan = index.PlanExact
	if err := r.g.config.CheckQuery(request); err != nil || request.K <= 0 {
		return answer, err
	}
	vectors, err := r.c.vectorReader(r.g, snapshot)
	if err != nil {
		return answer, err
	}
	defer func() { err = errors.Join(err, vectors.iter.Close()) }()
	best := index.NewTopK(request.K+scanSpare, r.g.config.Metric)
	seen := 0
	offer := func(ordinal uint32, row []float32) error {
		best.Offer(index.Hit{Ordinal: ordinal, Score: r.scorer.Rough(row)})
		if seen++; seen%stretch == 0 {
			return ctx.Err()
		}
		return nil
	}
	if f := request.Filter; f != nil && uint64(f.Count())*seekCost < r.c.current().live {
		err = vectors.some(f, offer)
	} else {
		err = vectors.all(f, offer)
	}
	if err != nil {
		return answer, err
	}
	answer.Hits = best.Take()
	err = r.rescore(ctx, snapshot, answer.Hits)
	n := min(request.K, len(answer.Hits))
	answer.Hits = answer.Hits[:n:n]
	return answer, err
}

// some calls f for the vectors of the ordinals that a filter names.
func (v *vectorReader) some(admits index.Filter, f func(ordinal uint32, row []float32) error) (err error) {
	admits.Each(func(ordinal uint32) bool {
		var row []float32
		if row, err = v.find(ordinal); err == nil && row != nil {
			err = f(ordinal, row)
		}
		return err == nil
	})
	return err
}

// all calls f for every vector that a filter admits; nil: for every one.
func (v *vectorReader) all(admits index.Filter, f func(ordinal uint32, row []float32) error) error {
	for valid := v.iter.First(); valid; valid = v.iter.Next() {
		ordinal, ok := lastUint32(v.iter.Key(), vectorKeyLength)
		if !ok {
			return v.failed(errRecord, ordinal)
		}
		if admits != nil && !admits.Contains(ordinal) {
			continue
		}
		row, err := v.here(ordinal)
		if err != nil {
			return err
		}
		if err := f(ordinal, row); err != nil {
			return err
		}
	}
	return v.failed(v.iter.Error(), 0)
}

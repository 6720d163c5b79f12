package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
)

// RecallQuery asks what share of the true nearest the graph finds.
type RecallQuery struct {
	// Queries to ask; nil: Sample stored vectors, each without itself.
	Queries []compat.Searchable
	// Sample of stored vectors, drawn by Seed. 0: 100.
	Sample int
	Seed   uint64
	K      int // hits of a query; 0: 10
	Ef     int // breadth of the graph search; 0: the manifest's default
	// Generation to ask, of those that the collection has; 0: the one that
	// serves.
	Generation uint64
	// Progress is told now and then how many of all vectors were compared; nil:
	// nobody is.
	Progress func(done, total int)
	// Breathe is called after each search and each vector that is compared, so
	// that the caller can let others go first; nil: nobody wants to.
	Breathe func()
}

// Limits of a RecallQuery. The vectors of a collection are read once for all
// queries.
const (
	MaxRecallQueries = 10_000
	MaxRecallK       = 1_000

	defaultRecallSample = 100
	defaultRecallK      = 10
)

// Validate says what is out of range, as ErrBatch.
func (q RecallQuery) Validate() error {
	switch {
	case q.K < 0 || q.K > MaxRecallK:
		return fmt.Errorf("%w: k %d is not in 1..%d", ErrBatch, q.K, MaxRecallK)
	case q.Sample < 0 || q.Sample > MaxRecallQueries || len(q.Queries) > MaxRecallQueries:
		return fmt.Errorf("%w: %d queries; give at most %d", ErrBatch, max(q.Sample, len(q.Queries)), MaxRecallQueries)
	case q.Ef < 0 || q.Ef > compat.MaxEf:
		return fmt.Errorf("%w: ef %d is not in 1..%d", ErrBatch, q.Ef, compat.MaxEf)
	}
	return nil
}

// Recall is a measured recall with its 95 % interval.
type Recall struct {
	compat.MeasuredRecall
	Low, High float64
	Vectors   int           // that the queries were compared with
	Took      time.Duration // the comparison
}

// MeasureRecall compares the graph's answers with those of a scan of the stored
// vectors, as they were put: what an encoding loses counts. Writes go on beside
// it: what came or went in its time is left out on both sides.
// Errors: ErrBatch, ErrGeneration, index.ErrSpace, and those of Get.
func (c *Collection) MeasureRecall(ctx context.Context, q RecallQuery) (r Recall, err error) {
	if err := q.Validate(); err != nil {
		return Recall{}, err
	}
	if err := c.begin(); err != nil {
		return Recall{}, err
	}
	defer c.end()
	ctx, stop := c.whileThere(ctx)
	defer stop()
	if q.K == 0 {
		q.K = defaultRecallK
	}
	if q.Sample == 0 {
		q.Sample = defaultRecallSample
	}
	g, err := c.generation(q.Generation)
	if err != nil {
		return Recall{}, err
	}
	defer g.leave()
	for _, one := range q.Queries {
		if one == nil || one.Len() != 1 {
			return Recall{}, fmt.Errorf("%w: a query is one vector", ErrBatch)
		}
		if !one.Fingerprint().Matches(g.config.Fingerprint) {
			return Recall{}, c.otherSpace(one.Fingerprint())
		}
	}
	began := time.Now()
	var own []uint32
	if q.Queries == nil {
		if q.Queries, own, err = c.sample(ctx, g, q.Sample, q.Seed); err != nil {
			return Recall{}, err
		}
	}
	comparison := comparison{c: c, g: g, queries: q.Queries, own: own, k: q.K, ef: q.Ef, progress: q.Progress, breathe: q.Breathe}
	found, wanted, err := comparison.run(ctx)
	if err != nil {
		return Recall{}, err
	}
	ef := q.Ef
	if ef == 0 {
		ef = g.config.Search.Ef
	}
	r = Recall{
		MeasuredRecall: compat.MeasuredRecall{K: q.K, Ef: ef, Queries: len(q.Queries), Recall: 1, At: time.Now().UTC()},
		Vectors:        comparison.compared, Took: time.Since(began),
	}
	if wanted > 0 {
		r.Recall = float64(found) / float64(wanted)
	}
	r.Low, r.High = index.RecallInterval(r.Recall, r.Queries)
	return r, nil
}

// generation enters the generation of a number; 0: the one that serves.
func (c *Collection) generation(number uint64) (*generation, error) {
	for {
		all := c.generations.Load()
		g := all.serving
		if number != 0 {
			g = all.of(number)
		}
		switch {
		case g == nil:
			return nil, fmt.Errorf("collection %q: %w: %d", c.name, ErrGeneration, number)
		case g.enter():
			return g, nil
		}
	}
}

// sample draws stored vectors. Ordinals after gaps are drawn more often.
func (c *Collection) sample(ctx context.Context, g *generation, n int, seed uint64) (queries []compat.Searchable, own []uint32, err error) {
	prefix := vectorPrefix(c.number, g.number)
	iter, err := c.store.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: prefixEnd(prefix)})
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, iter.Close()) }()
	state := c.current()
	rng := rand.New(rand.NewPCG(seed, 0))
	drawn := map[uint32]bool{}
	take := func() error {
		ordinal, ok := lastUint32(iter.Key(), vectorKeyLength)
		if !ok || drawn[ordinal] {
			return nil
		}
		value, err := iter.ValueAndErr()
		if err != nil {
			return err
		}
		row, err := appendVector(nil, value, g.config.Dimension)
		if err != nil {
			return readError(c.name, fmt.Sprintf("vector %d", ordinal), err)
		}
		v, err := g.stamper.Stamp(row)
		if err != nil {
			return c.damaged(fmt.Sprintf("vector %d", ordinal), "%v", err)
		}
		drawn[ordinal] = true
		queries, own = append(queries, v), append(own, ordinal)
		return nil
	}
	all := uint64(n) >= state.live
	for tries := 0; (all || tries < 4*n) && len(queries) < n; tries++ {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		valid := false
		switch {
		case all && tries == 0:
			valid = iter.First()
		case all:
			valid = iter.Next()
		case state.next > 0:
			valid = iter.SeekGE(vectorKey(c.number, g.number, uint32(rng.Uint64N(state.next)))) || iter.First()
		}
		if !valid {
			break
		}
		if err := take(); err != nil {
			return nil, nil, err
		}
	}
	return queries, own, iter.Error()
}

// comparison is of some answers of the graph with the truth.
type comparison struct {
	c        *Collection
	g        *generation
	queries  []compat.Searchable
	own      []uint32 // the ordinals that the queries are themselves; nil: they are none
	k, ef    int
	progress func(done, total int)
	pause    func(ctx context.Context, worked time.Duration) error // after each stretch of work; nil: none
	breathe  func()                                                // of RecallQuery
	compared int
}

// stretch is how many vectors are compared between two looks at the context.
const stretch = 1024

// run gives how many of the true nearest there are, and how many the graph
// found.
func (x *comparison) run(ctx context.Context) (found, wanted int, err error) {
	worked := time.Now()
	truth := index.NewTruth(x.g.config, x.queries, x.k)
	truth.Until(x.c.current().next) // what is written from here on, some searches see and some don't
	answers := make([][]index.Hit, len(x.queries))
	for i, q := range x.queries {
		k := x.k
		if x.own != nil {
			truth.Own(i, x.own[i])
			k++
		}
		if answers[i], err = x.ask(ctx, q, k); err != nil {
			return 0, 0, fmt.Errorf("collection %q: recall: %w", x.c.name, err)
		}
		if x.breathe != nil {
			x.breathe()
		}
	}
	snapshot := x.c.store.db.NewSnapshot()
	defer func() { err = errors.Join(err, snapshot.Close()) }()
	total := int(x.c.current().live)
	var row []float32
	err = scan(snapshot, vectorPrefix(x.c.number, x.g.number), nil, func(key, value []byte) error {
		ordinal, ok := lastUint32(key, vectorKeyLength)
		var err error
		if row, err = appendVector(row[:0], value, x.g.config.Dimension); err != nil || !ok {
			return readError(x.c.name, fmt.Sprintf("vector %d", ordinal), errors.Join(err, errRecordUnless(ok)))
		}
		truth.Show(ordinal, row)
		if x.breathe != nil {
			x.breathe()
		}
		if x.compared++; x.compared%stretch != 0 {
			return nil
		}
		if x.c.generations.Load().of(x.g.number) != x.g { // a retuned one waits for this
			return fmt.Errorf("collection %q: %w: %d went away", x.c.name, ErrGeneration, x.g.number)
		}
		if x.progress != nil {
			x.progress(x.compared, max(total, x.compared))
		}
		if x.pause != nil {
			err = x.pause(ctx, time.Since(worked))
			worked = time.Now()
		}
		return errors.Join(err, ctx.Err())
	})
	if err != nil {
		return 0, 0, err
	}
	truth.Done()
	for i, hits := range answers {
		f, w := truth.Compare(i, hits, func(ordinal uint32) []float32 {
			row, err := x.c.appendRow(x.g, snapshot, nil, ordinal)
			if err != nil {
				return nil
			}
			return row
		})
		found, wanted = found+f, wanted+w
	}
	if x.pause != nil {
		err = x.pause(ctx, time.Since(worked))
	}
	return found, wanted, err
}

// ask is a search as a query has it, up to its documents.
func (x *comparison) ask(ctx context.Context, q compat.Searchable, k int) (hits []index.Hit, err error) {
	era := x.c.past.begin()
	defer func() { err = errors.Join(err, x.c.past.end(era)) }()
	run := searchRun{c: x.c, g: x.g, era: era, take: k, wanted: k}
	request := index.Query{Vector: q, K: k, Ef: x.ef}
	run.rescoring(&request)
	answer, snapshot, err := run.find(ctx, request)
	if err != nil {
		return nil, err
	}
	return answer.Hits, snapshot.Close()
}

// errRecordUnless is the error of a key that can't be read.
func errRecordUnless(ok bool) error {
	if ok {
		return nil
	}
	return errRecord
}

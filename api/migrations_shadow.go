package api

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/evaluate/compare"
	"github.com/vecino-db/vecino/index/filter"
	"github.com/vecino-db/vecino/store"
)

const (
	// shadowDepth is the number of hits that are compared.
	shadowDepth = gateRecallK
	// shadowTime is how long one comparison may take, its waiting for an encoder
	// included.
	shadowTime = 10 * time.Second
	// shadowPersistence is the p of rank-biased overlap over these hits.
	shadowPersistence = 0.9
)

// shadowed is a query that was answered and waits to be compared.
type shadowed struct {
	text   string
	vector compat.Searchable // as it was answered
	filter *filter.Filter
	ef     int
}

// shadow may take an answered query for the comparison. It never waits: where
// the comparison is behind, the query is dropped and counted.
func (c *Collection) shadow(q Query, a Answer) {
	t := c.trial.Load()
	if t == nil || t.shadow == 0 || q.Text == nil || a.vector == nil || !a.Bridge.IsZero() || rand.Float64() >= t.shadow {
		return
	}
	select {
	case t.m.live.waiting <- shadowed{text: *q.Text, vector: a.vector, filter: q.Filter, ef: q.Ef}:
	default:
		t.m.live.change(func(r *liveRecord) { r.Shadow.Dropped++ })
	}
}

// compareLive works off the queries that wait, one after the other, half of the
// time at most, until ctx ends.
func (m *migration) compareLive(ctx context.Context) {
	ctx = embed.WithPriority(ctx, embed.PriorityMigration)
	for {
		select {
		case <-ctx.Done():
			return
		case q := <-m.live.waiting:
			began := time.Now()
			m.compareOne(ctx, q)
			if (systemClock{}).Sleep(ctx, time.Since(began)) != nil {
				return
			}
		}
	}
}

// compareOne puts a query to both generations.
func (m *migration) compareOne(ctx context.Context, q shadowed) {
	record, p := m.get(), m.c.now()
	sides := [2]*generation{p.of(record.From), p.of(record.To)}
	var hits [2][]compare.Hit
	var took [2]time.Duration
	bounded, cancel := context.WithTimeout(ctx, shadowTime)
	defer cancel()
	first := rand.IntN(2) // the second one may find the documents in a cache
	for i := range sides {
		side := (first + i) % 2
		var err error
		if hits[side], took[side], err = m.c.shadowIn(bounded, sides[side], q); err != nil {
			if ctx.Err() == nil {
				m.live.change(func(r *liveRecord) { r.Shadow.Failed++ })
			}
			return
		}
	}
	pair := compare.Query{Old: hits[0], New: hits[1]}
	before, after := idsOfHits(hits[0]), idsOfHits(hits[1])
	l := m.live
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changed = true
	r := &l.record.Shadow
	r.Queries++
	_, overlap := compare.Overlap(before, after, shadowDepth)
	r.Overlap += overlap
	r.RBO += compare.RBO(before, after, shadowPersistence)
	if tau, ok := compare.Tau(before, after); ok {
		r.Tau += tau
		r.TauQueries++
	}
	if len(before) > 0 && len(after) > 0 && before[0] == after[0] {
		r.SameFirst++
	}
	r.Old.add(took[0])
	r.New.add(took[1])
	if q.filter == nil { // a threshold is set for what is near, not for what a filter leaves
		l.rememberLocked(q.text, scoresOnly(pair))
	}
}

// shadowIn answers a query in a generation, and says how long the search took.
func (c *Collection) shadowIn(ctx context.Context, g *generation, q shadowed) (hits []compare.Hit, took time.Duration, err error) {
	if g == nil {
		return nil, 0, store.ErrGeneration // it has ended
	}
	vector := q.vector
	if !vector.Fingerprint().Matches(g.fingerprint()) {
		encoded, err := c.encode(ctx, g, embed.RoleQuery, []string{q.text})
		if err != nil {
			return nil, 0, err
		}
		vector = encoded.Vectors
	}
	began := time.Now()
	found, err := c.stored.Search(ctx, vector, store.SearchQuery{Limit: shadowDepth, Ef: q.ef, Filter: q.filter, Generation: g.number})
	took = time.Since(began)
	for _, h := range found.Hits {
		hits = append(hits, compare.Hit{ID: h.ID.String(), Score: float64(h.Score)})
	}
	return hits, took, err
}

// idsOfHits are the ids of a ranking of a search, which has each once.
func idsOfHits(hits []compare.Hit) []string {
	ids := make([]string, len(hits))
	for i, h := range hits {
		ids[i] = h.ID
	}
	return ids
}

// scoresOnly leaves nothing but scores of a pair.
func scoresOnly(pair compare.Query) compare.Query {
	for _, hits := range [][]compare.Hit{pair.Old, pair.New} {
		for i := range hits {
			hits[i].ID = ""
		}
	}
	return pair
}

package api

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"time"
)

// takes reports whether a query of a text belongs to the share of the canary.
// It depends on nothing but the text, the migration and the share: the same
// text is always answered by the same generation, and a greater share takes
// what a smaller one did.
func (t *trial) takes(text string) bool {
	if t.canary == 0 {
		return false
	}
	h := sha256.New()
	h.Write(binary.LittleEndian.AppendUint64([]byte(t.m.c.Name()+"\x00"), t.m.id))
	h.Write([]byte(text))
	const bits = 53
	u := float64(binary.LittleEndian.Uint64(h.Sum(nil))>>(64-bits)) / (1 << bits)
	return u < t.canary
}

// canaried gives the target of a migration where it is to answer a query before
// the cut-over, with the query as it is to be asked there; nil: the serving
// generation answers. The share is of queries by text that name no space and no
// model and ask for no vectors: whoever does wants those that serve.
func (c *Collection) canaried(ctx context.Context, p *places, q Query) (*generation, *trial, Query) {
	t := c.trial.Load()
	if t == nil || t.canary == 0 || q.Serving || q.Text == nil || q.Model != "" || q.WithVector {
		return nil, nil, q
	}
	key := *q.Text
	if q.Sticky != "" {
		key = q.Sticky
	}
	g := p.standby
	if g == nil || g.number != t.to || !t.takes(key) {
		return nil, nil, q
	}
	if !c.stored.Complete(g.number) || !c.translates(ctx, p, g, &q) {
		t.m.live.change(func(r *liveRecord) { r.Canary.Held++ })
		return nil, nil, q
	}
	return g, t, q
}

// translates reports whether the threshold of a query can be had on the scale
// of the target. Without a score_space it is on that of the generation that
// serves, for which its client has chosen it.
func (c *Collection) translates(ctx context.Context, p *places, target *generation, q *Query) bool {
	if q.ScoreThreshold == nil || sameScale(p.serving, target) {
		return true
	}
	if p.serving.fingerprint() == target.fingerprint() {
		return false // another metric of the same vectors: a score_space can't tell them apart
	}
	if q.ScoreSpace.IsZero() {
		q.ScoreSpace = p.serving.fingerprint()
	}
	_, _, err := c.threshold(ctx, *q, target.fingerprint())
	return err == nil
}

// canary answers a query in the target of a migration if it is to; ok is false
// where the serving generation has to answer. An error of the target is counted,
// and never the caller's.
func (c *Collection) canary(ctx context.Context, q Query) (a Answer, ok bool) {
	p := c.now()
	g, t, asked := c.canaried(ctx, p, q)
	if g == nil {
		return Answer{}, false
	}
	began := time.Now()
	a, err := c.queryIn(ctx, p, g, asked)
	if !t.answered(ctx, began, err) {
		return Answer{}, false
	}
	a.Canary = true
	return a, true
}

// canaryGroups is canary, by groups.
func (c *Collection) canaryGroups(ctx context.Context, q GroupQuery) (groups Groups, ok bool) {
	g, t, asked := c.canaried(ctx, c.now(), q.Query)
	if g == nil {
		return Groups{}, false
	}
	q.Query = asked
	began := time.Now()
	groups, err := c.queryGroups(ctx, g, g.number, q)
	if !t.answered(ctx, began, err) {
		return Groups{}, false
	}
	groups.Canary = true
	return groups, true
}

// answered counts a query that the target was asked.
func (t *trial) answered(ctx context.Context, began time.Time, err error) bool {
	took := time.Since(began)
	if err == nil {
		t.m.live.change(func(r *liveRecord) { r.Canary.Queries++; r.Canary.New.add(took) })
		return true
	}
	if ctx.Err() == nil && !errors.Is(err, context.Canceled) {
		t.m.live.change(func(r *liveRecord) { r.Canary.Failed++ })
		t.m.owner.service.logger.Warn("the target of a migration did not answer a query; the serving generation does", "collection", t.m.c.Name(), "migration", t.m.id, "error", err)
	}
	return false
}

// beside counts the time of a query by text that the serving generation has
// answered while a canary is out.
func (c *Collection) beside(q Query, began time.Time) {
	if t := c.trial.Load(); t != nil && t.canary > 0 && q.Text != nil {
		took := time.Since(began)
		t.m.live.change(func(r *liveRecord) { r.Canary.Old.add(took) })
	}
}

package httpapi

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/vecino-db/vecino/api"
	"github.com/vecino-db/vecino/api/strictjson"
	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/store"
)

// queryPoints answers one query.
func (s *Server) queryPoints(ctx context.Context, c *call) (answer, error) {
	hits, use, err := one(ctx, c, queryOf)
	return answer{result: map[string]any{"points": hits}, usage: use}, err
}

// searchPoints answers one query of the older form.
func (s *Server) searchPoints(ctx context.Context, c *call) (answer, error) {
	hits, use, err := one(ctx, c, searchOf)
	return answer{result: hits, usage: use}, err
}

// queryBatchPoints answers several queries.
func (s *Server) queryBatchPoints(ctx context.Context, c *call) (answer, error) {
	lists, use, err := several(ctx, c, queryOf)
	if err != nil {
		return answer{}, err
	}
	results := make([]map[string]any, 0, len(lists))
	for _, hits := range lists {
		results = append(results, map[string]any{"points": hits})
	}
	return answer{result: results, usage: use}, nil
}

// searchBatchPoints answers several queries of the older form.
func (s *Server) searchBatchPoints(ctx context.Context, c *call) (answer, error) {
	lists, use, err := several(ctx, c, searchOf)
	return answer{result: lists, usage: use}, err
}

// one reads and runs a body of one query.
func one(ctx context.Context, c *call, form func(*strictjson.Reader) (query, error)) ([]record, usage, error) {
	q, err := decodeQuery(c.body, form)
	if err != nil {
		return nil, usage{}, err
	}
	return run(ctx, c, q)
}

// maxBatchHits bounds the hits that the queries of one batch may ask for
// together.
const maxBatchHits = 4 * maxLimit

// several reads and runs a body of several queries; one that fails fails all.
func several(ctx context.Context, c *call, form func(*strictjson.Reader) (query, error)) ([][]record, usage, error) {
	queries, err := decodeQueries(c.body, form)
	if err != nil {
		return nil, usage{}, err
	}
	wanted := 0
	for _, q := range queries {
		wanted += q.Limit
	}
	if wanted > maxBatchHits {
		return nil, usage{}, malformed("bad_request", "/searches", "the limits of the queries add up to %d; a batch may ask for %d hits", wanted, maxBatchHits)
	}
	stick(queries)
	for try := 1; ; try++ {
		lists, use, mixed, err := runAll(ctx, c, queries)
		if !mixed || err != nil || try == maxMixed {
			return lists, use, err
		}
		for i := range queries { // a canary that can't answer them all answers none
			queries[i].Serving = true
		}
	}
}

// stick lets a canary take all queries of a batch or none: all, where they are
// texts, by all their words.
func stick(queries []query) {
	var all strings.Builder
	texts := true
	for _, q := range queries {
		if texts = texts && q.Text != nil && q.Model == "" && !q.WithVector; texts {
			fmt.Fprintf(&all, "%d %s", len(*q.Text), *q.Text)
		}
	}
	for i := range queries {
		queries[i].Sticky, queries[i].Serving = all.String(), !texts
	}
}

// maxMixed bounds how often a batch is asked again because a cut-over came in
// the middle of it, or a canary failed: its answers are of one space.
const maxMixed = 4

// runAll runs queries one after the other; mixed says that not one generation
// has answered them all.
func runAll(ctx context.Context, c *call, queries []query) (lists [][]record, total usage, mixed bool, err error) {
	lists = make([][]record, 0, len(queries))
	first := ""
	for _, q := range queries {
		hits, use, err := run(ctx, c, q)
		if err != nil {
			return nil, usage{}, false, err
		}
		if first == "" {
			first = c.etag
		}
		mixed = mixed || c.etag != first
		lists = append(lists, hits)
		total.Tokens += use.Tokens
		total.Plan = use.Plan
		total.Bridge = total.Bridge || use.Bridge
		total.Canary = total.Canary || use.Canary
		total.Thresholds = append(total.Thresholds, use.Thresholds...)
	}
	return lists, total, mixed, nil
}

// run runs one query.
func run(ctx context.Context, c *call, q query) ([]record, usage, error) {
	if q.list {
		return listed(ctx, c, q)
	}
	if q.Vector != nil {
		var err error
		if q.Space, err = vouched(c, q.Pointer); err != nil {
			return nil, usage{}, err
		}
	}
	q.Serving = q.Serving || pinned(c)
	found, err := c.collection.Query(ctx, q.Query)
	if err != nil {
		return nil, usage{}, hint(err, q.Query)
	}
	c.fingerprint, c.etag = found.Fingerprint.String(), found.ETag
	hits := make([]record, 0, len(found.Hits))
	for _, h := range found.Hits {
		r := q.selector.record(h.Stored)
		r.Score = &h.Score
		hits = append(hits, r)
	}
	use := usageOf(found.Tokens, found.Plan, found.Bridge, found.Threshold)
	use.Canary = found.Canary
	return hits, use, nil
}

// pinned reports whether the request names the space or the manifest that it
// wants, which is the serving one: the preconditions have seen to that.
func pinned(c *call) bool {
	tag := c.request.Header.Get("If-Match")
	return c.request.Header.Get(headerFingerprint) != "" || tag != "" && tag != "*"
}

// usageOf says how one query was answered.
func usageOf(tokens int, plan index.Plan, bridge compat.Fingerprint, threshold *api.Translated) usage {
	u := usage{Tokens: tokens, Plan: plan, Bridge: !bridge.IsZero()}
	if threshold != nil {
		u.Thresholds = []api.Translated{*threshold}
	}
	return u
}

// hint tells a client that asked for a point which isn't there that a bare
// string is an id: it may have meant a text.
func hint(err error, q api.Query) error {
	if q.ID == nil || !errors.Is(err, store.ErrPointNotFound) {
		return err
	}
	return &api.Error{
		Kind: api.KindNotFound, Code: "point_not_found", Detail: fmt.Sprintf("there is no point %.80q to search with", q.ID.String()),
		Remedy: `to search by text send {"query": {"text": "..."}}`, Fields: []api.Field{{Pointer: q.Pointer, Reason: "no such point"}}, Err: err,
	}
}

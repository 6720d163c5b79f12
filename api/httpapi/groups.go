package httpapi

import (
	"context"
	"encoding/json"

	"github.com/vecino-db/vecino/api"
	"github.com/vecino-db/vecino/api/strictjson"
)

// Limits of a query by groups.
const (
	maxGroups        = 1000
	defaultGroupSize = 3
)

// groupsQuery is one query with what is wanted of its hits.
type groupsQuery struct {
	api.GroupQuery
	selector selector
}

// pointGroup is a group as answers hold it.
type pointGroup struct {
	ID   json.RawMessage `json:"id"`
	Hits []record        `json:"hits"`
}

// queryGroups answers one query by groups.
func (s *Server) queryGroups(ctx context.Context, c *call) (answer, error) {
	q, err := decodeGroups(c.body)
	if err != nil {
		return answer{}, err
	}
	if q.Vector != nil {
		if q.Space, err = vouched(c, q.Pointer); err != nil {
			return answer{}, err
		}
	}
	q.Serving = pinned(c)
	found, err := c.collection.QueryGroups(ctx, q.GroupQuery)
	if err != nil {
		return answer{}, hint(err, q.Query)
	}
	c.fingerprint, c.etag = found.Fingerprint.String(), found.ETag
	groups := make([]pointGroup, 0, len(found.Groups))
	for _, g := range found.Groups {
		one := pointGroup{ID: g.ID}
		for _, h := range g.Hits {
			r := q.selector.record(h.Stored)
			r.Score = &h.Score
			one.Hits = append(one.Hits, r)
		}
		groups = append(groups, one)
	}
	use := usageOf(found.Tokens, found.Plan, found.Bridge, found.Threshold)
	use.Canary = found.Canary
	return answer{result: map[string]any{"groups": groups}, usage: use}, nil
}

// decodeGroups reads a query by groups.
func decodeGroups(data []byte) (g groupsQuery, err error) {
	var q query
	g.Size = defaultGroupSize
	asked, by := false, false
	err = strictjson.Decode(data, func(r *strictjson.Reader) error {
		decoders := q.common(r)
		delete(decoders, "offset")
		decoders["query"] = func() error { asked = true; return q.what(r, true) }
		decoders["limit"] = optional(r, integer(r, &q.Limit, 1, maxGroups))
		decoders["group_size"] = optional(r, integer(r, &g.Size, 1, maxGroups))
		decoders["group_by"] = func() (err error) {
			by = true
			g.By, err = pathOf(r)
			return err
		}
		decoders["with_lookup"] = absent(r, "groups are of this collection alone; leave it out")
		decoders["using"] = absent(r, "vectors have no names here; leave it out")
		decoders["prefetch"] = absent(r, "there are no queries of several stages here; leave it out")
		decoders["lookup_from"] = absent(r, "queries look into their own collection; leave it out")
		err := fields(r, decoders)
		switch {
		case err != nil:
			return err
		case !asked:
			return r.Fail("want a query")
		case !by:
			return r.Fail("want group_by, the path of a payload field")
		case q.Limit*g.Size > maxLimit:
			return r.Fail("%d groups of %d points are more than one query may ask for; want %d points or fewer", q.Limit, g.Size, maxLimit)
		}
		return nil
	})
	g.Query, g.selector = q.Query, q.selector
	return g, err
}

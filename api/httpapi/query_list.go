package httpapi

import (
	"context"

	"github.com/vecino-db/vecino/store"
)

// listPage is how many points are read together on the way to an offset.
const listPage = 1000

// listed answers a query that asks for nothing: points in the order of their
// ids, each with the score 0, as Qdrant's clients know it.
func listed(ctx context.Context, c *call, q query) ([]record, usage, error) {
	list := make([]record, 0, min(q.Limit, listPage))
	page := store.ScrollQuery{Filter: q.Filter}
	for skip := q.Offset; len(list) < q.Limit; {
		page.Limit, page.WithVector = min(q.Limit-len(list), listPage), q.WithVector
		if skip > 0 {
			page.Limit, page.WithVector = min(skip, listPage), false
		}
		points, next, err := c.collection.Scroll(ctx, page)
		if err != nil {
			return nil, usage{}, err
		}
		if skip > 0 {
			skip -= len(points)
			points = nil
		}
		for _, p := range points {
			r := q.selector.record(p)
			r.Score = new(float32)
			list = append(list, r)
		}
		if next == nil {
			break
		}
		page.From, page.HasFrom = *next, true
	}
	return list, usage{}, nil
}

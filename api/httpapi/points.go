package httpapi

import (
	"context"
	"fmt"

	"github.com/vecino-db/vecino/api/strictjson"
	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index/filter"
	"github.com/vecino-db/vecino/store"
)

// updated is Qdrant's answer to a write.
type updated struct {
	Operation uint64     `json:"operation_id"`
	Status    string     `json:"status"`
	Deleted   *int       `json:"deleted,omitempty"`
	DryRun    bool       `json:"dry_run,omitempty"`
	Truncated []store.ID `json:"truncated,omitempty"`
}

// upsertPoints stores points, all or none.
func (s *Server) upsertPoints(ctx context.Context, c *call) (answer, error) {
	u, err := decodeUpsert(c.body)
	if err != nil {
		return answer{}, err
	}
	var space compat.Fingerprint // of the vectors that are brought
	for i, p := range u.points {
		if p.Vector == nil {
			continue
		}
		if space.IsZero() {
			if space, err = vouched(c, p.Pointer+"/vector"); err != nil {
				return answer{}, err
			}
		}
		u.points[i].Space = space
	}
	for _, m := range u.models {
		if err := c.collection.CheckModel(m.model, m.pointer); err != nil {
			return answer{}, err
		}
	}
	written, err := c.collection.Upsert(ctx, u.points)
	if err != nil {
		return answer{}, err
	}
	s.metrics.points.WithLabelValues("written").Add(float64(len(u.points)))
	status, err := linked(ctx, c)
	return answer{result: updated{Operation: written.Sequence, Status: status, Truncated: written.Truncated}, usage: usage{Tokens: written.Tokens}}, err
}

// linked waits until what was written is in the graph, unless the request says
// wait=false, and gives Qdrant's word for how far it got. The end of the
// request's time undoes nothing.
func linked(ctx context.Context, c *call) (status string, err error) {
	if c.request.URL.Query().Get("wait") == "false" {
		return "acknowledged", nil
	}
	err = c.collection.Settle(ctx)
	if err != nil && ctx.Err() != nil {
		return "acknowledged", nil
	}
	return "completed", err
}

// getPoints gives points by ids.
func (s *Server) getPoints(ctx context.Context, c *call) (answer, error) {
	p, err := decodeGet(c.body)
	if err != nil {
		return answer{}, err
	}
	found, err := c.collection.Points(ctx, p.ids, p.withVector)
	if err != nil {
		return answer{}, err
	}
	return answer{result: records(p.selector, found)}, nil
}

// records is a list of points for an answer, [] when there are none.
func records(s selector, points []store.Stored) []record {
	list := make([]record, 0, len(points))
	for _, p := range points {
		list = append(list, s.record(p))
	}
	return list
}

// getPoint gives one point with its vector.
func (s *Server) getPoint(ctx context.Context, c *call) (answer, error) {
	id, err := store.ParseID(c.path["id"])
	if err != nil {
		return answer{}, err
	}
	found, err := c.collection.Points(ctx, []store.ID{id}, true)
	if err != nil {
		return answer{}, err
	}
	if len(found) == 0 {
		return answer{}, fmt.Errorf("%w: %q in collection %q", store.ErrPointNotFound, id.String(), c.collection.Name())
	}
	return answer{result: selector{}.record(found[0])}, nil
}

// deletePoints deletes by ids or by filter.
func (s *Server) deletePoints(ctx context.Context, c *call) (answer, error) {
	selection, dryRun, err := decodeDelete(c.body)
	if err != nil {
		return answer{}, err
	}
	deleted, err := c.collection.Delete(ctx, selection, dryRun)
	if err != nil {
		return answer{}, err
	}
	if !dryRun {
		s.metrics.points.WithLabelValues("deleted").Add(float64(deleted.Count))
	}
	return answer{result: updated{Operation: deleted.Sequence, Status: "completed", Deleted: &deleted.Count, DryRun: dryRun}}, nil
}

// countPoints counts.
func (s *Server) countPoints(ctx context.Context, c *call) (answer, error) {
	var f *filter.Filter
	var exact bool
	err := strictjson.Decode(c.body, func(r *strictjson.Reader) error {
		return fields(r, map[string]func() error{
			"filter": filterOf(r, &f), "exact": into(&exact, r.Bool), "shard_key": absent(r, "there are no shards here; leave it out"),
		})
	})
	if err != nil {
		return answer{}, err
	}
	n, err := c.collection.Count(ctx, f)
	return answer{result: map[string]int{"count": n}}, err
}

// scrollPoints gives a page in the order of ids.
func (s *Server) scrollPoints(ctx context.Context, c *call) (answer, error) {
	q, selector, err := decodeScroll(c.body)
	if err != nil {
		return answer{}, err
	}
	points, next, err := c.collection.Scroll(ctx, q)
	if err != nil {
		return answer{}, err
	}
	return answer{result: map[string]any{"points": records(selector, points), "next_page_offset": next}}, nil
}

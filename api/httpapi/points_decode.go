package httpapi

import (
	"encoding/json"
	"fmt"

	"github.com/vecino-db/vecino/api"
	"github.com/vecino-db/vecino/api/strictjson"
	"github.com/vecino-db/vecino/store"
)

// modelAt is a model that a point names for its text, and where.
type modelAt struct{ model, pointer string }

// upsert is what a PUT of points brings.
type upsert struct {
	points []api.Point
	models []modelAt
}

// decodeUpsert reads {"points": [...]} or {"batch": {...}}.
func decodeUpsert(data []byte) (upsert, error) {
	var u upsert
	forms := 0
	err := strictjson.Decode(data, func(r *strictjson.Reader) error {
		err := fields(r, map[string]func() error{
			"points":    func() error { forms++; return u.list(r) },
			"batch":     func() error { forms++; return u.batch(r) },
			"shard_key": absent(r, "there are no shards here; leave it out"),
		})
		if err == nil && forms != 1 {
			err = r.Fail("want either points or batch")
		}
		return err
	})
	return u, err
}

// list reads an array of points.
func (u *upsert) list(r *strictjson.Reader) error {
	return r.Array(func(i int) error {
		if i >= maxPoints {
			return r.Fail("more than %d points in one request", maxPoints)
		}
		return u.point(r)
	})
}

// point reads one.
func (u *upsert) point(r *strictjson.Reader) error {
	p := api.Point{Pointer: r.Pointer()}
	found := false
	err := fields(r, map[string]func() error{
		"id":      func() error { found = true; return into(&p.ID, func() (store.ID, error) { return id(r) })() },
		"text":    func() error { return u.text(r, &p) },
		"vector":  func() error { return u.vector(r, &p) },
		"payload": into(&p.Payload, func() (json.RawMessage, error) { return payload(r) }),
	})
	switch {
	case err != nil:
		return err
	case !found:
		return r.Fail("the point has no id")
	case p.Vector == nil && !p.HasText:
		return r.Fail("the point has neither a text nor a vector")
	}
	u.points = append(u.points, p)
	return nil
}

// text reads a point's text.
func (u *upsert) text(r *strictjson.Reader, p *api.Point) error {
	if p.HasText {
		return r.Fail("the point has two texts")
	}
	p.HasText = true
	return into(&p.Text, r.Str)()
}

// vector reads a point's vector: numbers, or a text to be embedded.
func (u *upsert) vector(r *strictjson.Reader, p *api.Point) error {
	switch r.Kind() {
	case strictjson.Array:
		return into(&p.Vector, func() ([]float32, error) { return vector(r) })()
	case strictjson.Object:
		if p.HasText {
			return r.Fail("the point has two texts")
		}
		pointer := r.Pointer()
		t, err := textOf(r)
		if err != nil {
			return err
		}
		p.Text, p.HasText = t.text, true
		if t.model != "" {
			u.models = append(u.models, modelAt{t.model, pointer + "/model"})
		}
		return nil
	}
	return r.Fail(`a vector is an array of numbers or {"text": "..."}, got %s`, r.Kind())
}

// batch reads points whose parts come in columns.
func (u *upsert) batch(r *strictjson.Reader) error {
	var list []store.ID
	var payloads []json.RawMessage
	hasPayloads := false
	err := fields(r, map[string]func() error{
		"ids": into(&list, func() ([]store.ID, error) { return ids(r) }),
		"vectors": func() error {
			return r.Array(func(i int) error {
				if i >= maxPoints {
					return r.Fail("more than %d points in one request", maxPoints)
				}
				u.points = append(u.points, api.Point{Pointer: fmt.Sprintf("/batch/vectors/%d", i)})
				return u.vector(r, &u.points[i])
			})
		},
		"payloads": optional(r, func() error {
			hasPayloads = true
			return r.Array(func(int) error {
				one, err := payload(r)
				payloads = append(payloads, one)
				return err
			})
		}),
	})
	switch {
	case err != nil:
		return err
	case len(list) != len(u.points):
		return r.Fail("%d ids and %d vectors", len(list), len(u.points))
	case hasPayloads && len(payloads) != len(list):
		return r.Fail("%d ids and %d payloads", len(list), len(payloads))
	}
	for i := range u.points {
		u.points[i].ID = list[i]
		if hasPayloads {
			u.points[i].Payload = payloads[i]
		}
	}
	return nil
}

// page is what calls that give points have in common.
type page struct {
	ids        []store.ID
	selector   selector
	withVector bool
}

// decodeGet reads a request for points by ids.
func decodeGet(data []byte) (page, error) {
	var p page
	err := strictjson.Decode(data, func(r *strictjson.Reader) error {
		err := fields(r, map[string]func() error{
			"ids":          into(&p.ids, func() ([]store.ID, error) { return ids(r) }),
			"with_payload": withPayload(r, &p.selector),
			"with_vector":  withVector(r, &p.withVector),
			"shard_key":    absent(r, "there are no shards here; leave it out"),
		})
		if err == nil && p.ids == nil {
			err = r.Fail("want ids")
		}
		return err
	})
	return p, err
}

// decodeScroll reads a request for a page.
func decodeScroll(data []byte) (store.ScrollQuery, selector, error) {
	q := store.ScrollQuery{Limit: defaultLimit}
	var s selector
	err := strictjson.Decode(data, func(r *strictjson.Reader) error {
		return fields(r, map[string]func() error{
			"offset": optional(r, func() error {
				q.HasFrom = true
				return into(&q.From, func() (store.ID, error) { return id(r) })()
			}),
			"limit":        limitOf(r, &q.Limit),
			"filter":       filterOf(r, &q.Filter),
			"with_payload": withPayload(r, &s),
			"with_vector":  withVector(r, &q.WithVector),
			"order_by":     absent(r, "points come in the order of their ids; leave it out"),
			"shard_key":    absent(r, "there are no shards here; leave it out"),
		})
	})
	return q, s, err
}

// decodeDelete reads which points are to go, and whether only to count them.
func decodeDelete(data []byte) (sel api.Selection, dryRun bool, err error) {
	err = strictjson.Decode(data, func(r *strictjson.Reader) error {
		err := fields(r, map[string]func() error{
			"points":    into(&sel.IDs, func() ([]store.ID, error) { return ids(r) }),
			"filter":    filterOf(r, &sel.Filter),
			"dry_run":   into(&dryRun, r.Bool),
			"shard_key": absent(r, "there are no shards here; leave it out"),
		})
		if err == nil && (sel.IDs == nil) == (sel.Filter == nil) {
			err = r.Fail("want either points or filter")
		}
		return err
	})
	return sel, dryRun, err
}

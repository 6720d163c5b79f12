package httpapi

import (
	"context"
	"encoding/json"

	"github.com/vecino-db/vecino/api"
	"github.com/vecino-db/vecino/api/strictjson"
	"github.com/vecino-db/vecino/index/filter"
	"github.com/vecino-db/vecino/store"
)

// setPayload puts values under keys.
func (s *Server) setPayload(ctx context.Context, c *call) (answer, error) {
	return s.editPayload(ctx, c, api.PayloadSet)
}

// overwritePayload replaces payloads.
func (s *Server) overwritePayload(ctx context.Context, c *call) (answer, error) {
	return s.editPayload(ctx, c, api.PayloadOverwrite)
}

// deletePayload removes keys.
func (s *Server) deletePayload(ctx context.Context, c *call) (answer, error) {
	return s.editPayload(ctx, c, api.PayloadDelete)
}

// clearPayload removes everything.
func (s *Server) clearPayload(ctx context.Context, c *call) (answer, error) {
	return s.editPayload(ctx, c, api.PayloadClear)
}

func (s *Server) editPayload(ctx context.Context, c *call, op api.PayloadOp) (answer, error) {
	selection, edit, err := decodePayloadEdit(c.body, op)
	if err != nil {
		return answer{}, err
	}
	edited, err := c.collection.EditPayloads(ctx, selection, edit)
	if err != nil {
		return answer{}, err
	}
	return answer{result: updated{Operation: edited.Sequence, Status: "completed"}, usage: usage{Tokens: edited.Tokens}}, nil
}

// decodePayloadEdit reads what is to be done to which points' payloads.
func decodePayloadEdit(data []byte, op api.PayloadOp) (sel api.Selection, e api.PayloadEdit, err error) {
	e.Op = op
	given := op == api.PayloadClear
	err = strictjson.Decode(data, func(r *strictjson.Reader) error {
		decoders := map[string]func() error{
			"points":    optional(r, into(&sel.IDs, func() ([]store.ID, error) { return ids(r) })),
			"filter":    filterOf(r, &sel.Filter),
			"shard_key": absent(r, "there are no shards here; leave it out"),
		}
		switch op {
		case api.PayloadDelete:
			decoders["keys"] = func() error {
				given = true
				return r.Array(func(i int) error {
					if i >= maxPaths {
						return r.Fail("more than %d keys", maxPaths)
					}
					p, err := pathOf(r)
					e.Keys = append(e.Keys, p)
					return err
				})
			}
		case api.PayloadSet:
			decoders["key"] = optional(r, func() error {
				p, err := pathOf(r)
				e.Key = &p
				return err
			})
			fallthrough
		case api.PayloadOverwrite:
			decoders["payload"] = func() error {
				given = true
				return into(&e.Payload, func() (json.RawMessage, error) { return payload(r) })()
			}
		}
		if op == api.PayloadOverwrite {
			decoders["key"] = absent(r, "a payload is overwritten whole; leave the key out, or POST to set values under it")
		}
		err := fields(r, decoders)
		switch {
		case err != nil:
			return err
		case (sel.IDs == nil) == (sel.Filter == nil):
			return r.Fail("want either points or filter")
		case !given && op == api.PayloadDelete:
			return r.Fail("want keys")
		case !given:
			return r.Fail("want payload")
		}
		return nil
	})
	return sel, e, err
}

// pathOf reads a path of payload values.
func pathOf(r *strictjson.Reader) (filter.Path, error) {
	at := *r
	text, err := r.Str()
	if err != nil {
		return filter.Path{}, err
	}
	p, err := filter.ParsePath(text)
	if err != nil {
		return p, at.Fail("%v", err)
	}
	return p, nil
}

package httpapi

import (
	"context"
	"encoding/json"

	"github.com/vecino-db/vecino/api/strictjson"
	"github.com/vecino-db/vecino/store"
)

// payloadIndex is what a PUT of an index asks for.
type payloadIndex struct {
	field  string
	kind   store.PayloadType
	params json.RawMessage // the schema, where it came as an object
}

// createPayloadIndex makes an index of payload values.
func (s *Server) createPayloadIndex(ctx context.Context, c *call) (answer, error) {
	x, err := decodePayloadIndex(c.body)
	if err != nil {
		return answer{}, err
	}
	wait := c.request.URL.Query().Get("wait") != "false"
	if err := c.collection.CreatePayloadIndex(ctx, x.field, x.kind, x.params, wait); err != nil {
		return answer{}, err
	}
	return s.changedIndex(ctx, c, wait)
}

// deletePayloadIndex removes one; one that is not there is no failure.
func (s *Server) deletePayloadIndex(ctx context.Context, c *call) (answer, error) {
	if _, err := c.collection.DropPayloadIndex(ctx, c.path["field"]); err != nil {
		return answer{}, err
	}
	return s.changedIndex(ctx, c, true)
}

func (s *Server) changedIndex(_ context.Context, c *call, whole bool) (answer, error) {
	status := "completed"
	if !whole {
		status = "acknowledged"
	}
	return answer{result: updated{Operation: c.collection.Sequence(), Status: status}}, nil
}

// payloadSchema is the indexes as a collection's description has them.
func payloadSchema(list []store.PayloadIndex) map[string]any {
	schema := make(map[string]any, len(list))
	for _, x := range list {
		one := map[string]any{"data_type": x.Type, "points": x.Points, "ready": x.Ready, "done": x.Done, "total": x.Total, "memory_bytes": x.Bytes}
		if x.Params != nil {
			one["params"] = x.Params
		}
		schema[x.Field] = one
	}
	return schema
}

// decodePayloadIndex reads a field's name and schema: a type's name, or an
// object with it.
func decodePayloadIndex(data []byte) (x payloadIndex, err error) {
	err = strictjson.Decode(data, func(r *strictjson.Reader) error {
		err := fields(r, map[string]func() error{
			"field_name": into(&x.field, r.Str),
			"field_schema": optional(r, func() (err error) {
				if r.Kind() == strictjson.String {
					return oneOf(r, &x.kind, store.PayloadTypes()...)()
				}
				inner := *r
				if x.params, err = r.Raw(); err != nil {
					return err
				}
				return indexSchema(&inner, &x.kind)
			}),
			"shard_key": absent(r, "there are no shards here; leave it out"),
		})
		switch {
		case err != nil:
			return err
		case x.field == "":
			return r.Fail("want field_name, the path of a payload field")
		case x.kind == "":
			return r.Fail("want field_schema: one of %q", store.PayloadTypes())
		}
		return nil
	})
	return x, err
}

// indexSchema reads the object form. What concerns only storage is taken and
// changes nothing; what would change which documents match is refused.
func indexSchema(r *strictjson.Reader, kind *store.PayloadType) error {
	fixed := absent(r, "words are those of Unicode's word segmentation, compared whole; leave it out")
	return fields(r, map[string]func() error{
		"type":         oneOf(r, kind, store.PayloadTypes()...),
		"on_disk":      r.Skip,
		"is_tenant":    r.Skip,
		"is_principal": r.Skip,
		"lookup":       r.Skip,
		"range":        r.Skip,
		"enable_hnsw":  r.Skip,
		"tokenizer": optional(r, func() error {
			var word string
			return oneOf(r, &word, "word", "multilingual")()
		}),
		"lowercase": optional(r, func() error {
			at := *r
			lower, err := r.Bool()
			if err == nil && !lower {
				return at.Fail("words are compared in lower case; leave it out")
			}
			return err
		}),
		"min_token_len": fixed, "max_token_len": fixed, "phrase_matching": fixed, "stopwords": fixed, "stemmer": fixed, "ascii_folding": fixed,
	})
}

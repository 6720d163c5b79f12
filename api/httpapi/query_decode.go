package httpapi

import (
	"math"

	"github.com/vecino-db/vecino/api"
	"github.com/vecino-db/vecino/api/strictjson"
	"github.com/vecino-db/vecino/compat"
)

// query is one query with what is wanted of its hits.
type query struct {
	api.Query
	selector selector
	list     bool // there is nothing to search with: points in the order of their ids
}

// common are the members that both forms of a query have.
func (q *query) common(r *strictjson.Reader) map[string]func() error {
	q.Limit = defaultLimit
	return map[string]func() error{
		"limit":           limitOf(r, &q.Limit),
		"offset":          optional(r, integer(r, &q.Offset, 0, maxOffset)),
		"filter":          filterOf(r, &q.Filter),
		"params":          optional(r, func() error { return q.params(r) }),
		"score_threshold": optional(r, func() error { q.ScoreThreshold = new(float32); return into(q.ScoreThreshold, r.Float32)() }),
		"with_payload":    withPayload(r, &q.selector),
		"with_vector":     withVector(r, &q.WithVector),
		"shard_key":       absent(r, "there are no shards here; leave it out"),
	}
}

// fingerprint reads one.
func fingerprint(r *strictjson.Reader, f *compat.Fingerprint) error {
	text, err := r.Str()
	if err != nil {
		return err
	}
	if err := f.UnmarshalText([]byte(text)); err != nil {
		return r.Fail("want the fingerprint of an embedding space: %v", err)
	}
	return nil
}

// params reads "params".
func (q *query) params(r *strictjson.Reader) error {
	return fields(r, map[string]func() error{
		"hnsw_ef":      optional(r, integer(r, &q.Ef, 1, compat.MaxEf)),
		"exact":        optional(r, into(&q.Exact, r.Bool)),
		"score_space":  optional(r, func() error { return fingerprint(r, &q.ScoreSpace) }),
		"quantization": optional(r, func() error { return q.quantization(r) }),
		"indexed_only": r.Skip,
	})
}

// quantization reads what the stored vectors decide where the index has codes.
func (q *query) quantization(r *strictjson.Reader) error {
	s := &q.Rescoring
	return fields(r, map[string]func() error{
		"ignore":       optional(r, into(&s.IgnoreCodes, r.Bool)),
		"rescore":      optional(r, func() error { s.On = new(bool); return into(s.On, r.Bool)() }),
		"oversampling": optional(r, oversampling(r, &s.Oversampling)),
	})
}

// oversampling makes the decoder of a multiple of the points that are wanted.
func oversampling(r *strictjson.Reader, to *float64) func() error {
	return func() error {
		at := *r
		times, err := r.Float32()
		if err == nil && !(times >= 1 && times <= compat.MaxOversampling) {
			return at.Fail("want a number in 1..%d", compat.MaxOversampling)
		}
		*to = math.Round(float64(times)*1e6) / 1e6
		return err
	}
}

// queryOf reads a query of the present form.
func queryOf(r *strictjson.Reader) (query, error) {
	var q query
	q.list = true
	decoders := q.common(r)
	decoders["query"] = optional(r, func() error { q.list = false; return q.what(r, true) })
	decoders["using"] = absent(r, "vectors have no names here; leave it out")
	decoders["prefetch"] = absent(r, "there are no queries of several stages here; leave it out")
	decoders["lookup_from"] = absent(r, "queries look into their own collection; leave it out")
	err := fields(r, decoders)
	if err == nil && q.list && q.ScoreThreshold != nil {
		err = r.Fail("a score_threshold needs a query: a vector, an id, or {\"text\": \"...\"}")
	}
	return q, err
}

// what reads what is searched with: numbers, a text, an id, or any of them
// within {"nearest": ...}.
func (q *query) what(r *strictjson.Reader, outermost bool) error {
	q.Pointer = r.Pointer()
	switch r.Kind() {
	case strictjson.Array:
		return into(&q.Vector, func() ([]float32, error) { return vector(r) })()
	case strictjson.Number, strictjson.String:
		one, err := id(r)
		q.ID = &one
		return err
	case strictjson.Object:
		return q.named(r, outermost)
	}
	return r.Fail(`want a vector, an id, or {"text": "..."}, got %s`, r.Kind())
}

// named reads the object forms.
func (q *query) named(r *strictjson.Reader, outermost bool) error {
	found := 0
	err := fields(r, map[string]func() error{
		"text":  func() error { found++; q.Text = new(string); return into(q.Text, r.Str)() },
		"model": optional(r, into(&q.Model, r.Str)),
		"nearest": func() error {
			if !outermost {
				return r.Unknown("nearest")
			}
			found++
			return q.what(r, false)
		},
	})
	if err != nil {
		return err
	}
	if found != 1 || q.Text == nil && q.Model != "" {
		return r.Fail(`want {"text": "..."} or {"nearest": ...}`)
	}
	return nil
}

// searchOf reads a query of the older form, by vector.
func searchOf(r *strictjson.Reader) (query, error) {
	var q query
	found := false
	decoders := q.common(r)
	decoders["vector"] = func() error {
		found = true
		if k := r.Kind(); k != strictjson.Array && k != strictjson.Object {
			return r.Fail("want a vector, got %s", k)
		}
		return q.what(r, false)
	}
	err := fields(r, decoders)
	if err == nil && !found {
		err = r.Fail("want a vector")
	}
	return q, err
}

// decodeQuery reads a body of one query, in either form.
func decodeQuery(data []byte, form func(*strictjson.Reader) (query, error)) (q query, err error) {
	err = strictjson.Decode(data, func(r *strictjson.Reader) (err error) {
		q, err = form(r)
		return err
	})
	return q, err
}

// decodeQueries reads {"searches": [...]}.
func decodeQueries(data []byte, form func(*strictjson.Reader) (query, error)) ([]query, error) {
	var list []query
	found := false
	err := strictjson.Decode(data, func(r *strictjson.Reader) error {
		err := fields(r, map[string]func() error{"searches": func() error {
			found = true
			return r.Array(func(i int) error {
				if i >= maxQueries {
					return r.Fail("more than %d queries in one request", maxQueries)
				}
				q, err := form(r)
				list = append(list, q)
				return err
			})
		}})
		if err == nil && !found {
			err = r.Fail("want searches")
		}
		return err
	})
	return list, err
}

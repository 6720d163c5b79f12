package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/vecino-db/vecino/api/strictjson"
	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index/filter"
	"github.com/vecino-db/vecino/store"
)

// Limits of what one request may name. openapi.yaml says the same.
const (
	maxLimit     = 65536
	maxOffset    = 1_000_000
	maxPoints    = 100_000
	maxQueries   = 1000
	defaultLimit = 10
)

// fields reads an object whose keys each have a decoder.
func fields(r *strictjson.Reader, decoders map[string]func() error) error {
	return r.Object(func(key string) error {
		decode, ok := decoders[key]
		if !ok {
			return r.Unknown(key)
		}
		return decode()
	})
}

// optional makes a decoder that leaves everything as it is at null.
func optional(r *strictjson.Reader, decode func() error) func() error {
	return func() error {
		if null, err := r.Null(); null || err != nil {
			return err
		}
		return decode()
	}
}

// absent makes a decoder for what exists only in other systems: null, which
// clients send, or nothing.
func absent(r *strictjson.Reader, what string) func() error {
	return func() error {
		if null, err := r.Null(); null || err != nil {
			return err
		}
		return r.Fail("%s", what)
	}
}

// into makes a decoder that stores what read gives.
func into[T any](p *T, read func() (T, error)) func() error {
	return func() (err error) {
		*p, err = read()
		return err
	}
}

// integer makes a decoder for an integer of lowest..highest.
func integer(r *strictjson.Reader, p *int, lowest, highest int) func() error {
	return into(p, func() (int, error) { return r.Int(lowest, highest) })
}

// oneOf makes a decoder for one of some words.
func oneOf[T ~string](r *strictjson.Reader, p *T, words ...T) func() error {
	return func() error {
		at := *r
		got, err := r.Str()
		if err != nil {
			return err
		}
		for _, w := range words {
			if got == string(w) {
				*p = w
				return nil
			}
		}
		return at.Fail("want one of %q", words)
	}
}

// limit and offset of a page.
func limitOf(r *strictjson.Reader, p *int) func() error {
	return optional(r, integer(r, p, 1, maxLimit))
}

// id reads a point's id.
func id(r *strictjson.Reader) (store.ID, error) {
	if r.Kind() == strictjson.String {
		at := *r
		text, err := r.Str()
		if err != nil {
			return store.ID{}, err
		}
		id, err := store.StringID(text)
		if err != nil {
			return id, at.Fail("%v", err)
		}
		return id, nil
	}
	if r.Kind() != strictjson.Number {
		return store.ID{}, r.Fail("an id is an unsigned integer or a string")
	}
	n, err := r.Uint64()
	return store.NumID(n), err
}

// ids reads a list of ids.
func ids(r *strictjson.Reader) ([]store.ID, error) {
	list := []store.ID{}
	err := r.Array(func(i int) error {
		if i >= maxPoints {
			return r.Fail("more than %d ids in one request", maxPoints)
		}
		one, err := id(r)
		list = append(list, one)
		return err
	})
	return list, err
}

// filterOf reads a filter; null is none.
func filterOf(r *strictjson.Reader, p **filter.Filter) func() error {
	return optional(r, func() error {
		pointer := r.Pointer()
		raw, err := r.Raw()
		if err != nil {
			return err
		}
		*p, err = filter.Parse(raw)
		var bad *filter.Error
		if errors.As(err, &bad) {
			return malformed("bad_filter", pointer+bad.Pointer, "%s", bad.Reason)
		}
		return err
	})
}

// vector reads a vector, unless something else stands there.
func vector(r *strictjson.Reader) ([]float32, error) {
	row, err := r.Floats(compat.MaxDimension)
	if err == nil && len(row) == 0 {
		return nil, r.Fail("a vector needs numbers")
	}
	return row, err
}

// text is what is to be embedded.
type text struct {
	text  string
	model string // "" or the model that the text is meant for
}

// textOf reads {"text": ..., "model": ...}.
func textOf(r *strictjson.Reader) (text, error) {
	var t text
	found := false
	err := fields(r, map[string]func() error{
		"text":  func() error { found = true; return into(&t.text, r.Str)() },
		"model": optional(r, into(&t.model, r.Str)),
	})
	if err == nil && !found {
		err = r.Fail(`want {"text": "..."}`)
	}
	return t, err
}

// payload reads a payload: a JSON object, without its spaces; null is none.
func payload(r *strictjson.Reader) (json.RawMessage, error) {
	if null, err := r.Null(); null || err != nil {
		return nil, err
	}
	if r.Kind() != strictjson.Object {
		return nil, r.Fail("a payload is an object, got %s", r.Kind())
	}
	raw, err := r.Raw()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return nil, r.Fail("the payload can't be read")
	}
	return b.Bytes(), nil
}

// withVector reads whether vectors are wanted. A list of names, Qdrant's other
// form, may be empty and then wants none.
func withVector(r *strictjson.Reader, p *bool) func() error {
	return optional(r, func() error {
		if r.Kind() == strictjson.Array {
			return r.Array(func(int) error {
				return r.Fail("there is no vector of this name: vectors have no names here; want true or false")
			})
		}
		return into(p, r.Bool)()
	})
}

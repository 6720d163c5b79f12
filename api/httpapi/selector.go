package httpapi

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/vecino-db/vecino/api/strictjson"
	"github.com/vecino-db/vecino/store"
)

// selector says what of a payload is wanted. The zero value wants all of it.
type selector struct {
	none    bool
	include [][]string // paths; nil: everything
	exclude [][]string
}

// withPayload reads a selector: a boolean, a list of paths, or an object with
// include or exclude. A path is keys joined by dots.
func withPayload(r *strictjson.Reader, p *selector) func() error {
	return optional(r, func() error {
		switch r.Kind() {
		case strictjson.Array:
			return into(&p.include, func() ([][]string, error) { return paths(r) })()
		case strictjson.Object:
			return fields(r, map[string]func() error{
				"include": into(&p.include, func() ([][]string, error) { return paths(r) }),
				"exclude": into(&p.exclude, func() ([][]string, error) { return paths(r) }),
			})
		}
		all, err := r.Bool()
		p.none = !all
		return err
	})
}

// maxPaths bounds the paths of a selector.
const maxPaths = 256

// paths reads a list of paths.
func paths(r *strictjson.Reader) ([][]string, error) {
	list := [][]string{}
	err := r.Array(func(i int) error {
		if i >= maxPaths {
			return r.Fail("more than %d paths", maxPaths)
		}
		path, err := r.Str()
		list = append(list, strings.Split(path, "."))
		return err
	})
	return list, err
}

// record is a point as answers hold it.
type record struct {
	ID      store.ID        `json:"id"`
	Version uint64          `json:"version"`
	Score   *float32        `json:"score,omitempty"`
	Payload json.RawMessage `json:"payload,omitempty"`
	Vector  []float32       `json:"vector,omitempty"`
	Text    *string         `json:"text,omitempty"`
}

// record makes the answer's form of a stored point.
func (s selector) record(p store.Stored) record {
	out := record{ID: p.ID, Version: p.Version, Vector: p.Vector}
	if s.none {
		return out
	}
	out.Payload = s.apply(p.Payload)
	if p.HasText {
		out.Text = &p.Text
	}
	return out
}

// apply cuts a payload to what is wanted.
func (s selector) apply(payload json.RawMessage) json.RawMessage {
	if len(payload) == 0 || s.include == nil && s.exclude == nil {
		return payload
	}
	out := payload
	if s.include != nil {
		out = keep(out, s.include)
	}
	if s.exclude != nil {
		out = drop(out, s.exclude)
	}
	return out
}

// object reads one level of a payload; nil when it is no object.
func object(data json.RawMessage) map[string]json.RawMessage {
	if !bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		return nil
	}
	var level map[string]json.RawMessage
	if json.Unmarshal(data, &level) != nil {
		return nil
	}
	return level
}

// byKey groups paths by their first key; a path that ends there has a nil rest.
func byKey(paths [][]string) map[string][][]string {
	groups := map[string][][]string{}
	for _, p := range paths {
		if len(p) == 1 {
			groups[p[0]] = append(groups[p[0]], nil)
		} else {
			groups[p[0]] = append(groups[p[0]], p[1:])
		}
	}
	return groups
}

// keep is the parts of data that the paths name.
func keep(data json.RawMessage, paths [][]string) json.RawMessage {
	level := object(data)
	kept := map[string]json.RawMessage{}
	for key, rests := range byKey(paths) {
		value, ok := level[key]
		switch {
		case !ok:
		case slices.ContainsFunc(rests, func(p []string) bool { return p == nil }):
			kept[key] = value
		case object(value) != nil:
			kept[key] = keep(value, rests)
		}
	}
	return write(kept)
}

// drop is data without the parts that the paths name.
func drop(data json.RawMessage, paths [][]string) json.RawMessage {
	level := object(data)
	if level == nil {
		return data
	}
	left := maps.Clone(level)
	for key, rests := range byKey(paths) {
		switch value, ok := left[key]; {
		case !ok:
		case slices.ContainsFunc(rests, func(p []string) bool { return p == nil }):
			delete(left, key)
		default:
			left[key] = drop(value, rests)
		}
	}
	return write(left)
}

// write puts a level together again, keys in order.
func write(level map[string]json.RawMessage) json.RawMessage {
	data, err := json.Marshal(level)
	if err != nil {
		return nil
	}
	return data
}

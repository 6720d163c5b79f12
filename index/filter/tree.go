package filter

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// node is a JSON value with its place, read strictly: unlike encoding/json it
// keeps the spelling of keys and refuses those that occur twice.
type node struct {
	at    *place
	value any // nil, bool, string, json.Number, []node, object
}

// place is where a node stands; nil is the root. It is a list towards the root
// and not a written pointer, which for each of many values deep in long keys
// would cost far more memory than the text itself.
type place struct {
	around *place
	key    string // or the index in an array
}

// pointer writes the place as RFC 6901 has it.
func (p *place) pointer() string {
	var keys []string
	for ; p != nil; p = p.around {
		keys = append(keys, strings.NewReplacer("~", "~0", "/", "~1").Replace(p.key))
	}
	var b strings.Builder
	for _, key := range slices.Backward(keys) {
		b.WriteByte('/')
		b.WriteString(key)
	}
	return b.String()
}

// object is a JSON object; keys stand in the order of the text.
type object struct {
	keys   []string
	values map[string]node
}

// maxNesting bounds the JSON nesting of the tree. A filter of MaxDepth needs
// less: at most three levels a filter, and four within a condition.
const maxNesting = 3*MaxDepth + 4

// reader builds the tree of one text.
type reader struct {
	decoder *json.Decoder
	values  int
}

// readTree reads the one JSON value of text.
func readTree(text []byte) (node, error) {
	if !utf8.Valid(text) {
		return node{}, &Error{Reason: "not valid UTF-8"}
	}
	r := reader{decoder: json.NewDecoder(strings.NewReader(string(text)))}
	r.decoder.UseNumber()
	n, err := r.read(nil, 0)
	if err != nil {
		return node{}, err
	}
	if _, err := r.decoder.Token(); !errors.Is(err, io.EOF) {
		return node{}, &Error{Reason: "something follows the filter; send one JSON object"}
	}
	return n, nil
}

// token takes the next token.
func (r *reader) token(at *place) (json.Token, error) {
	t, err := r.decoder.Token()
	if err != nil {
		reason := "not valid JSON: " + err.Error()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			reason = "the JSON ends too early"
		}
		return nil, &Error{Pointer: at.pointer(), Reason: reason}
	}
	return t, nil
}

// read takes the next value; depth is the number of arrays and objects around.
func (r *reader) read(at *place, depth int) (node, error) {
	if r.values++; r.values > MaxValues {
		return node{}, &Error{Pointer: at.pointer(), Reason: fmt.Sprintf("more than %d values in one filter; split the request", MaxValues)}
	}
	if depth > maxNesting {
		return node{}, &Error{Pointer: at.pointer(), Reason: fmt.Sprintf("nested too deeply; filters may stand %d deep", MaxDepth)}
	}
	t, err := r.token(at)
	if err != nil {
		return node{}, err
	}
	switch t {
	case json.Delim('{'):
		return r.readObject(at, depth)
	case json.Delim('['):
		return r.readArray(at, depth)
	}
	if s, ok := t.(string); ok && len(s) > MaxString {
		return node{}, &Error{Pointer: at.pointer(), Reason: fmt.Sprintf("a string of %d bytes; at most %d are allowed", len(s), MaxString)}
	}
	return node{at: at, value: t}, nil
}

func (r *reader) readObject(at *place, depth int) (node, error) {
	o := object{values: map[string]node{}}
	for r.decoder.More() {
		t, err := r.token(at)
		if err != nil {
			return node{}, err
		}
		key, ok := t.(string)
		if !ok || len(key) > MaxString {
			return node{}, &Error{Pointer: at.pointer(), Reason: "a key that is no string or too long"}
		}
		inner := &place{around: at, key: key}
		if _, twice := o.values[key]; twice {
			return node{}, &Error{Pointer: inner.pointer(), Reason: "the key occurs twice"}
		}
		n, err := r.read(inner, depth+1)
		if err != nil {
			return node{}, err
		}
		o.keys = append(o.keys, key)
		o.values[key] = n
	}
	if _, err := r.token(at); err != nil { // the closing brace
		return node{}, err
	}
	return node{at: at, value: o}, nil
}

func (r *reader) readArray(at *place, depth int) (node, error) {
	list := []node{}
	for r.decoder.More() {
		n, err := r.read(&place{around: at, key: strconv.Itoa(len(list))}, depth+1)
		if err != nil {
			return node{}, err
		}
		list = append(list, n)
	}
	if _, err := r.token(at); err != nil { // the closing bracket
		return node{}, err
	}
	return node{at: at, value: list}, nil
}

// kind is the JSON type of the node in words, for messages.
func (n node) kind() string {
	switch n.value.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string:
		return "a string"
	case json.Number:
		return "a number"
	case []node:
		return "an array"
	default:
		return "an object"
	}
}

// refuse is an *Error at the node.
func (n node) refuse(format string, args ...any) error {
	return &Error{Pointer: n.at.pointer(), Reason: fmt.Sprintf(format, args...)}
}

// object is the node's value when it is an object whose keys are all allowed.
func (n node) object(allowed ...string) (object, error) {
	o, ok := n.value.(object)
	if !ok {
		return object{}, n.refuse("want an object, got %s", n.kind())
	}
keys:
	for _, key := range o.keys {
		for _, a := range allowed {
			if key == a {
				continue keys
			}
		}
		return object{}, o.values[key].refuse("unknown key; allowed here: %s", strings.Join(allowed, ", "))
	}
	return o, nil
}

// get is the value of a key; false when it is absent or null.
func (o object) get(key string) (node, bool) {
	n, ok := o.values[key]
	return n, ok && n.value != nil
}

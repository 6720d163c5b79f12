package token

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// maxDepth bounds how deep components may lie in one another.
const maxDepth = 16

// fields are the members of one component of a tokenizer.json. Reading a
// member of the wrong type sets err and goes on, so that a builder reads all
// it needs and checks once.
type fields struct {
	at      string // path of keys, for errors
	depth   int
	members map[string]json.RawMessage
	err     *FormatError
}

// object reads raw as an object; nil for JSON's null.
func object(at string, depth int, raw json.RawMessage) (*fields, error) {
	if isNull(raw) {
		return nil, nil
	}
	if depth > maxDepth {
		return nil, bad(at, "components lie more than %d deep in one another", maxDepth)
	}
	f := &fields{at: at, depth: depth}
	if err := json.Unmarshal(raw, &f.members); err != nil {
		return nil, bad(at, "it is no JSON object: %v", err)
	}
	return f, nil
}

func isNull(raw json.RawMessage) bool {
	raw = bytes.TrimSpace(raw)
	return len(raw) == 0 || string(raw) == "null"
}

// has reports whether the member is there and not null.
func (f *fields) has(name string) bool { return !isNull(f.members[name]) }

// read unmarshals a member into to, or leaves to as it is when there is none.
func (f *fields) read(name string, to any) {
	if !f.has(name) {
		return
	}
	if err := json.Unmarshal(f.members[name], to); err != nil && f.err == nil {
		f.err = bad(f.at+"."+name, "it has the wrong type: %v", err)
	}
}

// need is read for a member that must be there.
func (f *fields) need(name string, to any) {
	if !f.has(name) && f.err == nil {
		f.err = bad(f.at+"."+name, "it is missing")
	}
	f.read(name, to)
}

func (f *fields) text(name, otherwise string) string {
	f.read(name, &otherwise)
	return otherwise
}

func (f *fields) flag(name string, otherwise bool) bool {
	f.read(name, &otherwise)
	return otherwise
}

// kind is the component's type.
func (f *fields) kind() string { return f.text("type", "") }

// fail is the first error of reading, or nil.
func (f *fields) fail() error {
	if f.err == nil {
		return nil // not a typed nil
	}
	return f.err
}

// unknown is the error for a type of component that the package lacks.
func (f *fields) unknown(what string) error {
	if f.err != nil {
		return f.err
	}
	return bad(f.at, "unknown %s %q", what, cut(f.kind()))
}

// list reads a member that is an array of components.
func (f *fields) list(name string) ([]*fields, error) {
	var raw []json.RawMessage
	f.need(name, &raw)
	if f.err != nil {
		return nil, f.err
	}
	items := make([]*fields, 0, len(raw))
	for i, r := range raw {
		item, err := object(fmt.Sprintf("%s.%s[%d]", f.at, name, i), f.depth+1, r)
		if err != nil {
			return nil, err
		}
		if item == nil {
			return nil, bad(fmt.Sprintf("%s.%s[%d]", f.at, name, i), "it is null")
		}
		items = append(items, item)
	}
	return items, nil
}

// entry is one member of a vocabulary object.
type entry struct {
	token string
	id    uint32
}

// entries reads {"token": id, ...} in the order of the file, which must be
// valid JSON already. It is by hand because encoding/json lets the last of two
// equal keys win, and for the speed of loading.
func entries(at string, raw json.RawMessage) ([]entry, error) {
	c := cursor{b: bytes.TrimSpace(raw)}
	if !c.skip('{') {
		return nil, bad(at, "it is no object of tokens and ids")
	}
	out := make([]entry, 0, bytes.Count(raw, []byte{':'}))
	for !c.skip('}') {
		token, err := c.quoted()
		if err != nil {
			return nil, bad(at, "a token is no string: %v", err)
		}
		c.skip(':')
		id, err := strconv.ParseUint(string(c.bare()), 10, 32)
		if err != nil {
			return nil, bad(at, "the id of %q is no whole number of 32 bits", cut(token))
		}
		out = append(out, entry{token, uint32(id)})
		c.skip(',')
	}
	return out, nil
}

// cursor goes through valid JSON.
type cursor struct {
	b []byte
	i int
}

// peek is the next byte that is no space; 0 at the end.
func (c *cursor) peek() byte {
	for c.i < len(c.b) {
		switch c.b[c.i] {
		case ' ', '\n', '\t', '\r':
			c.i++
		default:
			return c.b[c.i]
		}
	}
	return 0
}

// skip steps over a byte, if it is the next.
func (c *cursor) skip(want byte) bool {
	if c.peek() != want {
		return false
	}
	c.i++
	return true
}

// bare is what comes up to the next comma, bracket or space: a number.
func (c *cursor) bare() []byte {
	c.peek()
	from := c.i
	for c.i < len(c.b) && !bytes.ContainsRune([]byte(",]} \n\t\r[{\""), rune(c.b[c.i])) {
		c.i++
	}
	return c.b[from:c.i]
}

// quoted is the string that comes next.
func (c *cursor) quoted() (string, error) {
	c.peek()
	s, n, err := quoted(c.b[c.i:])
	c.i += n
	return s, err
}

// quoted reads the JSON string that b starts with, and its length in b.
func quoted(b []byte) (s string, n int, err error) {
	plain := true
	for n = 1; b[n] != '"'; n++ {
		if b[n] == '\\' {
			plain = false
			n++
		}
	}
	n++
	if plain && utf8.Valid(b[:n]) {
		return string(b[1 : n-1]), n, nil
	}
	err = json.Unmarshal(b[:n], &s)
	return s, n, err
}

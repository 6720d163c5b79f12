// Package strictjson reads JSON the way a service must that stores what it
// reads: one pass, nothing guessed, nothing ignored.
//
// It differs from encoding/json in what it refuses. Two texts that look
// different to a client must never become the same value here, so:
//
//   - bytes that are no UTF-8, and escapes of half a surrogate pair, are
//     refused rather than replaced;
//   - a key that stands twice in an object is refused, rather than the last
//     one winning;
//   - keys are compared exactly, not without regard to case;
//   - null stands only where a reader asks for it;
//   - numbers that don't fit what is read into are refused;
//   - anything after the value is refused.
//
// Every error is an *Error, which names the place by a JSON pointer (RFC
// 6901). Nothing is allocated ahead of what the input really holds.
package strictjson

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxDepth is how deep arrays and objects may be nested.
const MaxDepth = 64

// Error says where a document was refused, and why.
type Error struct {
	Pointer string // JSON pointer of the value; "" is the document itself
	Offset  int    // byte offset at which reading stopped
	Reason  string
}

// Error is the reason with its place.
func (e *Error) Error() string {
	if e.Pointer == "" {
		return fmt.Sprintf("JSON, byte %d: %s", e.Offset, e.Reason)
	}
	return fmt.Sprintf("JSON at %s (byte %d): %s", e.Pointer, e.Offset, e.Reason)
}

// Kind is the kind of the next value.
type Kind int

// The kinds.
const (
	Invalid Kind = iota
	Null
	Bool
	Number
	String
	Array
	Object
)

// String names the kind as an error does.
func (k Kind) String() string {
	return [...]string{"no JSON value", "null", "a boolean", "a number", "a string", "an array", "an object"}[k]
}

// step is one level of the path to the value being read.
type step struct {
	key   string
	index int // -1: key counts
}

// Reader is a cursor over one document. It is not safe for concurrent use.
type Reader struct {
	data []byte
	pos  int
	path []step

	members, most int // elements and members so far, and how many there may be; 0: any number
}

// Decode calls read to consume the one value that data holds.
func Decode(data []byte, read func(*Reader) error) error {
	r := &Reader{data: data}
	if !utf8.Valid(data) {
		for r.pos < len(data) {
			c, size := utf8.DecodeRune(data[r.pos:])
			if c == utf8.RuneError && size == 1 {
				break
			}
			r.pos += size
		}
		return r.Fail("the text is no valid UTF-8")
	}
	r.space()
	if r.pos == len(data) {
		return r.Fail("the document is empty")
	}
	if err := read(r); err != nil {
		return err
	}
	r.space()
	if r.pos != len(data) {
		r.path = r.path[:0]
		return r.Fail("there is more after the end of the value")
	}
	return nil
}

// Check reads the document and keeps nothing.
func Check(data []byte) error { return Decode(data, (*Reader).Skip) }

// CheckValues is Check for a document of at most that many values within
// arrays and objects.
func CheckValues(data []byte, most int) error {
	return Decode(data, func(r *Reader) error {
		r.most = most
		return r.Skip()
	})
}

// Pointer is the JSON pointer of the value that comes next.
func (r *Reader) Pointer() string {
	var b strings.Builder
	for _, s := range r.path {
		b.WriteByte('/')
		if s.index >= 0 {
			b.WriteString(strconv.Itoa(s.index))
			continue
		}
		b.WriteString(strings.NewReplacer("~", "~0", "/", "~1").Replace(s.key))
	}
	return b.String()
}

// Fail makes an *Error at the current place.
func (r *Reader) Fail(format string, args ...any) error {
	return &Error{Pointer: r.Pointer(), Offset: r.pos, Reason: fmt.Sprintf(format, args...)}
}

// Kind looks at the next value without consuming it.
func (r *Reader) Kind() Kind {
	if r.pos >= len(r.data) {
		return Invalid
	}
	switch c := r.data[r.pos]; {
	case c == 'n':
		return Null
	case c == 't' || c == 'f':
		return Bool
	case c == '-' || c >= '0' && c <= '9':
		return Number
	case c == '"':
		return String
	case c == '[':
		return Array
	case c == '{':
		return Object
	}
	return Invalid
}

// want fails unless the next value is of kind k.
func (r *Reader) want(k Kind) error {
	got := r.Kind()
	switch {
	case got == k:
		return nil
	case got == Invalid, got == Null && !r.word("null"), got == Bool && !r.word("true") && !r.word("false"):
		return r.Fail("no JSON value stands here; want %s", k)
	}
	return r.Fail("want %s, got %s", k, got)
}

// space skips white space.
func (r *Reader) space() {
	for r.pos < len(r.data) {
		switch r.data[r.pos] {
		case ' ', '\t', '\r', '\n':
			r.pos++
		default:
			return
		}
	}
}

// push enters a level.
func (r *Reader) push(s step) error {
	if len(r.path) >= MaxDepth {
		return r.Fail("nested deeper than %d levels", MaxDepth)
	}
	if r.members++; r.most > 0 && r.members > r.most {
		return r.Fail("more than %d values in one document", r.most)
	}
	r.path = append(r.path, s)
	return nil
}

// pop leaves a level.
func (r *Reader) pop() { r.path = r.path[:len(r.path)-1] }

// Object reads an object: field is called for each key in order and must
// consume its value, or return r.Unknown(key).
func (r *Reader) Object(field func(key string) error) error {
	if err := r.want(Object); err != nil {
		return err
	}
	r.pos++
	var seen keys
	for first := true; ; first = false {
		r.space()
		if r.pos < len(r.data) && r.data[r.pos] == '}' && first {
			r.pos++
			return nil
		}
		if r.Kind() != String {
			return r.Fail("a key in double quotes must stand here")
		}
		key, err := r.Str()
		if err != nil {
			return err
		}
		if err := r.push(step{key: key, index: -1}); err != nil {
			return err
		}
		if !seen.add(key) {
			return r.Fail("the key stands twice in its object")
		}
		r.space()
		if r.pos >= len(r.data) || r.data[r.pos] != ':' {
			return r.Fail("a colon must follow the key")
		}
		r.pos++
		r.space()
		if err := field(key); err != nil {
			return err
		}
		r.pop()
		if end, err := r.next('}'); end || err != nil {
			return err
		}
	}
}

// Array reads an array: element is called for each element in order and must
// consume it.
func (r *Reader) Array(element func(i int) error) error {
	if err := r.want(Array); err != nil {
		return err
	}
	r.pos++
	for i := 0; ; i++ {
		r.space()
		if r.pos < len(r.data) && r.data[r.pos] == ']' && i == 0 {
			r.pos++
			return nil
		}
		if err := r.push(step{index: i}); err != nil {
			return err
		}
		if err := element(i); err != nil {
			return err
		}
		r.pop()
		if end, err := r.next(']'); end || err != nil {
			return err
		}
	}
}

// next consumes what stands between two members, and says whether it was the
// closing bracket.
func (r *Reader) next(closing byte) (end bool, err error) {
	r.space()
	if r.pos < len(r.data) {
		switch r.data[r.pos] {
		case closing:
			r.pos++
			return true, nil
		case ',':
			r.pos++
			return false, nil
		}
	}
	return false, r.Fail("a comma or %q must stand here", string(closing))
}

// Unknown is the error for a key that the object doesn't have.
func (r *Reader) Unknown(key string) error {
	return r.Fail("unknown key %q", key)
}

// Null consumes null, if it stands here, and says whether it did.
func (r *Reader) Null() (bool, error) {
	if r.Kind() != Null {
		return false, nil
	}
	return true, r.literal("null")
}

// Skip consumes one value of any kind, checking it.
func (r *Reader) Skip() error {
	switch r.Kind() {
	case Null:
		return r.literal("null")
	case Bool:
		_, err := r.Bool()
		return err
	case Number:
		_, err := r.number()
		return err
	case String:
		_, err := r.Str()
		return err
	case Array:
		return r.Array(func(int) error { return r.Skip() })
	case Object:
		return r.Object(func(string) error { return r.Skip() })
	}
	return r.Fail("no JSON value stands here")
}

// Raw consumes one value of any kind, checking it, and returns its bytes,
// which belong to the document.
func (r *Reader) Raw() (json.RawMessage, error) {
	from := r.pos
	if err := r.Skip(); err != nil {
		return nil, err
	}
	return json.RawMessage(r.data[from:r.pos:r.pos]), nil
}

// keys is a set that stays a slice while it is small.
type keys struct {
	few  []string
	many map[string]struct{}
}

// add reports whether key is new.
func (s *keys) add(key string) bool {
	if s.many != nil {
		if _, ok := s.many[key]; ok {
			return false
		}
		s.many[key] = struct{}{}
		return true
	}
	for _, k := range s.few {
		if k == key {
			return false
		}
	}
	s.few = append(s.few, key)
	if len(s.few) > 16 {
		s.many = make(map[string]struct{}, 2*len(s.few))
		for _, k := range s.few {
			s.many[k] = struct{}{}
		}
	}
	return true
}

package filter

import (
	"fmt"
	"strings"
)

// Limits of one filter. They bound what a hostile filter can cost.
const (
	MaxDepth      = 16    // filters within filters, the outermost counted
	MaxConditions = 1024  // conditions in total
	MaxValues     = 65536 // JSON values in total, ids and the lists of match included
	MaxString     = 4096  // bytes of one string
	MaxPath       = 512   // bytes of one path
)

// Error says which part of a filter was refused, and why.
type Error struct {
	Pointer string // RFC 6901 JSON pointer into the filter; "" is the whole
	Reason  string // what is wrong and what is wanted instead
}

// Error is the place and the reason.
func (e *Error) Error() string {
	if e.Pointer == "" {
		return "filter: " + e.Reason
	}
	return fmt.Sprintf("filter: %s: %s", e.Pointer, e.Reason)
}

// Filter is a parsed filter. It is immutable and safe for concurrent use.
type Filter struct {
	must, should, mustNot []condition
	minShould             []condition
	minCount              int
	hasMinShould          bool
}

// Match reports whether a document matches. The id is an uint64 or a string;
// payload is its payload as encoding/json decodes it with UseNumber, nil when
// it has none. A nil Filter matches every document.
func (f *Filter) Match(id any, payload map[string]any) bool {
	if f == nil {
		return true
	}
	return f.holds(subject{id: id, object: payload})
}

// Empty reports whether f asks for nothing, so that it matches every document.
func (f *Filter) Empty() bool {
	return f == nil || len(f.must)+len(f.should)+len(f.mustNot) == 0 && (!f.hasMinShould || f.minCount == 0)
}

// subject is what a condition is asked about: a document, or, within a nested
// condition, an element of its payload.
type subject struct {
	id     any // uint64, string
	object map[string]any
}

// condition is one node of a filter.
type condition interface {
	holds(s subject) bool
}

// holds evaluates the clauses.
func (f *Filter) holds(s subject) bool {
	for _, c := range f.must {
		if !c.holds(s) {
			return false
		}
	}
	for _, c := range f.mustNot {
		if c.holds(s) {
			return false
		}
	}
	if len(f.should) > 0 && !atLeast(1, f.should, s) {
		return false
	}
	return !f.hasMinShould || atLeast(f.minCount, f.minShould, s)
}

// atLeast reports whether n of the conditions hold.
func atLeast(n int, conditions []condition, s subject) bool {
	for i, c := range conditions {
		if n <= 0 || n > len(conditions)-i {
			break
		}
		if c.holds(s) {
			n--
		}
	}
	return n <= 0
}

// hasID holds for documents whose id is in the set.
type hasID struct {
	numbers map[uint64]struct{}
	strings map[string]struct{}
}

func (c *hasID) holds(s subject) bool {
	var ok bool
	switch id := s.id.(type) {
	case uint64:
		_, ok = c.numbers[id]
	case string:
		_, ok = c.strings[canonicalID(id)]
	}
	return ok
}

// canonicalID lower-cases a hyphenated UUID, as the store does with ids.
func canonicalID(id string) string {
	if len(id) != 36 {
		return id
	}
	for i := range len(id) {
		c := id[i]
		switch hyphen := i == 8 || i == 13 || i == 18 || i == 23; {
		case hyphen != (c == '-'):
			return id
		case !hyphen && !strings.ContainsRune("0123456789abcdefABCDEF", rune(c)):
			return id
		}
	}
	return strings.ToLower(id)
}

// nested holds when one object among the values of path meets the filter.
type nested struct {
	path   path
	filter *Filter
}

func (c *nested) holds(s subject) bool {
	return c.path.any(s.object, func(v any) bool {
		return anyElement(v, func(e any) bool {
			object, ok := e.(map[string]any)
			return ok && c.filter.holds(subject{object: object})
		})
	})
}

// field holds when every test holds for the values of path.
type field struct {
	path  path
	tests []test
}

// test is one test of the values that a path names.
type test interface {
	passes(p path, object map[string]any) bool
}

func (c *field) holds(s subject) bool {
	for _, t := range c.tests {
		if !t.passes(c.path, s.object) {
			return false
		}
	}
	return true
}

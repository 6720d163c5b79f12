package filter

import (
	"encoding/json"
	"slices"
	"strings"
)

// Kind is what an index keeps of the values at a path. What is of another kind
// is noted as Summary.Other.
type Kind uint8

// The kinds.
const (
	KindKeyword Kind = iota + 1 // strings, whole
	KindText                    // words of strings
	KindBool
	KindNumber
	KindTime // strings that read as times
)

// The terms of booleans.
const (
	termTrue  = "true"
	termFalse = "false"
)

// Path names values of payloads; see the package comment.
type Path struct{ steps path }

// ParsePath reads a path as it stands in a filter, to MaxPath bytes.
func ParsePath(text string) (Path, error) {
	if len(text) > MaxPath {
		return Path{}, &Error{Reason: "a path of more than 512 bytes; shorten it"}
	}
	steps, err := parsePath(text)
	if err != nil {
		return Path{}, &Error{Reason: "not a path: " + err.Error()}
	}
	return Path{steps}, nil
}

// String is the one spelling of the path that ParsePath reads as it: equal
// paths have equal strings.
func (p Path) String() string { return p.steps.String() }

// Summary is what one payload holds at a path: all that an index of a kind
// needs to know of a document. Lists are sorted and hold nothing twice.
type Summary struct {
	Filled  bool // a value that is neither null nor an empty array
	Null    bool // a null
	Other   bool // a value or element, not null, that is not of the kind
	Several bool // of texts: more than one; otherwise more than one term or key
	// Counts are the numbers of elements of the values; nil: there is no value.
	Counts []uint32
	Terms  []string // KindKeyword, KindText, KindBool
	Keys   []Key    // KindNumber, KindTime
}

// Summarize looks at a payload as Match takes it.
func (p Path) Summarize(kind Kind, payload map[string]any) Summary {
	var s Summary
	texts := 0
	p.steps.any(payload, func(value any) bool {
		elements := uint32(1)
		switch v := value.(type) {
		case nil:
			elements, s.Null = 0, true
		case []any:
			elements = uint32(len(v))
		}
		s.Filled = s.Filled || elements > 0
		s.Counts = append(s.Counts, elements)
		anyElement(value, func(e any) bool {
			if e == nil {
				return false
			}
			if !s.take(kind, e) {
				s.Other = true
			} else if kind == KindText {
				texts++
			}
			return false
		})
		return false
	})
	s.Counts, s.Terms, s.Keys = distinct(s.Counts), distinct(s.Terms), distinct(s.Keys)
	s.Several = len(s.Terms)+len(s.Keys) > 1
	if kind == KindText {
		s.Several = texts > 1
	}
	return s
}

// take adds an element; false when it is not of the kind.
func (s *Summary) take(kind Kind, element any) bool {
	switch v := element.(type) {
	case string:
		return s.takeString(kind, v)
	case bool:
		if kind != KindBool {
			return false
		}
		s.Terms = append(s.Terms, boolTerm(v))
		return true
	case json.Number:
		if kind != KindNumber {
			return false
		}
		n, _ := parseNumber(v.String())
		s.Keys = append(s.Keys, numberKey(n))
		return true
	}
	return false
}

func (s *Summary) takeString(kind Kind, v string) bool {
	switch kind {
	case KindKeyword:
		if len(v) > MaxString {
			return false // no filter can name it
		}
		s.Terms = append(s.Terms, v)
	case KindText:
		eachWord(v, func(w string) bool {
			if len(w) <= MaxString {
				s.Terms = append(s.Terms, strings.Clone(w)) // not the whole text with it
			}
			return true
		})
	case KindTime:
		t, ok := parseTime(v)
		if !ok {
			return false
		}
		s.Keys = append(s.Keys, timeKey(t))
	default:
		return false
	}
	return true
}

func boolTerm(v bool) string {
	if v {
		return termTrue
	}
	return termFalse
}

// distinct sorts a list and leaves out what occurs again.
func distinct[T interface {
	~uint32 | ~int64 | ~string
}](list []T) []T {
	slices.Sort(list)
	return slices.Compact(list)
}

// Values calls f for the values that the path names in a payload, those of an
// array one by one.
func (p Path) Values(payload map[string]any, f func(value any)) {
	p.steps.any(payload, func(value any) bool {
		return anyElement(value, func(e any) bool {
			f(e)
			return false
		})
	})
}

package filter

import (
	"errors"
	"strconv"
	"strings"
)

// step is one move into a payload.
type step struct {
	kind  stepKind
	key   string // of stepKey
	index int    // of stepIndex
}

type stepKind uint8

const (
	stepKey   stepKind = iota // the value of a key
	stepIndex                 // one element
	stepEach                  // every element
)

// path names values of a payload. It starts with a key.
type path []step

// parsePath reads the written form that the package comment describes.
func parsePath(text string) (path, error) {
	var p path
	rest := text
	for {
		key, after, err := cutKey(rest)
		if err != nil {
			return nil, err
		}
		p = append(p, step{kind: stepKey, key: key})
		for strings.HasPrefix(after, "[") {
			inside, tail, ok := strings.Cut(after[1:], "]")
			if !ok {
				return nil, errors.New(`"[" without "]"`)
			}
			s, err := arrayStep(inside)
			if err != nil {
				return nil, err
			}
			p, after = append(p, s), tail
		}
		if after == "" {
			return p, nil
		}
		if after[0] != '.' {
			return nil, errors.New(`a key must be followed by ".", "[" or the end`)
		}
		rest = after[1:]
	}
}

// cutKey takes the key that text starts with.
func cutKey(text string) (key, rest string, err error) {
	if strings.HasPrefix(text, `"`) {
		key, rest, ok := strings.Cut(text[1:], `"`)
		if !ok {
			return "", "", errors.New("a quoted key without its end")
		}
		return key, rest, nil
	}
	end := strings.IndexAny(text, `.[]"`)
	if end < 0 {
		end = len(text)
	}
	if end == 0 {
		return "", "", errors.New(`an empty key; write "" in quotation marks for one`)
	}
	return text[:end], text[end:], nil
}

// arrayStep reads what stands between brackets.
func arrayStep(inside string) (step, error) {
	if inside == "" {
		return step{kind: stepEach}, nil
	}
	n, err := strconv.ParseUint(inside, 10, 31)
	if err != nil {
		return step{}, errors.New("brackets hold nothing or the number of an element")
	}
	return step{kind: stepIndex, index: int(n)}, nil
}

// String writes a path so that parsePath reads it.
func (p path) String() string {
	var b strings.Builder
	for i, s := range p {
		switch s.kind {
		case stepKey:
			if i > 0 {
				b.WriteByte('.')
			}
			if s.key == "" || strings.ContainsAny(s.key, `.[]`) {
				b.WriteString(`"` + s.key + `"`)
			} else {
				b.WriteString(s.key)
			}
		case stepIndex:
			b.WriteString("[" + strconv.Itoa(s.index) + "]")
		case stepEach:
			b.WriteString("[]")
		}
	}
	return b.String()
}

// any reports whether f is true of any value that p names in object. It calls
// f in the payload's order and stops at the first true.
func (p path) any(object map[string]any, f func(value any) bool) bool {
	if object == nil {
		return false
	}
	return p.anyOf(object, f)
}

func (p path) anyOf(value any, f func(value any) bool) bool {
	for i, s := range p {
		switch s.kind {
		case stepKey:
			object, _ := value.(map[string]any)
			next, ok := object[s.key]
			if !ok {
				return false
			}
			value = next
		case stepIndex:
			array, _ := value.([]any)
			if s.index >= len(array) {
				return false
			}
			value = array[s.index]
		case stepEach:
			array, _ := value.([]any)
			for _, element := range array {
				if p[i+1:].anyOf(element, f) {
					return true
				}
			}
			return false
		}
	}
	return f(value)
}

// anyElement reports whether f is true of value, or, of an array, of any of
// its elements.
func anyElement(value any, f func(value any) bool) bool {
	array, ok := value.([]any)
	if !ok {
		return f(value)
	}
	for _, element := range array {
		if f(element) {
			return true
		}
	}
	return false
}

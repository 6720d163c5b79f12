package filter

import (
	"encoding/json"
	"strings"
	"time"
	"unicode"

	"github.com/clipperhouse/uax29/v2/words"
	"golang.org/x/text/unicode/norm"
)

// scalar is a value of match in a form whose equality is that of the language:
// a string, a bool or a number.
type scalar any

// scalarOf is the scalar of a payload's value; false for null, arrays and
// objects.
func scalarOf(value any) (scalar, bool) {
	switch v := value.(type) {
	case string, bool:
		return v, true
	case json.Number:
		n, _ := parseNumber(v.String())
		return n, true
	default:
		return nil, false
	}
}

// matchAny holds for a value that is in the set; one value is a set of one.
type matchAny struct{ set map[scalar]struct{} }

func (t *matchAny) passes(p path, object map[string]any) bool {
	return p.any(object, func(v any) bool {
		return anyElement(v, func(e any) bool {
			s, ok := scalarOf(e)
			if ok {
				_, ok = t.set[s]
			}
			return ok
		})
	})
}

// matchExcept holds for a value that is not null and not in the set.
type matchExcept struct{ set map[scalar]struct{} }

func (t *matchExcept) passes(p path, object map[string]any) bool {
	return p.any(object, func(v any) bool {
		return anyElement(v, func(e any) bool {
			if e == nil {
				return false
			}
			s, ok := scalarOf(e)
			if !ok {
				return true
			}
			_, in := t.set[s]
			return !in
		})
	})
}

// matchText holds for a string that contains all the words.
type matchText struct{ words []string }

func (t *matchText) passes(p path, object map[string]any) bool {
	return p.any(object, func(v any) bool {
		return anyElement(v, func(e any) bool {
			text, ok := e.(string)
			return ok && t.containedIn(text)
		})
	})
}

func (t *matchText) containedIn(text string) bool {
	if len(t.words) == 0 {
		return false
	}
	missing := make(map[string]struct{}, len(t.words))
	for _, w := range t.words {
		missing[w] = struct{}{}
	}
	eachWord(text, func(w string) bool {
		delete(missing, w)
		return len(missing) > 0
	})
	return len(missing) == 0
}

// eachWord calls f for the words of text as match text compares them, until f
// returns false.
func eachWord(text string, f func(word string) bool) {
	segments := words.FromString(strings.ToLower(norm.NFC.String(text)))
	for segments.Next() {
		w := segments.Value()
		if strings.IndexFunc(w, isWordRune) >= 0 && !f(w) {
			return
		}
	}
}

func isWordRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) }

// bounds are the ends of a range; a nil end is open.
type bounds[T any] struct{ gt, gte, lt, lte *T }

// admits reports whether v lies within all ends.
func (b bounds[T]) admits(v T, compare func(a, b T) int) bool {
	return (b.gt == nil || compare(v, *b.gt) > 0) &&
		(b.gte == nil || compare(v, *b.gte) >= 0) &&
		(b.lt == nil || compare(v, *b.lt) < 0) &&
		(b.lte == nil || compare(v, *b.lte) <= 0)
}

// numberRange holds for a number within the bounds.
type numberRange struct{ bounds[number] }

func (t *numberRange) passes(p path, object map[string]any) bool {
	return p.any(object, func(v any) bool {
		return anyElement(v, func(e any) bool {
			literal, ok := e.(json.Number)
			if !ok {
				return false
			}
			n, _ := parseNumber(literal.String())
			return t.admits(n, number.compare)
		})
	})
}

// timeRange holds for a time within the bounds.
type timeRange struct{ bounds[time.Time] }

func (t *timeRange) passes(p path, object map[string]any) bool {
	return p.any(object, func(v any) bool {
		return anyElement(v, func(e any) bool {
			text, ok := e.(string)
			if !ok {
				return false
			}
			at, ok := parseTime(text)
			return ok && t.admits(at, time.Time.Compare)
		})
	})
}

// parseTime reads RFC 3339 and its shortened forms.
func parseTime(text string) (time.Time, bool) {
	for _, layout := range [...]string{
		time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateOnly,
		"2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05", "2006-01-02 15:04",
	} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// valuesCount holds for a value with as many elements as the bounds admit.
type valuesCount struct{ bounds[number] }

func (t *valuesCount) passes(p path, object map[string]any) bool {
	named := false
	admits := func(n int) bool {
		return t.admits(number{whole: true, size: uint64(n)}, number.compare)
	}
	found := p.any(object, func(v any) bool {
		named = true
		switch v := v.(type) {
		case nil:
			return admits(0)
		case []any:
			return admits(len(v))
		default:
			return admits(1)
		}
	})
	return found || !named && admits(0)
}

// isEmpty holds where the path names nothing but nulls and empty arrays.
type isEmpty struct{ want bool }

func (t isEmpty) passes(p path, object map[string]any) bool {
	filled := p.any(object, func(v any) bool {
		array, ok := v.([]any)
		return v != nil && (!ok || len(array) > 0)
	})
	return filled != t.want
}

// isNull holds where the path names a null.
type isNull struct{ want bool }

func (t isNull) passes(p path, object map[string]any) bool {
	return p.any(object, func(v any) bool { return v == nil }) == t.want
}

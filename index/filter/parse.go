package filter

import (
	"encoding/json"
	"strconv"
	"time"
)

// Parse reads a filter. Every error is an *Error.
func Parse(text []byte) (*Filter, error) {
	root, err := readTree(text)
	if err != nil {
		return nil, err
	}
	p := parser{}
	return p.filter(root, 1, false)
}

// parser counts the conditions of one filter.
type parser struct{ conditions int }

// filter reads a filter at a depth; within says that it stands in a nested
// condition.
func (p *parser) filter(n node, depth int, within bool) (*Filter, error) {
	if depth > MaxDepth {
		return nil, n.refuse("filters may stand %d deep; flatten this one", MaxDepth)
	}
	o, err := n.object("must", "should", "must_not", "min_should")
	if err != nil {
		return nil, err
	}
	f := &Filter{}
	for _, clause := range []struct {
		key  string
		list *[]condition
	}{{"must", &f.must}, {"should", &f.should}, {"must_not", &f.mustNot}} {
		if c, ok := o.get(clause.key); ok {
			if *clause.list, err = p.list(c, depth, within); err != nil {
				return nil, err
			}
		}
	}
	if c, ok := o.get("min_should"); ok {
		if err := p.minShould(f, c, depth, within); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// minShould reads the clause of that name.
func (p *parser) minShould(f *Filter, n node, depth int, within bool) error {
	o, err := n.object("conditions", "min_count")
	if err != nil {
		return err
	}
	conditions, ok := o.get("conditions")
	count, ok2 := o.get("min_count")
	if !ok || !ok2 {
		return n.refuse("want both conditions and min_count")
	}
	if f.minShould, err = p.list(conditions, depth, within); err != nil {
		return err
	}
	k, err := wholeNumber(count)
	if err != nil {
		return err
	}
	f.hasMinShould = true
	// More than there are conditions can never be met; the cap keeps it an int.
	f.minCount = int(min(k, MaxConditions+1))
	return nil
}

// list reads conditions: an array, or one alone.
func (p *parser) list(n node, depth int, within bool) ([]condition, error) {
	nodes, ok := n.value.([]node)
	if !ok {
		nodes = []node{n}
	}
	conditions := make([]condition, 0, len(nodes))
	for _, c := range nodes {
		if p.conditions++; p.conditions > MaxConditions {
			return nil, c.refuse("more than %d conditions; use match any for a list of values", MaxConditions)
		}
		parsed, err := p.condition(c, depth, within)
		if err != nil {
			return nil, err
		}
		conditions = append(conditions, parsed)
	}
	return conditions, nil
}

// condition tells the kinds of condition apart by their keys.
func (p *parser) condition(n node, depth int, within bool) (condition, error) {
	o, ok := n.value.(object)
	if !ok {
		return nil, n.refuse("want a condition (an object), got %s", n.kind())
	}
	has := func(key string) bool { _, ok := o.values[key]; return ok }
	switch {
	case has("key"):
		return p.field(n)
	case has("has_id"):
		if within {
			return nil, n.refuse("has_id has no meaning within a nested condition; move it out")
		}
		return p.hasID(n)
	case has("is_empty"):
		return p.fieldOf(n, "is_empty", isEmpty{want: true})
	case has("is_null"):
		return p.fieldOf(n, "is_null", isNull{want: true})
	case has("nested"):
		return p.nested(n, depth)
	case has("must"), has("should"), has("must_not"), has("min_should"):
		return p.filter(n, depth+1, within)
	}
	for _, key := range o.keys {
		return nil, o.values[key].refuse("unknown condition; known ones have key (with match, range, values_count, is_empty or is_null), has_id, is_empty, is_null, nested, must, should, must_not or min_should")
	}
	return nil, n.refuse("an empty condition; leave it out or give it a key and a test")
}

// path reads the value of "key" in o.
func (p *parser) path(n node, o object) (path, error) {
	key, ok := o.get("key")
	if !ok {
		return nil, n.refuse(`want "key", the path of a payload field`)
	}
	text, ok := key.value.(string)
	if !ok {
		return nil, key.refuse("want a string, got %s", key.kind())
	}
	if len(text) > MaxPath {
		return nil, key.refuse("a path of %d bytes; at most %d are allowed", len(text), MaxPath)
	}
	parsed, err := parsePath(text)
	if err != nil {
		return nil, key.refuse("not a path: %v", err)
	}
	return parsed, nil
}

// fieldOf reads {name: {"key": path}}.
func (p *parser) fieldOf(n node, name string, t test) (condition, error) {
	outer, err := n.object(name)
	if err != nil {
		return nil, err
	}
	inner := outer.values[name]
	o, err := inner.object("key")
	if err != nil {
		return nil, err
	}
	at, err := p.path(inner, o)
	if err != nil {
		return nil, err
	}
	return &field{path: at, tests: []test{t}}, nil
}

// nested reads {"nested": {"key": path, "filter": filter}}.
func (p *parser) nested(n node, depth int) (condition, error) {
	outer, err := n.object("nested")
	if err != nil {
		return nil, err
	}
	inner := outer.values["nested"]
	o, err := inner.object("key", "filter")
	if err != nil {
		return nil, err
	}
	at, err := p.path(inner, o)
	if err != nil {
		return nil, err
	}
	f, ok := o.get("filter")
	if !ok {
		return nil, inner.refuse(`want "filter", what one element must meet`)
	}
	parsed, err := p.filter(f, depth+1, true)
	if err != nil {
		return nil, err
	}
	return &nested{path: at, filter: parsed}, nil
}

// hasID reads {"has_id": [id...]}.
func (p *parser) hasID(n node) (condition, error) {
	o, err := n.object("has_id")
	if err != nil {
		return nil, err
	}
	ids := o.values["has_id"]
	list, ok := ids.value.([]node)
	if !ok {
		return nil, ids.refuse("want an array of ids, got %s", ids.kind())
	}
	c := &hasID{numbers: map[uint64]struct{}{}, strings: map[string]struct{}{}}
	for _, id := range list {
		switch v := id.value.(type) {
		case string:
			c.strings[canonicalID(v)] = struct{}{}
		case json.Number:
			u, err := strconv.ParseUint(v.String(), 10, 64)
			if err != nil {
				return nil, id.refuse("%s is no id; ids are unsigned integers and strings", v)
			}
			c.numbers[u] = struct{}{}
		default:
			return nil, id.refuse("want an id (an unsigned integer or a string), got %s", id.kind())
		}
	}
	return c, nil
}

// field reads {"key": path, tests...}.
func (p *parser) field(n node) (condition, error) {
	o, err := n.object("key", "match", "range", "values_count", "is_empty", "is_null")
	if err != nil {
		return nil, err
	}
	at, err := p.path(n, o)
	if err != nil {
		return nil, err
	}
	f := &field{path: at}
	for _, kind := range []struct {
		key  string
		read func(node) (test, error)
	}{
		{"match", readMatch},
		{"range", readRange},
		{"values_count", readValuesCount},
		{"is_empty", func(n node) (test, error) { want, err := boolean(n); return isEmpty{want}, err }},
		{"is_null", func(n node) (test, error) { want, err := boolean(n); return isNull{want}, err }},
	} {
		if v, ok := o.get(kind.key); ok {
			t, err := kind.read(v)
			if err != nil {
				return nil, err
			}
			f.tests = append(f.tests, t)
		}
	}
	if len(f.tests) == 0 {
		return nil, n.refuse("a key without a test; add match, range, values_count, is_empty or is_null")
	}
	return f, nil
}

// readMatch reads the object of "match".
func readMatch(n node) (test, error) {
	o, err := n.object("value", "any", "except", "text")
	if err != nil {
		return nil, err
	}
	if len(o.keys) != 1 {
		return nil, n.refuse("want exactly one of value, any, except, text")
	}
	kind := o.keys[0]
	given := o.values[kind]
	switch kind {
	case "value":
		set, err := scalars([]node{given})
		return &matchAny{set}, err
	case "text":
		text, ok := given.value.(string)
		if !ok {
			return nil, given.refuse("want a string, got %s", given.kind())
		}
		t := &matchText{}
		eachWord(text, func(w string) bool {
			t.words = append(t.words, w)
			return true
		})
		return t, nil
	}
	list, ok := given.value.([]node)
	if !ok {
		return nil, given.refuse("want an array, got %s", given.kind())
	}
	set, err := scalars(list)
	if kind == "any" {
		return &matchAny{set}, err
	}
	return &matchExcept{set}, err
}

// scalars reads the values of a match.
func scalars(list []node) (map[scalar]struct{}, error) {
	set := make(map[scalar]struct{}, len(list))
	for _, n := range list {
		switch v := n.value.(type) {
		case string, bool:
			set[v] = struct{}{}
		case json.Number:
			number, ok := parseNumber(v.String())
			if !ok || !number.whole {
				return nil, n.refuse("%s is no integer of 64 bits; use range for other numbers", v)
			}
			set[number] = struct{}{}
		default:
			return nil, n.refuse("want a string, an integer or a boolean, got %s", n.kind())
		}
	}
	return set, nil
}

// readRange reads the object of "range", of numbers or of times.
func readRange(n node) (test, error) {
	o, err := n.object("gt", "gte", "lt", "lte")
	if err != nil {
		return nil, err
	}
	for _, key := range o.keys {
		if _, isText := o.values[key].value.(string); isText {
			b, err := readBounds(n, o, func(end node) (time.Time, error) {
				text, ok := end.value.(string)
				if t, isTime := parseTime(text); ok && isTime {
					return t, nil
				}
				return time.Time{}, end.refuse("want a time like 2024-05-31T12:00:00Z (RFC 3339), as the other bound is a string")
			})
			return &timeRange{b}, err
		}
	}
	b, err := readBounds(n, o, func(end node) (number, error) {
		literal, ok := end.value.(json.Number)
		if !ok {
			return number{}, end.refuse("want a number or a time in a string, got %s", end.kind())
		}
		v, ok := parseNumber(literal.String())
		if !ok {
			return number{}, end.refuse("a number beyond the range of float64")
		}
		return v, nil
	})
	return &numberRange{b}, err
}

// readValuesCount reads the object of "values_count".
func readValuesCount(n node) (test, error) {
	o, err := n.object("gt", "gte", "lt", "lte")
	if err != nil {
		return nil, err
	}
	b, err := readBounds(n, o, func(end node) (number, error) {
		k, err := wholeNumber(end)
		return number{whole: true, size: k}, err
	})
	return &valuesCount{b}, err
}

// readBounds reads the ends that are given, at least one.
func readBounds[T any](n node, o object, read func(node) (T, error)) (bounds[T], error) {
	var b bounds[T]
	given := false
	for _, end := range []struct {
		key string
		at  **T
	}{{"gt", &b.gt}, {"gte", &b.gte}, {"lt", &b.lt}, {"lte", &b.lte}} {
		if v, ok := o.get(end.key); ok {
			value, err := read(v)
			if err != nil {
				return b, err
			}
			*end.at, given = &value, true
		}
	}
	if !given {
		return b, n.refuse("want at least one of gt, gte, lt, lte")
	}
	return b, nil
}

// wholeNumber reads an integer that is not negative.
func wholeNumber(n node) (uint64, error) {
	literal, ok := n.value.(json.Number)
	if !ok {
		return 0, n.refuse("want a whole number, got %s", n.kind())
	}
	k, err := strconv.ParseUint(literal.String(), 10, 64)
	if err != nil {
		return 0, n.refuse("want a whole number that is not negative, got %s", literal)
	}
	return k, nil
}

func boolean(n node) (bool, error) {
	b, ok := n.value.(bool)
	if !ok {
		return false, n.refuse("want true or false, got %s", n.kind())
	}
	return b, nil
}

package filter

import (
	"math/rand/v2"
	"slices"
	"strings"
)

type jsonObject = map[string]any

var names = []string{"a", "b", "c"}

func pick[T any](rng *rand.Rand, list ...T) T { return list[rng.IntN(len(list))] }

func randomScalar(rng *rand.Rand) any {
	return pick[any](rng, 0, 1, 2, "x", "y", "x y", true, false)
}

func randomValue(rng *rand.Rand, depth int) any {
	switch n := rng.IntN(10); {
	case n < 5 || depth > 3:
		return randomScalar(rng)
	case n < 6:
		return nil
	case n < 8:
		list := make([]any, rng.IntN(3))
		for i := range list {
			list[i] = randomValue(rng, depth+1)
		}
		return list
	default:
		return randomObject(rng, depth+1)
	}
}

func randomObject(rng *rand.Rand, depth int) jsonObject {
	o := jsonObject{}
	for _, name := range names {
		if rng.IntN(3) > 0 {
			o[name] = randomValue(rng, depth)
		}
	}
	return o
}

func randomPayload(rng *rand.Rand) jsonObject { return randomObject(rng, 0) }

func randomPath(rng *rand.Rand) string {
	p := pick(rng, names...)
	for rng.IntN(3) == 0 {
		p += pick(rng, "[]", "[0]", "[1]", ".a", ".b", "[].c")
	}
	return p
}

func randomCondition(rng *rand.Rand, depth int) jsonObject {
	key := randomPath(rng)
	kinds := 8
	if depth < 3 {
		kinds = 10
	}
	switch rng.IntN(kinds) {
	case 0:
		return jsonObject{"key": key, "match": jsonObject{"value": randomScalar(rng)}}
	case 1:
		return jsonObject{"key": key, "match": jsonObject{"any": []any{randomScalar(rng), randomScalar(rng)}}}
	case 2:
		return jsonObject{"key": key, "match": jsonObject{"except": []any{randomScalar(rng), randomScalar(rng)}}}
	case 3:
		return jsonObject{"key": key, "match": jsonObject{"text": pick(rng, "x", "Y", "y x")}}
	case 4:
		return jsonObject{"key": key, "range": jsonObject{pick(rng, "gt", "gte", "lt", "lte"): rng.IntN(3)}}
	case 5:
		return jsonObject{"key": key, "values_count": jsonObject{pick(rng, "gt", "gte", "lt", "lte"): rng.IntN(3)}}
	case 6:
		return jsonObject{pick(rng, "is_empty", "is_null"): jsonObject{"key": key}}
	case 7:
		return jsonObject{"key": key, pick(rng, "is_empty", "is_null"): rng.IntN(2) == 0}
	case 8:
		return jsonObject{"nested": jsonObject{"key": key, "filter": randomFilter(rng, depth+1)}}
	default:
		f := randomFilter(rng, depth+1)
		if len(f) == 0 {
			f["must"] = []any{}
		}
		return f
	}
}

func randomFilter(rng *rand.Rand, depth int) jsonObject {
	f := jsonObject{}
	list := func() []any {
		out := make([]any, rng.IntN(3))
		for i := range out {
			out[i] = randomCondition(rng, depth)
			if depth == 0 && rng.IntN(8) == 0 {
				out[i] = jsonObject{"has_id": []any{rng.IntN(4), "x"}}
			}
		}
		return out
	}
	for _, clause := range []string{"must", "should", "must_not"} {
		if rng.IntN(3) == 0 {
			f[clause] = list()
		}
	}
	if rng.IntN(4) == 0 {
		f["min_should"] = jsonObject{"conditions": list(), "min_count": rng.IntN(3)}
	}
	return f
}

// naiveFilter counts what holds instead of stopping early.
func naiveFilter(f jsonObject, id uint64, payload jsonObject) bool {
	count := func(list any) (holding, all int) {
		conditions, _ := list.([]any)
		for _, c := range conditions {
			if naiveCondition(c.(jsonObject), id, payload) {
				holding++
			}
		}
		return holding, len(conditions)
	}
	must, mustAll := count(f["must"])
	should, shouldAll := count(f["should"])
	mustNot, _ := count(f["must_not"])
	ok := must == mustAll && mustNot == 0 && (shouldAll == 0 || should > 0)
	if m, has := f["min_should"].(jsonObject); has {
		n, _ := count(m["conditions"])
		ok = ok && n >= m["min_count"].(int)
	}
	return ok
}

func naiveCondition(c jsonObject, id uint64, payload jsonObject) bool {
	if ids, ok := c["has_id"].([]any); ok {
		return slices.Contains(ids, any(int(id)))
	}
	if n, ok := c["nested"].(jsonObject); ok {
		for _, v := range flatten(naiveValues(n["key"].(string), payload)) {
			if o, ok := v.(jsonObject); ok && naiveFilter(n["filter"].(jsonObject), id, o) {
				return true
			}
		}
		return false
	}
	for _, kind := range []string{"is_empty", "is_null"} {
		if o, ok := c[kind].(jsonObject); ok {
			return naiveCondition(jsonObject{"key": o["key"], kind: true}, id, payload)
		}
	}
	key, ok := c["key"].(string)
	if !ok {
		return naiveFilter(c, id, payload)
	}
	return naiveTest(c, naiveValues(key, payload))
}

func naiveTest(c jsonObject, values []any) bool {
	single := flatten(values)
	if m, ok := c["match"].(jsonObject); ok {
		if v, ok := m["value"]; ok {
			return slices.Contains(single, v)
		}
		if list, ok := m["any"].([]any); ok {
			return slices.ContainsFunc(single, func(v any) bool { return isScalar(v) && slices.Contains(list, v) })
		}
		if list, ok := m["except"].([]any); ok {
			return slices.ContainsFunc(single, func(v any) bool {
				return v != nil && !(isScalar(v) && slices.Contains(list, v))
			})
		}
		return slices.ContainsFunc(single, func(v any) bool {
			s, ok := v.(string)
			have := strings.Fields(s)
			for _, w := range strings.Fields(strings.ToLower(m["text"].(string))) {
				ok = ok && slices.Contains(have, w)
			}
			return ok
		})
	}
	if r, ok := c["range"].(jsonObject); ok {
		return slices.ContainsFunc(single, func(v any) bool { n, ok := v.(int); return ok && within(r, n) })
	}
	if r, ok := c["values_count"].(jsonObject); ok {
		if len(values) == 0 {
			return within(r, 0)
		}
		return slices.ContainsFunc(values, func(v any) bool { return within(r, len(flatten([]any{v}))-nulls(v)) })
	}
	if want, ok := c["is_null"].(bool); ok {
		return want == slices.ContainsFunc(values, func(v any) bool { return v == nil })
	}
	filled := 0
	for _, v := range values {
		filled += len(flatten([]any{v})) - nulls(v)
	}
	return c["is_empty"].(bool) == (filled == 0)
}

func nulls(v any) int {
	if v == nil {
		return 1
	}
	return 0
}

func isScalar(v any) bool {
	switch v.(type) {
	case int, string, bool:
		return true
	}
	return false
}

func within(r jsonObject, n int) bool {
	for end, v := range r {
		limit := v.(int)
		switch end {
		case "gt":
			return n > limit
		case "gte":
			return n >= limit
		case "lt":
			return n < limit
		default:
			return n <= limit
		}
	}
	return true
}

// flatten replaces arrays by their elements, once.
func flatten(values []any) []any {
	var out []any
	for _, v := range values {
		if list, ok := v.([]any); ok {
			out = append(out, list...)
		} else {
			out = append(out, v)
		}
	}
	return out
}

// naiveValues works level by level on the written path, which here holds
// neither quotation marks nor dots in keys.
func naiveValues(key string, payload jsonObject) []any {
	level := []any{payload}
	for _, part := range strings.Split(strings.ReplaceAll(key, "[", ".["), ".") {
		var next []any
		for _, v := range level {
			switch list, isList := v.([]any); {
			case part == "[]" && isList:
				next = append(next, list...)
			case strings.HasPrefix(part, "[") && part != "[]":
				if i := int(part[1] - '0'); isList && i < len(list) {
					next = append(next, list[i])
				}
			default:
				o, _ := v.(jsonObject)
				if value, ok := o[part]; ok {
					next = append(next, value)
				}
			}
		}
		level = next
	}
	return level
}

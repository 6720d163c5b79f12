package filter

// Merge puts values into the objects that the path names, over what they have
// under the same keys, and makes the objects that are missing on the way by
// keys. What is there and no object is replaced by one.
func (p Path) Merge(object, values map[string]any) { p.steps.merge(object, values) }

func (p path) merge(object, values map[string]any) {
	key := p[0].key
	if len(p) > 1 && p[1].kind != stepKey {
		p[1:].mergeElements(object[key], values)
		return
	}
	inner, ok := object[key].(map[string]any)
	if !ok {
		inner = map[string]any{}
		object[key] = inner
	}
	p[1:].mergeInto(inner, values)
}

// mergeInto goes on in an object, or has arrived.
func (p path) mergeInto(object, values map[string]any) {
	if len(p) > 0 {
		p.merge(object, values)
		return
	}
	for k, v := range values {
		object[k] = v
	}
}

// mergeElements goes on in the elements of an array; there is nothing to be
// made where they are missing.
func (p path) mergeElements(value any, values map[string]any) {
	array, _ := value.([]any)
	for i, element := range array {
		if p[0].kind == stepIndex && p[0].index != i {
			continue
		}
		if len(p) > 1 && p[1].kind != stepKey {
			p[1:].mergeElements(element, values)
			continue
		}
		inner, ok := element.(map[string]any)
		if !ok {
			inner = map[string]any{}
			array[i] = inner
		}
		p[1:].mergeInto(inner, values)
	}
}

// Delete removes what the path names: a value with its key, the elements of an
// array.
func (p Path) Delete(object map[string]any) { p.steps.without(object) }

// without is value without what p names in it; left is false where p is at its
// end and value itself goes.
func (p path) without(value any) (rest any, left bool) {
	if len(p) == 0 {
		return nil, false
	}
	switch p[0].kind {
	case stepKey:
		object, _ := value.(map[string]any)
		if inner, ok := object[p[0].key]; ok {
			if rest, left := p[1:].without(inner); left {
				object[p[0].key] = rest
			} else {
				delete(object, p[0].key)
			}
		}
	default:
		array, ok := value.([]any)
		if !ok {
			break
		}
		kept := array[:0]
		for i, element := range array {
			if p[0].kind == stepIndex && p[0].index != i {
				kept = append(kept, element)
			} else if rest, left := p[1:].without(element); left {
				kept = append(kept, rest)
			}
		}
		return kept, true
	}
	return value, true
}

package filter

// ReadsPayload reports whether Match looks at the payload. Where it does not,
// a caller need not decode one.
func (f *Filter) ReadsPayload() bool {
	if f == nil {
		return false
	}
	for _, clause := range [...][]condition{f.must, f.should, f.mustNot, f.minShould} {
		for _, c := range clause {
			switch c := c.(type) {
			case *hasID:
			case *Filter:
				if c.ReadsPayload() {
					return true
				}
			default:
				return true
			}
		}
	}
	return false
}

// IDs is ids (uint64 or string) in no order, of which every document that
// matches has one. ok is false when the filter does not say so: then any
// document may match.
func (f *Filter) IDs() (ids []any, ok bool) {
	if f == nil {
		return nil, false
	}
	for _, c := range f.must {
		switch c := c.(type) {
		case *hasID:
			return c.list(), true
		case *Filter:
			if ids, ok := c.IDs(); ok {
				return ids, true
			}
		}
	}
	return nil, false
}

// list is the ids of the set, in no order.
func (c *hasID) list() []any {
	ids := make([]any, 0, len(c.numbers)+len(c.strings))
	for n := range c.numbers {
		ids = append(ids, n)
	}
	for s := range c.strings {
		ids = append(ids, s)
	}
	return ids
}

// All is the filter that wants each of some filters; nil ones want nothing.
func All(filters ...*Filter) *Filter {
	all := &Filter{}
	for _, f := range filters {
		if f != nil {
			all.must = append(all.must, f)
		}
	}
	return all
}

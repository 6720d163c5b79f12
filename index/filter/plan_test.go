package filter

import (
	"slices"
	"testing"
)

func TestPlan(t *testing.T) {
	for _, test := range []struct {
		text    string
		payload bool
		ids     []any // nil: they are not known
	}{
		{`{}`, false, nil},
		{`{"must":[{"has_id":[]}]}`, false, []any{}},
		{`{"must":[{"has_id":[3,"a"]}]}`, false, []any{uint64(3), "a"}},
		{`{"must":[{"must":[{"has_id":[3]}]}]}`, false, []any{uint64(3)}},
		{`{"must":[{"key":"a","match":{"value":1}},{"has_id":[3]}]}`, true, []any{uint64(3)}},
		{`{"must":[{"has_id":[3]}],"must_not":[{"is_null":{"key":"a"}}]}`, true, []any{uint64(3)}},
		{`{"must":[{"has_id":[3]}],"should":[{"nested":{"key":"a","filter":{}}}]}`, true, []any{uint64(3)}},
		{`{"must_not":[{"has_id":[3]}]}`, false, nil},
		{`{"should":[{"has_id":[3]}]}`, false, nil},
		{`{"should":[{"must":{"is_empty":{"key":"a"}}}]}`, true, nil},
		{`{"min_should":{"conditions":[{"has_id":[3]}],"min_count":1}}`, false, nil},
		{`{"min_should":{"conditions":[{"is_null":{"key":"a"}}],"min_count":1}}`, true, nil},
	} {
		f, err := Parse([]byte(test.text))
		if err != nil {
			t.Fatalf("%s: %v", test.text, err)
		}
		if got := f.ReadsPayload(); got != test.payload {
			t.Errorf("%s: ReadsPayload is %t", test.text, got)
		}
		ids, ok := f.IDs()
		if ok != (test.ids != nil) || len(ids) != len(test.ids) {
			t.Errorf("%s: IDs are %v, %t; want %v", test.text, ids, ok, test.ids)
		}
		for _, id := range test.ids {
			if !slices.Contains(ids, id) {
				t.Errorf("%s: IDs are %v without %v", test.text, ids, id)
			}
		}
	}
	var none *Filter
	if _, ok := none.IDs(); ok || none.ReadsPayload() {
		t.Error("no filter asks for something")
	}
}

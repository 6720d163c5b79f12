package filter

import (
	"encoding/json"
	"testing"
)

func TestEditPaths(t *testing.T) {
	for _, test := range []struct{ payload, op, path, want string }{
		{`{"a":1}`, "merge", "b", `{"a":1,"b":{"n":0}}`},
		{`{"a":1}`, "merge", "a", `{"a":{"n":0}}`},
		{`{"a":{"x":1,"n":7}}`, "merge", "a", `{"a":{"n":0,"x":1}}`},
		{`{}`, "merge", "a.b.c", `{"a":{"b":{"c":{"n":0}}}}`},
		{`{"a":[{"x":1},2]}`, "merge", "a[]", `{"a":[{"n":0,"x":1},{"n":0}]}`},
		{`{"a":[{"x":1},2]}`, "merge", "a[0].y", `{"a":[{"x":1,"y":{"n":0}},2]}`},
		{`{"a":[[1],[{}]]}`, "merge", "a[1][]", `{"a":[[1],[{"n":0}]]}`},
		{`{"a":7}`, "merge", "a[].b", `{"a":7}`},
		{`{"a":1,"b":2}`, "delete", "a", `{"b":2}`},
		{`{"a":1,"b":2}`, "delete", "c", `{"a":1,"b":2}`},
		{`{"a":{"b":1,"c":2}}`, "delete", "a.b", `{"a":{"c":2}}`},
		{`{"a":[{"b":1,"c":2},{"b":3},4]}`, "delete", "a[].b", `{"a":[{"c":2},{},4]}`},
		{`{"a":[1,2,3]}`, "delete", "a[1]", `{"a":[1,3]}`},
		{`{"a":[1,2,3]}`, "delete", "a[]", `{"a":[]}`},
		{`{"a.b":1,"a":{"b":2}}`, "delete", `"a.b"`, `{"a":{"b":2}}`},
		{`{"a":1}`, "delete", "a.b[0].c", `{"a":1}`},
	} {
		payload, err := decode([]byte(test.payload))
		if err != nil {
			t.Fatal(err)
		}
		p, err := ParsePath(test.path)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := ParsePath(p.String()); err != nil || again.String() != p.String() {
			t.Errorf("%s is written %s, which is %v; %v", test.path, p, again, err)
		}
		if test.op == "merge" {
			p.Merge(payload, map[string]any{"n": 0})
		} else {
			p.Delete(payload)
		}
		if got, err := json.Marshal(payload); err != nil || string(got) != test.want {
			t.Errorf("%s of %s in %s: %s, want %s", test.op, test.path, test.payload, got, test.want)
		}
	}
}

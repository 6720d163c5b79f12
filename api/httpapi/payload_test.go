package httpapi

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
)

// payloadOf is a point's payload as JSON with its keys in order, and its text.
func (s *server) payloadOf(collection string, id any) (payload string, text any, version float64) {
	s.t.Helper()
	r := s.must(200, "GET", fmt.Sprintf("/collections/%s/points/%v", collection, id), nil)
	data, err := json.Marshal(r.at(s.t, "result", "payload"))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(data), r.at(s.t, "result", "text"), r.at(s.t, "result", "version").(float64)
}

func TestPayloadOperations(t *testing.T) {
	s := start(t, t.TempDir())
	s.fill("c")
	vector := func() string {
		return fmt.Sprint(s.must(200, "GET", "/collections/c/points/1", nil).at(t, "result", "vector"))
	}
	before := vector()
	version := 0.0
	step := func(method, path string, body, want string) {
		t.Helper()
		s.must(200, method, "/collections/c/points/payload"+path, body)
		payload, text, now := s.payloadOf("c", 1)
		if payload != want || text != texts[0] || now <= version {
			t.Errorf("%s%s %s: %s of text %v and version %v, want %s", method, path, body, payload, text, now, want)
		}
		version = now
	}
	step("POST", "", `{"payload":{"n":7,"new":{"a":1.50}},"points":[1,99]}`, `{"even":true,"n":7,"new":{"a":1.5},"tags":["t","a"]}`)
	step("POST", "", `{"payload":{"b":"<&>"},"key":"new","filter":{"must":{"key":"n","match":{"value":7}}}}`, `{"even":true,"n":7,"new":{"a":1.5,"b":"\u003c\u0026\u003e"},"tags":["t","a"]}`)
	step("POST", "/delete", `{"keys":["new.a","tags[0]","none.x"],"points":[1]}`, `{"even":true,"n":7,"new":{"b":"\u003c\u0026\u003e"},"tags":["a"]}`)
	step("PUT", "", `{"payload":{"only":true},"points":[1]}`, `{"only":true}`)
	step("POST", "/clear", `{"points":[1]}`, `null`)
	if after := vector(); after != before {
		t.Errorf("the vector is %.80s, was %.80s", after, before)
	}
	if r := s.must(200, "POST", "/collections/c/points/payload", `{"payload":{"x":1},"points":[99]}`); r.at(t, "result", "operation_id").(float64) != version {
		t.Error("an edit of nothing has a number of its own")
	}
	s.must(400, "POST", "/collections/c/points/payload/delete", `{"keys":["a..b"],"points":[1]}`)
	s.must(200, "POST", "/collections/c/points/payload", `{"payload":{"all":1},"filter":{}}`)
	if n := s.must(200, "POST", "/collections/c/points/count", `{"filter":{"must":{"key":"all","match":{"value":1}}}}`).at(t, "result", "count"); n != 8.0 {
		t.Errorf("%v points were changed, want 8", n)
	}
}

// Where a point's text lies in its payload, text and vector follow the payload.
func TestTextFollowsPayload(t *testing.T) {
	s := start(t, t.TempDir())
	s.must(200, "PUT", "/collections/c", `{"embedding":{"model":"builtin:hash","text_field":"content"}}`)
	s.must(200, "PUT", "/collections/c/points", `{"points":[
		{"id":1,"text":"red apples","payload":{"content":"red apples"}},
		{"id":2,"text":"a lazy dog","payload":{"content":"something else"}},
		{"id":3,"text":"the harbour"}]}`)
	top := func(text string) any {
		return s.must(200, "POST", "/collections/c/points/query", fmt.Sprintf(`{"query":{"text":%q},"limit":1}`, text)).at(t, "result", "points", 0, "id")
	}
	r := s.must(200, "POST", "/collections/c/points/payload", `{"payload":{"content":"green pears","n":1},"points":[1,2,3]}`)
	if r.at(t, "usage", "tokens").(float64) == 0 {
		t.Error("no tokens were counted")
	}
	for id, want := range map[int]any{1: "green pears", 2: "a lazy dog", 3: "the harbour"} {
		if _, text, _ := s.payloadOf("c", id); text != want {
			t.Errorf("the text of %d is %v, want %v", id, text, want)
		}
	}
	for text, want := range map[string]float64{"green pears": 1, "lazy dog": 2, "harbour": 3} {
		if got := top(text); got != want {
			t.Errorf("%q finds %v first, want %v", text, got, want)
		}
	}
	s.must(200, "POST", "/collections/c/points/payload/delete", `{"keys":["content"],"points":[1]}`)
	if payload, text, _ := s.payloadOf("c", 1); payload != `{"n":1}` || text != nil {
		t.Errorf("without its field: %s, %v", payload, text)
	}
	if got := top("green pears"); got != 1.0 {
		t.Errorf("the vector of a text that went finds %v first", got)
	}
}

func TestPayloadIndexCalls(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	s.fill("c")
	for _, body := range []string{
		`{"field_name":"n","field_schema":"integer"}`,
		`{"field_name":"tags","field_schema":{"type":"keyword","is_tenant":true}}`,
		`{"field_name":"even","field_schema":"bool"}`,
	} {
		for range 2 { // again is no failure
			if r := s.must(200, "PUT", "/collections/c/index?wait=true", body); r.at(t, "result", "status") != "completed" {
				t.Errorf("%s", r.body)
			}
		}
	}
	s.must(422, "PUT", "/collections/c/index", `{"field_name":"a..b","field_schema":"bool"}`)
	s.must(404, "PUT", "/collections/none/index", `{"field_name":"a","field_schema":"bool"}`)
	check := func() {
		t.Helper()
		schema := s.must(200, "GET", "/collections/c", nil).at(t, "result", "payload_schema").(map[string]any)
		if n := schema["n"].(map[string]any); len(schema) != 3 || n["data_type"] != "integer" || n["points"] != 8.0 || n["ready"] != true {
			t.Errorf("the schema is %v", schema)
		}
		var ids []float64
		r := s.must(200, "POST", "/collections/c/points/query", `{"query":{"text":"bread"},"filter":{"must":[{"key":"even","match":{"value":true}},{"key":"n","range":{"gt":0}}]}}`)
		for i := range r.at(t, "result", "points").([]any) {
			ids = append(ids, r.at(t, "result", "points", i, "id").(float64))
		}
		slices.Sort(ids)
		if !slices.Equal(ids, []float64{3, 5, 7}) || r.at(t, "usage", "plan") != "exact" {
			t.Errorf("found %v by %v", ids, r.at(t, "usage", "plan"))
		}
	}
	check()
	s.stop()
	s = start(t, dir)
	s.must(200, "PUT", "/collections/c/index?wait=true", `{"field_name":"n","field_schema":"integer"}`)
	check()
	for range 2 {
		s.must(200, "DELETE", "/collections/c/index/n?wait=true", nil)
	}
	if schema := s.must(200, "GET", "/collections/c", nil).at(t, "result", "payload_schema").(map[string]any); schema["n"] != nil {
		t.Errorf("the schema is %v", schema)
	}
}

package httpapi

import "testing"

func TestAliases(t *testing.T) {
	s := start(t, t.TempDir())
	s.fill("c")
	s.must(200, "POST", "/collections/aliases", `{"actions":[{"create_alias":{"collection_name":"c","alias_name":"now"}}]}`)
	r := s.must(200, "POST", "/collections/now/points/query", `{"query":{"text":"bread"},"limit":1}`)
	if r.at(t, "result", "points", 0, "id") == nil || r.header.Get(headerFingerprint) == "" {
		t.Errorf("%s", r.body)
	}
	s.must(200, "PUT", "/collections/now/points", `{"points":[{"id":100,"text":"by another name"}]}`)
	s.must(200, "GET", "/collections/c/points/100", nil)
	if r := s.must(200, "GET", "/collections/c/aliases", nil); r.at(t, "result", "aliases", 0, "alias_name") != "now" {
		t.Errorf("%s", r.body)
	}
	if r := s.must(409, "DELETE", "/collections/now", nil); r.at(t, "code") != "is_alias" {
		t.Errorf("%s", r.body)
	}
	s.must(409, "PUT", "/collections/now", `{}`)
	s.must(409, "POST", "/collections/aliases", `{"actions":[{"create_alias":{"collection_name":"c","alias_name":"c"}}]}`)
	s.must(404, "POST", "/collections/aliases", `{"actions":[{"rename_alias":{"old_alias_name":"x","new_alias_name":"y"}}]}`)
	s.must(404, "POST", "/collections/aliases", `{"actions":[{"delete_alias":{"alias_name":"now"}},{"create_alias":{"collection_name":"none","alias_name":"y"}}]}`)
	if r := s.must(200, "GET", "/aliases", nil); r.at(t, "result", "aliases", 0, "collection_name") != "c" {
		t.Errorf("half of a change was applied: %s", r.body)
	}
	s.must(200, "DELETE", "/collections/c", nil)
	s.must(404, "GET", "/collections/now", nil)
}

package httpapi

import "testing"

// TestQdrantClientShapes replays what @qdrant/js-client-rest 1.18.0 sends, as
// recorded: paths, query strings, and members that it fills in by itself.
func TestQdrantClientShapes(t *testing.T) {
	s := start(t, t.TempDir())
	s.must(200, "GET", "/", nil)
	s.must(200, "DELETE", "/collections/js?timeout=10", nil, "Content-Type", mediaJSON) // recreateCollection begins so
	s.must(200, "PUT", "/collections/js?timeout=10", `{"vectors":{"size":4,"distance":"Cosine","on_disk":true,"hnsw_config":{"m":16}},"optimizers_config":{"default_segment_number":2},"replication_factor":1}`)
	s.must(200, "GET", "/collections/js/exists", nil)
	s.must(200, "PUT", "/collections/js/points?wait=true&ordering=strong", `{"points":[{"id":1,"vector":[0.05,0.61,0.76,0.74],"payload":{"city":"Berlin","count":1000000}},{"id":2,"vector":[0.19,0.81,0.75,0.11],"payload":{"city":["Berlin","London"]}},{"id":"98A9A4B1-4ef2-46fb-8315-a97d874fe1d7","vector":[0.36,0.55,0.47,0.94]}]}`)
	s.must(200, "PUT", "/collections/js/points?wait=true", `{"batch":{"ids":[10,11],"vectors":[[1,0,0,0],[0,1,0,0]],"payloads":[{"a":1},null]}}`)
	if r := s.must(200, "POST", "/collections/js/points/count", `{"filter":{"must":[{"key":"city","match":{"value":"Berlin"}}]},"exact":true}`); r.at(t, "result", "count") != 2.0 {
		t.Errorf("count: %s", r.body)
	}
	r := s.must(200, "POST", "/collections/js/points/search", `{"vector":[0.2,0.1,0.9,0.7],"limit":3,"offset":0,"params":{"hnsw_ef":64,"exact":false},"with_payload":true,"with_vector":false}`)
	if r.at(t, "result", 0, "id") != 1.0 || r.at(t, "result", 1, "id") != "98a9a4b1-4ef2-46fb-8315-a97d874fe1d7" {
		t.Errorf("search: %s", r.body)
	}
	r = s.must(200, "POST", "/collections/js/points/query", `{"query":[0.2,0.1,0.9,0.7],"filter":{"must":[{"key":"city","match":{"any":["London"]}}]},"limit":3,"with_payload":true}`)
	if len(r.at(t, "result", "points").([]any)) != 1 {
		t.Errorf("query: %s", r.body)
	}
	s.must(200, "POST", "/collections/js/points/search/batch?timeout=3", `{"searches":[{"vector":[0.2,0.1,0.9,0.7],"limit":1}]}`)
	s.must(200, "POST", "/collections/js/points/scroll", `{"limit":2,"with_payload":true,"with_vector":true}`)
	s.must(200, "POST", "/collections/js/points", `{"ids":[1,99],"with_payload":true,"with_vector":true}`)
	s.must(200, "POST", "/collections/js/points/delete?wait=true", `{"points":[10,11]}`)
	r = s.must(200, "GET", "/collections/js", nil)
	for _, member := range []string{"status", "optimizer_status", "points_count", "segments_count", "config", "payload_schema"} {
		if _, ok := r.at(t, "result").(map[string]any)[member]; !ok {
			t.Errorf("GET lacks %s, which Qdrant's clients read", member)
		}
	}
	r = s.must(422, "PUT", "/collections/js/points?wait=true", `{"points":[{"id":1,"vector":[1]}]}`)
	if r.at(t, "status", "error") == "" {
		t.Errorf("Qdrant's clients read status.error: %s", r.body)
	}
}

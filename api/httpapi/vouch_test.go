package httpapi

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

// TestVectorsNeedTheirFingerprint: into a collection with a model, and as
// queries of it, vectors pass only with the header that says which model made
// them; texts, ids and collections of raw vectors need none.
func TestVectorsNeedTheirFingerprint(t *testing.T) {
	s := start(t, t.TempDir())
	s.must(200, "PUT", "/collections/c", `{"embedding":{"model":"builtin:hash","dimensions":64}}`)
	e := s.must(200, "POST", "/v1/embeddings", `{"model":"builtin:hash","input":"rye bread","dimensions":64}`)
	vector, fingerprint := fmt.Sprint(strings.Repeat(fmt.Sprint(1/math.Sqrt(64))+",", 63), 1/math.Sqrt(64)), e.header.Get(headerFingerprint)
	if m := s.must(200, "GET", "/collections/c/manifest", nil); fingerprint == "" || m.at(t, "result", "fingerprint") != fingerprint {
		t.Fatalf("/v1/embeddings says %q, the manifest %s", fingerprint, m.body)
	}
	before := `{"points":[{"id":1,"text":"rye bread"},{"id":2,"text":"a ferry"}]}`
	s.must(200, "PUT", "/collections/c/points", before)
	calls := []struct{ method, path, body, pointer string }{
		{"PUT", "points", `{"points":[{"id":3,"text":"good"},{"id":4,"vector":[` + vector + `]}]}`, "/points/1/vector"},
		{"PUT", "points", `{"points":[{"id":3,"text":"with a text","vector":[` + vector + `]}]}`, "/points/0/vector"},
		{"PUT", "points", `{"batch":{"ids":[3],"vectors":[[` + vector + `]]}}`, "/batch/vectors/0/vector"},
		{"POST", "points/query", `{"query":[` + vector + `]}`, "/query"},
		{"POST", "points/query", `{"query":{"nearest":[` + vector + `]}}`, "/query/nearest"},
		{"POST", "points/query/batch", `{"searches":[{"query":1},{"query":[` + vector + `]}]}`, "/searches/1/query"},
		{"POST", "points/search", `{"vector":[` + vector + `]}`, "/vector"},
		{"POST", "points/search/batch", `{"searches":[{"vector":[` + vector + `]}]}`, "/searches/0/vector"},
	}
	for _, c := range calls {
		r := s.must(409, c.method, "/collections/c/"+c.path, c.body)
		if r.at(t, "code") != "fingerprint_required" || r.at(t, "expected") != fingerprint || r.at(t, "errors", 0, "pointer") != c.pointer {
			t.Errorf("%s %.80s: %s", c.path, c.body, r.body)
		}
		if remedy := r.at(t, "remedy").(string); !strings.Contains(remedy, "/collections/c/manifest") || !strings.Contains(remedy, "/v1/embeddings") || !strings.Contains(remedy, "only if that model") {
			t.Errorf("the remedy: %s", remedy)
		}
		if r := s.must(409, c.method, "/collections/c/"+c.path, c.body, headerFingerprint, many("ab", 32)); r.at(t, "code") != "another_space" {
			t.Errorf("%s with another fingerprint: %s", c.path, r.body)
		}
	}
	if r := s.must(200, "POST", "/collections/c/points/count", `{}`); r.at(t, "result", "count") != 2.0 {
		t.Errorf("a refused vector was stored: %s", r.body)
	}
	for _, c := range calls {
		s.must(200, c.method, "/collections/c/"+c.path, c.body, headerFingerprint, fingerprint)
	}
	for _, body := range []string{`{"query":{"text":"bread"}}`, `{"query":1}`, `{}`} {
		s.must(200, "POST", "/collections/c/points/query", body)
	}
	s.must(200, "PUT", "/collections/raw", `{"vectors":{"size":2,"distance":"Cosine"}}`)
	s.must(200, "PUT", "/collections/raw/points", `{"points":[{"id":1,"vector":[1,0]}]}`)
	s.must(200, "POST", "/collections/raw/points/query", `{"query":[1,0]}`)
}

// TestQueryWithoutAQuery lists the points, as Qdrant does.
func TestQueryWithoutAQuery(t *testing.T) {
	s := start(t, t.TempDir())
	s.must(200, "PUT", "/collections/c", `{"vectors":{"size":1,"distance":"Dot"}}`)
	var points []string
	for i := range 2500 {
		points = append(points, fmt.Sprintf(`{"id":%d,"vector":[%d],"payload":{"even":%v}}`, i, i+1, i%2 == 0))
	}
	s.must(200, "PUT", "/collections/c/points", `{"points":[`+strings.Join(points, ",")+`]}`)
	for body, want := range map[string][3]int{ // first, last, how many
		`{}`:             {0, 9, 10},
		`{"query":null}`: {0, 9, 10},
		`{"limit":3000}`: {0, 2499, 2500},
		`{"limit":1200,"offset":1100,"with_vector":true}`: {1100, 2299, 1200},
		`{"limit":10,"offset":2495}`:                      {2495, 2499, 5},
		`{"limit":10,"offset":2500}`:                      {0, 0, 0},
		`{"limit":3,"offset":1100,"filter":{"must":[{"key":"even","match":{"value":true}}]}}`:          {2200, 2204, 3},
		`{"limit":3,"with_payload":false,"with_vector":[],"filter":{"must":[{"has_id":[7,1,99999]}]}}`: {1, 7, 2},
	} {
		r := s.must(200, "POST", "/collections/c/points/query", body)
		list := r.at(t, "result", "points").([]any)
		if len(list) != want[2] {
			t.Errorf("%s: %d points, want %d", body, len(list), want[2])
			continue
		}
		if len(list) == 0 {
			continue
		}
		first, last := list[0].(map[string]any), list[len(list)-1].(map[string]any)
		if first["id"] != float64(want[0]) || last["id"] != float64(want[1]) || first["score"] != 0.0 || (first["vector"] != nil) != strings.Contains(body, `"with_vector":true`) {
			t.Errorf("%s: from %v to %v", body, first, last)
		}
	}
	batch := s.must(200, "POST", "/collections/c/points/query/batch", `{"searches":[{"limit":1},{"query":[1],"limit":1}]}`)
	if batch.at(t, "result", 0, "points", 0, "id") != 0.0 || batch.at(t, "result", 1, "points", 0, "id") != 2499.0 {
		t.Errorf("batch: %s", batch.body)
	}
	for path, body := range map[string]string{"query": `{"query":1,"with_vector":["x"]}`, "scroll": `{"with_vector":["x"]}`} {
		if r := s.must(400, "POST", "/collections/c/points/"+path, body); !strings.Contains(r.at(t, "detail").(string), "have no names here") || r.at(t, "errors", 0, "pointer") == "" {
			t.Errorf("a name of a vector: %s", r.body)
		}
	}
	if r := s.must(400, "POST", "/collections/c/points/query", `{"score_threshold":0.5}`); !strings.Contains(r.at(t, "detail").(string), "needs a query") {
		t.Errorf("a threshold alone: %s", r.body)
	}
}

// TestCollectionInfoIsComplete: the members that CollectionInfo of Qdrant's
// OpenAPI document requires, by type; generated clients fail without one.
func TestCollectionInfoIsComplete(t *testing.T) {
	s := start(t, t.TempDir())
	s.must(200, "PUT", "/collections/c", `{"vectors":{"size":256,"distance":"Euclid"},"hnsw_config":{"m":8,"ef_construct":50},"search":{"ef":100}}`)
	s.must(200, "PUT", "/collections/scanned", `{"vectors":{"size":256,"distance":"Dot"},"index":{"engine":"exact"}}`)
	r := s.must(200, "GET", "/collections/c", nil)
	for _, path := range []string{
		"status", "optimizer_status", "segments_count", "points_count", "indexed_vectors_count", "payload_schema",
		"config params vectors size", "config params vectors distance", "config params shard_number", "config params replication_factor",
		"config params write_consistency_factor", "config params on_disk_payload",
		"config hnsw_config m", "config hnsw_config ef_construct", "config hnsw_config full_scan_threshold",
		"config optimizer_config deleted_threshold", "config optimizer_config vacuum_min_vector_number",
		"config optimizer_config default_segment_number", "config optimizer_config flush_interval_sec",
		"config wal_config wal_capacity_mb", "config wal_config wal_segments_ahead",
	} {
		at := []any{"result"}
		for _, key := range strings.Fields(path) {
			at = append(at, key)
		}
		if r.at(t, at...) == nil {
			t.Errorf("%s is missing", path)
		}
	}
	if got := r.at(t, "result", "config", "hnsw_config", "full_scan_threshold"); got != 1000.0 { // 1.25 ef M vectors of a kilobyte
		t.Errorf("full_scan_threshold: %v kB", got)
	}
	s.must(200, "GET", "/collections/scanned", nil)
}

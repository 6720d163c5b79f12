package httpapi

import (
	"fmt"
	"strings"
	"testing"
)

// bring makes a collection of raw vectors, those of a model for the texts, which
// lie in the payload as LangChain's do.
func (s *server) bring(name, model string, dimensions int) (fingerprint string) {
	s.t.Helper()
	e := s.must(200, "POST", "/v1/embeddings", map[string]any{"model": model, "dimensions": dimensions, "input": texts, "input_type": "document"})
	s.must(200, "PUT", "/collections/"+name, fmt.Sprintf(`{"vectors":{"size":%d,"distance":"Cosine"}}`, dimensions))
	var points []map[string]any
	for i, text := range texts {
		points = append(points, map[string]any{"id": i + 1, "vector": e.at(s.t, "data", i, "embedding"), "payload": map[string]any{"content": text, "metadata": map[string]any{"n": i}}})
	}
	s.must(200, "PUT", "/collections/"+name+"/points?wait=true", map[string]any{"points": points})
	return e.header.Get(headerFingerprint)
}

// TestAdopt adopts what a client brought, over HTTP: refused for another model,
// with the figures in the problem, and for the true one served by text.
func TestAdopt(t *testing.T) {
	s := start(t, t.TempDir())
	model := s.bring("c", "builtin:hash", 256)
	path := "/collections/c/manifest/adopt"
	claim := `{"embedding":{"model":"builtin:hash","dimensions":256,"text_field":"content"}%s}`
	raw := s.must(200, "GET", "/collections/c/manifest", nil)
	if raw.at(t, "result", "unverified") != true {
		t.Fatalf("%s", raw.body)
	}

	r := s.must(409, "POST", path, `{"embedding":{"model":"builtin:static","text_field":"content"}}`)
	if r.at(t, "code") != "adoption_refused" || r.at(t, "adoption", "failed") != 8.0 || r.at(t, "adoption", "verdict") != "refused" || r.at(t, "adoption", "worst", 0, "id") == nil || !strings.Contains(r.at(t, "detail").(string), "0.999") {
		t.Errorf("another model: %s", r.body)
	}
	r = s.must(409, "POST", path, `{"embedding":{"model":"builtin:hash"}}`)
	if r.at(t, "code") != "adoption_refused" || r.at(t, "adoption", "sampled") != 0.0 || !strings.Contains(r.at(t, "detail").(string), "256 dimensions") {
		t.Errorf("another dimension: %s", r.body)
	}
	r = s.must(409, "POST", path, `{"embedding":{"model":"builtin:hash","dimensions":256}}`)
	if r.at(t, "code") != "adoption_unproved" || r.at(t, "adoption", "without_text") != 8.0 || !strings.Contains(r.at(t, "remedy").(string), "text_field") {
		t.Errorf("without a text_field: %s", r.body)
	}
	if r = s.must(404, "POST", path, `{"embedding":{"model":"local:nothing"}}`); r.at(t, "code") != "unknown_model" {
		t.Errorf("a model that there isn't: %s", r.body)
	}
	r = s.must(400, "POST", path, fmt.Sprintf(claim, `,"sample":9`))
	if !strings.Contains(r.at(t, "detail").(string), "10 to 10000") {
		t.Errorf("a sample that proves nothing: %s", r.body)
	}
	s.must(404, "POST", "/collections/none/manifest/adopt", fmt.Sprintf(claim, ""))
	s.must(412, "POST", path, fmt.Sprintf(claim, ""), "If-Match", `"another"`)
	r = s.must(200, "POST", path, fmt.Sprintf(claim, `,"dry_run":true`))
	if r.at(t, "result", "verdict") != "proved" || r.at(t, "result", "adopted") != false {
		t.Errorf("a dry run: %s", r.body)
	}
	if now := s.must(200, "GET", "/collections/c/manifest", nil); now.header.Get("ETag") != raw.header.Get("ETag") {
		t.Fatalf("a refusal or a dry run changed the manifest: %s", now.body)
	}

	r = s.must(200, "POST", path, fmt.Sprintf(claim, `,"sample":10`), headerFingerprint, raw.header.Get(headerFingerprint))
	if r.at(t, "result", "adopted") != true || r.at(t, "result", "sampled") != 8.0 || r.at(t, "result", "to") != model || r.header.Get(headerFingerprint) != model {
		t.Errorf("adopted: %s", r.body)
	}
	m := s.must(200, "GET", "/collections/c/manifest", nil)
	if m.at(t, "result", "unverified") != false || m.at(t, "result", "fingerprint") != model || m.at(t, "result", "manifest", "evidence", "adoption", "texts") != 8.0 {
		t.Errorf("the manifest: %s", m.body)
	}
	h := s.must(200, "GET", "/collections/c/history", nil)
	if h.at(t, "result", "generations", 0, "manifest", "evidence", "adoption", "from") != raw.at(t, "result", "fingerprint") {
		t.Errorf("the history: %s", h.body)
	}
	if r = s.must(409, "POST", path, fmt.Sprintf(claim, "")); r.at(t, "code") != "already_verified" {
		t.Errorf("once more: %s", r.body)
	}

	q := s.must(200, "POST", "/collections/c/points/query", map[string]any{"query": map[string]any{"text": texts[4]}, "limit": 1})
	if q.at(t, "result", "points", 0, "id") != 5.0 || q.at(t, "result", "points", 0, "text") != texts[4] {
		t.Errorf("a query by text: %s", q.body)
	}
	vector := "[" + strings.Repeat("0.0625,", 255) + "0.0625]"
	point := `{"points":[{"id":9,"vector":` + vector + `}]}`
	if r = s.must(409, "PUT", "/collections/c/points", point); r.at(t, "code") != "fingerprint_required" {
		t.Errorf("a vector without a fingerprint: %s", r.body)
	}
	if r = s.must(409, "PUT", "/collections/c/points", point, headerFingerprint, raw.header.Get(headerFingerprint)); r.at(t, "code") != "another_space" {
		t.Errorf("a vector of the raw space: %s", r.body)
	}
	s.must(200, "PUT", "/collections/c/points", point, headerFingerprint, model)
	s.must(200, "PUT", "/collections/c/points?wait=true", `{"points":[{"id":10,"text":"rye bread"}]}`)
}

package httpapi

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// hits are the ids and scores of an answer to a query.
func hits(t *testing.T, r reply) []any {
	t.Helper()
	var list []any
	for _, p := range r.at(t, "result", "points").([]any) {
		point := p.(map[string]any)
		list = append(list, point["id"], point["score"])
	}
	return list
}

func TestTextInHitsOutAndAgainAfterRestart(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	s.fill("notes")
	questions := []string{"yeast turns sugar into gas", "when does the ferry leave the harbour", "bicycle lamp", "island soil"}
	want := []float64{2, 1, 8, 4}
	ask := func(s *server) (answers [][]any) {
		for i, q := range questions {
			r := s.must(200, "POST", "/collections/notes/points/query", map[string]any{"query": map[string]any{"text": q}, "limit": 3})
			if got := r.at(t, "result", "points", 0, "id"); got != want[i] {
				t.Errorf("%q: the first hit is %v, want %v: %s", q, got, want[i], r.body)
			}
			if text := r.at(t, "result", "points", 0, "text"); text != texts[int(want[i])-1] {
				t.Errorf("%q: text %q", q, text)
			}
			if tokens := r.at(t, "usage", "tokens").(float64); tokens < 1 {
				t.Errorf("%q: %v tokens", q, tokens)
			}
			answers = append(answers, hits(t, r))
		}
		return answers
	}
	before := ask(s)
	manifest := s.must(200, "GET", "/collections/notes/manifest", nil)
	s.stop()
	s = start(t, dir)
	if after := ask(s); !reflect.DeepEqual(before, after) {
		t.Errorf("answers changed by a restart:\n%v\n%v", before, after)
	}
	again := s.must(200, "GET", "/collections/notes/manifest", nil)
	for _, h := range []string{"Etag", headerFingerprint} {
		if manifest.header.Get(h) == "" || manifest.header.Get(h) != again.header.Get(h) {
			t.Errorf("%s was %q and is %q after the restart", h, manifest.header.Get(h), again.header.Get(h))
		}
	}
	if n := len(again.at(t, "result", "manifest", "evidence", "probes").([]any)); n == 0 {
		t.Error("the manifest has no probes")
	}
}

func TestCollections(t *testing.T) {
	s := start(t, t.TempDir())
	if r := s.must(200, "GET", "/collections", nil); len(r.at(t, "result", "collections").([]any)) != 0 {
		t.Errorf("a new store has collections: %s", r.body)
	}
	created := s.must(200, "PUT", "/collections/a", `{"embedding":{"model":"builtin:hash","dimensions":128},"vectors":{"distance":"Dot"},"index":{"engine":"exact"},"search":{"ef":77}}`)
	if created.header.Get(headerFingerprint) == "" || created.at(t, "result") != true {
		t.Errorf("created: %v %s", created.header, created.body)
	}
	got := s.must(200, "GET", "/collections/a", nil)
	for path, want := range map[string]any{"size": 128.0, "distance": "Dot"} {
		if v := got.at(t, "result", "config", "params", "vectors", path); v != want {
			t.Errorf("%s is %v, want %v", path, v, want)
		}
	}
	if got.at(t, "result", "unverified") != false || got.at(t, "result", "config", "search", "ef") != 77.0 || got.at(t, "result", "config", "index", "engine") != "exact" {
		t.Errorf("GET: %s", got.body)
	}
	same := s.must(409, "PUT", "/collections/a", `{"embedding":{"model":"builtin:hash","dimensions":128},"vectors":{"distance":"Dot"},"index":{"engine":"exact"},"search":{"ef":77}}`)
	if same.at(t, "code") != "collection_exists" || same.json["changes"] != nil {
		t.Errorf("the same again: %s", same.body)
	}
	other := s.must(409, "PUT", "/collections/a", `{"embedding":{"model":"builtin:hash","dimensions":256}}`)
	if other.at(t, "changes", 0, "field") != "space.dimension" || other.at(t, "expected") == other.at(t, "actual") {
		t.Errorf("another one: %s", other.body)
	}
	s.must(200, "PUT", "/collections/b", `{}`)
	if r := s.must(200, "GET", "/collections/b", nil); r.at(t, "result", "embedding", "model") != "builtin:blend" {
		t.Errorf("the default: %s", r.body)
	}
	if r := s.must(200, "GET", "/collections/b/exists", nil); r.at(t, "result", "exists") != true {
		t.Errorf("exists: %s", r.body)
	}
	if r := s.must(200, "DELETE", "/collections/b", nil); r.at(t, "result") != true {
		t.Errorf("delete: %s", r.body)
	}
	if r := s.must(200, "DELETE", "/collections/b", nil); r.at(t, "result") != false {
		t.Errorf("delete again: %s", r.body)
	}
	if r := s.must(200, "GET", "/collections/b/exists", nil); r.at(t, "result", "exists") != false {
		t.Errorf("exists after delete: %s", r.body)
	}
	s.must(404, "GET", "/collections/b", nil)
}

func TestRawCollectionsAreUnverified(t *testing.T) {
	s := start(t, t.TempDir())
	for _, name := range []string{"x", "y"} {
		s.must(200, "PUT", "/collections/"+name, `{"vectors":{"size":2,"distance":"Euclid"},"hnsw_config":{"m":8}}`)
	}
	x, y := s.must(200, "GET", "/collections/x", nil), s.must(200, "GET", "/collections/y", nil)
	if x.at(t, "result", "unverified") != true || x.at(t, "result", "fingerprint") == y.at(t, "result", "fingerprint") {
		t.Errorf("two raw collections of one dimension must differ and be unverified:\n%s\n%s", x.body, y.body)
	}
	if m := s.must(200, "GET", "/collections/x/manifest", nil); m.at(t, "result", "unverified") != true || m.at(t, "result", "manifest", "index", "m") != 8.0 {
		t.Errorf("manifest: %s", m.body)
	}
	s.must(200, "PUT", "/collections/x/points", `{"points":[{"id":1,"vector":[0,0]},{"id":2,"vector":[3,4]},{"id":"three","vector":[0,1]}]}`)
	r := s.must(200, "POST", "/collections/x/points/query", `{"query":[0,0]}`)
	if got := hits(t, r); !reflect.DeepEqual(got, []any{1.0, 0.0, "three", 1.0, 2.0, 5.0}) {
		t.Errorf("nearest first by distance: %v", got)
	}
	r = s.must(200, "POST", "/collections/x/points/query", `{"query":"three","score_threshold":1.5}`)
	if got := hits(t, r); !reflect.DeepEqual(got, []any{1.0, 1.0}) {
		t.Errorf("by id, itself left out, below the threshold: %v", got)
	}
	if r := s.must(422, "POST", "/collections/x/points/query", `{"query":{"text":"a"}}`); r.at(t, "code") != "no_encoder" {
		t.Errorf("a text in a raw collection: %s", r.body)
	}
	if r := s.must(422, "PUT", "/collections/x/points", `{"points":[{"id":1,"text":"a"}]}`); r.at(t, "code") != "no_encoder" {
		t.Errorf("a text into a raw collection: %s", r.body)
	}
}

func TestPoints(t *testing.T) {
	s := start(t, t.TempDir())
	s.fill("c")
	r := s.must(200, "GET", "/collections/c/points/3", nil)
	if r.at(t, "result", "text") != texts[2] || r.at(t, "result", "payload", "n") != 2.0 || len(r.at(t, "result", "vector").([]any)) != 512 {
		t.Errorf("GET: %.300s", r.body)
	}
	s.must(404, "GET", "/collections/c/points/99", nil)
	s.must(200, "PUT", "/collections/c/points", `{"points":[{"id":"a/b c","text":"slash"},{"id":"123e4567-e89b-12d3-a456-426614174000","text":"uuid"}]}`)
	if r := s.must(200, "GET", "/collections/c/points/a%2Fb%20c", nil); r.at(t, "result", "id") != "a/b c" {
		t.Errorf("an escaped id: %s", r.body)
	}
	r = s.must(200, "POST", "/collections/c/points", `{"ids":[2,77,1],"with_payload":["n"],"with_vector":false}`)
	if list := r.at(t, "result").([]any); len(list) != 2 || r.at(t, "result", 0, "id") != 2.0 || !reflect.DeepEqual(r.at(t, "result", 1, "payload"), map[string]any{"n": 0.0}) {
		t.Errorf("by ids: %s", r.body)
	}
	if r := s.must(200, "POST", "/collections/c/points/count", `{"filter":{"must":[{"key":"even","match":{"value":true}}]},"exact":true}`); r.at(t, "result", "count") != 4.0 {
		t.Errorf("count: %s", r.body)
	}
	var seen []any
	for offset := any(nil); ; {
		r := s.must(200, "POST", "/collections/c/points/scroll", map[string]any{"limit": 3, "offset": offset, "with_payload": false})
		for _, p := range r.at(t, "result", "points").([]any) {
			seen = append(seen, p.(map[string]any)["id"])
			if p.(map[string]any)["text"] != nil {
				t.Error("with_payload false, and a text")
			}
		}
		if offset = r.at(t, "result", "next_page_offset"); offset == nil {
			break
		}
	}
	if want := []any{1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, "123e4567-e89b-12d3-a456-426614174000", "a/b c"}; !reflect.DeepEqual(seen, want) {
		t.Errorf("scrolled %v, want %v", seen, want)
	}
	r = s.must(200, "POST", "/collections/c/points/query", `{"query":{"nearest":{"text":"island"}},"filter":{"must_not":[{"has_id":[1]}]},"with_payload":{"exclude":["tags"]},"limit":1}`)
	if r.at(t, "result", "points", 0, "id") != 4.0 || r.at(t, "result", "points", 0, "payload", "tags") != nil || r.at(t, "result", "points", 0, "payload", "n") != 3.0 {
		t.Errorf("filtered: %s", r.body)
	}
	r = s.must(200, "POST", "/collections/c/points/query/batch", `{"searches":[{"query":{"text":"oboe"},"limit":1},{"query":5,"limit":2,"offset":1}]}`)
	if r.at(t, "result", 0, "points", 0, "id") != 5.0 || len(r.at(t, "result", 1, "points").([]any)) != 2 {
		t.Errorf("batch: %s", r.body)
	}
	if r := s.must(404, "POST", "/collections/c/points/query", `{"query":"bread"}`); !strings.Contains(r.at(t, "remedy").(string), `{"query": {"text"`) {
		t.Errorf("a text taken for an id must be explained: %s", r.body)
	}
	body := `{"filter":{"must":[{"key":"n","range":{"gte":6}}]},"dry_run":%v}`
	if r := s.must(200, "POST", "/collections/c/points/delete", strings.Replace(body, "%v", "true", 1)); r.at(t, "result", "deleted") != 2.0 {
		t.Errorf("dry run: %s", r.body)
	}
	if r := s.must(200, "POST", "/collections/c/points/delete", strings.Replace(body, "%v", "false", 1)); r.at(t, "result", "deleted") != 2.0 {
		t.Errorf("delete by filter: %s", r.body)
	}
	if r := s.must(200, "POST", "/collections/c/points/delete?wait=true", `{"points":[1,1,77,"a/b c"]}`); r.at(t, "result", "deleted") != 2.0 {
		t.Errorf("delete by ids: %s", r.body)
	}
	if r := s.must(200, "POST", "/collections/c/points/count", `{}`); r.at(t, "result", "count") != 6.0 {
		t.Errorf("count after: %s", r.body)
	}
	if r := s.must(200, "GET", "/collections/c", nil); r.at(t, "result", "points_count") != 6.0 {
		t.Errorf("points_count: %s", r.body)
	}
}

func TestTextFieldKeepsTheText(t *testing.T) {
	s := start(t, t.TempDir())
	s.must(200, "PUT", "/collections/c", `{"embedding":{"model":"builtin:hash","dimensions":64,"text_field":"content"}}`)
	e := s.must(200, "POST", "/v1/embeddings", `{"model":"builtin:hash","input":"red apples","dimensions":64}`)
	s.must(200, "PUT", "/collections/c/points", map[string]any{"points": []any{
		map[string]any{"id": 1, "vector": e.at(t, "data", 0, "embedding"), "payload": map[string]any{"content": "red apples"}},
		map[string]any{"id": 2, "vector": e.at(t, "data", 0, "embedding")},
	}}, headerFingerprint, e.header.Get(headerFingerprint))
	if r := s.must(200, "GET", "/collections/c/points/1", nil); r.at(t, "result", "text") != "red apples" {
		t.Errorf("the text was not kept: %.300s", r.body)
	}
	d := s.must(200, "POST", "/collections/c/manifest/diff", `{"embedding":{"model":"builtin:hash","dimensions":128}}`)
	if d.at(t, "result", "verdict") != "refuse" || d.at(t, "result", "plan", "blocked_documents") != 1.0 || d.at(t, "result", "plan", "blocked_ids", 0) != "2" {
		t.Errorf("the point without a text must block a reembed: %s", d.body)
	}
	if d := s.must(200, "POST", "/collections/c/manifest/diff", `{"search":{"ef":33}}`); d.at(t, "result", "verdict") != "tune" {
		t.Errorf("ef: %s", d.body)
	}
	if d := s.must(200, "POST", "/collections/c/manifest/diff", `{}`); d.at(t, "result", "verdict") != "same" {
		t.Errorf("nothing: %s", d.body)
	}
}

func TestEmbeddings(t *testing.T) {
	s := start(t, t.TempDir())
	r := s.must(200, "POST", "/v1/embeddings", `{"model":"builtin:hash","input":["red apples","green pears are sweet"],"user":"u","encoding_format":"float"}`)
	if r.at(t, "object") != "list" || r.at(t, "data", 1, "index") != 1.0 || r.at(t, "data", 0, "object") != "embedding" || len(r.at(t, "data", 0, "embedding").([]any)) != 512 {
		t.Errorf("%.300s", r.body)
	}
	if total := r.at(t, "data", 0, "tokens").(float64) + r.at(t, "data", 1, "tokens").(float64); r.at(t, "usage", "total_tokens") != total || total < 4 {
		t.Errorf("usage: %v", r.json["usage"])
	}
	b := s.must(200, "POST", "/v1/embeddings", `{"model":"builtin:hash","input":"red apples","encoding_format":"base64","input_type":"document"}`)
	data, err := base64.StdEncoding.DecodeString(b.at(t, "data", 0, "embedding").(string))
	if err != nil || len(data) != 4*512 {
		t.Fatalf("base64: %d bytes, %v", len(data), err)
	}
	var norm float64
	for i := range 512 {
		x := float64(math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:])))
		if want := r.at(t, "data", 0, "embedding", i).(float64); math.Abs(x-want) > 1e-7 {
			t.Fatalf("component %d is %v in base64 and %v as a number", i, x, want)
		}
		norm += x * x
	}
	if math.Abs(norm-1) > 1e-5 {
		t.Errorf("squared length %v", norm)
	}
	for body, want := range map[string]struct {
		status int
		param  any
	}{
		`{"model":"builtin:hash","input":[1,2]}`:                           {400, "input"},
		`{"model":"builtin:hash","input":[[1,2],[3]]}`:                     {400, "input"},
		`{"model":"builtin:hash","input":[]}`:                              {400, "input"},
		`{"model":"builtin:hash","input":""}`:                              {422, "input"},
		`{"model":"builtin:hash"}`:                                         {400, "input"},
		`{"input":"a"}`:                                                    {400, "model"},
		`{"model":"no:such","input":"a"}`:                                  {404, nil},
		`{"model":"local:../etc","input":"a"}`:                             {404, nil},
		`{"model":"local:x","input":"a"}`:                                  {404, nil},
		`{"model":"builtin:hash","input":"a","dimensions":63}`:             {422, nil},
		`{"model":"builtin:hash","input":"a","dimensions":0}`:              {400, "dimensions"},
		`{"model":"builtin:hash","input":"a","encoding_format":"x"}`:       {400, "encoding_format"},
		`{"model":"builtin:hash","input":"a","input":"b"}`:                 {400, "input"},
		`{"model":"builtin:hash","input":"a","Dimensions":64}`:             {400, "Dimensions"},
		`{"model":"builtin:hash","input":[` + many(`"a",`, 2048) + `"a"]}`: {400, "input"},
		`{"model":"builtin:hash","input":"` + many(`a b `, 160_000) + `"}`: {413, nil},
	} {
		r := s.must(want.status, "POST", "/v1/embeddings", body)
		if r.at(t, "error", "param") != want.param {
			t.Errorf("%.80s: param %v, want %v: %s", body, r.at(t, "error", "param"), want.param, r.body)
		}
	}
	m := s.must(200, "GET", "/v1/models", nil)
	if m.at(t, "data", 0, "id") != "builtin:blend" || m.at(t, "data", 1, "id") != "builtin:hash" || m.at(t, "data", 2, "id") != "builtin:static" || m.at(t, "data", 0, "object") != "model" {
		t.Errorf("models: %s", m.body)
	}
	s.must(200, "GET", "/v1/models/builtin:hash", nil)
	s.must(200, "GET", "/v1/models/builtin%3Ahash", nil)
	s.must(404, "GET", "/v1/models/none", nil)
}

func many(s string, n int) string { return strings.Repeat(s, n) }

func TestPreconditions(t *testing.T) {
	s := start(t, t.TempDir())
	s.fill("c")
	g := s.must(200, "GET", "/collections/c", nil)
	fingerprint, tag := g.header.Get(headerFingerprint), g.header.Get("ETag")
	point := `{"points":[{"id":1,"text":"a new text"}]}`
	s.must(200, "PUT", "/collections/c/points", point, headerFingerprint, fingerprint, "If-Match", tag)
	r := s.must(409, "PUT", "/collections/c/points", point, headerFingerprint, many("ab", 32))
	if r.at(t, "expected") != fingerprint || r.at(t, "actual") != many("ab", 32) || r.header.Get(headerFingerprint) != fingerprint {
		t.Errorf("another space: %s", r.body)
	}
	if r := s.must(400, "GET", "/collections/c", nil, headerFingerprint, "zz"); r.at(t, "code") != "bad_parameter" {
		t.Errorf("no fingerprint: %s", r.body)
	}
	s.must(412, "DELETE", "/collections/c", nil, "If-Match", `"another"`)
	s.must(409, "POST", "/v1/embeddings", `{"model":"builtin:hash","input":"a"}`, headerFingerprint, many("ab", 32))
	r = s.must(409, "POST", "/collections/c/points/query", `{"query":{"text":"a","model":"local:other"}}`)
	if r.at(t, "code") != "another_model" || r.at(t, "errors", 0, "pointer") != "/query/model" {
		t.Errorf("another model: %s", r.body)
	}
}

func TestCompression(t *testing.T) {
	s := start(t, t.TempDir())
	s.must(200, "PUT", "/collections/c", `{}`)
	plain := []byte(`{"points":[{"id":1,"text":"compressed"}]}`)
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	w.Write(plain)
	w.Close()
	s.must(200, "PUT", "/collections/c/points", z.Bytes(), "Content-Encoding", "gzip")
	e, _ := zstd.NewWriter(nil)
	packed := e.EncodeAll(plain, nil)
	s.must(200, "PUT", "/collections/c/points", packed, "Content-Encoding", "zstd")
	s.must(400, "PUT", "/collections/c/points", plain, "Content-Encoding", "gzip")
	s.must(400, "PUT", "/collections/c/points", plain, "Content-Encoding", "zstd")
	s.must(415, "PUT", "/collections/c/points", plain, "Content-Encoding", "br")
	want := s.must(200, "GET", "/collections/c/manifest", nil).at(t, "result")
	for _, encoding := range []string{"gzip", "zstd"} {
		r := s.must(200, "GET", "/collections/c/manifest", nil, "Accept-Encoding", encoding)
		if r.header.Get("Content-Encoding") != encoding {
			t.Fatalf("asked for %s, got %v", encoding, r.header)
		}
		var in io.Reader
		if encoding == "gzip" {
			in, _ = gzip.NewReader(bytes.NewReader(r.body))
		} else {
			d, _ := zstd.NewReader(bytes.NewReader(r.body))
			defer d.Close()
			in = d
		}
		var got map[string]any
		if err := json.NewDecoder(in).Decode(&got); err != nil || !reflect.DeepEqual(got["result"], want) {
			t.Errorf("%s: %v", encoding, err)
		}
	}
	if r := s.must(200, "GET", "/collections/c/manifest", nil, "Accept-Encoding", "gzip;q=0, br"); r.header.Get("Content-Encoding") != "" {
		t.Errorf("compressed against the client's wish: %v", r.header)
	}
}

func TestService(t *testing.T) {
	s := start(t, t.TempDir())
	if r := s.must(200, "GET", "/", nil); r.at(t, "title") != "vecino" || r.at(t, "version") != "1.18.0" || r.at(t, "vecino") != "test" {
		t.Errorf("/: %s", r.body)
	}
	s.must(200, "GET", "/info", nil)
	for _, path := range []string{"/healthz", "/livez", "/readyz"} {
		s.must(200, "GET", path, nil)
	}
	if r := s.must(200, "GET", "/openapi.yaml", nil); !bytes.Equal(r.body, specYAML) {
		t.Error("another document is served")
	}
	if r := s.must(200, "GET", "/metrics", nil); !bytes.Contains(r.body, []byte(`vecino_requests_total{operation="root",status="200"} 1`)) {
		t.Errorf("metrics: %.500s", r.body)
	}
	if r := s.must(404, "GET", "/no/such/path", nil); r.at(t, "code") != "no_such_path" || r.at(t, "status", "error") == "" {
		t.Errorf("404: %s", r.body)
	}
	if r := s.must(405, "PATCH", "/collections/c", nil); r.at(t, "code") != "method_not_allowed" {
		t.Errorf("405: %s", r.body)
	}
}

// TestWait: without waiting for the graph a point is found as well.
func TestWait(t *testing.T) {
	s := start(t, t.TempDir())
	s.must(200, "PUT", "/collections/w", `{"vectors":{"size":2,"distance":"Cosine"}}`)
	for i, wait := range []string{"?wait=false", "?wait=true", ""} {
		r := s.must(200, "PUT", "/collections/w/points"+wait, fmt.Sprintf(`{"points":[{"id":%d,"vector":[%d,1]}]}`, i, 10*i))
		want := "completed"
		if wait == "?wait=false" {
			want = "acknowledged"
		}
		if got := r.at(t, "result", "status"); got != want {
			t.Errorf("%q: status %v, want %s", wait, got, want)
		}
		r = s.must(200, "POST", "/collections/w/points/query", fmt.Sprintf(`{"query":[%d,1],"limit":1}`, 10*i))
		if got := r.at(t, "result", "points", 0, "id"); got != float64(i) {
			t.Errorf("%q: found %v", wait, got)
		}
	}
	r := s.must(200, "GET", "/collections/w", nil)
	if got := r.at(t, "result", "indexed_vectors_count"); got != 3.0 {
		t.Errorf("%v vectors in the graph after waiting for it", got)
	}
}

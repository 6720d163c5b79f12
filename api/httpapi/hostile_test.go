package httpapi

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestHostileBodies sends what clients should not send. Each must be refused
// by a typed 4xx at once, and change nothing.
func TestHostileBodies(t *testing.T) {
	s := start(t, t.TempDir())
	s.fill("c")
	s.must(200, "PUT", "/collections/raw", `{"vectors":{"size":2,"distance":"Cosine"}}`)
	const put, query, scroll, del, count = "PUT points", "POST points/query", "POST points/scroll", "POST points/delete", "POST points/count"
	deepFilter := strings.Repeat(`{"must":[`, 17) + `{"key":"a","match":{"value":1}}` + strings.Repeat(`]}`, 17)
	cases := []struct {
		call, body string
		status     int
		code       string // "" is any
	}{
		// The document.
		{put, "", 400, "bad_json"},
		{put, "null", 400, "bad_json"},
		{put, "[]", 400, "bad_json"},
		{put, "{", 400, "bad_json"},
		{put, `{"points":null}`, 400, "bad_json"},
		{put, `{"points":[null]}`, 400, "bad_json"},
		{put, `{}`, 400, "bad_json"},
		{put, `{"points":[]} x`, 400, "bad_json"},
		{put, `{"points":[]}{}`, 400, "bad_json"},
		{put, `{"Points":[]}`, 400, "bad_json"},
		{put, `{"points":[],"points":[]}`, 400, "bad_json"},
		{put, `{"points":[],"batch":{"ids":[],"vectors":[]}}`, 400, "bad_json"},
		{put, `{"points":[{"id":1,"text":"a","extra":1}]}`, 400, "bad_json"},
		{put, `{"points":[{"id":1,"TEXT":"a"}]}`, 400, "bad_json"},
		{put, "{\"points\":[{\"id\":1,\"text\":\"\xff\"}]}", 400, "bad_json"},
		{put, `{"points":[{"id":1,"text":"\ud800"}]}`, 400, "bad_json"},
		{put, many("[", 100_000), 400, "bad_json"},
		{put, `{"points":[{"id":1,"text":"a","payload":` + many(`{"a":`, 100) + `1` + many(`}`, 100) + `}]}`, 400, "bad_json"},
		// Ids.
		{put, `{"points":[{"text":"a"}]}`, 400, "bad_json"},
		{put, `{"points":[{"id":null,"text":"a"}]}`, 400, "bad_json"},
		{put, `{"points":[{"id":-1,"text":"a"}]}`, 400, "bad_json"},
		{put, `{"points":[{"id":1.5,"text":"a"}]}`, 400, "bad_json"},
		{put, `{"points":[{"id":18446744073709551616,"text":"a"}]}`, 400, "bad_json"},
		{put, `{"points":[{"id":"","text":"a"}]}`, 400, "bad_json"},
		{put, `{"points":[{"id":"` + many("x", 513) + `","text":"a"}]}`, 400, "bad_json"},
		{put, `{"points":[{"id":true,"text":"a"}]}`, 400, "bad_json"},
		// Texts and vectors; the good point before the bad one must not be stored.
		{put, `{"points":[{"id":100,"text":"good"},{"id":101}]}`, 400, "bad_json"},
		{put, `{"points":[{"id":100,"text":"good"},{"id":101,"text":""}]}`, 422, "unusable_text"},
		{put, `{"points":[{"id":100,"text":"good"},{"id":101,"vector":[1,2]}]}`, 409, "fingerprint_required"},
		{put, `{"points":[{"id":100,"text":null}]}`, 400, "bad_json"},
		{put, `{"points":[{"id":1,"vector":[]}]}`, 400, "bad_json"},
		{put, `{"points":[{"id":1,"vector":null}]}`, 400, "bad_json"},
		{put, `{"points":[{"id":1,"vector":{"name":[1]}}]}`, 400, "bad_json"},
		{put, `{"points":[{"id":1,"text":"a","payload":[1]}]}`, 400, "bad_json"},
		{put, `{"points":[{"id":1,"text":"a","payload":{"a":1,"a":2}}]}`, 400, "bad_json"},
		{put, `{"points":[{"id":1,"vector":{"text":"a","model":"local:x"}}]}`, 409, "another_model"},
		{put, `{"batch":{"ids":[1,2],"vectors":[[1]]}}`, 400, "bad_json"},
		{put, `{"batch":{"ids":[1],"vectors":[[1,2]],"payloads":[]}}`, 400, "bad_json"},
		{"PUT raw", `{"points":[{"id":1,"vector":[NaN,0]}]}`, 400, "bad_json"},
		{"PUT raw", `{"points":[{"id":1,"vector":[Infinity,0]}]}`, 400, "bad_json"},
		{"PUT raw", `{"points":[{"id":1,"vector":[1e39,0]}]}`, 400, "bad_json"},
		{"PUT raw", `{"points":[{"id":1,"vector":[1e30,0]}]}`, 422, "bad_vector"},
		{"PUT raw", `{"points":[{"id":1,"vector":[1e-60,0]}]}`, 422, "zero_vector"},
		{"PUT raw", `{"points":[{"id":1,"vector":[0,0]}]}`, 422, "zero_vector"},
		{"PUT raw", `{"points":[{"id":1,"vector":[null,0]}]}`, 400, "bad_json"},
		{"PUT raw", `{"points":[{"id":1,"vector":["1",0]}]}`, 400, "bad_json"},
		{"PUT raw", `{"points":[{"id":1,"vector":[1,0,0]}]}`, 422, "wrong_dimension"},
		{"PUT raw", `{"points":[{"id":1,"vector":[` + many("1,", 70_000) + `1]}]}`, 400, "bad_json"},
		// Numbers that bound work and memory.
		{query, `{"query":{"text":"a"},"limit":0}`, 400, ""},
		{query, `{"query":{"text":"a"},"limit":-1}`, 400, ""},
		{query, `{"query":{"text":"a"},"limit":9223372036854775808}`, 400, ""},
		{query, `{"query":{"text":"a"},"limit":18446744073709551615}`, 400, ""},
		{query, `{"query":{"text":"a"},"limit":65537}`, 400, ""},
		{query, `{"query":{"text":"a"},"limit":1e3}`, 400, ""},
		{query, `{"query":{"text":"a"},"offset":-1}`, 400, ""},
		{query, `{"query":{"text":"a"},"offset":9223372036854775807,"limit":10}`, 400, ""},
		{query, `{"query":{"text":"a"},"params":{"hnsw_ef":9223372036854775808}}`, 400, ""},
		{query, `{"query":{"text":"a"},"params":{"hnsw_ef":0}}`, 400, ""},
		{query, `{"query":{"text":"a"},"params":{"quantization":{"rescore":true,"oversampling":1e30}}}`, 400, ""},
		{query, `{"query":{"text":"a"},"params":{"quantization":{"rescore":true,"oversampling":-1}}}`, 400, ""},
		{query, `{"query":{"text":"a"},"score_threshold":1e999}`, 400, ""},
		{scroll, `{"limit":0}`, 400, ""},
		{scroll, `{"limit":1e30}`, 400, ""},
		// Queries.
		{query, `{"score_threshold":1}`, 400, "bad_json"},
		{query, `{"query":{"text":"a"},"with_vector":["x"]}`, 400, "bad_json"},
		{scroll, `{"with_vector":["x"]}`, 400, ""},
		{query, `{"query":{}}`, 400, "bad_json"},
		{query, `{"query":true}`, 400, "bad_json"},
		{query, `{"query":{"nearest":{"nearest":1}}}`, 400, "bad_json"},
		{query, `{"query":{"text":"a","nearest":1}}`, 400, "bad_json"},
		{query, `{"query":{"fusion":"rrf"}}`, 400, "bad_json"},
		{query, `{"query":{"text":"a"},"using":"v"}`, 400, "bad_json"},
		{query, `{"query":{"text":""}}`, 422, "unusable_text"},
		{query, `{"query":[1,2]}`, 409, "fingerprint_required"},
		{query, `{"query":4711}`, 404, "point_not_found"},
		{query, `{"query":{"text":"a"},"with_payload":{"include":["a"],"x":1}}`, 400, "bad_json"},
		// Filters.
		{query, `{"query":{"text":"a"},"filter":` + deepFilter + `}`, 400, "bad_filter"},
		{count, `{"filter":` + deepFilter + `}`, 400, "bad_filter"},
		{count, `{"filter":{"must":[` + many(`{"has_id":[1]},`, 2000) + `{"has_id":[1]}]}}`, 400, "bad_filter"},
		{count, `{"filter":{"must":[{"key":"a","match":{"value":"` + many("x", 5000) + `"}}]}}`, 400, "bad_filter"},
		{count, `{"filter":{"Must":[]}}`, 400, "bad_filter"},
		{count, `{"filter":7}`, 400, ""},
		{count, `null`, 400, ""},
		{del, `{}`, 400, ""},
		{del, `{"points":[1],"filter":{}}`, 400, ""},
		{del, `{"points":[null]}`, 400, ""},
		{del, `{"filter":null}`, 400, ""},
		{del, `{"points":[1],"dry_run":null}`, 400, ""},
	}
	targets := map[string]string{"PUT points": "c/points", "PUT raw": "raw/points", query: "c/points/query", scroll: "c/points/scroll", del: "c/points/delete", count: "c/points/count"}
	before := s.must(200, "POST", "/collections/c/points/scroll", `{"limit":100}`)
	for _, c := range cases {
		method, _, _ := strings.Cut(c.call, " ")
		begun := time.Now()
		r := s.call(method, "/collections/"+targets[c.call], c.body)
		if r.status != c.status || c.code != "" && r.json["code"] != c.code {
			t.Errorf("%s %.120q: %d %v, want %d %s: %.300s", c.call, c.body, r.status, r.json["code"], c.status, c.code, r.body)
		}
		if r.at(t, "status", "error") != r.at(t, "detail") || !strings.HasPrefix(r.header.Get("Content-Type"), "application/problem+json") {
			t.Errorf("%s %.120q: no problem of RFC 9457: %.300s", c.call, c.body, r.body)
		}
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("%s %.120q: refused after %v", c.call, c.body, took)
		}
	}
	after := s.must(200, "POST", "/collections/c/points/scroll", `{"limit":100}`)
	if fmt.Sprint(before.json["result"]) != fmt.Sprint(after.json["result"]) {
		t.Error("a refused request changed the collection")
	}
	if r := s.must(200, "POST", "/collections/raw/points/count", `{}`); r.at(t, "result", "count") != 0.0 {
		t.Error("a refused vector was stored")
	}
}

func TestHostileNamesAndWishes(t *testing.T) {
	s := start(t, t.TempDir())
	for _, name := range []string{"A", "a b", "%2F", "a%2Fb", "%2e%2e", "..%2f..", "a%0d%0ab", "a%00", "-a", "_a", "%ff", "ä", many("a", 65), "."} {
		for _, method := range []string{"PUT", "GET"} {
			r := s.call(method, "/collections/"+name, map[string]string{"PUT": "{}", "GET": ""}[method])
			if r.status < 400 || r.status > 499 || r.json["code"] == nil {
				t.Errorf("%s %q: %d %.200s", method, name, r.status, r.body)
			}
		}
	}
	for _, body := range []string{
		``, `null`, `[]`, `{"vectors":{"size":0,"distance":"Cosine"}}`, `{"vectors":{"size":65537,"distance":"Cosine"}}`, `{"vectors":{"size":9223372036854775808,"distance":"Cosine"}}`,
		`{"vectors":{"size":4,"distance":"Manhattan"}}`, `{"vectors":{"image":{"size":4,"distance":"Dot"}}}`, `{"vectors":{"distance":"Dot"}}`, `{"embedding":{}}`, `{"embedding":{"model":""}}`,
		`{"embedding":{"model":"builtin:nope"}}`, `{"embedding":{"model":"local:../x"}}`, `{"embedding":{"model":"local:/etc"}}`, `{"embedding":{"model":"openai:x"}}`, `{"embedding":{"model":"builtin:hash","dimensions":63}}`,
		`{"embedding":{"model":"builtin:hash","query_prompt":"q: "}}`, `{"embedding":{"model":"builtin:hash","normalize":false}}`, `{"embedding":{"model":"builtin:hash"},"vectors":{"size":3}}`, `{"index":{"engine":"faiss"}}`,
		`{"index":{"m":1}}`, `{"index":{"m":100000}}`, `{"index":{"ef_construct":-1}}`, `{"index":{"encoding":"int4"}}`, `{"search":{"ef":0}}`, `{"sparse_vectors":{"s":{}}}`, `{"unknown":1}`, `{"Vectors":{"size":4}}`, `{"search":null}`,
		`{"search":{"ef":1e400}}`,
	} {
		r := s.call("PUT", "/collections/x", body)
		if r.status < 400 || r.status > 499 || r.json["code"] == nil {
			t.Errorf("PUT %.200s: %d %.200s", body, r.status, r.body)
		}
	}
	if r := s.must(200, "GET", "/collections", nil); len(r.at(t, "result", "collections").([]any)) != 0 {
		t.Errorf("something was created: %s", r.body)
	}
	for _, query := range []string{"?wait=maybe", "?timeout=0", "?timeout=x", "?timeout=99999999999999999999", "?nope=1", "?wait=true&wait=false", "?%zz"} {
		if r := s.call("PUT", "/collections/x/points"+query, `{"points":[]}`); r.status != 400 && r.status != 404 || r.json["code"] == nil {
			t.Errorf("%s: %d %.200s", query, r.status, r.body)
		}
	}
}

func TestHostileSizes(t *testing.T) {
	s := start(t, t.TempDir())
	s.must(200, "PUT", "/collections/c", `{}`)
	path := "/collections/c/points"

	// A gigabyte that is only announced: refused before it is read.
	host := strings.TrimPrefix(s.url, "http://")
	conn, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	begun := time.Now()
	fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n{", path, host, 1<<30)
	conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	head := make([]byte, 4096)
	n, err := conn.Read(head)
	if err != nil || !bytes.HasPrefix(head[:n], []byte("HTTP/1.1 413")) || time.Since(begun) > time.Second {
		t.Errorf("an announced gigabyte: %v after %v: %.200s", err, time.Since(begun), head[:n])
	}

	// The same without an announcement: refused while it streams.
	in, out := io.Pipe()
	sent := make(chan int, 1)
	go func() {
		total := 0
		defer func() { sent <- total }()
		for chunk := bytes.Repeat([]byte(" "), 64<<10); total < 1<<30; {
			n, err := out.Write(chunk)
			if total += n; err != nil {
				return
			}
		}
		out.Close()
	}()
	req, _ := http.NewRequest("PUT", s.url+path, in)
	req.Header.Set("Content-Type", mediaJSON)
	if res, err := s.client.Do(req); err == nil {
		res.Body.Close()
		if res.StatusCode != 413 {
			t.Errorf("a streamed gigabyte: %d", res.StatusCode)
		}
	}
	in.Close()
	if total := <-sent; total > 64<<20 {
		t.Errorf("%d MiB were taken before the refusal", total>>20)
	}

	// A bomb: 32 MiB that compress to 32 KiB.
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	for chunk, n := bytes.Repeat([]byte(" "), 1<<20), 0; n < 32; n++ {
		z.Write(chunk)
	}
	z.Close()
	var m0, m1 runtime.MemStats
	runtime.ReadMemStats(&m0)
	r := s.must(413, "PUT", path, bomb.Bytes(), "Content-Encoding", "gzip")
	runtime.ReadMemStats(&m1)
	if grown := m1.TotalAlloc - m0.TotalAlloc; grown > 10*testMaxBody {
		t.Errorf("the bomb made the server allocate %d MiB", grown>>20)
	}
	if r.at(t, "code") != "body_too_large" {
		t.Errorf("bomb: %s", r.body)
	}

	for _, media := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", "multipart/form-data"} {
		if r := s.call("PUT", path, []byte(`{}`), "Content-Type", media); r.status != 415 {
			t.Errorf("media type %q: %d %s", media, r.status, r.body)
		}
	}
	s.must(200, "GET", "/readyz", nil)
}

// TestLimitsOnSlowClients: the numbers are what is promised; waiting for them
// would take minutes.
func TestLimitsOnSlowClients(t *testing.T) {
	web := NewHTTPServer(http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	if web.ReadHeaderTimeout <= 0 || web.ReadHeaderTimeout > 15*time.Second || web.ReadTimeout <= 0 || web.WriteTimeout <= 0 || web.IdleTimeout <= 0 || web.MaxHeaderBytes <= 0 || web.MaxHeaderBytes > 1<<20 {
		t.Errorf("a slow client is not limited: %+v", web)
	}
}

// TestClientThatLeaves: the work for a client that is gone ends, and nothing
// of it is stored.
func TestClientThatLeaves(t *testing.T) {
	s := start(t, t.TempDir())
	s.must(200, "PUT", "/collections/c", `{"embedding":{"model":"builtin:hash","dimensions":64}}`)
	body := `{"points":[` + strings.TrimSuffix(many(`{"id":1,"text":"`+many("some words of a long text ", 60)+`"},`, 2500), ",") + `]}`
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { cancel() }})
	req, _ := http.NewRequestWithContext(ctx, "PUT", s.url+"/collections/c/points", strings.NewReader(body))
	req.Header.Set("Content-Type", mediaJSON)
	if res, err := s.client.Do(req); err == nil {
		res.Body.Close()
		t.Fatal("the client did not leave")
	}
	ended := []byte(`vecino_requests_total{operation="upsertPoints",status="503"} 1`)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		r := s.must(200, "GET", "/metrics", nil)
		if bytes.Contains(r.body, ended) {
			break
		}
		if bytes.Contains(r.body, []byte(`operation="upsertPoints"`)) || time.Now().After(deadline) {
			t.Fatal("the request did not end as cancelled")
		}
	}
	if r := s.must(200, "POST", "/collections/c/points/count", `{}`); r.at(t, "result", "count") != 0.0 {
		t.Error("something was stored for a client that left")
	}
}

// TestPanicsStayInside: a panic is a 500 that says nothing of it.
func TestPanicsStayInside(t *testing.T) {
	s, err := New(Options{Service: nil})
	if err == nil || s != nil {
		t.Fatal("a server without a service was made")
	}
	var logged bytes.Buffer
	broken := &Server{logger: slog.New(slog.NewTextHandler(&logged, nil))}
	w := &recorder{header: http.Header{}}
	req, _ := http.NewRequest("GET", "/collections", nil)
	broken.ServeHTTP(w, req) // echo is nil
	if w.status != 500 || strings.Contains(w.body.String(), "goroutine") || strings.Contains(w.body.String(), "nil pointer") {
		t.Errorf("%d %s", w.status, w.body.String())
	}
	if !strings.Contains(logged.String(), "panic") {
		t.Errorf("the log says nothing: %s", logged.String())
	}
}

type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }

package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3filter"

	"github.com/vecino-db/vecino/api"
	"github.com/vecino-db/vecino/store"
)

// server is a running server and what a test needs of it.
type server struct {
	t          *testing.T
	url        string
	dir        string
	client     *http.Client
	operations []operation
	handler    *Server
	service    *api.Service
	stop       func()
}

// testMaxBody keeps hostile bodies small.
const testMaxBody = 4 << 20

// start serves a directory over real HTTP until the test ends or stop is called.
func start(t *testing.T, dir string) *server { return startWith(t, dir, api.Options{}) }

// startWith is start with options of the service.
func startWith(t *testing.T, dir string, o api.Options) *server {
	t.Helper()
	ctx := context.Background()
	if o.Store == nil {
		opened, err := store.Open(ctx, store.Options{Dir: dir, Create: true, MinFreeBytes: -1})
		if err != nil {
			t.Fatal(err)
		}
		o.Store = opened
	}
	o.Program = "vecino test"
	service, err := api.New(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	handler, err := New(Options{Service: service, Version: "test", MaxBody: testMaxBody})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	web := NewHTTPServer(handler, slog.New(slog.DiscardHandler))
	done := make(chan struct{})
	go func() { defer close(done); web.Serve(listener) }()
	transport := &http.Transport{DisableCompression: true}
	operations, err := loadSpec()
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, url: "http://" + listener.Addr().String(), dir: dir, client: &http.Client{Transport: transport, Timeout: 30 * time.Second}, operations: operations, handler: handler, service: service}
	stopped := false
	s.stop = func() {
		if stopped {
			return
		}
		stopped = true
		transport.CloseIdleConnections()
		if err := web.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		<-done
		if err := service.Close(ctx); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(s.stop)
	return s
}

// reply is what came back.
type reply struct {
	status int
	header http.Header
	body   []byte
	json   map[string]any
}

// at follows keys (strings) and places (ints) into the answer.
func (r reply) at(t *testing.T, path ...any) any {
	t.Helper()
	var v any = r.json
	for _, p := range path {
		switch p := p.(type) {
		case string:
			object, ok := v.(map[string]any)
			if !ok {
				t.Fatalf("no %q in %.300s", p, r.body)
			}
			v = object[p]
		case int:
			list, ok := v.([]any)
			if !ok || p >= len(list) {
				t.Fatalf("no element %d in %.300s", p, r.body)
			}
			v = list[p]
		}
	}
	return v
}

// call sends a body (a string as it is, anything else as JSON) and holds the
// answer to the document.
func (s *server) call(method, path string, body any, headers ...string) reply {
	s.t.Helper()
	var data []byte
	switch b := body.(type) {
	case nil:
	case string:
		data = []byte(b)
	case []byte:
		data = b
	default:
		var err error
		if data, err = json.Marshal(b); err != nil {
			s.t.Fatal(err)
		}
	}
	req, err := http.NewRequest(method, s.url+path, bytes.NewReader(data))
	if err != nil {
		s.t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", mediaJSON)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := s.client.Do(req)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	out := reply{status: res.StatusCode, header: res.Header}
	if out.body, err = io.ReadAll(res.Body); err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	if strings.HasSuffix(strings.Split(res.Header.Get("Content-Type"), ";")[0], "json") && res.Header.Get("Content-Encoding") == "" {
		if err := json.Unmarshal(out.body, &out.json); err != nil {
			s.t.Fatalf("%s %s: %d: the answer is no JSON: %.300s", method, path, out.status, out.body)
		}
		s.conforms(req, out)
	}
	return out
}

// conforms holds an answer to the document.
func (s *server) conforms(req *http.Request, r reply) {
	s.t.Helper()
	for _, op := range s.operations {
		if op.route.Method != req.Method || !matches(op.path, req.URL.Path) {
			continue
		}
		input := &openapi3filter.ResponseValidationInput{
			RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, Route: op.route},
			Status:                 r.status, Header: r.header, Body: io.NopCloser(bytes.NewReader(r.body)),
			Options: &openapi3filter.Options{IncludeResponseStatus: true},
		}
		if err := openapi3filter.ValidateResponse(context.Background(), input); err != nil {
			s.t.Errorf("%s %s: the answer is not as openapi.yaml says: %v\n%.600s", req.Method, req.URL.Path, err, r.body)
		}
		return
	}
}

// matches reports whether a path fits a pattern, literal segments only where
// the pattern has them; the more literal pattern is not preferred, so tests
// use ids that are no names of operations.
func matches(pattern, path string) bool {
	p, q := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(p) != len(q) {
		return false
	}
	for i := range p {
		if p[i] != q[i] && !strings.HasPrefix(p[i], "{") {
			return false
		}
	}
	return true
}

// must is call that wants a status.
func (s *server) must(status int, method, path string, body any, headers ...string) reply {
	s.t.Helper()
	r := s.call(method, path, body, headers...)
	if r.status != status {
		s.t.Fatalf("%s %s: %d, want %d: %.600s", method, path, r.status, status, r.body)
	}
	return r
}

// texts is a small collection worth searching.
var texts = []string{
	"The ferry to the island leaves the harbour at seven in the morning.",
	"Bread rises when yeast turns sugar into carbon dioxide.",
	"A bicycle stays upright because its wheels steer into a fall.",
	"Volcanic ash makes the soil of the island fertile.",
	"The orchestra tunes to the note of the oboe.",
	"Sourdough bread keeps longer than bread made with baker's yeast.",
	"Sailors read the clouds before they leave the harbour.",
	"Copper wires carry the current to the motor of the bicycle lamp.",
}

// fill makes a collection of texts with payloads.
func (s *server) fill(name string) {
	s.t.Helper()
	s.must(200, "PUT", "/collections/"+name, `{"embedding":{"model":"builtin:hash"}}`)
	var points []map[string]any
	for i, text := range texts {
		points = append(points, map[string]any{"id": i + 1, "text": text, "payload": map[string]any{"n": i, "even": i%2 == 0, "tags": []string{"t", string(rune('a' + i))}}})
	}
	s.must(200, "PUT", "/collections/"+name+"/points?wait=true", map[string]any{"points": points})
}

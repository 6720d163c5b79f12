package httpapi

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// ingest sends a stream and gives the lines of the answer by their types.
func (s *server) ingest(name string, body io.Reader, headers ...string) map[string][]map[string]any {
	s.t.Helper()
	req, err := http.NewRequest("POST", s.url+"/collections/"+name+"/ingest", body)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", mediaLines)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != mediaLines || res.Header.Get(headerFingerprint) == "" {
		s.t.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	lines := map[string][]map[string]any{}
	in := bufio.NewScanner(res.Body)
	last := ""
	for in.Scan() {
		var line map[string]any
		if err := json.Unmarshal(in.Bytes(), &line); err != nil {
			s.t.Fatalf("%q: %v", in.Bytes(), err)
		}
		last = line["type"].(string)
		lines[last] = append(lines[last], line)
	}
	if in.Err() != nil || last != "done" && last != "failed" {
		s.t.Errorf("the answer ends with %q, %v", last, in.Err())
	}
	return lines
}

// documents are the lines of documents from..to-1.
func documents(from, to int, what string) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, `{"id":%d,"text":"the %s of number %d","payload":{"n":%d}}`+"\n", i, what, i, i)
	}
	return b.String()
}

// counted compares the numbers of a line.
func counted(t *testing.T, what string, line map[string]any, want map[string]int) {
	t.Helper()
	for key, n := range want {
		if line[key] != float64(n) {
			t.Errorf("%s: %s is %v, want %d: %v", what, key, line[key], n, line)
		}
	}
}

func TestIngest(t *testing.T) {
	s := start(t, t.TempDir())
	s.must(200, "PUT", "/collections/i", `{"embedding":{"model":"builtin:hash"}}`)
	const n = 1000
	body := documents(0, n, "story")
	got := s.ingest("i", strings.NewReader(body))
	counted(t, "first", got["done"][0], map[string]int{"lines": n, "written": n, "unchanged": 0, "refused": 0, "resumed": 0})
	if r := s.must(200, "POST", "/collections/i/points/count", `{}`); r.at(t, "result", "count") != float64(n) {
		t.Errorf("%s", r.body)
	}
	if r := s.must(200, "POST", "/collections/i/points/query", `{"query":{"text":"the story of number 77"},"limit":1}`); r.at(t, "result", "points", 0, "id") != 77.0 {
		t.Errorf("%s", r.body)
	}
	tokens := got["done"][0]["tokens"].(float64)

	// Again, compressed, with some that changed: the others are not encoded.
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	io.WriteString(z, documents(0, 10, "tale")+documents(10, n, "story"))
	z.Close()
	got = s.ingest("i", &packed, "Content-Encoding", "gzip")
	counted(t, "again", got["done"][0], map[string]int{"lines": n, "written": 10, "unchanged": n - 10})
	if again := got["done"][0]["tokens"].(float64); again > tokens/50 {
		t.Errorf("%v tokens were encoded for 10 of %d texts, and %v for all", again, n, tokens)
	}

	// Bad lines are named, and the rest goes on. Of one id the last wins.
	bad := []string{
		`{"id":1,"text":"a"`, `{"id":2}`, `{"id":3,"text":"b","x":1}`, `[]`, "\xff", `{"id":4,"text":"c"} {}`,
		`{"id":5,"vector":[1,2,3]}`, `{"id":6,"text":""}`, `{"id":7,"text":"` + strings.Repeat("x", maxLine) + `"}`,
	}
	stream := "\n  \n"
	for i, line := range bad {
		stream += fmt.Sprintf(`{"id":"good%d","text":"the good one %d"}`+"\n", i, i) + line + "\n"
	}
	stream += `{"id":"twice","text":"first"}` + "\n" + `{"id":"twice","text":"second"}`
	got = s.ingest("i", strings.NewReader(stream))
	if len(got["refused"]) != len(bad) {
		t.Errorf("%d of %d bad lines were refused: %v", len(got["refused"]), len(bad), got["refused"])
	}
	named := map[float64]bool{}
	for _, line := range got["refused"] {
		named[line["line"].(float64)] = true
		if line["code"] == "" || line["reason"] == "" {
			t.Errorf("%v", line)
		}
	}
	for i := range bad {
		if !named[float64(4+2*i)] {
			t.Errorf("line %d was not named: %.60q", 4+2*i, bad[i])
		}
	}
	counted(t, "bad", got["done"][0], map[string]int{"lines": 2 + 2*len(bad) + 2, "written": len(bad) + 2, "refused": len(bad)})
	if r := s.must(200, "GET", "/collections/i/points/twice", nil); r.at(t, "result", "text") != "second" {
		t.Errorf("%s", r.body)
	}

	s.must(415, "POST", "/collections/i/ingest", `{"id":1,"text":"a"}`)
	s.must(404, "POST", "/collections/none/ingest", `{}`)
	if r := s.must(200, "GET", "/jobs", nil); len(r.at(t, "result", "jobs").([]any)) != 3 || r.at(t, "result", "jobs", 0, "state") != "done" {
		t.Errorf("%s", r.body)
	}
	if got = s.ingest("i", strings.NewReader("")); len(got["done"]) != 1 {
		t.Errorf("an empty stream: %v", got)
	}
}

// TestIngestOfVectors: rows that clients bring are vouched for, or refused
// alone.
func TestIngestOfVectors(t *testing.T) {
	s := start(t, t.TempDir())
	s.must(200, "PUT", "/collections/v", `{"vectors":{"size":2}}`)
	got := s.ingest("v", strings.NewReader(`{"id":1,"vector":[1,0]}
{"id":2,"vector":[0,0]}
{"id":3,"vector":[1,2,3]}
{"id":4,"text":"no encoder"}
{"id":5,"vector":[0,1],"payload":{"a":1}}`))
	if len(got["refused"]) != 3 || len(got["done"]) != 1 {
		t.Fatalf("%v", got)
	}
	counted(t, "vectors", got["done"][0], map[string]int{"lines": 5, "written": 2, "refused": 3})
}

// TestIngestResumed: a stream that broke off is taken up where it was.
func TestIngestResumed(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	s.must(200, "PUT", "/collections/i", `{"embedding":{"model":"builtin:hash"}}`)
	const n = 2000
	body := documents(0, n, "story")
	half, lines := len(documents(0, n/2, "story")), 0

	reader, writer := io.Pipe()
	req, err := http.NewRequest("POST", s.url+"/collections/i/ingest", reader)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", mediaLines)
	req.Header.Set("Idempotency-Key", "k")
	go func() {
		io.WriteString(writer, body[:half+7])
	}()
	res, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	var job string
	in := bufio.NewScanner(res.Body)
	for in.Scan() {
		var line struct {
			Type, Job string
			Lines     int
		}
		if err := json.Unmarshal(in.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		if line.Type == "begin" {
			job = line.Job
		}
		if lines = line.Lines; line.Type == "progress" {
			break
		}
	}
	// While it runs its key is taken.
	other, err := http.NewRequest("POST", s.url+"/collections/i/ingest", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	other.Header = req.Header.Clone()
	taken, err := s.client.Do(other)
	if err != nil {
		t.Fatal(err)
	}
	taken.Body.Close()
	if taken.StatusCode != 409 {
		t.Errorf("a second stream of the key: %d", taken.StatusCode)
	}
	res.Body.Close()
	writer.CloseWithError(io.ErrUnexpectedEOF)
	for range 10_000 {
		if r := s.must(200, "GET", "/jobs/"+job, nil); r.at(t, "result", "state") != "running" {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	s.stop()

	s = start(t, dir)
	r := s.must(200, "GET", "/jobs/"+job, nil)
	if r.at(t, "result", "state") == "done" || r.at(t, "result", "state") == "running" {
		t.Errorf("%s", r.body)
	}
	kept := int(r.at(t, "result", "result", "lines").(float64))
	if kept < lines || kept > n/2+1 || kept == 0 {
		t.Errorf("%d lines are known to be done, %d were told", kept, lines)
	}
	got := s.ingest("i", strings.NewReader("\n"+body), "Idempotency-Key", "k")
	if len(got["failed"]) != 1 || got["failed"][0]["code"] != "another_stream" {
		t.Errorf("another stream with the key: %v", got)
	}
	got = s.ingest("i", strings.NewReader(body), "Idempotency-Key", "k")
	if len(got["done"]) != 1 {
		t.Fatalf("resumed after %d lines: %v", kept, got)
	}
	counted(t, "resumed", got["done"][0], map[string]int{"lines": n, "resumed": kept, "refused": 0})
	got = s.ingest("i", strings.NewReader(body), "Idempotency-Key", "k")
	counted(t, "sent again", got["done"][0], map[string]int{"lines": n, "resumed": n, "written": 0, "unchanged": 0})
	if r := s.must(200, "POST", "/collections/i/points/count", `{}`); r.at(t, "result", "count") != float64(n) {
		t.Errorf("%s", r.body)
	}
}

// TestIngestKeys: lines are passed over only where all of what was sent with a
// key before is sent again, to the collection that took it.
func TestIngestKeys(t *testing.T) {
	s := start(t, t.TempDir())
	const n = 300
	body := documents(0, n, "story")
	create := func() { s.must(200, "PUT", "/collections/i", `{"embedding":{"model":"builtin:hash"}}`) }
	create()
	got := s.ingest("i", strings.NewReader(body), "Idempotency-Key", "k")
	counted(t, "first", got["done"][0], map[string]int{"written": n})

	for _, other := range []string{documents(0, 5, "tale"), documents(0, n-1, "story"), ""} {
		got = s.ingest("i", strings.NewReader(other), "Idempotency-Key", "k")
		if len(got["failed"]) != 1 || got["failed"][0]["code"] != "another_stream" {
			t.Errorf("a shorter stream of %d bytes with the key: %v", len(other), got)
		}
	}
	got = s.ingest("i", strings.NewReader(body), "Idempotency-Key", "k")
	counted(t, "again", got["done"][0], map[string]int{"lines": n, "resumed": n, "written": 0})

	s.must(200, "DELETE", "/collections/i", nil)
	create()
	got = s.ingest("i", strings.NewReader(body), "Idempotency-Key", "k")
	counted(t, "another collection of the name", got["done"][0], map[string]int{"lines": n, "resumed": 0, "written": n})
	if r := s.must(200, "POST", "/collections/i/points/count", `{}`); r.at(t, "result", "count") != float64(n) {
		t.Errorf("%s", r.body)
	}
}

// TestIngestOfOneID: of one id the last line wins that can be stored, whether or
// not it comes in one batch with those before.
func TestIngestOfOneID(t *testing.T) {
	s := start(t, t.TempDir())
	s.must(200, "PUT", "/collections/v", `{"vectors":{"size":2}}`)
	got := s.ingest("v", strings.NewReader(`{"id":1,"vector":[1,0],"payload":{"a":1}}
{"id":2,"vector":[1,0],"payload":{"a":2}}
{"id":1,"vector":[1,0],"payload":{"a":3}}
{"id":1,"vector":[0,0],"payload":{"a":4}}
{"id":1,"vector":[1,2,3],"payload":{"a":5}}
{"id":2,"vector":[1,0],"payload":{"a":6}}
{"id":3,"vector":[0,0]}
{"id":3,"vector":[1]}`))
	refused := map[float64]bool{}
	for _, r := range got["refused"] {
		refused[r["line"].(float64)] = true
	}
	if len(refused) != 4 || !refused[4] || !refused[5] || !refused[7] || !refused[8] {
		t.Errorf("refused: %v", got["refused"])
	}
	counted(t, "one id", got["done"][0], map[string]int{"lines": 8, "written": 4, "refused": 4})
	for id, want := range map[string]float64{"1": 3, "2": 6} {
		if r := s.must(200, "GET", "/collections/v/points/"+id, nil); r.at(t, "result", "payload", "a") != want {
			t.Errorf("point %s: %s", id, r.body)
		}
	}
	s.must(404, "GET", "/collections/v/points/3", nil)
}

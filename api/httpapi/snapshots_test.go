package httpapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vecino-db/vecino/api"
	"github.com/vecino-db/vecino/store"
)

// everything is all points of a collection, with vectors, texts and payloads,
// and the SHA-256 of that.
func (s *server) everything(name string) ([]any, string) {
	s.t.Helper()
	var all []any
	sum := sha256.New()
	from := ""
	for {
		r := s.must(200, "POST", "/collections/"+name+"/points/scroll", `{"limit":1000,"with_vector":true,"with_payload":true`+from+`}`)
		points := r.at(s.t, "result", "points").([]any)
		for _, p := range points {
			delete(p.(map[string]any), "version") // a restored collection counts its own writes
			line, err := json.Marshal(p)
			if err != nil {
				s.t.Fatal(err)
			}
			sum.Write(line)
		}
		all = append(all, points...)
		next := r.at(s.t, "result", "next_page_offset")
		if next == nil {
			return all, hex.EncodeToString(sum.Sum(nil))
		}
		from = fmt.Sprintf(`,"offset":%v`, next)
	}
}

// snapshot makes one and gives its name and its file.
func (s *server) snapshot(collection string) (string, []byte) {
	s.t.Helper()
	name := s.must(200, "POST", "/collections/"+collection+"/snapshots", nil).at(s.t, "result", "name").(string)
	return name, s.must(200, "GET", "/collections/"+collection+"/snapshots/"+name, nil).body
}

// upload sends a file.
func (s *server) upload(collection, query string, data []byte) reply {
	s.t.Helper()
	return s.call("POST", "/collections/"+collection+"/snapshots/upload"+query, data, "Content-Type", mediaFile)
}

// TestSnapshotUnderWrites: a snapshot made beside writers is one moment of each
// of them, and comes back the same by every way.
func TestSnapshotUnderWrites(t *testing.T) {
	s := start(t, t.TempDir())
	s.must(200, "PUT", "/collections/w", `{"vectors":{"size":4,"distance":"Dot"}}`)
	s.must(200, "PUT", "/collections/w/index", `{"field_name":"round","field_schema":"integer"}`)
	const writers, each = 3, 20
	var acked, started [writers]atomic.Int64
	var writing sync.WaitGroup
	stop := make(chan struct{})
	write := func(writer, round int) {
		var points []map[string]any
		for i := range each {
			points = append(points, map[string]any{"id": writer*each + i, "vector": []int{round, i, writer, 1}, "payload": map[string]any{"round": round}})
		}
		started[writer].Store(int64(round))
		s.must(200, "PUT", "/collections/w/points", map[string]any{"points": points})
		acked[writer].Store(int64(round))
	}
	for w := range writers {
		write(w, 1)
		writing.Go(func() {
			for round := 2; ; round++ {
				select {
				case <-stop:
					return
				default:
					write(w, round)
				}
			}
		})
	}
	var files [][]byte
	var names []string
	for range 5 {
		var before, after [writers]int64
		for w := range writers {
			before[w] = acked[w].Load()
		}
		name, file := s.snapshot("w")
		for w := range writers {
			after[w] = started[w].Load()
		}
		s.must(200, "PUT", "/collections/copy/snapshots/recover", map[string]any{"location": s.url + "/collections/w/snapshots/" + name})
		points, _ := s.everything("copy")
		if len(points) != writers*each {
			t.Fatalf("%d points", len(points))
		}
		for i, p := range points {
			round := p.(map[string]any)["payload"].(map[string]any)["round"].(float64)
			first := points[i/each*each].(map[string]any)["payload"].(map[string]any)["round"].(float64)
			vector := p.(map[string]any)["vector"].([]any)[0].(float64)
			if w := i / each; round != first || vector != round || int64(round) < before[w] || int64(round) > after[w] {
				t.Fatalf("point %d is of round %v (vector %v), its batch of %v; acknowledged before %d, begun after %d", i, round, vector, first, before[w], after[w])
			}
		}
		names, files = append(names, name), append(files, file)
	}
	close(stop)
	writing.Wait()

	list := s.must(200, "GET", "/collections/w/snapshots", nil)
	other := start(t, t.TempDir())
	for i, name := range names {
		sum := sha256.Sum256(files[i])
		if list.at(t, "result", i, "name") != name || list.at(t, "result", i, "checksum") != hex.EncodeToString(sum[:]) || list.at(t, "result", i, "size") != float64(len(files[i])) || list.at(t, "result", i, "points") != float64(writers*each) {
			t.Errorf("snapshot %d: %s", i, list.body)
		}
		s.must(200, "PUT", "/collections/w/snapshots/"+name+"/recover", nil)
		_, here := s.everything("w")
		if r := other.upload("w", "?checksum="+hex.EncodeToString(sum[:]), files[i]); r.status != 200 {
			t.Fatalf("%s", r.body)
		}
		if _, there := other.everything("w"); here != there {
			t.Errorf("snapshot %d: %s recovered here, %s there", i, here, there)
		}
	}
	schema := other.must(200, "GET", "/collections/w", nil).at(t, "result", "payload_schema")
	if fmt.Sprint(schema) == "map[]" {
		t.Errorf("the payload index did not come along: %v", schema)
	}
	s.must(200, "DELETE", "/collections/w", nil)
	s.must(200, "PUT", "/collections/w/snapshots/"+names[0]+"/recover", nil) // snapshots outlive the collection
	for _, name := range names {
		s.must(200, "DELETE", "/collections/w/snapshots/"+name, nil)
		s.must(404, "DELETE", "/collections/w/snapshots/"+name, nil)
	}
	if left, err := os.ReadDir(filepath.Join(s.dir, "snapshots", "w")); err != nil || len(left) != 0 {
		t.Errorf("left: %v %v", left, err)
	}
}

// TestRecoverBesideQueries: queries find the old collection or the new one, and
// neither half of one nor none.
func TestRecoverBesideQueries(t *testing.T) {
	s := start(t, t.TempDir())
	s.fill("q")
	name, _ := s.snapshot("q")
	s.must(200, "PUT", "/collections/q/points", `{"points":[{"id":9,"text":"Rye bread is dark."}]}`)
	stop := make(chan struct{})
	var asking sync.WaitGroup
	asked := atomic.Int64{}
	for range 3 {
		asking.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				r := s.call("POST", "/collections/q/points/count", `{"exact":true}`)
				// A request that found the old one and had not begun when it ended is told so.
				replaced := r.status == 404 && strings.Contains(string(r.body), "replaced by a snapshot")
				if !replaced && (r.status != 200 || r.at(t, "result", "count") != 8.0 && r.at(t, "result", "count") != 9.0) {
					t.Errorf("%d %s", r.status, r.body)
					return
				}
				asked.Add(1)
			}
		})
	}
	for range 5 {
		s.must(200, "PUT", "/collections/q/snapshots/"+name+"/recover", nil)
		if r := s.must(200, "POST", "/collections/q/points/query", `{"query":{"text":"bread"},"limit":3}`); r.at(t, "result", "points", 0, "id") == nil {
			t.Errorf("%s", r.body)
		}
	}
	close(stop)
	asking.Wait()
	t.Logf("%d counts", asked.Load())
}

// TestSnapshotHostile: no damaged file becomes a collection, and the one that
// is there stays as it is.
func TestSnapshotHostile(t *testing.T) {
	s := start(t, t.TempDir())
	s.fill("h")
	_, file := s.snapshot("h")
	_, before := s.everything("h")
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	accepted := 0
	for range 200 {
		bad := slices.Clone(file)
		bit := rng.IntN(8 * len(bad))
		bad[bit/8] ^= 1 << (bit % 8)
		if r := s.upload("h", "", bad); r.status != 422 || r.at(t, "code") != "bad_snapshot" {
			t.Errorf("bit %d: %d %s", bit, r.status, r.body)
			accepted++
		}
	}
	for what, bad := range map[string][]byte{
		"empty": nil, "an archive": []byte("PK\x03\x04../../etc/passwd"), "cut": file[:len(file)-1], "cut in half": file[:len(file)/2], "longer": append(slices.Clone(file), 0),
		"a newer version": append(append(slices.Clone(file[:8]), 2, 0, 0, 0), file[12:]...),
	} {
		if r := s.upload("h", "", bad); r.status != 422 {
			t.Errorf("%s: %d %s", what, r.status, r.body)
		}
	}
	if r := s.upload("h", "?checksum="+strings.Repeat("0", 64), file); r.status != 422 || r.at(t, "code") != "bad_checksum" {
		t.Errorf("%s", r.body)
	}
	if r := s.upload("new", "", file[:len(file)-1]); r.status != 422 {
		t.Errorf("%s", r.body)
	}
	s.must(404, "GET", "/collections/new", nil)
	if _, after := s.everything("h"); after != before || accepted != 0 {
		t.Errorf("%d accepted; %s before, %s after", accepted, before, after)
	}
	if r := s.upload("h", "?replace=false", file); r.status != 409 || r.at(t, "code") != "collection_exists" {
		t.Errorf("%s", r.body)
	}
	for _, name := range []string{"x.snapshot", "..%2Fh.snapshot", "%2e%2e%2f%2e%2e%2fhigh-water", "a%00.snapshot", "h.snapshot%2f..", "UP.snapshot", "..snapshot", strings.Repeat("a", 200) + ".snapshot"} {
		for _, method := range []string{"GET", "DELETE"} {
			s.must(404, method, "/collections/h/snapshots/"+name, nil)
		}
		s.must(404, "PUT", "/collections/h/snapshots/"+name+"/recover", nil)
	}
	s.must(422, "GET", "/collections/%2e%2e/snapshots", nil)
	s.must(404, "GET", "/collections/none/snapshots", nil)
	for _, location := range []string{
		"", "http://example.com/collections/h/snapshots/x.snapshot", s.url + "/collections/../snapshots/x.snapshot", "file:///etc/passwd",
		"file://" + s.dir + "/snapshots/h/../../high-water", "../h.snapshot", "/etc/passwd",
	} {
		if r := s.must(422, "PUT", "/collections/h/snapshots/recover", map[string]any{"location": location}); r.at(t, "code") != "bad_location" {
			t.Errorf("%q: %s", location, r.body)
		}
	}
	// What lies there under a snapshot's name and is none leads nowhere.
	kept := filepath.Join(s.dir, "snapshots", "h")
	if err := os.Symlink(filepath.Join(s.dir, "high-water"), filepath.Join(kept, "link.snapshot")); err != nil {
		t.Fatal(err)
	}
	s.must(404, "GET", "/collections/h/snapshots/link.snapshot", nil)
	if err := os.WriteFile(filepath.Join(kept, "junk.snapshot"), []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := s.must(200, "GET", "/collections/h/snapshots", nil); r.at(t, "result", 0, "problem") == nil || len(r.at(t, "result").([]any)) != 2 {
		t.Errorf("%s", r.body)
	}
	s.must(422, "PUT", "/collections/h/snapshots/junk.snapshot/recover", nil)
	if left, err := os.ReadDir(filepath.Join(s.dir, "snapshots", ".partial")); err != nil || len(left) != 0 {
		t.Errorf("left: %v %v", left, err)
	}
}

// TestRecoverGate: another space and a migration are refused with what to do.
func TestRecoverGate(t *testing.T) {
	s := start(t, t.TempDir())
	s.fill("g")
	name, file := s.snapshot("g")
	s.must(200, "PUT", "/collections/raw", `{"vectors":{"size":4,"distance":"Dot"}}`)
	r := s.upload("raw", "", file)
	if r.status != 409 || r.at(t, "code") != "another_space" || !strings.Contains(r.at(t, "remedy").(string), "another name") || r.at(t, "expected") == r.at(t, "actual") {
		t.Errorf("%d %s", r.status, r.body)
	}
	if r := s.must(200, "GET", "/collections/raw", nil); r.at(t, "result", "points_count") != 0.0 {
		t.Errorf("%s", r.body)
	}
	s.must(201, "POST", "/collections/g/migrations", `{"embedding":{"model":"builtin:hash","dimensions":64}}`)
	r = s.must(409, "PUT", "/collections/g/snapshots/"+name+"/recover", nil)
	if r.at(t, "code") != "migration_running" || !strings.Contains(r.at(t, "remedy").(string), "abort") {
		t.Errorf("%s", r.body)
	}
	s.must(200, "POST", "/collections/g/snapshots", nil) // of the generation that serves
	s.must(200, "PUT", "/collections/elsewhere/snapshots/recover", map[string]any{"location": "file://" + filepath.Join(s.dir, "snapshots", "g", name), "priority": "snapshot"})
	_, a := s.everything("g")
	if _, b := s.everything("elsewhere"); a != b {
		t.Error("another name has other points")
	}
	s.must(200, "PUT", "/collections/elsewhere/points", `{"points":[{"id":77,"text":"It takes texts."}]}`)
}

// TestSnapshotForm: the form that people send by curl, and none from a page of
// another site.
func TestSnapshotForm(t *testing.T) {
	s := start(t, t.TempDir())
	s.fill("f")
	_, file := s.snapshot("f")
	form := func(field string, more bool) ([]byte, string) {
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		part, err := w.CreateFormFile(field, "../../x.snapshot")
		if err != nil {
			t.Fatal(err)
		}
		part.Write(file)
		if more {
			w.WriteField("more", "x")
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes(), w.FormDataContentType()
	}
	good, media := form("snapshot", false)
	s.must(403, "POST", "/collections/f2/snapshots/upload", good, "Content-Type", media, "Origin", "http://evil.example")
	s.must(200, "POST", "/collections/f2/snapshots/upload?priority=snapshot&wait=true", good, "Content-Type", media)
	_, a := s.everything("f")
	if _, b := s.everything("f2"); a != b {
		t.Error("other points")
	}
	bad, media := form("file", false)
	s.must(400, "POST", "/collections/f3/snapshots/upload", bad, "Content-Type", media)
	bad, media = form("snapshot", true)
	s.must(400, "POST", "/collections/f3/snapshots/upload", bad, "Content-Type", media)
	s.must(400, "POST", "/collections/f3/snapshots/upload", good[:len(good)-40], "Content-Type", media)
	s.must(415, "POST", "/collections/f3/snapshots/upload", `{}`)
	s.must(415, "POST", "/collections/f3/snapshots/upload", file, "Content-Type", mediaFile, "Content-Encoding", "gzip")
	s.must(404, "GET", "/collections/f3", nil)
	if left, err := os.ReadDir(filepath.Join(s.dir, "snapshots", ".partial")); err != nil || len(left) != 0 {
		t.Errorf("left: %v %v", left, err)
	}
}

// TestSnapshotJobs: wait=false makes jobs; a request's end ends its job, and
// nothing of it is listed.
func TestSnapshotJobs(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	s.vectorsOf("j", `{"encoding":"f32"}`, 3000, 8)
	id := s.must(200, "POST", "/collections/j/snapshots?wait=false", nil).at(t, "result", "job", "id").(string)
	r := s.ended(id)
	name, _ := r.at(t, "result", "result", "name").(string)
	if r.at(t, "result", "state") != "done" || name == "" || r.at(t, "result", "done") != 3000.0 {
		t.Fatalf("%s", r.body)
	}
	id = s.must(200, "PUT", "/collections/j2/snapshots/recover?wait=false", map[string]any{"location": s.url + "/collections/j/snapshots/" + name}).at(t, "result", "job", "id").(string)
	if r := s.ended(id); r.at(t, "result", "state") != "done" || r.at(t, "result", "total") != 3000.0 {
		t.Errorf("%s", r.body)
	}
	file := s.must(200, "GET", "/collections/j/snapshots/"+name, nil).body
	id = s.upload("j3", "?wait=false", file[:len(file)-9]).at(t, "result", "job", "id").(string)
	if r := s.ended(id); r.at(t, "result", "state") != "failed" || !strings.Contains(r.at(t, "result", "error").(string), "snapshot") {
		t.Errorf("%s", r.body)
	}
	if r := s.must(206, "GET", "/collections/j/snapshots/"+name, nil, "Range", "bytes=0-7"); string(r.body) != string(file[:8]) {
		t.Errorf("%q", r.body)
	}

	// An upload that breaks off.
	request, err := http.NewRequest("POST", s.url+"/collections/j4/snapshots/upload", io.MultiReader(bytes.NewReader(file[:1000]), broken{}))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", mediaFile)
	if res, err := s.client.Do(request); err == nil {
		res.Body.Close()
		t.Error("a broken upload was answered")
	}
	// A creation whose request ends: the job ends, and leaves nothing.
	c, err := s.service.Collection("j")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.service.CreateSnapshot(ctx, c); err == nil {
		t.Error("a request that has ended got a snapshot")
	}
	if err := eventually(func() error {
		if left, err := os.ReadDir(filepath.Join(dir, "snapshots", ".partial")); err != nil || len(left) != 0 {
			return fmt.Errorf("left: %v %v", left, err)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	// A crash leaves its partial file; a start removes it.
	if err := os.WriteFile(filepath.Join(dir, "snapshots", ".partial", "x"), file[:100], 0o600); err != nil {
		t.Fatal(err)
	}
	s.stop()
	s = start(t, dir)
	if _, err := os.Stat(filepath.Join(dir, "snapshots", ".partial")); !os.IsNotExist(err) {
		t.Error(err)
	}
	if r := s.must(200, "GET", "/collections/j/snapshots", nil); len(r.at(t, "result").([]any)) != 1 {
		t.Errorf("%s", r.body)
	}
}

// broken is a body that ends with the connection.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// eventually asks until there is no error, or for five seconds.
func eventually(f func() error) error {
	for range 500 {
		if f() == nil {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return f()
}

// TestSnapshotDiskFull: what the disk has no room for is refused before it is
// written.
func TestSnapshotDiskFull(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	s.fill("d")
	name, file := s.snapshot("d")
	s.stop()
	opened, err := store.Open(t.Context(), store.Options{Dir: dir, MinFreeBytes: 1 << 60})
	if err != nil {
		t.Fatal(err)
	}
	s = startWith(t, dir, api.Options{Store: opened})
	for _, r := range []reply{
		s.call("POST", "/collections/d/snapshots", nil), s.upload("d2", "", file), s.call("PUT", "/collections/d/snapshots/"+name+"/recover", nil),
	} {
		if r.status != 507 || r.at(t, "code") != "disk_full" {
			t.Errorf("%d %s", r.status, r.body)
		}
	}
	s.must(200, "DELETE", "/collections/d/snapshots/"+name, nil) // which makes room
}

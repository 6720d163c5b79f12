package httpapi

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vecino-db/vecino/api"
	"github.com/vecino-db/vecino/store"
)

// notes puts n points of text into a collection.
func (s *server) notes(collection string, n int) {
	s.t.Helper()
	var points []string
	for i := range n {
		points = append(points, fmt.Sprintf(`{"id":%d,"text":"harbour %d with ferry %d and storm %d","payload":{"n":%d}}`, i, i, i*7, i*13, i))
	}
	s.must(200, "PUT", "/collections/"+collection+"/points?wait=true", `{"points":[`+strings.Join(points, ",")+`]}`)
}

// reaches waits for a state of a migration.
func (s *server) reaches(path, state string) reply {
	s.t.Helper()
	for range 2000 {
		r := s.must(200, "GET", path, nil)
		got := r.at(s.t, "result", "state")
		if got == state {
			return r
		}
		if got == "failed" {
			s.t.Fatalf("%s failed: %v", path, r.at(s.t, "result", "reason"))
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.t.Fatalf("%s is not %s", path, state)
	return reply{}
}

// TestMigrations takes every route of migrations.
func TestMigrations(t *testing.T) {
	s := start(t, t.TempDir())
	s.must(200, "PUT", "/collections/c", `{"embedding":{"model":"builtin:hash","dimensions":128}}`)
	s.notes("c", 60)
	before := s.must(200, "POST", "/collections/c/points/query", `{"query":{"text":"harbour 5 with ferry 35"},"limit":3}`)

	r := s.must(200, "POST", "/collections/c/manifest/diff", `{"embedding":{"model":"builtin:hash","dimensions":256}}`)
	if remedy := fmt.Sprint(r.at(t, "result", "plan", "remedy")); !strings.Contains(remedy, "vecino migrate start -c c --model builtin:hash --dimensions 256") {
		t.Errorf("the remedy is %q", remedy)
	}
	judged := `"judgements":[{"id":"q1","text":"harbour 5 with ferry 35","relevant":{"5":1}}]`
	r = s.must(201, "POST", "/collections/c/migrations", `{"embedding":{"model":"builtin:hash","dimensions":256},"require_card":true,"limits":{"tokens_per_second":100000,"cpus":0.5,"batch":7},`+judged+`}`)
	if r.at(t, "result", "require_card") != true || r.at(t, "result", "id") != "1" || r.at(t, "result", "verdict") != "reembed" || r.at(t, "result", "to_generation") != 2.0 {
		t.Errorf("started: %.400s", r.body)
	}
	s.must(409, "POST", "/collections/c/migrations", `{"index":{"m":9}}`)
	path := "/collections/c/migrations/1"
	r = s.reaches(path, "ready")
	if r.at(t, "result", "progress", "done") != 60.0 || len(r.at(t, "result", "gates").([]any)) < 5 || r.at(t, "result", "evaluation", "judgement") == nil {
		t.Errorf("ready: %.1200s", r.body)
	}
	card := false
	for _, g := range r.at(t, "result", "gates").([]any) {
		card = card || g.(map[string]any)["name"] == "card" && g.(map[string]any)["passed"] == true
	}
	if !card {
		t.Errorf("no gate says that the target has a card: %.1200s", r.body)
	}
	if s.must(200, "GET", path+"/report/report.md", nil); s.must(404, "GET", path+"/report/passwd", nil).status != 404 {
		t.Error("a file that there is not")
	}
	if r = s.must(200, "GET", "/collections/c/manifest", nil); r.at(t, "result", "standby", "manifest") == nil {
		t.Errorf("the manifest does not show the target: %.300s", r.body)
	}
	s.must(409, "POST", path+"/pause", nil)
	s.must(409, "POST", path+"/commit", nil)
	s.must(400, "POST", path+"/cutover", `{"require_card":3}`)
	for _, bad := range []string{`{"text":"no id"}`, `{"id":"q","text":"a","relevant":{"5":-1}}`, `{"id":"q","text":"a","score":1}`} {
		s.must(400, "POST", path+"/evaluate", `{"judgements":[`+bad+`]}`)
	}
	s.must(200, "POST", path+"/evaluate", `{"judgements":[{"id":7,"text":"harbour 5 with ferry 35","relevant":{"5":2,"6":0,"gone":0.5}}]}`)
	r = s.reaches(path, "ready")
	if measured := fmt.Sprint(r.at(t, "result", "gates")); !strings.Contains(measured, "1 of 2 judged documents are missing") || r.at(t, "result", "evaluation", "judgement", "warnings", 0, "code") != "missing_documents" {
		t.Errorf("a judged document that is not there: %s", measured)
	}
	s.must(200, "POST", path+"/cutover", nil)
	after := s.must(200, "POST", "/collections/c/points/query", `{"query":{"text":"harbour 5 with ferry 35"},"limit":3}`)
	if after.header.Get(headerFingerprint) == before.header.Get(headerFingerprint) || after.header.Get("ETag") == before.header.Get("ETag") {
		t.Error("the answer after the cut-over carries the former space")
	}
	s.must(200, "PUT", "/collections/c/points", `{"points":[{"id":1000,"text":"a lighthouse"}]}`)
	s.must(200, "POST", "/collections/c/points/payload", `{"payload":{"n":-1},"points":[5]}`)
	s.must(200, "POST", path+"/rollback", nil)
	r = s.must(200, "POST", "/collections/c/points/query", `{"query":{"text":"a lighthouse"},"limit":1}`)
	if r.at(t, "result", "points", 0, "id") != 1000.0 || r.header.Get(headerFingerprint) != before.header.Get(headerFingerprint) {
		t.Errorf("after the rollback: %.300s", r.body)
	}
	s.must(200, "POST", path+"/cutover", nil)
	s.must(200, "POST", path+"/commit", nil)
	s.must(409, "POST", path+"/rollback", nil)
	s.must(404, "POST", "/collections/c/migrations/77/pause", nil)
	s.must(404, "GET", "/collections/c/migrations/x", nil)

	s.must(201, "POST", "/collections/c/migrations", `{"embedding":{"model":"builtin:hash","dimensions":512},"limits":{"tokens_per_second":50,"batch":1}}`)
	s.must(200, "POST", "/collections/c/migrations/2/pause", nil)
	s.must(200, "POST", "/collections/c/migrations/2/resume", nil)
	s.must(200, "POST", "/collections/c/migrations/2/abort", nil)
	r = s.must(200, "GET", "/collections/c/migrations", nil)
	if r.at(t, "result", "migrations", 0, "state") != "aborted" || r.at(t, "result", "migrations", 1, "state") != "committed" {
		t.Errorf("migrations: %.600s", r.body)
	}
	r = s.must(201, "POST", "/collections/c/migrations", `{"search":{"ef":200,"oversampling":2.3}}`)
	if r.at(t, "result", "state") != "committed" || r.at(t, "result", "require_card") != false {
		t.Errorf("search defaults: %.600s", r.body)
	}
	if r = s.must(200, "GET", "/collections/c", nil); r.at(t, "result", "config", "search", "oversampling") != 2.3 {
		t.Errorf("search defaults: %.900s", r.body)
	}
	r = s.must(200, "GET", "/collections/c/history", nil)
	if r.at(t, "result", "generations", 1, "migration", "id") != "1" || r.at(t, "result", "generations", 1, "changes", 0, "id") != "3" || len(r.at(t, "result", "generations", 0, "changes").([]any)) != 0 {
		t.Errorf("history: %.900s", r.body)
	}
	if len(r.at(t, "result", "generations").([]any)) != 3 || r.at(t, "result", "generations", 1, "serving") != true {
		t.Errorf("history: %.600s", r.body)
	}
	s.must(422, "POST", "/collections/c/migrations", `{"limits":{"cpus":0.001}}`)
	for with, code := range map[string]string{judged: "nothing_to_judge", `"shadow":0.1`: "nothing_to_compare", `"canary":0.1`: "nothing_to_compare"} {
		if r = s.must(422, "POST", "/collections/c/migrations", `{"search":{"ef":99},`+with+`}`); r.at(t, "code") != code || r.at(t, "remedy") == "" {
			t.Errorf("search defaults with %s: %s", with, r.body)
		}
	}
	s.must(400, "POST", "/collections/c/migrations", `{"judgements":[{"id":"q"}]}`)
	s.must(404, "POST", "/collections/c/migrations", `{"embedding":{"model":"local:none"}}`)
}

// TestMigrationWaits: what a migration stands still for is in the answers and the
// metrics, and limits that change let the one before it go on.
func TestMigrationWaits(t *testing.T) {
	s := start(t, t.TempDir())
	for _, name := range []string{"a", "b"} {
		s.must(200, "PUT", "/collections/"+name, `{"embedding":{"model":"builtin:hash","dimensions":64}}`)
		s.notes(name, 20)
		s.must(201, "POST", "/collections/"+name+"/migrations", `{"embedding":{"model":"builtin:hash","dimensions":128},"limits":{"tokens_per_second":1,"batch":1}}`)
	}
	const said, a, b = `for the migration of collection "a"`, "/collections/a/migrations/1", "/collections/b/migrations/1"
	waits := func() any {
		r := s.must(200, "GET", b, nil)
		return r.at(t, "result", "waiting")
	}
	for end := time.Now().Add(30 * time.Second); waits() != said; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the second migration waits: %v", waits())
		}
	}
	if r := s.must(200, "GET", "/collections/b/migrations", nil); r.at(t, "result", "migrations", 0, "waiting") != said {
		t.Errorf("in the list: %.400s", r.body)
	}
	if r := s.must(200, "GET", a, nil); r.at(t, "result", "waiting") != nil {
		t.Errorf("the first migration waits: %.400s", r.body)
	}
	metrics := string(s.must(200, "GET", "/metrics", nil).body)
	for _, want := range []string{
		`vecino_migration_state{collection="b",migration="1",state="backfilling"} 1`, `vecino_migration_waiting{collection="b",migration="1"} 1`,
		`vecino_migration_waiting{collection="a",migration="1"} 0`, `vecino_migration_documents{collection="b",migration="1"} 20`,
		`vecino_migration_documents_done{collection="b",migration="1"} 0`, `vecino_embed_refused{collection="a",generation="1",model="builtin:hash"} 0`,
	} {
		if !strings.Contains(metrics, want+"\n") {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	r := s.must(200, "PATCH", a, `{"limits":{"tokens_per_second":0,"batch":16}}`)
	if limits := r.at(t, "result", "limits"); fmt.Sprint(limits) != "map[batch:16]" {
		t.Errorf("changed: %v", limits)
	}
	s.must(200, "PATCH", b, `{"limits":{"tokens_per_second":100000}}`)
	s.reaches(a, "ready")
	s.reaches(b, "ready")
	if waits() != nil {
		t.Errorf("ready, and it waits %v", waits())
	}
}

// TestMigrationWithoutRoom: a disk that is full refuses a migration.
func TestMigrationWithoutRoom(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	s.fill("c")
	s.stop()
	opened, err := store.Open(t.Context(), store.Options{Dir: dir, MinFreeBytes: 1 << 60})
	if err != nil {
		t.Fatal(err)
	}
	s = startWith(t, dir, api.Options{Store: opened})
	r := s.must(507, "POST", "/collections/c/migrations", `{"embedding":{"model":"builtin:hash","dimensions":128}}`)
	if r.at(t, "code") != "disk_full" {
		t.Errorf("refused: %s", r.body)
	}
}

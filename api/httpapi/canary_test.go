package httpapi

import (
	"fmt"
	"strings"
	"testing"
)

// TestCanary: answers of a canary say so and carry the target's space; a batch
// is of one space; requests that name the serving space keep to it; shares
// change while the migration is under way.
func TestCanary(t *testing.T) {
	s := start(t, t.TempDir())
	s.must(200, "PUT", "/collections/c", `{"embedding":{"model":"builtin:hash","dimensions":128}}`)
	s.notes("c", 200)
	path, wish := "/collections/c/migrations/1", `{"embedding":{"model":"builtin:hash","dimensions":256},`
	serving := s.must(200, "GET", "/collections/c/manifest", nil).header
	s.must(422, "POST", "/collections/c/migrations", wish+`"canary":1.5}`)
	s.must(422, "POST", "/collections/c/migrations", wish+`"canary":0.5,"auto":true}`)
	s.must(400, "POST", "/collections/c/migrations", wish+`"shadow":"10%"}`)
	r := s.must(201, "POST", "/collections/c/migrations", wish+`"canary":0.5,"shadow":1}`)
	if r.at(t, "result", "canary", "share") != 0.5 || r.at(t, "result", "shadow", "overlap_at_10") != nil {
		t.Errorf("started: %.900s", r.body)
	}
	s.reaches(path, "ready")
	query := func(i int, headers ...string) (r reply, canary bool) {
		t.Helper()
		r = s.must(200, "POST", "/collections/c/points/query", noteQuery(i), headers...)
		usage := r.at(t, "usage").(map[string]any)
		canary = usage["canary"] == true
		if other := r.header.Get(headerFingerprint) != serving.Get(headerFingerprint); other != canary || other != (r.header.Get("ETag") != serving.Get("ETag")) {
			t.Fatalf("canary %v, and the answer is of %.12s, tag %s", canary, r.header.Get(headerFingerprint), r.header.Get("ETag"))
		}
		return r, canary
	}
	took, some := map[bool]int{}, map[bool]int{}
	for i := range 60 {
		_, canary := query(i)
		took[canary]++
		some[canary] = i
	}
	if took[true] < 15 || took[false] < 15 {
		t.Fatalf("of 60 queries %d were answered by a canary of one half", took[true])
	}
	if _, again := query(some[true]); !again {
		t.Error("the same query goes to the other generation")
	}
	r, _ = query(some[true])
	target := r.header.Get(headerFingerprint)
	for _, pin := range [][]string{{headerFingerprint, serving.Get(headerFingerprint)}, {"If-Match", serving.Get("ETag")}} {
		if _, canary := query(some[true], pin...); canary {
			t.Errorf("%s does not hold the query", pin[0])
		}
	}
	s.must(409, "POST", "/collections/c/points/query", noteQuery(1), headerFingerprint, target)
	batches := map[string]int{}
	for i := range 40 {
		r := s.must(200, "POST", "/collections/c/points/query/batch", fmt.Sprintf(`{"searches":[%s,%s,%s,%s]}`, noteQuery(i), noteQuery(i+1), noteQuery(i+2), noteQuery(i+3)))
		of := r.header.Get(headerFingerprint)
		batches[of]++
		if (of == target) != (r.at(t, "usage").(map[string]any)["canary"] == true) {
			t.Errorf("a batch: %s", r.body)
		}
		// A text's score with itself is 1 in its own space.
		for part := range 4 {
			if score := r.at(t, "result", part, "points", 0, "score").(float64); score < 0.999 {
				t.Errorf("batch %d: the score of a text with itself is %g", i, score)
			}
		}
	}
	// Text by text one in sixteen would go to the target.
	if batches[target] < 10 || len(batches) != 2 {
		t.Errorf("batches by space: %v", batches)
	}
	r = s.must(200, "POST", "/collections/c/points/query/batch", fmt.Sprintf(`{"searches":[%s,{"query":5,"limit":1}]}`, noteQuery(some[true])))
	if r.header.Get(headerFingerprint) == target {
		t.Error("a batch with a query by id is answered by the target")
	}

	s.must(400, "PATCH", path, `{"canary":-1}`)
	s.must(400, "PATCH", path, `{"limits":{"batch":-1}}`)
	s.must(422, "PATCH", path, `{"limits":{"cpus":0.001}}`)
	s.must(404, "PATCH", "/collections/c/migrations/9", `{"canary":0}`)
	r = s.must(200, "PATCH", path, `{"canary":0}`)
	if r.at(t, "result", "canary", "share") != 0.0 || r.at(t, "result", "shadow", "share") != 1.0 || r.at(t, "result", "canary", "queries").(float64) < 15 {
		t.Errorf("changed: %.900s", r.body)
	}
	if _, canary := query(some[true]); canary {
		t.Error("a canary of nothing answers")
	}
	metrics := string(s.must(200, "GET", "/metrics", nil).body)
	for _, want := range []string{`vecino_canary_queries_total{collection="c",migration="1"}`, `vecino_shadow_share{collection="c",migration="1"} 1`, `vecino_canary_query_seconds{collection="c",generation="new",migration="1",quantile="0.99"}`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	s.must(200, "POST", path+"/abort", nil)
	s.must(409, "PATCH", path, `{"canary":0.1}`)
	if strings.Contains(string(s.must(200, "GET", "/metrics", nil).body), "vecino_canary") {
		t.Error("/metrics has a canary of a migration that has ended")
	}
}

// noteQuery asks for the text of a note.
func noteQuery(i int) string {
	return fmt.Sprintf(`{"query":{"text":"harbour %d with ferry %d and storm %d"},"limit":3}`, i, i*7, i*13)
}

// TestCanaryFallsBack: a text that the target can't encode is answered by the
// serving generation, and with it the whole batch that it stands in.
func TestCanaryFallsBack(t *testing.T) {
	s := start(t, t.TempDir())
	s.fill("c")
	serving := s.must(200, "GET", "/collections/c/manifest", nil).header.Get(headerFingerprint)
	s.must(201, "POST", "/collections/c/migrations", `{"embedding":{"model":"builtin:static"},"canary":1}`)
	path := "/collections/c/migrations/1"
	s.reaches(path, "ready")
	english, other := `{"query":{"text":"bread and yeast"},"limit":2}`, `{"query":{"text":"漢字"},"limit":2}`
	r := s.must(200, "POST", "/collections/c/points/query", english)
	if r.at(t, "usage", "canary") != true || r.header.Get(headerFingerprint) == serving {
		t.Fatalf("the target does not answer: %s", r.body)
	}
	alone := s.must(200, "POST", "/collections/c/points/query", other)
	for name, r := range map[string]reply{
		"alone": alone, "in a batch": s.must(200, "POST", "/collections/c/points/query/batch", `{"searches":[`+english+`,`+other+`,`+english+`]}`),
	} {
		if r.header.Get(headerFingerprint) != serving || r.at(t, "usage").(map[string]any)["canary"] != nil {
			t.Errorf("%s: canary in %s", name, r.body)
		}
	}
	if r := s.must(200, "GET", path, nil); r.at(t, "result", "canary", "failed") != 2.0 || r.at(t, "result", "state") != "ready" {
		t.Errorf("the figures: %v", r.at(t, "result", "canary"))
	}
}

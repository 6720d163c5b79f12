package httpapi

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vecino-db/vecino/api"
)

// TestBridge: of a lost Model2Vec model builtin:hash sees too little, and says
// so; where that little is asked for, answers say that they came over a bridge.
func TestBridge(t *testing.T) {
	from := sharedModel(t, "model2vec-test-model-float32")
	data, models := t.TempDir(), t.TempDir()
	install(t, from, filepath.Join(models, "a"))
	s := startWith(t, data, api.Options{Models: models})
	s.must(200, "PUT", "/collections/c", `{"embedding":{"model":"local:a"}}`)
	var points []string
	things := []string{"harbour", "ferry", "storm", "bread", "yeast", "morning", "river", "stone", "winter", "school", "paper", "engine"}
	for i := range 1000 {
		points = append(points, fmt.Sprintf(`{"id":%d,"text":"the %s of the %s and the %s"}`, i, things[i%12], things[i/12%12], things[(i*7+i/144)%12]))
	}
	s.must(200, "PUT", "/collections/c/points?wait=true", `{"points":[`+strings.Join(points, ",")+`]}`)
	s.stop()
	if err := os.RemoveAll(filepath.Join(models, "a")); err != nil {
		t.Fatal(err)
	}
	s = startWith(t, data, api.Options{Models: models})
	query := `{"query":{"text":"the ferry of the harbour"},"limit":2}`
	s.must(503, "POST", "/collections/c/points/query", query)
	s.must(422, "POST", "/collections/c/migrations", `{"embedding":{"model":"builtin:hash","dimensions":256},"bridge":{"recall":1.5}}`)
	s.must(422, "POST", "/collections/c/migrations", `{"embedding":{"model":"builtin:hash","dimensions":256},"bridge":{"pairs":5}}`)
	migrate := func(id, wish, state string) {
		t.Helper()
		s.must(201, "POST", "/collections/c/migrations", `{"embedding":{"model":"builtin:hash","dimensions":256},"bridge":`+wish+`}`)
		r := s.reaches("/collections/c/migrations/"+id, "ready")
		if r.at(t, "result", "bridge", "state") != state || r.at(t, "result", "bridge", "check", "k") != 10.0 {
			t.Errorf("the bridge: %v", r.at(t, "result", "bridge"))
		}
		t.Logf("%s: %v", state, r.at(t, "result", "bridge", "check"))
	}
	migrate("1", `{"recall":0.95}`, "refused")
	r := s.must(503, "POST", "/collections/c/points/query", query)
	if r.at(t, "code") != "bridge_refused" || !strings.Contains(fmt.Sprint(r.at(t, "detail")), "recall@10") {
		t.Errorf("the refusal: %s", r.body)
	}
	s.must(200, "POST", "/collections/c/migrations/1/abort", nil)
	migrate("2", `{"recall":0.001,"pairs":1000}`, "serving")
	r = s.must(200, "POST", "/collections/c/points/query", query)
	if r.at(t, "usage", "bridge") != true {
		t.Errorf("the answer does not say that a bridge gave it: %s", r.body)
	}
	r = s.must(200, "POST", "/collections/c/points/query/batch", `{"searches":[`+query+`]}`)
	if r.at(t, "usage", "bridge") != true {
		t.Errorf("nor does that of a batch: %s", r.body)
	}
	r = s.must(200, "POST", "/collections/c/points/query", `{"query":5}`)
	if _, ok := r.json["usage"].(map[string]any)["bridge"]; ok {
		t.Errorf("a query by id says that it took a bridge: %s", r.body)
	}
}

// TestScoreSpace: what was translated stands in the answer.
func TestScoreSpace(t *testing.T) {
	s := start(t, t.TempDir())
	s.must(200, "PUT", "/collections/c", `{"embedding":{"model":"builtin:hash","dimensions":64}}`)
	s.notes("c", 120)
	text := `{"query":{"text":"harbour 5 with ferry 35"},"score_threshold":0.5`
	former := s.must(200, "POST", "/collections/c/points/query", text+`}`).header.Get(headerFingerprint)
	asks := text + `,"params":{"score_space":"` + former + `"}}`
	r := s.must(200, "POST", "/collections/c/points/query", asks)
	if _, ok := r.json["usage"].(map[string]any)["score_thresholds"]; ok {
		t.Errorf("translated into the same space: %s", r.body)
	}
	s.must(400, "POST", "/collections/c/points/query", text+`,"params":{"score_space":"red"}}`)
	r = s.must(409, "POST", "/collections/c/points/query", text+`,"params":{"score_space":"`+strings.Repeat("a", len(former))+`"}}`)
	if r.at(t, "code") != "no_threshold_map" || r.at(t, "errors", 0, "pointer") != "/params/score_space" {
		t.Errorf("a space without a map: %s", r.body)
	}
	s.must(201, "POST", "/collections/c/migrations", `{"embedding":{"model":"builtin:hash","dimensions":256}}`)
	s.reaches("/collections/c/migrations/1", "ready")
	s.must(200, "POST", "/collections/c/migrations/1/cutover", nil)
	for path, body := range map[string]string{
		"query": asks, "query/batch": `{"searches":[` + asks + `]}`,
		"query/groups": strings.TrimSuffix(asks, "}") + `,"group_by":"n"}`,
	} {
		r = s.must(200, "POST", "/collections/c/points/"+path, body)
		if r.at(t, "usage", "score_thresholds", 0, "given") != 0.5 || r.at(t, "usage", "score_thresholds", 0, "used") == 0.5 {
			t.Errorf("%s: %s", path, r.body)
		}
	}
}

package httpapi

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/vecino-db/vecino/api"
)

// field puts n texts into a collection whose words belong together only there.
func (s *server) field(collection string, n int) {
	s.t.Helper()
	s.must(200, "PUT", "/collections/"+collection, `{"embedding":{"model":"builtin:static"}}`)
	words := strings.Fields("apple river stone window garden letter engine mirror copper yellow silver paper winter bridge candle button pocket forest island market school doctor soldier kitchen basket blanket hammer ladder needle ribbon saddle ticket tunnel valley violin wallet whistle anchor barrel camera")
	r := rand.New(rand.NewPCG(1, 2))
	r.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
	var points []map[string]any
	for i := range n {
		topic := words[i%8*5 : i%8*5+5]
		say := func() string { return fmt.Sprintf("The %s is near the %s.", topic[r.IntN(5)], topic[r.IntN(5)]) }
		points = append(points, map[string]any{
			"id": i + 1, "text": fmt.Sprintf("%s %s Number %d.", say(), say(), i),
			"payload": map[string]any{"name": topic[r.IntN(5)] + " and " + topic[r.IntN(5)]},
		})
	}
	s.must(200, "PUT", "/collections/"+collection+"/points", map[string]any{"points": points})
}

// isTraining holds a job's result to the document.
func (s *server) isTraining(r reply) {
	s.t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(specYAML)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := doc.Components.Schemas["Training"].Value.VisitJSON(r.at(s.t, "result", "result")); err != nil {
		s.t.Errorf("the result is no Training: %v\n%s", err, r.body)
	}
}

// installed are the names in a directory of models.
func installed(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return strings.Join(names, " ")
}

// TestTrain trains, evaluates, plans and migrates in one job, and uses the
// model without a restart.
func TestTrain(t *testing.T) {
	models := t.TempDir()
	s := startWith(t, t.TempDir(), api.Options{Models: models})
	s.field("f", 320)
	var judged []map[string]any
	for i := range 12 {
		point := s.must(200, "GET", fmt.Sprintf("/collections/f/points/%d", i+1), nil)
		judged = append(judged, map[string]any{
			"id": fmt.Sprint("q", i), "text": point.at(t, "result", "payload", "name"), "relevant": map[string]int{fmt.Sprint(i + 1): 1},
		})
	}
	r := s.must(200, "POST", "/collections/f/train", map[string]any{"base": "builtin:static", "name": "mine", "title": "name", "seed": 1, "judgements": judged, "migrate": true})
	id := r.at(t, "result", "id").(string)
	s.must(409, "POST", "/collections/f/train", nil) // one at a time
	r = s.ended(id)
	s.isTraining(r)
	if r.at(t, "result", "state") != "done" || r.at(t, "result", "step") != "rollback_window" || r.at(t, "result", "result", "migration", "state") != "rollback_window" {
		t.Fatalf("%s", r.body)
	}
	base, adapted := r.at(t, "result", "result", "held_out", "base", "mean_reciprocal_rank").(float64), r.at(t, "result", "result", "held_out", "adapted", "mean_reciprocal_rank").(float64)
	if adapted <= base || r.at(t, "result", "result", "documents") != 320.0 || r.at(t, "result", "result", "judged", "queries") != 12.0 || r.at(t, "result", "result", "estimate", "documents") != 320.0 {
		t.Errorf("%s", r.body)
	}
	manifest := s.must(200, "GET", "/collections/f/manifest", nil)
	if got := manifest.at(t, "result", "manifest", "provenance", "model"); got != "local:mine" {
		t.Errorf("the collection's model is %v", got)
	}
	if got := manifest.header.Get(headerFingerprint); got != r.at(t, "result", "result", "fingerprint") {
		t.Errorf("the fingerprint is %s, and the job said %s", got, r.body)
	}
	s.must(200, "POST", "/v1/embeddings", `{"model":"local:mine","input":"a stone in the river"}`)
	if got := installed(t, models); got != "mine" {
		t.Errorf("installed: %s", got)
	}
	card, err := os.ReadFile(filepath.Join(models, "mine", "README.md"))
	if err != nil || !strings.Contains(string(card), "| documents | 320,") {
		t.Errorf("%v\n%s", err, card)
	}

	// Refused before a job begins: a name that there is, names of other places,
	// bases that can't be trained, another migration.
	before := len(s.must(200, "GET", "/jobs", nil).at(t, "result", "jobs").([]any))
	s.must(409, "POST", "/collections/f/train", `{"name":"mine"}`)
	for _, name := range []string{"../x", "a/b", ".x", "", strings.Repeat("a", 129)} {
		want := 422
		if name == "" {
			continue // left out
		}
		s.must(want, "POST", "/collections/f/train", map[string]any{"name": name})
	}
	s.must(422, "POST", "/collections/f/train", `{"base":"builtin:hash"}`)
	s.must(404, "POST", "/collections/f/train", `{"base":"local:none"}`)
	s.must(404, "POST", "/collections/f/train", `{"base":"local:../f"}`)
	s.must(409, "POST", "/collections/f/train", `{"migrate":true}`)
	s.must(404, "POST", "/collections/none/train", `{}`)
	s.must(400, "POST", "/collections/f/train", `{"judgements":[{"id":"x"}]}`)
	if after := len(s.must(200, "GET", "/jobs", nil).at(t, "result", "jobs").([]any)); after != before {
		t.Errorf("%d jobs began", after-before)
	}
}

// TestTrainRefusals: what is not better is not installed, and says its figures.
func TestTrainRefusals(t *testing.T) {
	models := t.TempDir()
	s := startWith(t, t.TempDir(), api.Options{Models: models})

	// Texts whose sides belong together by nothing.
	r := rand.New(rand.NewPCG(3, 4))
	words := []string{"red", "blue", "sea", "tree", "car", "sky", "ant", "oak", "box", "cup", "hat", "ink"}
	s.must(200, "PUT", "/collections/noise", `{"embedding":{"model":"builtin:static"}}`)
	var points []map[string]any
	for i := range 300 {
		var b strings.Builder
		for range 8 {
			fmt.Fprintf(&b, "%s ", words[r.IntN(len(words))])
		}
		points = append(points, map[string]any{"id": i, "text": b.String()})
	}
	s.must(200, "PUT", "/collections/noise/points", map[string]any{"points": points})
	job := s.ended(s.must(200, "POST", "/collections/noise/train", `{"base":"builtin:static","migrate":true}`).at(t, "result", "id").(string))
	s.isTraining(job)
	if job.at(t, "result", "state") != "failed" || job.at(t, "result", "result", "installed") != false || job.at(t, "result", "result", "held_out", "pairs").(float64) < 30 ||
		!strings.Contains(job.at(t, "result", "error").(string), "found first") {
		t.Errorf("%s", job.body)
	}

	// A model that takes all words of a subject for alike finds the held-out
	// pairs better, and texts by their very words worse.
	s.field("f", 320)
	var judged []map[string]any
	for i := range 60 {
		text := s.must(200, "GET", fmt.Sprintf("/collections/f/points/%d", i+1), nil).at(t, "result", "text").(string)
		words, _, _ := strings.Cut(text, " Number")
		judged = append(judged, map[string]any{"id": fmt.Sprint("q", i), "text": words, "relevant": map[string]int{fmt.Sprint(i + 1): 1}})
	}
	wish := map[string]any{"base": "builtin:static", "title": "name", "judgements": judged}
	job = s.ended(s.must(200, "POST", "/collections/f/train", wish).at(t, "result", "id").(string))
	s.isTraining(job)
	if job.at(t, "result", "state") != "failed" || job.at(t, "result", "result", "installed") != false || !strings.Contains(job.at(t, "result", "error").(string), "ranks worse") ||
		job.at(t, "result", "result", "judged", "difference", "ndcg_at_10", "mean").(float64) >= 0 {
		t.Errorf("%s", job.body)
	}

	// Too few texts.
	s.fill("few")
	job = s.ended(s.must(200, "POST", "/collections/few/train", nil).at(t, "result", "id").(string))
	s.isTraining(job)
	if job.at(t, "result", "state") != "failed" || !strings.Contains(job.at(t, "result", "error").(string), "add documents") {
		t.Errorf("%s", job.body)
	}

	// Ended by a user: nothing is left.
	id := s.must(200, "POST", "/collections/f/train", nil).at(t, "result", "id").(string)
	for range 2000 {
		if step := s.must(200, "GET", "/jobs/"+id, nil).json["result"].(map[string]any)["step"]; step == "training" {
			break
		}
		time.Sleep(time.Millisecond)
	}
	s.must(200, "DELETE", "/jobs/"+id, nil)
	if job = s.ended(id); job.at(t, "result", "state") != "canceled" {
		t.Errorf("%s", job.body)
	}
	if got := installed(t, models); got != "" {
		t.Errorf("installed: %s", got)
	}
	s.stop()

	s = start(t, t.TempDir())
	s.fill("few")
	s.must(503, "POST", "/collections/few/train", nil)
}

package httpapi

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// vectorsOf makes a collection of n random vectors.
func (s *server) vectorsOf(name, index string, n, dim int) {
	s.t.Helper()
	s.must(200, "PUT", "/collections/"+name, fmt.Sprintf(`{"vectors":{"size":%d,"distance":"Cosine"},"index":%s}`, dim, index))
	rng := rand.New(rand.NewPCG(1, 1))
	var points []map[string]any
	for i := range n {
		row := make([]float32, dim)
		for j := range row {
			row[j] = float32(rng.NormFloat64())
		}
		points = append(points, map[string]any{"id": i, "vector": row})
	}
	s.must(200, "PUT", "/collections/"+name+"/points", map[string]any{"points": points})
}

// ended waits for a job.
func (s *server) ended(id string) reply {
	s.t.Helper()
	for range 6000 {
		r := s.must(200, "GET", "/jobs/"+id, nil)
		if r.at(s.t, "result", "state") != "running" {
			return r
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.t.Fatalf("job %s has no end", id)
	return reply{}
}

func TestRecall(t *testing.T) {
	s := start(t, t.TempDir())
	s.vectorsOf("r", `{"encoding":"lvq4x8"}`, 1500, 8)
	before := s.must(200, "GET", "/collections/r/manifest", nil)
	r := s.must(200, "POST", "/collections/r/recall", `{"k":10,"sample":50,"keep":true}`)
	recall, low, high := r.at(t, "result", "recall").(float64), r.at(t, "result", "low").(float64), r.at(t, "result", "high").(float64)
	if recall < 0.8 || recall > 1 || low > recall || high < recall || r.at(t, "result", "vectors") != 1500.0 || r.at(t, "result", "queries") != 50.0 {
		t.Errorf("%s", r.body)
	}
	after := s.must(200, "GET", "/collections/r/manifest", nil)
	if got := after.at(t, "result", "manifest", "evidence", "recall", "recall"); got != recall {
		t.Errorf("the manifest's evidence has %v, want %v", got, recall)
	}
	if before.header.Get("ETag") == after.header.Get("ETag") {
		t.Error("the manifest changed, and its tag did not")
	}
	r = s.must(200, "POST", "/collections/r/recall", `{"k":3,"queries":[[1,2,3,4,5,6,7,8],7]}`)
	if r.at(t, "result", "queries") != 2.0 || r.at(t, "result", "kept") != false {
		t.Errorf("%s", r.body)
	}
	s.must(404, "POST", "/collections/r/recall", `{"queries":[99999]}`)
	s.must(422, "POST", "/collections/r/recall", `{"queries":[[1,2]]}`)
	s.must(404, "POST", "/collections/none/recall", `{}`)
	r = s.must(200, "POST", "/collections/r/recall?wait=false", `{"sample":5}`)
	r = s.ended(r.at(t, "result", "job", "id").(string))
	if r.at(t, "result", "state") != "done" || r.at(t, "result", "result", "queries") != 5.0 {
		t.Errorf("%s", r.body)
	}
	metrics := s.must(200, "GET", "/metrics", nil)
	if !strings.Contains(string(metrics.body), `vecino_recall_floor{collection="r"}`) {
		t.Error("no floor among the metrics")
	}
}

func TestJobs(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	s.vectorsOf("j", `{}`, 2000, 8)
	ids := make([]int, 500)
	for i := range ids {
		ids[i] = 2 * i
	}
	s.must(200, "POST", "/collections/j/points/delete", map[string]any{"points": ids})
	r := s.must(200, "POST", "/collections/j/optimize", nil)
	id := r.at(t, "result", "id").(string)
	r = s.ended(id)
	if r.at(t, "result", "state") != "done" || r.at(t, "result", "kind") != "optimize" || r.at(t, "result", "result", "deleted") != 0.0 {
		t.Errorf("%s", r.body)
	}
	s.must(404, "GET", "/jobs/999", nil)
	s.must(404, "DELETE", "/jobs/x", nil)
	s.must(404, "GET", "/jobs/01", nil)
	s.must(404, "POST", "/collections/none/optimize", nil)

	// A job that takes its time: every vector is compared with thousands of
	// queries.
	wish := `{"sample":1500,"k":1000}`
	r = s.must(200, "POST", "/collections/j/recall?wait=false", wish)
	long := r.at(t, "result", "job", "id").(string)
	s.must(409, "POST", "/collections/j/recall?wait=false", wish)
	s.must(200, "DELETE", "/jobs/"+long, nil)
	if r = s.ended(long); r.at(t, "result", "state") != "canceled" {
		t.Errorf("%s", r.body)
	}
	r = s.must(200, "POST", "/collections/j/recall?wait=false", wish)
	cut := r.at(t, "result", "job", "id").(string)
	s.stop()

	s = start(t, dir)
	r = s.must(200, "GET", "/jobs", nil)
	jobs := r.at(t, "result", "jobs").([]any)
	if len(jobs) != 3 || r.at(t, "result", "jobs", 0, "id") != cut || r.at(t, "result", "jobs", 0, "state") != "interrupted" || r.at(t, "result", "jobs", 2, "id") != id {
		t.Errorf("%s", r.body)
	}
	s.must(200, "DELETE", "/jobs/"+id, nil)
	s.must(404, "GET", "/jobs/"+id, nil)
}

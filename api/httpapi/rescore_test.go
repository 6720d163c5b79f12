package httpapi

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// Queries of every form give what brute force gives where the index keeps codes
// and the stored vectors decide, with their distances.
func TestRescore(t *testing.T) {
	const n, dim = 1300, 8
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	s := start(t, t.TempDir())
	s.must(200, "PUT", "/collections/c", fmt.Sprintf(`{"vectors":{"size":%d,"distance":"Euclid"},"index":{"encoding":"lvq4x8"}}`, dim))
	var points []map[string]any
	distance := map[float64]float64{} // of the odd ones
	var odd []float64
	for id := range n {
		// All lie about as far from the query, in no order that codes keep.
		row := make([]float32, dim)
		sum := 0.0
		for j := range row {
			row[j] = float32(rng.NormFloat64())
			sum += float64(row[j]) * float64(row[j])
		}
		far := 0.0
		for j := range row {
			row[j] *= float32((1 + 1e-3*rng.Float64()) / math.Sqrt(sum))
			far += float64(row[j]) * float64(row[j])
		}
		points = append(points, map[string]any{"id": id, "vector": row, "payload": map[string]any{"odd": id%2 == 1, "g": id % 7}})
		if id%2 == 1 {
			odd = append(odd, float64(id))
			distance[float64(id)] = math.Sqrt(far)
		}
	}
	s.must(200, "PUT", "/collections/c/points?wait=true", map[string]any{"points": points})
	slices.SortFunc(odd, func(a, b float64) int { return int(1e9 * (distance[a] - distance[b])) })
	wanted, err := json.Marshal(make([]float32, dim))
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, got []any, from, limit int, sure bool) {
		t.Helper()
		if len(got) != limit {
			t.Fatalf("%s: %d points, want %d", what, len(got), limit)
		}
		wrong := 0
		for i, p := range got {
			id, score := p.(map[string]any)["id"].(float64), p.(map[string]any)["score"].(float64)
			if math.Abs(distance[id]-distance[odd[from+i]]) > 3e-7 {
				wrong++
			}
			if math.Abs(score-distance[id]) > 3e-7 {
				wrong++
			}
		}
		if sure != (wrong == 0) {
			t.Errorf("%s: %d wrong ids and scores; right ones wanted: %t", what, wrong, sure)
		}
	}
	const where = `"filter":{"must":{"key":"odd","match":{"value":true}}}`
	for _, test := range []struct {
		params string
		sure   bool
	}{
		{`{"exact":true}`, true},
		{`{"exact":true,"quantization":{"rescore":true,"oversampling":1}}`, true},
		{`{"exact":true,"quantization":{"rescore":false,"ignore":true}}`, true},
		{`{"quantization":{"ignore":true}}`, true},
		{`{"hnsw_ef":2000,"quantization":{"rescore":true,"oversampling":100}}`, true},
		{`{"exact":true,"quantization":{"rescore":false}}`, false},
		{`{"quantization":{"rescore":false}}`, false},
	} {
		body := fmt.Sprintf(`{"query":%s,"limit":20,"offset":3,%s,"params":%s}`, wanted, where, test.params)
		older := fmt.Sprintf(`{"vector":%s,"limit":20,"offset":3,%s,"params":%s}`, wanted, where, test.params)
		check("query "+test.params, s.must(200, "POST", "/collections/c/points/query", body).at(t, "result", "points").([]any), 3, 20, test.sure)
		check("batch "+test.params, s.must(200, "POST", "/collections/c/points/query/batch", `{"searches":[`+body+`]}`).at(t, "result", 0, "points").([]any), 3, 20, test.sure)
		check("search "+test.params, s.must(200, "POST", "/collections/c/points/search", older).at(t, "result").([]any), 3, 20, test.sure)
		groups := s.must(200, "POST", "/collections/c/points/query/groups", fmt.Sprintf(`{"query":%s,"limit":7,"group_by":"g","group_size":5,%s,"params":%s}`, wanted, where, test.params)).at(t, "result", "groups").([]any)
		wrong := 0
		for _, g := range groups {
			id := g.(map[string]any)["id"].(float64)
			var want []float64
			for _, o := range odd {
				if math.Mod(o, 7) == id && len(want) < 5 {
					want = append(want, o)
				}
			}
			for i, h := range g.(map[string]any)["hits"].([]any) {
				got, score := h.(map[string]any)["id"].(float64), h.(map[string]any)["score"].(float64)
				if math.Abs(distance[got]-distance[want[i]]) > 3e-7 || math.Abs(score-distance[got]) > 3e-7 {
					wrong++
				}
			}
		}
		if len(groups) != 7 || test.sure != (wrong == 0) {
			t.Errorf("groups %s: %d groups, %d wrong ids and scores; right ones wanted: %t", test.params, len(groups), wrong, test.sure)
		}
	}
}

package httpapi

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// Groups are what grouping all points by hand gives.
func TestQueryGroups(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	s := start(t, t.TempDir())
	s.must(200, "PUT", "/collections/c", `{"vectors":{"size":2,"distance":"Euclid"}}`)
	var points []map[string]any
	shown := map[int][]string{} // a point's groups as JSON
	for id := range 400 {
		p := map[string]any{"id": id, "vector": []float64{rng.Float64(), rng.Float64()}}
		many := rng.IntN(30) // so that a few groups are common and lie nearest
		switch {
		case id < 100:
			p["vector"] = []float64{0.001 * float64(id), 0}
			p["payload"], shown[id] = map[string]any{"g": "near"}, []string{`"near"`}
		case rng.IntN(5) == 0:
			p["payload"] = map[string]any{"g": []any{nil, 1.5, true}}
		case rng.IntN(5) == 0:
			p["payload"], shown[id] = map[string]any{"g": []any{many, "near", fmt.Sprint(many), many}}, []string{fmt.Sprint(many), `"near"`, fmt.Sprintf("%q", fmt.Sprint(many))}
		default:
			p["payload"], shown[id] = map[string]any{"g": many}, []string{fmt.Sprint(many)}
		}
		points = append(points, p)
	}
	s.must(200, "PUT", "/collections/c/points", map[string]any{"points": points})
	slices.SortFunc(points, func(a, b map[string]any) int {
		far := func(p map[string]any) float64 { v := p["vector"].([]float64); return v[0]*v[0] + v[1]*v[1] }
		return cmp.Compare(far(a), far(b))
	})
	for _, indexed := range []bool{false, true} {
		if indexed {
			s.must(200, "PUT", "/collections/c/index", `{"field_name":"g","field_schema":"keyword"}`)
		}
		for _, size := range []int{1, 3, 200} {
			for _, limit := range []int{1, 4, 100} {
				var order []string
				want := map[string][]float64{}
				for _, p := range points {
					for _, g := range shown[p["id"].(int)] {
						if want[g] == nil {
							order = append(order, g)
						}
						if len(want[g]) < size {
							want[g] = append(want[g], float64(p["id"].(int)))
						}
					}
				}
				r := s.must(200, "POST", "/collections/c/points/query/groups", fmt.Sprintf(`{"query":[0,0],"group_by":"g","group_size":%d,"limit":%d,"params":{"exact":true}}`, size, limit))
				groups := r.at(t, "result", "groups").([]any)
				if len(groups) != min(limit, len(order)) {
					t.Fatalf("size %d, limit %d: %d groups of %d", size, limit, len(groups), len(order))
				}
				for i := range groups {
					id, err := json.Marshal(r.at(t, "result", "groups", i, "id"))
					if err != nil {
						t.Fatal(err)
					}
					var got []float64
					for j := range r.at(t, "result", "groups", i, "hits").([]any) {
						got = append(got, r.at(t, "result", "groups", i, "hits", j, "id").(float64))
					}
					// Groups that share their nearest point may come in either order.
					if !slices.Equal(got, want[string(id)]) || want[string(id)][0] != want[order[i]][0] {
						t.Errorf("size %d, limit %d: group %s has %v, want %v; the order is %v", size, limit, id, got, want[string(id)], order)
					}
				}
			}
		}
	}
	s.must(400, "POST", "/collections/c/points/query/groups", `{"query":[0,0],"group_by":"a..b"}`)
}

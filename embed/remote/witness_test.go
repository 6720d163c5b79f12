package remote

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/vecino-db/vecino/embed"
)

// TestEpoch: it counts before rows of another model are given, once for each
// change, and never for one model or where it is not asked for.
func TestEpoch(t *testing.T) {
	var model atomic.Int64
	var largest atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct{ Input []string }
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			t.Error(err)
		}
		largest.Store(max(largest.Load(), int64(len(q.Input))))
		data := []map[string]any{}
		for i, text := range q.Input {
			v := []float32{1, float32(len(text)), 0, 0}
			v[2+model.Load()%2] = 40
			data = append(data, map[string]any{"index": i, "embedding": v})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"data": data})
	}))
	defer server.Close()
	open := func(o Options) *Encoder {
		o.Kind, o.BaseURL, o.Model, o.AllowLoopback, o.MaxTexts = KindOpenAI, server.URL, "m", true, 3
		e, err := New(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.Close() })
		return e
	}
	for _, witness := range []bool{true, false} {
		e := open(Options{Witness: witness})
		largest.Store(0)
		for i, want := range []uint64{0, 0, 1, 1, 2} {
			model.Store(int64(want))
			out, err := e.Encode(t.Context(), embed.RoleDocument, []string{"one", "two", "three", "four"})
			if err != nil || out.Vectors.Len() != 4 {
				t.Fatal(err)
			}
			if got := e.Epoch(); witness && got != want || !witness && got != 0 {
				t.Errorf("witness %v, request %d: epoch %d, want %d", witness, i, got, want)
			}
		}
		if largest.Load() != 3 {
			t.Errorf("witness %v: a request had %d texts, want 3 at most and full ones", witness, largest.Load())
		}
		model.Store(0)
	}
}

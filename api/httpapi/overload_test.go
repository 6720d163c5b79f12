package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vecino-db/vecino/api"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/remote"
)

// TestManifestProbes: texts by default, vectors when they are asked for.
func TestManifestProbes(t *testing.T) {
	s := start(t, t.TempDir())
	s.fill("c")
	short := s.must(200, "GET", "/collections/c/manifest", nil)
	long := s.must(200, "GET", "/collections/c/manifest?probes=true", nil)
	n := int(short.at(t, "result", "probes").(float64))
	if list := short.at(t, "result", "manifest", "evidence", "probes").([]any); n == 0 || len(list) != n || strings.Contains(string(short.body), `"document":`) {
		t.Errorf("by default: %d probes, %.400s", n, short.body)
	}
	for _, member := range []string{"schema", "space", "metric", "index", "search", "provenance"} {
		if _, ok := short.at(t, "result", "manifest").(map[string]any)[member]; !ok {
			t.Errorf("the manifest lost %s", member)
		}
	}
	if v := long.at(t, "result", "manifest", "evidence", "probes", 0, "document").([]any); len(v) != 512 {
		t.Errorf("with probes: %d floats", len(v))
	}
	if len(short.body) > 4000 || short.header.Get("ETag") != long.header.Get("ETag") {
		t.Errorf("%d bytes by default, tags %s and %s", len(short.body), short.header.Get("ETag"), long.header.Get("ETag"))
	}
}

// slowEndpoint answers in OpenAI's form; it waits on texts that begin with
// "wait" until release is closed.
func slowEndpoint(t *testing.T) (url string, waiting chan struct{}, release chan struct{}) {
	t.Helper()
	waiting, release = make(chan struct{}, 100), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct{ Input []string }
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			t.Error(err)
		}
		var data []map[string]any
		for i, text := range q.Input {
			if strings.HasPrefix(text, "wait") {
				waiting <- struct{}{}
				<-release
			}
			data = append(data, map[string]any{"index": i, "embedding": []float64{1, float64(len(text)), 2}})
		}
		json.NewEncoder(w).Encode(map[string]any{"data": data})
	}))
	t.Cleanup(server.Close)
	return server.URL, waiting, release
}

// TestOverload: a full queue is 429 with Retry-After in both dialects, queries
// of other models go on, and the metrics say what happened.
func TestOverload(t *testing.T) {
	url, waiting, release := slowEndpoint(t)
	s := startWith(t, t.TempDir(), api.Options{
		Queue:   embed.SchedulerOptions{QueueRequests: 2},
		Remotes: []api.Remote{{Name: "slow", Kind: remote.KindOpenAI, URL: url, Model: "m", AllowLoopback: true, Concurrency: 1}},
	})
	s.must(200, "PUT", "/collections/c", `{"embedding":{"model":"openai:slow"}}`)
	var group sync.WaitGroup
	group.Go(func() { s.must(200, "POST", "/collections/c/points/query", `{"query":{"text":"wait here"}}`) })
	<-waiting
	for i := range 2 {
		group.Go(func() {
			s.must(200, "POST", "/collections/c/points/query", fmt.Sprintf(`{"query":{"text":"next %d"}}`, i))
		})
	}
	waitFor(t, func() bool {
		return s.service.Encoders().Queues()[0].Metrics.Priorities[embed.PriorityQuery].Waiting == 2
	})

	r := s.must(429, "POST", "/collections/c/points/query", `{"query":{"text":"one too many"}}`)
	if seconds, err := strconv.Atoi(r.header.Get("Retry-After")); err != nil || seconds < 1 || r.at(t, "code") != "overloaded" || r.at(t, "remedy") == "" {
		t.Errorf("refused by %q %.400s", r.header.Get("Retry-After"), r.body)
	}
	r = s.must(429, "POST", "/v1/embeddings", `{"model":"openai:slow","input":"one too many","input_type":"query"}`)
	if r.header.Get("Retry-After") == "" || r.at(t, "error", "code") != "overloaded" || r.at(t, "error", "type") != "rate_limit_error" {
		t.Errorf("in OpenAI's form: %.400s", r.body)
	}
	s.fill("other")
	s.must(200, "POST", "/collections/other/points/query", `{"query":{"text":"bread"}}`)

	metrics := string(s.must(200, "GET", "/metrics", nil).body)
	for _, want := range []string{
		`vecino_embed_queue_size{model="openai:slow",priority="query",space="`, `outcome="rejected",priority="query"`,
		`vecino_embed_batch_tokens_bucket{model="builtin:hash"`, "vecino_embed_inference_duration_seconds_count", "vecino_embed_queue_duration_seconds_sum",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	close(release)
	group.Wait()
}

// waitFor waits until something holds.
func waitFor(t *testing.T, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it never came to be")
		}
	}
}

// TestPrecision: int8 is for transformers, here and in a collection, and a
// word that is neither precision is refused by the decoder.
func TestPrecision(t *testing.T) {
	s := start(t, t.TempDir())
	for _, precision := range []string{`"f32"`, "null"} {
		s.must(200, "POST", "/v1/embeddings", `{"model":"builtin:hash","input":"a text","precision":`+precision+`}`)
	}
	if r := s.must(422, "POST", "/v1/embeddings", `{"model":"builtin:hash","input":"a text","precision":"int8"}`); r.at(t, "error", "code") != "no_precision" {
		t.Errorf("%s", r.body)
	}
	s.must(400, "POST", "/v1/embeddings", `{"model":"builtin:hash","input":"a text","precision":"int4"}`)
	if r := s.must(422, "PUT", "/collections/c", `{"embedding":{"model":"builtin:hash","precision":"int8"}}`); r.at(t, "code") != "no_precision" || r.at(t, "remedy") == nil {
		t.Errorf("%s", r.body)
	}
	s.must(400, "PUT", "/collections/c", `{"embedding":{"model":"builtin:hash","precision":"int4"}}`)
	s.must(200, "PUT", "/collections/c", `{"embedding":{"model":"builtin:hash","precision":"f32"}}`)
	if r := s.must(200, "GET", "/collections/c", nil); r.at(t, "result", "embedding", "precision") != "f32" {
		t.Errorf("%s", r.body)
	}
}

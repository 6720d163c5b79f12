package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/hash"
	"github.com/vecino-db/vecino/embed/remote"
	"github.com/vecino-db/vecino/store"
)

// endpoint is another server in OpenAI's form. Its model is builtin:hash over
// the text with a salt before it: another salt is another model.
type endpoint struct {
	url string

	mu    sync.Mutex
	salt  string
	down  bool
	texts []string          // that it was sent
	asked func(text string) // nil: nobody is told of them
}

func newEndpoint(t *testing.T) *endpoint {
	t.Helper()
	encoder, err := hash.New(hash.Options{Dimension: 64})
	if err != nil {
		t.Fatal(err)
	}
	e := &endpoint{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		defer e.mu.Unlock()
		var q struct{ Input []string }
		if e.down || json.NewDecoder(r.Body).Decode(&q) != nil {
			http.Error(w, "away", http.StatusNotFound) // final: nothing is tried again
			return
		}
		data := []map[string]any{}
		for i, text := range q.Input {
			e.texts = append(e.texts, text)
			if e.asked != nil {
				e.asked(text)
			}
			out, err := encoder.Encode(r.Context(), embed.RoleDocument, []string{e.salt + text})
			if err != nil {
				if r.Context().Err() == nil {
					t.Error(err)
				}
				return
			}
			data = append(data, map[string]any{"index": i, "embedding": out.Vectors.Row(0)})
		}
		json.NewEncoder(w).Encode(map[string]any{"data": data})
	}))
	t.Cleanup(server.Close)
	e.url = server.URL
	return e
}

func (e *endpoint) set(change func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change()
}

// sent counts how often a text came.
func (e *endpoint) sent(text string) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, t := range e.texts {
		if t == text {
			n++
		}
	}
	return n
}

// openRemote opens a service over a directory with the endpoint as openai:m.
func openRemote(t *testing.T, data string, e *endpoint, probeEvery time.Duration) *Service {
	t.Helper()
	opened, err := store.Open(t.Context(), store.Options{Dir: data, Create: true, MinFreeBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(t.Context(), Options{
		Store: opened, Program: "test", CacheBytes: 4 << 20, ProbeEvery: probeEvery,
		Remotes: []Remote{{Name: "m", Kind: remote.KindOpenAI, URL: e.url, Model: "their-name", AllowLoopback: true, QueryPrompt: "query: "}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func remoteCollection(t *testing.T, s *Service, name string) *Collection {
	t.Helper()
	c, err := s.Create(t.Context(), name, Wish{Embedding: &EmbeddingWish{Model: "openai:m"}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Upsert(t.Context(), []Point{{ID: store.NumID(1), Text: "red bicycle", HasText: true}, {ID: store.NumID(2), Text: "blue ferry", HasText: true}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// drifted checks what a drifted collection refuses and what it still does.
func drifted(t *testing.T, c *Collection, vector []float32) {
	t.Helper()
	var refused *Error
	if _, err := c.Query(t.Context(), textQuery("red")); !errors.As(err, &refused) || refused.Kind != KindConflict || refused.Code != "encoder_changed" || !errors.Is(err, compat.ErrProbe) {
		t.Errorf("a text: %v", err)
	}
	for _, p := range []Point{{ID: store.NumID(3), Text: "new", HasText: true}, {ID: store.NumID(3), Vector: vector}} {
		if _, err := c.Upsert(t.Context(), []Point{p}); !errors.As(err, &refused) || refused.Code != "encoder_changed" {
			t.Errorf("a write: %v", err)
		}
	}
	if n, err := c.Count(t.Context(), nil); n != 2 || err != nil {
		t.Errorf("%d points, %v", n, err)
	}
	if a, err := c.Query(t.Context(), Query{Vector: vector, Limit: 1}); err != nil || len(a.Hits) != 1 {
		t.Errorf("a query by vector: %v %v", a, err)
	}
}

// TestDrift: another model behind the name stops texts and writes, by schedule
// and at the start, and all is well again with the first one.
func TestDrift(t *testing.T) {
	data, e := filepath.Join(t.TempDir(), "data"), newEndpoint(t)
	s := openRemote(t, data, e, 20*time.Millisecond)
	c := remoteCollection(t, s, "c")
	m := c.Manifest()
	if m.Provenance.Model != "openai:m" || m.Space.QueryPrompt != "query: " || m.Space.Dimension != 64 || len(m.Evidence.Probes) == 0 {
		t.Fatalf("manifest %+v", m)
	}
	if a, err := c.Query(t.Context(), textQuery("red bicycle")); err != nil || a.Hits[0].ID != store.NumID(1) {
		t.Fatalf("%v %v", a, err)
	}
	vector := m.Evidence.Probes[0].Document

	e.set(func() { e.salt = "another model altogether " })
	waitUntil(t, func() bool { return errors.Is(c.Problem(), compat.ErrProbe) })
	drifted(t, c, vector)
	var refused *Error
	if _, err := s.Create(t.Context(), "d", Wish{Embedding: &EmbeddingWish{Model: "openai:m"}}); !errors.As(err, &refused) || refused.Code != "encoder_changed" {
		t.Errorf("a second collection of the other model, which has the same fingerprint: %v", err)
	}
	e.set(func() { e.salt = "" })
	waitUntil(t, func() bool { return c.Problem() == nil })
	if _, err := c.Query(t.Context(), textQuery("red bicycle")); err != nil {
		t.Error(err)
	}
	shut(t, s)

	e.set(func() { e.salt = "another model altogether " })
	s = openRemote(t, data, e, time.Hour)
	drifted(t, collectionOf(t, s, "c"), vector)
	shut(t, s)

	// An endpoint that is away: nothing proves the model, and nothing stops
	// the start.
	e.set(func() { e.down = true })
	s = openRemote(t, data, e, 20*time.Millisecond)
	c = collectionOf(t, s, "c")
	if _, err := c.Query(t.Context(), textQuery("red")); !errors.As(err, &refused) || refused.Kind != KindNotReady || refused.Code != "endpoint_failed" || refused.RetryAfter == 0 {
		t.Errorf("without the endpoint: %v", err)
	}
	if a, err := c.Query(t.Context(), Query{Vector: vector, Limit: 1}); err != nil || len(a.Hits) != 1 {
		t.Errorf("a query by vector: %v %v", a, err)
	}
	e.set(func() { e.down, e.salt = false, "" })
	waitUntil(t, func() bool { return c.Problem() == nil })
	// An endpoint that goes away later changes nothing for what was proved.
	e.set(func() { e.down = true })
	time.Sleep(50 * time.Millisecond)
	if c.Problem() != nil {
		t.Errorf("went away: %v", c.Problem())
	}
	if _, err := c.Query(t.Context(), textQuery("never seen")); !errors.As(err, &refused) || refused.Code != "endpoint_failed" {
		t.Errorf("without the endpoint: %v", err)
	}
	shut(t, s)
}

// TestRemoteCache: a text is sent once, for both collections of a model and
// after a restart; and what one model made is never given for another.
func TestRemoteCache(t *testing.T) {
	data, e := filepath.Join(t.TempDir(), "data"), newEndpoint(t)
	s := openRemote(t, data, e, time.Hour)
	remoteCollection(t, s, "c")
	remoteCollection(t, s, "again")
	if n := e.sent("red bicycle"); n != 1 {
		t.Errorf("a text was sent %d times", n)
	}
	if stats := s.CacheStats(); stats == nil || stats.Hits < 2 {
		t.Errorf("cache: %+v", stats)
	}
	shut(t, s)
	s = openRemote(t, data, e, time.Hour)
	if _, err := collectionOf(t, s, "c").Upsert(t.Context(), []Point{{ID: store.NumID(9), Text: "red bicycle", HasText: true}}); err != nil {
		t.Error(err)
	}
	if n := e.sent("red bicycle"); n != 1 {
		t.Errorf("a text was sent %d times", n)
	}
	// Both collections go, the endpoint's model changes, and a new collection
	// has the same fingerprint: the cache must not give the old vectors.
	for _, name := range []string{"c", "again"} {
		if err := s.Drop(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	e.set(func() { e.salt = "another model altogether " })
	c := remoteCollection(t, s, "c")
	if n := e.sent("red bicycle"); n != 2 {
		t.Errorf("the other model was asked %d times", n-1)
	}
	if err := c.serving().endpoint.encoder.endpoint.Drift(t.Context(), c.Manifest().Evidence.Probes); err != nil {
		t.Error(err)
	}
	shut(t, s)
}

// TestRemotesAreConfigured: no request makes one, and wrong ones are refused
// at the start.
func TestRemotesAreConfigured(t *testing.T) {
	e := newEndpoint(t)
	s := openRemote(t, t.TempDir(), e, time.Hour)
	defer shut(t, s)
	var refused *Error
	for _, model := range []string{"openai:other", "ollama:m", "tei:m", "openai:" + e.url, "openai:"} {
		if _, err := s.Encoders().Open(t.Context(), model, EncoderOptions{}); !errors.As(err, &refused) || refused.Kind != KindNotFound {
			t.Errorf("%s: %v", model, err)
		}
	}
	no := false
	for _, o := range []EncoderOptions{{Precision: compat.PrecisionInt8}, {Normalize: &no}} {
		if _, err := s.Encoders().Open(t.Context(), "openai:m", o); !errors.As(err, &refused) || refused.Kind != KindInvalid {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if _, err := s.Encoders().Open(t.Context(), "openai:m", EncoderOptions{Dimensions: 32}); !errors.As(err, &refused) || refused.Code != "bad_dimension" {
		t.Errorf("a dimension that it doesn't have: %v", err)
	}
	list, err := s.Encoders().List(t.Context())
	if err != nil || len(list) != 4 || list[3].Name != "openai:m" || list[3].Space.Dimension != 64 {
		t.Errorf("%+v %v", list, err)
	}
	good := Remote{Name: "m", Kind: remote.KindTEI, URL: "https://host", Model: "x"}
	if err := validRemotes([]Remote{good, {Name: "m", Kind: remote.KindOllama, URL: "https://host", Model: "x"}}); err != nil {
		t.Error(err)
	}
	for _, change := range []func(r *Remote){
		func(r *Remote) { r.Name = "../m" }, func(r *Remote) { r.Name = "" }, func(r *Remote) { r.Kind = "x" }, func(r *Remote) { r.URL = "ftp://host" },
		func(r *Remote) { r.Model = "" }, func(r *Remote) { r.Dimensions = -1 }, func(r *Remote) { r.Matryoshka = []int{0} },
	} {
		bad := good
		change(&bad)
		if err := validRemotes([]Remote{bad}); err == nil || strings.Contains(err.Error(), "%!") {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if validRemotes([]Remote{good, good}) == nil {
		t.Error("one name twice")
	}
}

// TestClientThatLeaves: a caller whose context ends gets its error at once.
func TestClientThatLeaves(t *testing.T) {
	e := newEndpoint(t)
	s := openRemote(t, t.TempDir(), e, time.Hour)
	defer shut(t, s)
	c := remoteCollection(t, s, "c")
	e.mu.Lock() // the endpoint answers nothing
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := c.Query(ctx, textQuery("gone"))
	e.mu.Unlock()
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	waitUntil(t, func() bool {
		return s.Encoders().Queues()[0].Metrics.Priorities[embed.PriorityQuery].Cancelled == 1 && s.Encoders().Queues()[0].Metrics.Running == 0
	})
}

func waitUntil(t *testing.T, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it never came to be")
		}
	}
}

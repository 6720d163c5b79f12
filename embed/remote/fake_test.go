package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/hash"
	"github.com/vecino-db/vecino/embed/remote/retry"
)

// canary is the key of every test: it must be seen by nobody but the endpoint.
const canary = "sk-canary-7Xq2+/=secret"

// fake is an endpoint of all three kinds over the hash encoder. A test may set
// before, which sees each request first and may answer it.
type fake struct {
	t       *testing.T
	encoder *hash.Encoder
	server  *httptest.Server

	mu       sync.Mutex
	before   func(w http.ResponseWriter, r *http.Request, n int) bool
	paths    []string
	batches  []int
	prefix   string // of texts that are refused
	reverse  bool   // OpenAI's data from last to first
	info     string
	truncate bool
	shorten  int
	salt     string         // put before each text: another model
	paid     map[string]int // how often each text was made a vector of
}

func newFake(t *testing.T, dimension int) *fake {
	t.Helper()
	encoder, err := hash.New(hash.Options{Dimension: dimension})
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{
		t: t, encoder: encoder, reverse: true, prefix: "\x00none", paid: map[string]int{},
		info: `{"model_id":"org/model","model_sha":"abc","model_dtype":"float32","model_type":{"embedding":{"pooling":"mean"}},"max_input_length":512,"max_client_batch_size":7,"version":"1"}`,
	}
	f.server = httptest.NewServer(f)
	t.Cleanup(f.server.Close)
	return f
}

func (f *fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fake) requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.paths)
}

// vectors is what the model says, at a length that is not 1.
func (f *fake) vectors(texts []string) ([][]float32, error) {
	for i, t := range texts {
		texts[i] = f.salt + t
	}
	out, err := f.encoder.Encode(context.Background(), embed.RoleDocument, texts)
	if err != nil {
		return nil, err
	}
	rows := make([][]float32, len(texts))
	for i := range rows {
		rows[i] = slices.Clone(out.Vectors.Row(i))
		for j := range rows[i] {
			rows[i][j] *= 3
		}
	}
	return rows, nil
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.paths = append(f.paths, r.URL.Path)
	n, before := len(f.paths), f.before
	f.mu.Unlock()
	if before != nil && before(w, r, n) {
		return
	}
	if got := r.Header.Get("Authorization"); got != "Bearer "+canary {
		f.t.Errorf("%s came with the authorization %q", r.URL.Path, got)
	}
	if r.URL.Path == "/info" {
		fmt.Fprint(w, f.info)
		return
	}
	var body struct {
		Input, Inputs  []string
		Model          string
		EncodingFormat string `json:"encoding_format"`
		Truncate       *bool
		Dimensions     int
	}
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if err := json.Unmarshal(text, &body); err != nil {
		f.t.Errorf("body of %s: %v", r.URL.Path, err)
	}
	texts := append(body.Input, body.Inputs...)
	if len(texts) == 0 {
		http.Error(w, "no texts", http.StatusBadRequest)
		return
	}
	if r.URL.Path != "/tokenize" {
		f.set(func() { f.batches = append(f.batches, len(texts)); f.shorten = body.Dimensions })
		if body.Truncate != nil {
			f.set(func() { f.truncate = *body.Truncate })
		}
	}
	for _, t := range texts {
		if strings.HasPrefix(t, f.prefix) {
			w.WriteHeader(http.StatusUnprocessableEntity)
			fmt.Fprint(w, `{"error":"inputs must have less than 512 tokens","error_type":"Validation"}`)
			return
		}
	}
	if r.URL.Path == "/tokenize" {
		lists := make([][]map[string]any, len(texts))
		for i, n := range f.encoder.CountTokens(embed.RoleDocument, texts) {
			lists[i] = slices.Repeat([]map[string]any{{"id": 7, "text": "x", "special": false, "start": 0, "stop": 1}}, n+2)
		}
		f.write(w, lists)
		return
	}
	f.set(func() {
		for _, t := range texts {
			f.paid[t]++
		}
	})
	rows, err := f.vectors(texts)
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	switch r.URL.Path {
	case "/embed":
		f.write(w, rows)
	case "/api/embed":
		f.write(w, map[string]any{"model": body.Model, "embeddings": rows, "total_duration": 1, "prompt_eval_count": 8})
	case "/v1/embeddings":
		if body.EncodingFormat != "float" {
			f.t.Errorf("encoding_format is %q", body.EncodingFormat)
		}
		data := make([]map[string]any, len(rows))
		for i, row := range rows {
			data[i] = map[string]any{"object": "embedding", "index": i, "embedding": row}
		}
		if f.reverse {
			slices.Reverse(data)
		}
		f.write(w, map[string]any{"object": "list", "data": data, "model": body.Model, "usage": map[string]int{"prompt_tokens": 1}})
	default:
		http.NotFound(w, r)
	}
}

func (f *fake) write(w http.ResponseWriter, answer any) {
	text, err := json.Marshal(answer)
	if err != nil {
		f.t.Errorf("fake: %v", err)
	}
	w.Write(text)
}

// clock is a time that only waits move.
type clock struct {
	mu    sync.Mutex
	at    time.Time
	waits []time.Duration
}

func newClock() *clock { return &clock{at: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func (c *clock) slept() []time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.waits)
}

func (c *clock) retry() retry.Clock {
	return retry.Clock{
		Now: c.now,
		Wait: func(ctx context.Context, d time.Duration) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.at = c.at.Add(d)
			c.waits = append(c.waits, d)
			return ctx.Err()
		},
		Jitter: func() float64 { return 0.5 },
	}
}

// options for the fake; no time passes in them.
func (f *fake) options(kind Kind, c *clock) Options {
	return Options{Kind: kind, BaseURL: f.server.URL, Model: "org/model", APIKey: canary, AllowLoopback: true, Clock: c.retry()}
}

// open makes an encoder that is closed with the test.
func open(t *testing.T, o Options) *Encoder {
	t.Helper()
	e, err := New(context.Background(), o)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

var kinds = []Kind{KindOpenAI, KindOllama, KindTEI}

func encode(e *Encoder, texts ...string) (embed.Encoded, error) {
	return e.Encode(context.Background(), embed.RoleDocument, texts)
}

// wants checks an error's sentinel, its words, and that it keeps the secret.
func wants(t *testing.T, what string, err, sentinel error, words ...string) {
	t.Helper()
	if !errors.Is(err, sentinel) {
		t.Errorf("%s: error %v, want %v", what, err, sentinel)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%s: the error %q does not say %q", what, err, word)
		}
	}
	if text := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(text, canary) {
		t.Errorf("%s: the error shows the key: %s", what, text)
	}
}

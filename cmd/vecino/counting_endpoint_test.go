package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/hash"
)

// countingEndpoint is another server in OpenAI's form, which runs builtin:hash
// and counts the tokens of each text of a ledger that it embeds.
type countingEndpoint struct {
	url     string
	latency time.Duration

	mu    sync.Mutex
	texts map[string]int // how often
}

// countedQuery stands in front of queries, which are not counted.
const countedQuery = "question: "

func newCountingEndpoint(t *testing.T, dimension int, latency time.Duration) *countingEndpoint {
	t.Helper()
	encoder, err := hash.New(hash.Options{Dimension: dimension})
	if err != nil {
		t.Fatal(err)
	}
	e := &countingEndpoint{texts: map[string]int{}, latency: latency}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct{ Input []string }
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		time.Sleep(e.latency)
		out, err := encoder.Encode(r.Context(), embed.RoleDocument, q.Input)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		data := make([]map[string]any, len(q.Input))
		e.mu.Lock()
		for i, text := range q.Input {
			data[i] = map[string]any{"index": i, "embedding": out.Vectors.Row(i)}
			if _, version := versionOf(text); version > 0 && !strings.HasPrefix(text, countedQuery) {
				e.texts[text]++
			}
		}
		e.mu.Unlock()
		if err := json.NewEncoder(w).Encode(map[string]any{"data": data}); err != nil {
			return // the client was killed
		}
	}))
	t.Cleanup(server.Close)
	e.url = server.URL
	return e
}

// remotes is the value of --remotes for it, as openai:m.
func (e *countingEndpoint) remotes() string {
	return fmt.Sprintf(`[{"name":"m","kind":"openai","url":%q,"model":"their-name","query_prompt":%q,"allow_loopback":true}]`, e.url, countedQuery)
}

// tokens are those that were embedded, and those of the texts once each: what
// one run without interruption embeds.
func (e *countingEndpoint) tokens() (all, once int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for text, n := range e.texts {
		words := len(strings.Fields(text))
		all, once = all+n*words, once+words
	}
	return all, once
}

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vecino-db/vecino/api"
	"github.com/vecino-db/vecino/compat"
	embedremote "github.com/vecino-db/vecino/embed/remote"
)

var (
	migrateKills     = flag.Int("migrate.kills", 3, "kills of TestMigrateKilled")
	migrateKillTexts = flag.Int("migrate.kill-texts", 500, "texts of TestMigrateKilled")
)

// migrateChild names the variable under which the test binary is a server.
const migrateChild = "VECINO_MIGRATE_TEST_CHILD"

// killedServer is the child: a server over a directory, with a model behind an
// endpoint, which tells its address and runs until it is killed.
func killedServer(what string) int {
	dir, endpoint, _ := strings.Cut(what, "|")
	server, err := startServer(context.Background(), serveOptions{
		Data: dir, Listen: "127.0.0.1:0", CacheBytes: 64 << 20, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		Remotes: []api.Remote{{Name: "counted", Kind: embedremote.KindOpenAI, URL: endpoint, Model: "counted", Dimensions: countedDim, AllowLoopback: true, Concurrency: 2}},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(server.URL)
	_, _ = io.Copy(io.Discard, os.Stdin) // until the parent is gone
	return 0
}

const countedDim = 24

// counted is an endpoint that counts what it is asked to encode.
type counted struct {
	mu    sync.Mutex
	asked int            // requests for texts of points
	times map[string]int // by text; probes, and queries, which come alone, are left out
}

// ServeHTTP speaks OpenAI's dialect.
func (c *counted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var asked struct{ Input []string }
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	probes := compat.ProbeTexts()
	type item struct {
		Object    string    `json:"object"`
		Index     int       `json:"index"`
		Embedding []float32 `json:"embedding"`
	}
	var data []item
	c.mu.Lock()
	if len(asked.Input) > 1 && !slices.Contains(probes, asked.Input[0]) {
		c.asked++
	}
	for i, text := range asked.Input {
		if len(asked.Input) > 1 && !slices.Contains(probes, text) {
			c.times[text]++
		}
		data = append(data, item{"embedding", i, countedRow(text)})
	}
	c.mu.Unlock()
	time.Sleep(3 * time.Millisecond)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"object": "list", "model": "counted", "data": data, "usage": map[string]int{"prompt_tokens": 8 * len(data), "total_tokens": 8 * len(data)}})
}

// wait waits until texts are encoded, or the migration had done so before.
func (c *counted) wait(t *testing.T) {
	asked := func() int {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.asked
	}
	before := asked()
	for end := time.Now().Add(5 * time.Second); asked() == before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Log("nothing was encoded for 5 s: the migration is at its end")
			return
		}
	}
}

// countedRow is what the endpoint's model makes of a text.
func countedRow(text string) []float32 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text))
	rng := rand.New(rand.NewPCG(h.Sum64(), 1))
	row, sum := make([]float32, countedDim), 0.0
	for i := range row {
		row[i] = float32(rng.NormFloat64())
		sum += float64(row[i]) * float64(row[i])
	}
	for i := range row {
		row[i] /= float32(math.Sqrt(sum))
	}
	return row
}

// startKilled starts the child and waits for its address.
func startKilled(t *testing.T, what string) (*exec.Cmd, io.Closer, string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), migrateChild+"="+what)
	cmd.Stderr = os.Stderr
	if !testing.Verbose() {
		cmd.Stderr = nil
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		t.Fatalf("the server did not start: %v", err)
	}
	return cmd, in, strings.TrimSpace(line)
}

// TestMigrateKilled kills the server at random moments of a migration. It
// always goes on, loses nothing, and embeds nothing that it has twice. The long
// form: -migrate.kills 50 -migrate.kill-texts 20000.
func TestMigrateKilled(t *testing.T) {
	ctx := t.Context()
	endpoint := &counted{times: map[string]int{}}
	web := httptest.NewServer(endpoint)
	defer web.Close()
	dir := filepath.Join(t.TempDir(), "data")
	what := dir + "|" + web.URL
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))

	cmd, in, url := startKilled(t, what)
	r := &remote{base: url, http: &http.Client{Transport: transport}}
	var ignored json.RawMessage
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(r.result(ctx, http.MethodPut, collection("k", ""), map[string]any{"embedding": map[string]any{"model": "builtin:hash", "dimensions": 64}}, &ignored))
	text := func(id int) string { return fmt.Sprintf("harbour %d with ferry %d and storm %d", id, id*7, id*13) }
	n := *migrateKillTexts
	for from := 0; from < n; from += 500 {
		var points []any
		for id := from; id < min(from+500, n); id++ {
			points = append(points, map[string]any{"id": id, "text": text(id)})
		}
		must(r.result(ctx, http.MethodPut, collection("k", "/points?wait=true"), map[string]any{"points": points}, &ignored))
	}
	var m migrationState
	// The pace leaves time for every kill to come in the middle.
	pace := max(1, 8*n/(max(1, *migrateKills)/2+2))
	must(r.result(ctx, http.MethodPost, migrationsPath("k"), map[string]any{"embedding": map[string]any{"model": "openai:counted"}, "limits": map[string]any{"batch": 16, "tokens_per_second": pace}}, &m))
	var states []string
	for kill := range *migrateKills {
		// A start asks the endpoint first; then it goes on for a while.
		endpoint.wait(t)
		time.Sleep(time.Duration(rng.IntN(300)) * time.Millisecond)
		must(r.result(ctx, http.MethodGet, migrationsPath("k", m.ID), nil, &m))
		states = append(states, fmt.Sprintf("%s %d", m.State, m.Progress.Done))
		must(cmd.Process.Kill())
		_ = cmd.Wait() // it was killed
		_ = in.Close()
		if cmd, in, url = startKilled(t, what); kill >= 0 {
			r.base = url
		}
		transport.CloseIdleConnections()
	}
	for end := time.Now().Add(5 * time.Minute); m.State != "ready"; time.Sleep(20 * time.Millisecond) {
		must(r.result(ctx, http.MethodGet, migrationsPath("k", m.ID), nil, &m))
		if m.State == "failed" {
			// Its endpoint was asked before it answered: that is a reason to go on.
			t.Logf("failed: %s", m.Reason)
			must(r.result(ctx, http.MethodPost, migrationsPath("k", m.ID, "resume"), map[string]any{}, &ignored))
		}
		if time.Now().After(end) {
			t.Fatalf("%s after five minutes: %+v", m.State, m.Progress)
		}
	}
	must(r.result(ctx, http.MethodPost, migrationsPath("k", m.ID, "cutover"), map[string]any{}, &ignored))
	for id := 0; id < n; id += max(1, n/50) {
		var hits struct {
			Points []struct {
				ID    int
				Score float64
			}
		}
		must(r.result(ctx, http.MethodPost, collection("k", "/points/query"), map[string]any{"query": map[string]string{"text": text(id)}, "limit": 1}, &hits))
		if len(hits.Points) != 1 || hits.Points[0].ID != id || hits.Points[0].Score < 0.999 {
			t.Errorf("point %d: %+v", id, hits.Points)
		}
	}
	must(cmd.Process.Kill())
	_ = cmd.Wait()
	_ = in.Close()

	total, missing := 0, 0
	endpoint.mu.Lock()
	defer endpoint.mu.Unlock()
	for id := range n {
		times := endpoint.times[text(id)]
		if total += times; times == 0 {
			missing++
		}
	}
	t.Logf("%d kills at %v: %d texts, %d encoded, %.4f times", *migrateKills, states, n, total, float64(total)/float64(n))
	if missing > 0 {
		t.Errorf("%d texts were never encoded", missing)
	}
	if share := float64(total) / float64(n); share > 1.02+16*float64(*migrateKills)/float64(n)*0.25 {
		t.Errorf("%.4f times the texts were encoded", share)
	}
}

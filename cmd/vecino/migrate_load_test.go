package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vecino-db/vecino/embed/evaluate"
)

var (
	migrateTexts  = flag.Int("migrate.texts", 500, "generated texts of TestMigrateUnderLoad")
	migrateModels = flag.String("migrate.models", "", "directory of local models for TestMigrateUnderLoad")
	migrateVia    = flag.String("migrate.via", "builtin:hash/1024,builtin:static/128", "models of TestMigrateUnderLoad, one after the other: NAME or NAME/DIMENSIONS")
	migrateCorpus = flag.String("migrate.corpus", "", "directory of a judged collection whose documents are added")
)

// knownPoint is what the checker knows of a point: nobody else writes it.
type knownPoint struct {
	version int
	deleted bool
}

// loadChecker stands outside of the server. It knows every write and delete
// that was acknowledged.
type loadChecker struct {
	t       *testing.T
	r       *remote
	stop    atomic.Bool
	mu      sync.Mutex
	points  map[int]knownPoint // by id; a change of one is under way: it is not there
	text    func(id, version int) string
	spaces  map[string]bool // fingerprints that were seen in answers
	took    []time.Duration // of queries
	failed  []string
	queries atomic.Int64
	writes  atomic.Int64
}

func (c *loadChecker) fail(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.failed) < 20 {
		c.failed = append(c.failed, fmt.Sprintf(format, args...))
	}
}

// take hides a point while it is changed.
func (c *loadChecker) take(id int) (knownPoint, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, ok := c.points[id]
	delete(c.points, id)
	return p, ok
}

func (c *loadChecker) put(id int, p knownPoint) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.points[id] = p
}

// write overwrites points with new versions of their texts; half of the time
// it changes a payload alone.
func (c *loadChecker) write(ctx context.Context, rng *rand.Rand, n int) {
	for !c.stop.Load() {
		id := rng.IntN(n)
		p, ok := c.take(id)
		if !ok {
			continue
		}
		next := knownPoint{version: p.version + 1}
		var ignored json.RawMessage
		var err error
		if rng.IntN(2) == 0 && !p.deleted {
			next.version = p.version
			err = c.r.result(ctx, http.MethodPost, collection("load", "/points/payload"), map[string]any{"payload": map[string]any{"touched": rng.IntN(1000)}, "points": []int{id}}, &ignored)
		} else {
			err = c.r.result(ctx, http.MethodPut, collection("load", "/points?wait=true"), map[string]any{"points": []any{map[string]any{"id": id, "text": c.text(id, next.version), "payload": map[string]any{"version": next.version}}}}, &ignored)
		}
		if err != nil {
			c.fail("write of %d: %v", id, err)
			return
		}
		c.put(id, next)
		c.writes.Add(1)
	}
}

// remove deletes points.
func (c *loadChecker) remove(ctx context.Context, rng *rand.Rand, n int) {
	for !c.stop.Load() {
		id := rng.IntN(n)
		p, ok := c.take(id)
		if !ok {
			continue
		}
		var ignored json.RawMessage
		if err := c.r.result(ctx, http.MethodPost, collection("load", "/points/delete"), map[string]any{"points": []int{id}}, &ignored); err != nil {
			c.fail("delete of %d: %v", id, err)
			return
		}
		p.deleted = true
		c.put(id, p)
		c.writes.Add(1)
		time.Sleep(5 * time.Millisecond)
	}
}

// hit is a point of an answer.
type loadHit struct {
	ID    int
	Score float64
	Text  string
}

// query asks for a text and gives the hits, and the space that answered.
func (c *loadChecker) query(ctx context.Context, text string) (hits []loadHit, space string, err error) {
	body, err := json.Marshal(map[string]any{"query": map[string]string{"text": text}, "limit": 3})
	if err != nil {
		return nil, "", err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.r.base+collection("load", "/points/query"), strings.NewReader(string(body)))
	if err != nil {
		return nil, "", err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := c.r.http.Do(request)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	var got struct {
		Result struct{ Points []loadHit }
		Detail string
	}
	if err := json.NewDecoder(response.Body).Decode(&got); err != nil {
		return nil, "", err
	}
	if response.StatusCode != http.StatusOK {
		return nil, "", fmt.Errorf("status %d: %s", response.StatusCode, got.Detail)
	}
	return got.Result.Points, response.Header.Get("X-Vecino-Fingerprint"), nil
}

// read asks for points by their exact texts: each is its own nearest, at a
// cosine of 1, in whichever space answers; vectors of two spaces would have
// another one.
func (c *loadChecker) read(ctx context.Context, rng *rand.Rand, n int) {
	for !c.stop.Load() {
		id := rng.IntN(n)
		c.mu.Lock()
		before, ok := c.points[id]
		c.mu.Unlock()
		if !ok {
			continue
		}
		began := time.Now()
		hits, space, err := c.query(ctx, c.text(id, before.version))
		took := time.Since(began)
		if err != nil {
			c.fail("query: %v", err)
			return
		}
		c.queries.Add(1)
		c.mu.Lock()
		now, still := c.points[id]
		c.spaces[space] = true
		c.took = append(c.took, took)
		c.mu.Unlock()
		at := slices.IndexFunc(hits, func(h loadHit) bool { return h.ID == id && h.Text == c.text(id, before.version) })
		switch {
		case !still || now != before: // it changed meanwhile
		case before.deleted && at >= 0:
			c.fail("point %d is deleted and was found", id)
		case !before.deleted && (at < 0 || hits[at].Score < 0.99):
			c.fail("point %d is not found by its text: %+v", id, hits)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// verify compares everything with what was acknowledged, by scrolling and by
// queries.
func (c *loadChecker) verify(ctx context.Context, queries int) (lost, resurrected int) {
	c.t.Helper()
	found := map[int]string{}
	body := map[string]any{"limit": 1000, "with_payload": true}
	for {
		var page struct {
			Points []struct {
				ID      int
				Text    string
				Payload struct{ Version int }
			}
			NextPageOffset *int `json:"next_page_offset"`
		}
		if err := c.r.result(ctx, http.MethodPost, collection("load", "/points/scroll"), body, &page); err != nil {
			c.t.Fatal(err)
		}
		for _, p := range page.Points {
			found[p.ID] = p.Text
			if want := c.points[p.ID].version; p.Payload.Version != want {
				c.fail("point %d has payload version %d, want %d", p.ID, p.Payload.Version, want)
			}
		}
		if page.NextPageOffset == nil {
			break
		}
		body["offset"] = *page.NextPageOffset
	}
	for id, p := range c.points {
		text, ok := found[id]
		switch {
		case p.deleted && ok:
			resurrected++
		case !p.deleted && text != c.text(id, p.version):
			lost++
		}
	}
	for id := range found {
		if _, known := c.points[id]; !known {
			resurrected++
		}
	}
	for _, id := range slices.Sorted(maps.Keys(c.points))[:min(queries, len(c.points))] {
		p := c.points[id]
		hits, _, err := c.query(ctx, c.text(id, p.version))
		if err != nil {
			c.t.Fatal(err)
		}
		at := slices.IndexFunc(hits, func(h loadHit) bool { return h.ID == id && h.Text == c.text(id, p.version) && h.Score > 0.99 })
		if p.deleted && at >= 0 {
			resurrected++
		}
		if !p.deleted && at < 0 {
			lost++
		}
	}
	return lost, resurrected
}

// p99 is that of the queries since it was last asked for.
func (c *loadChecker) p99() (p99 time.Duration, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	took := c.took
	c.took = nil
	slices.Sort(took)
	if len(took) == 0 {
		return 0, 0
	}
	return took[len(took)*99/100], len(took)
}

// loadTexts makes the texts: generated ones, and those of a judged collection.
func loadTexts(t *testing.T) (n int, text func(id, version int) string) {
	words := strings.Fields("harbour ferry storm bridge winter coffee library invoice engine river market garden violin copper window mountain paper signal orchard lantern bicycle kitchen glacier compass thunder velvet saddle meadow anchor pepper marble")
	var corpus []string
	if *migrateCorpus != "" {
		c, err := evaluate.Open(*migrateCorpus)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range c.Documents {
			if strings.TrimSpace(d) != "" {
				corpus = append(corpus, d)
			}
		}
	}
	return *migrateTexts + len(corpus), func(id, version int) string {
		rng := rand.New(rand.NewPCG(uint64(id), uint64(version)))
		var b strings.Builder
		for range 12 {
			fmt.Fprintf(&b, "%s ", words[rng.IntN(len(words))])
		}
		if id < len(corpus) {
			return b.String() + corpus[id]
		}
		fmt.Fprintf(&b, "number %d and %d", id, version)
		return b.String()
	}
}

// TestMigrateUnderLoad migrates through several spaces and back by a rollback,
// under a writer, a deleter and four readers over REST. The long form:
//
//	go test ./cmd/vecino -run TestMigrateUnderLoad -v -migrate.texts 20000 \
//	  -migrate.corpus DATA/retrieval/cranfield -migrate.models DATA/models \
//	  -migrate.via builtin:hash/1024,local:MODEL2VEC,local:TRANSFORMER
func TestMigrateUnderLoad(t *testing.T) {
	ctx := t.Context()
	server, err := startServer(ctx, serveOptions{Data: filepath.Join(t.TempDir(), "data"), Listen: "127.0.0.1:0", Models: *migrateModels})
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	defer func() {
		transport.CloseIdleConnections()
		if err := server.Close(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
	}()
	r := &remote{base: server.URL, http: &http.Client{Transport: transport}}
	n, text := loadTexts(t)
	c := &loadChecker{t: t, r: r, points: map[int]knownPoint{}, spaces: map[string]bool{}, text: text}
	var ignored json.RawMessage
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(r.result(ctx, http.MethodPut, collection("load", ""), map[string]any{"embedding": map[string]any{"model": "builtin:hash", "dimensions": 512}}, &ignored))
	for from := 0; from < n; from += 500 {
		var points []any
		for id := from; id < min(from+500, n); id++ {
			points = append(points, map[string]any{"id": id, "text": text(id, 1), "payload": map[string]any{"version": 1}})
			c.points[id] = knownPoint{version: 1}
		}
		must(r.result(ctx, http.MethodPut, collection("load", "/points?wait=true"), map[string]any{"points": points}, &ignored))
	}
	seed := rand.Uint64()
	t.Logf("%d texts, seed %d", n, seed)
	var group sync.WaitGroup
	group.Go(func() { c.write(ctx, rand.New(rand.NewPCG(seed, 1)), n) })
	group.Go(func() { c.remove(ctx, rand.New(rand.NewPCG(seed, 2)), n) })
	for i := range 4 {
		group.Go(func() { c.read(ctx, rand.New(rand.NewPCG(seed, 3+uint64(i))), n) })
	}
	defer func() { c.stop.Store(true); group.Wait() }()
	time.Sleep(time.Second)
	before, queries := c.p99()
	t.Logf("before: p99 %v of %d queries", before.Round(time.Microsecond), queries)
	via := strings.Split(*migrateVia, ",")
	for i, name := range via {
		embedding := map[string]any{}
		model, dimensions, cut := strings.Cut(name, "/")
		if embedding["model"] = model; cut {
			var d int
			if _, err := fmt.Sscan(dimensions, &d); err != nil {
				t.Fatal(err)
			}
			embedding["dimensions"] = d
		}
		var estimated struct{ Estimate struct{ Seconds, Tokens float64 } }
		must(r.result(ctx, http.MethodPost, collection("load", "/manifest/diff?estimate=true"), map[string]any{"embedding": embedding}, &estimated))
		c.p99()
		began := time.Now()
		var m migrationState
		must(r.result(ctx, http.MethodPost, migrationsPath("load"), map[string]any{"embedding": embedding}, &m))
		id := m.ID
		filled := time.Time{}
		for m.State != "ready" {
			must(r.result(ctx, http.MethodGet, migrationsPath("load", id), nil, &m))
			if m.State == "failed" {
				t.Fatalf("%s: %s", name, m.Reason)
			}
			if filled.IsZero() && m.State != "backfilling" {
				filled = time.Now()
			}
			time.Sleep(5 * time.Millisecond)
		}
		during, queries := c.p99()
		t.Logf("to %s: backfilled in %v (%.1f s and %.0f tokens estimated; %d texts, %d tokens), p99 %v of %d queries", name, filled.Sub(began).Round(time.Millisecond),
			estimated.Estimate.Seconds, estimated.Estimate.Tokens, m.Progress.Encoded, m.Progress.Tokens, during.Round(time.Microsecond), queries)
		step := func(words ...string) {
			for _, word := range words {
				must(r.result(ctx, http.MethodPost, migrationsPath("load", id, word), map[string]any{}, &ignored))
				time.Sleep(300 * time.Millisecond)
			}
		}
		if step("cutover"); i == len(via)-1 {
			step("rollback", "abort")
		} else {
			step("commit")
		}
	}
	c.stop.Store(true)
	group.Wait()
	lost, resurrected := c.verify(ctx, 500)
	t.Logf("%d writes and %d queries in %d spaces: %d lost, %d resurrected", c.writes.Load(), c.queries.Load(), len(c.spaces), lost, resurrected)
	for _, f := range c.failed {
		t.Error(f)
	}
	if lost+resurrected > 0 {
		t.Error("writes were lost, or deletes")
	}
	if len(c.spaces) != len(via)+1 {
		t.Errorf("answers came from %d spaces, want %d", len(c.spaces), len(via)+1)
	}
}

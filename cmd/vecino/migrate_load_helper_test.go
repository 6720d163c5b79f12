package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// space is an embedding space as the checker knows it: the vectors of its
// queries, made by the model and not by the collection.
type space struct {
	name    string
	queries [][]float32
}

// loadQueries are asked again and again.
var loadQueries = []string{
	"harbour storm and lantern", "supersonic flow over a wing", "copper kettle in the orchard", "heat transfer in laminar boundary layers",
	"glacier valley", "violin and marble", "pressure behind a shock", "willow basket at the window",
}

// load is a collection under load, watched from outside the server.
type load struct {
	t      *testing.T
	url    string
	name   string
	ledger *ledger
	client *http.Client
	pace   time.Duration // of each worker, between its requests; 0: none

	quiet  sync.RWMutex // writers hold it to read; who compares all holds it to write
	spaces sync.Map     // fingerprint -> *space
	down   atomic.Bool  // the server is being killed: requests may fail

	mu       sync.Mutex
	phase    string
	phases   []string
	latency  map[string][]time.Duration // of queries, by phase
	acks     map[string]int
	queries  int
	hits     int
	problems []string
	failures int            // queries
	missed   map[string]int // texts that the graph alone did not find, by phase
}

func newLoad(t *testing.T, url, name string, l *ledger) *load {
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	t.Cleanup(transport.CloseIdleConnections)
	return &load{t: t, url: url, name: name, ledger: l, client: &http.Client{Transport: transport, Timeout: 2 * time.Minute}, latency: map[string][]time.Duration{}, acks: map[string]int{}, missed: map[string]int{}, phase: "before"}
}

// problem notes what must not be; the first ones are told.
func (l *load) problem(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.problems = append(l.problems, l.phase+": "+fmt.Sprintf(format, args...))
}

// enter begins another phase.
func (l *load) enter(phase string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.phase = phase
	l.phases = append(l.phases, phase)
}

// send asks the server; status 0: no answer came.
func (l *load) send(method, path string, body any, result any) (status int, header http.Header, text string) {
	var content bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&content).Encode(body); err != nil {
			panic(err)
		}
	}
	r, err := http.NewRequest(method, l.url+path, &content)
	if err != nil {
		panic(err)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	answer, err := l.client.Do(r)
	if err != nil {
		return 0, nil, err.Error()
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, nil, err.Error()
	}
	if answer.StatusCode/100 == 2 && result != nil {
		if err := json.Unmarshal(data, &struct{ Result any }{result}); err != nil {
			return 0, nil, err.Error()
		}
	}
	return answer.StatusCode, answer.Header, string(data[:min(len(data), 400)])
}

// must asks for what can't fail.
func (l *load) must(method, path string, body, result any) http.Header {
	l.t.Helper()
	status, header, text := l.send(method, path, body, result)
	if status/100 != 2 {
		l.t.Fatalf("%s %s: status %d, %s", method, path, status, text)
	}
	return header
}

func (l *load) path(rest string) string { return "/collections/" + l.name + rest }

// know learns a space: the model's own vectors of the queries.
func (l *load) know(model string, dimensions int) {
	l.t.Helper()
	body := map[string]any{"model": model, "input": loadQueries, "input_type": "query"}
	if dimensions > 0 {
		body["dimensions"] = dimensions
	}
	content, err := json.Marshal(body)
	if err != nil {
		l.t.Fatal(err)
	}
	r, err := l.client.Post(l.url+"/v1/embeddings", "application/json", bytes.NewReader(content))
	if err != nil {
		l.t.Fatal(err)
	}
	defer r.Body.Close()
	var answer struct {
		Data []struct{ Embedding []float32 }
	}
	if err := json.NewDecoder(r.Body).Decode(&answer); err != nil || r.StatusCode != http.StatusOK || len(answer.Data) != len(loadQueries) {
		l.t.Fatalf("vectors of %s: %s %v", model, r.Status, err)
	}
	s := &space{name: fmt.Sprintf("%s %d", model, len(answer.Data[0].Embedding))}
	for _, d := range answer.Data {
		s.queries = append(s.queries, d.Embedding)
	}
	l.spaces.Store(r.Header.Get("X-Vecino-Fingerprint"), s)
}

// loadHit is a point in an answer.
type loadHit struct {
	ID      int
	Score   float64
	Vector  []float32
	Text    string
	Payload struct{ N int }
}

// versionOf reads the id and the version that a text names.
func versionOf(text string) (id, version int) {
	fields := strings.Fields(text)
	id, version = -1, -1
	if len(fields) >= 2 {
		_, _ = fmt.Sscanf(fields[len(fields)-2], "entry%d", &id)
		_, _ = fmt.Sscanf(fields[len(fields)-1], "edition%d", &version)
	}
	return id, version
}

// query asks one of the queries and examines the answer.
func (l *load) query(i int) {
	since := l.ledger.now()
	l.mu.Lock()
	phase := l.phase
	l.mu.Unlock()
	var found struct{ Points []loadHit }
	began := time.Now()
	status, header, text := l.send(http.MethodPost, l.path("/points/query"), map[string]any{"query": map[string]any{"text": loadQueries[i]}, "limit": 10, "with_payload": true, "with_vector": true}, &found)
	took := time.Since(began)
	if status == 0 && l.down.Load() {
		return
	}
	l.mu.Lock()
	l.queries++
	l.hits += len(found.Points)
	if status != http.StatusOK {
		l.failures++
	}
	l.latency[phase] = append(l.latency[phase], took)
	l.mu.Unlock()
	if status != http.StatusOK {
		l.problem("a query failed: status %d, %s", status, text)
		return
	}
	known, ok := l.spaces.Load(header.Get("X-Vecino-Fingerprint"))
	if !ok {
		l.problem("an answer of an unknown space %s", header.Get("X-Vecino-Fingerprint"))
		return
	}
	s := known.(*space)
	for _, h := range found.Points {
		if id, version := versionOf(h.Text); id != h.ID {
			l.problem("point %d has the text of %d", h.ID, id)
		} else if d, ok := l.ledger.settled(h.ID, since); ok && (!d.there || d.version != version) {
			l.problem("the answer has %d in version %d, which is %+v", h.ID, version, d)
		}
		if cosine := cosineOf(s.queries[i], h.Vector); !(math.Abs(cosine-h.Score) < 2e-3) {
			l.problem("mixed spaces: in the answer of %s the hit %d has %d dimensions and the score %.4f, and its vector %.4f", s.name, h.ID, len(h.Vector), h.Score, cosine)
		}
	}
}

// cosineOf is NaN where the two are not of one length.
func cosineOf(a, b []float32) float64 {
	if len(a) != len(b) {
		return math.NaN()
	}
	var dot, aa, bb float64
	for i := range a {
		dot += float64(a[i]) * float64(b[i])
		aa += float64(a[i]) * float64(a[i])
		bb += float64(b[i]) * float64(b[i])
	}
	return dot / math.Sqrt(aa*bb)
}

// put writes ids anew, deletes or edits them; what tells which.
func (l *load) change(what string, ids []int) {
	l.quiet.RLock()
	defer l.quiet.RUnlock()
	want := map[string]func(d ledgerDoc) (ledgerDoc, bool){
		"put":     func(d ledgerDoc) (ledgerDoc, bool) { return ledgerDoc{true, d.version + 1, d.version + 1}, true },
		"delete":  func(d ledgerDoc) (ledgerDoc, bool) { return ledgerDoc{false, d.version, 0}, d.there },
		"payload": func(d ledgerDoc) (ledgerDoc, bool) { return ledgerDoc{true, d.version, d.n + 1000}, d.there },
	}[what]
	l.ledger.change(ids, want, func(ids []int, docs []ledgerDoc) (acknowledged, known bool) {
		var status int
		var text string
		switch what {
		case "put":
			points := make([]map[string]any, len(ids))
			for i, id := range ids {
				points[i] = map[string]any{"id": id, "text": l.ledger.text(id, docs[i].version), "payload": map[string]any{"n": docs[i].n}}
			}
			status, _, text = l.send(http.MethodPut, l.path("/points?wait=true"), map[string]any{"points": points}, nil)
		case "delete":
			status, _, text = l.send(http.MethodPost, l.path("/points/delete?wait=true"), map[string]any{"points": ids}, nil)
		case "payload": // one at a time: each has another number
			status, _, text = l.send(http.MethodPost, l.path("/points/payload?wait=true"), map[string]any{"points": ids, "payload": map[string]any{"n": docs[0].n}}, nil)
		}
		if status/100 == 2 {
			l.mu.Lock()
			l.acks[what] += len(ids)
			l.mu.Unlock()
			return true, true
		}
		if !l.down.Load() {
			l.problem("%s failed: status %d, %s", what, status, text)
		}
		return false, status >= 400 && status < 500
	})
}

// fill writes n new ids.
func (l *load) fill(n int) {
	for n > 0 {
		batch := min(n, 200)
		l.change("put", l.ledger.add(batch))
		n -= batch
	}
}

// run starts a writer, a deleter, a payload editor and so many readers; end
// stops them and waits.
func (l *load) run(seed uint64, readers int) (end func()) {
	ctx, stop := context.WithCancel(context.Background())
	var group sync.WaitGroup
	worker := func(n uint64, f func(r *rand.Rand)) {
		r := rand.New(rand.NewPCG(seed, n))
		group.Go(func() {
			for ctx.Err() == nil {
				f(r)
				select {
				case <-ctx.Done():
				case <-time.After(l.pace/2 + time.Duration(r.Int64N(int64(l.pace)+1))):
				}
			}
		})
	}
	worker(1, func(r *rand.Rand) {
		ids := l.ledger.pick(r, r.IntN(3))
		l.change("put", append(ids, l.ledger.add(1+r.IntN(2))...))
	})
	worker(2, func(r *rand.Rand) { l.change("delete", l.ledger.pick(r, 1+r.IntN(2))) })
	worker(3, func(r *rand.Rand) { l.change("payload", l.ledger.pick(r, 1)) })
	for i := range readers {
		worker(uint64(10+i), func(r *rand.Rand) { l.query(r.IntN(len(loadQueries))) })
	}
	return func() { stop(); group.Wait() }
}

// compare stops the writers for a moment and compares all that the server has
// with the ledger: by id, by scroll, by count, and sampled texts by search.
func (l *load) compare(samples int, seed uint64) {
	l.t.Helper()
	l.quiet.Lock()
	defer l.quiet.Unlock()
	there := map[int]loadHit{}
	for from := 0; from < l.ledger.ids(); from += 500 {
		var ids []int
		for id := from; id < min(from+500, l.ledger.ids()); id++ {
			ids = append(ids, id)
		}
		var points []loadHit
		l.must(http.MethodPost, l.path("/points"), map[string]any{"ids": ids, "with_payload": true}, &points)
		for _, p := range points {
			there[p.ID] = p
		}
	}
	for id := range l.ledger.ids() {
		found := ledgerDoc{}
		if p, ok := there[id]; ok {
			owner, version := versionOf(p.Text)
			found = ledgerDoc{true, version, p.Payload.N}
			if owner != id || p.Text != l.ledger.text(id, version) {
				l.problem("by id: %d has another text: %q", id, p.Text)
			}
		}
		if !l.ledger.observe(id, found) {
			d, _ := l.ledger.settled(id, math.MaxUint64)
			l.problem("by id: %d is %+v, want %+v (lost or resurrected)", id, found, d)
		}
	}
	scrolled := map[int]bool{}
	var offset any
	for {
		body := map[string]any{"limit": 1000}
		if offset != nil {
			body["offset"] = offset
		}
		var page struct {
			Points []loadHit
			Next   any `json:"next_page_offset"`
		}
		l.must(http.MethodPost, l.path("/points/scroll"), body, &page)
		for _, p := range page.Points {
			if _, ok := there[p.ID]; !ok || scrolled[p.ID] {
				l.problem("by scroll: %d is not there by id, or comes twice", p.ID)
			}
			scrolled[p.ID] = true
		}
		if offset = page.Next; offset == nil {
			break
		}
	}
	var count struct{ Count int }
	l.must(http.MethodPost, l.path("/points/count"), map[string]any{"exact": true}, &count)
	if len(scrolled) != len(there) || count.Count != len(there) {
		l.problem("%d points by id, %d by scroll, %d by count", len(there), len(scrolled), count.Count)
	}
	r := rand.New(rand.NewPCG(seed, 99))
	for range samples {
		id := r.IntN(l.ledger.ids())
		d, _ := l.ledger.settled(id, math.MaxUint64)
		l.searchFor(id, d)
	}
}

// searchFor asks for the very text of an id: it is among the first where it is
// there, and not at all where it was deleted or replaced.
func (l *load) searchFor(id int, d ledgerDoc) {
	for version := d.version; version >= max(d.version-1, 1); version-- {
		var found struct{ Points []loadHit }
		want := d.there && version == d.version
		i := -1
		for _, exact := range []bool{false, true} {
			l.must(http.MethodPost, l.path("/points/query"), map[string]any{"query": map[string]any{"text": l.ledger.text(id, version)}, "limit": 20, "with_payload": true, "params": map[string]any{"exact": exact}}, &found)
			i = slices.IndexFunc(found.Points, func(h loadHit) bool { return h.ID == id })
			if i >= 0 || !want {
				break
			}
			if !exact { // a graph may miss what a scan finds: that is its recall, and no loss
				l.mu.Lock()
				l.missed[l.phase]++
				l.mu.Unlock()
			}
		}
		switch {
		case want && i < 0 && found.Points[0].Score-found.Points[len(found.Points)-1].Score > 1e-4:
			l.problem("by search: %d is not found by its text", id)
		case want && i >= 0 && found.Points[i].Score < found.Points[0].Score-1e-3:
			l.problem("by search: %d has the score %.4f for its own text, and the first %.4f", id, found.Points[i].Score, found.Points[0].Score)
		case i >= 0 && (!d.there || found.Points[i].Text != l.ledger.text(id, d.version)):
			l.problem("by search: %d was deleted or replaced, and its text finds it", id)
		}
	}
}

// migrationView is what is read of a migration.
type migrationView struct {
	ID, State, Reason string
	Progress          struct {
		Done, Total, Tokens, Encoded int
		Worked                       float64 `json:"worked_s"`
	}
	Gates []struct {
		Name, Measured string
		Passed         bool
	}
}

// migration reads one, or the newest with an empty id.
func (l *load) migration(id string) (m migrationView) {
	l.t.Helper()
	l.must(http.MethodGet, l.path("/migrations/"+id), nil, &m)
	return m
}

// await waits for a state.
func (l *load) await(id string, patience time.Duration, states ...string) migrationView {
	l.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		m := l.migration(id)
		switch {
		case slices.Contains(states, m.State):
			return m
		case m.State == "failed":
			l.t.Fatalf("migration %s failed: %s", id, m.Reason)
		case time.Now().After(end):
			l.t.Fatalf("migration %s is %s after %v: %+v", id, m.State, patience, m)
		}
	}
}

// verdict reports what was found.
func (l *load) verdict() {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, p := range l.problems {
		if i == 10 {
			l.t.Errorf("and %d more", len(l.problems)-i)
			break
		}
		l.t.Error(p)
	}
	if l.queries == 0 || l.acks["put"] == 0 {
		l.t.Error("there was no load")
	}
	l.t.Logf("%d queries with %d hits examined, %d failed; acknowledged: %v; %d ids; %d problems; missed by a graph: %v", l.queries, l.hits, l.failures, l.acks, l.ledger.ids(), len(l.problems), l.missed)
}

// percentile is of sorted times.
func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(p*float64(len(sorted))))]
}

// table prints the times of queries by phase, in the order of the phases.
func (l *load) table() {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := map[string]bool{}
	for _, phase := range append([]string{"before"}, l.phases...) {
		if seen[phase] {
			continue
		}
		seen[phase] = true
		list := slices.Sorted(slices.Values(l.latency[phase]))
		l.t.Logf("%-44s %6d queries  p50 %8.2f ms  p99 %8.2f ms  most %8.2f ms", phase, len(list),
			1e3*percentile(list, 0.5).Seconds(), 1e3*percentile(list, 0.99).Seconds(), 1e3*percentile(list, 1).Seconds())
	}
}

// resolve finds out what became of the requests that a kill cut off.
func (l *load) resolve() {
	l.t.Helper()
	l.quiet.Lock()
	defer l.quiet.Unlock()
	var open []int
	l.ledger.mu.Lock()
	for id, e := range l.ledger.entries {
		if len(e.may) > 1 {
			open = append(open, id)
		}
	}
	l.ledger.mu.Unlock()
	if len(open) == 0 {
		return
	}
	var points []loadHit
	l.must(http.MethodPost, l.path("/points"), map[string]any{"ids": open, "with_payload": true}, &points)
	there := map[int]loadHit{}
	for _, p := range points {
		there[p.ID] = p
	}
	for _, id := range open {
		found := ledgerDoc{}
		if p, ok := there[id]; ok {
			_, version := versionOf(p.Text)
			found = ledgerDoc{true, version, p.Payload.N}
		}
		if !l.ledger.observe(id, found) {
			l.problem("after the kill %d is %+v, which nobody asked for", id, found)
		}
	}
}

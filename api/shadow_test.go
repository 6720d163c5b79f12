package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vecino-db/vecino/api/report"
	"github.com/vecino-db/vecino/compat/migrate"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/evaluate/compare"
	"github.com/vecino-db/vecino/store"
)

// TestShadow: the comparison finds what the generations answer, waits in a
// bounded queue, and delays nobody.
func TestShadow(t *testing.T) {
	s, c, m := liveCollection(t, t.TempDir(), MigrationWish{Shadow: 1})
	defer func() { shut(t, s) }()
	const n = 200
	stop(t, s, c, m.ID, func() { // nobody compares: who waits for it would wait for ever
		for i := range n {
			if _, err := c.Query(t.Context(), asked(i)); err != nil {
				t.Fatal(err)
			}
		}
		if shadow, _ := liveOf(t, s, c, m.ID); shadow.Dropped != n-shadowWaits || shadow.Queries != 0 {
			t.Errorf("%d of %d queries were dropped", shadow.Dropped, n)
		}
	})
	var shadow Shadow
	for end := time.Now().Add(time.Minute); shadow.Queries < shadowWaits && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		shadow, _ = liveOf(t, s, c, m.ID)
	}
	overlap, first, tau, taus := 0.0, 0, 0.0, 0
	for i := range shadowWaits {
		var found [2][]string
		for side, number := range []uint64{m.From, m.To} {
			g := c.now().of(number)
			encoded, err := c.encode(t.Context(), g, embed.RoleQuery, []string{*asked(i).Text})
			if err != nil {
				t.Fatal(err)
			}
			r, err := c.stored.Search(t.Context(), encoded.Vectors, store.SearchQuery{Limit: 10, Generation: number})
			if err != nil {
				t.Fatal(err)
			}
			for _, h := range r.Hits {
				found[side] = append(found[side], h.ID.String())
			}
		}
		for _, id := range found[0] {
			if slices.Contains(found[1], id) {
				overlap += 0.1 / shadowWaits
			}
		}
		if found[0][0] == found[1][0] {
			first++
		}
		if x, ok := compare.Tau(found[0], found[1]); ok {
			tau, taus = tau+x, taus+1
		}
	}
	if shadow.Queries != shadowWaits || shadow.Failed != 0 || shadow.Overlap == nil || math.Abs(*shadow.Overlap-overlap) > 1e-9 || shadow.SameFirst != first || math.Abs(*shadow.Tau-tau/float64(taus)) > 1e-9 {
		t.Errorf("%+v; want an overlap of %g, %d of the same first", shadow, overlap, first)
	}
	if shadow.Old.Queries != shadowWaits || shadow.New.P50 == nil || *shadow.New.P99 < *shadow.New.P50 || *shadow.Old.P50 <= 0 {
		t.Errorf("times: %+v %+v", shadow.Old, shadow.New)
	}
	// The target can't encode: the live answer is whole, and the failure counted.
	g := c.now().standby
	whole := g.encoding.Load()
	g.encoding.Store(&encoding{nil, errors.New("gone")})
	if a, err := c.Query(t.Context(), asked(0)); err != nil || len(a.Hits) != 5 {
		t.Errorf("%+v, %v", a, err)
	}
	for end := time.Now().Add(time.Minute); shadow.Failed == 0 && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		shadow, _ = liveOf(t, s, c, m.ID)
	}
	g.encoding.Store(whole)
	if shadow.Failed != 1 {
		t.Errorf("%d failed", shadow.Failed)
	}
}

// TestShadowMapsThresholds: the scores of live queries become the threshold map
// where the evaluation had none but sentences; it outlives the server.
func TestShadowMapsThresholds(t *testing.T) {
	data := t.TempDir()
	s, c, m := liveCollection(t, data, MigrationWish{Shadow: 1})
	former := c.Fingerprint()
	evaluated, err := c.scales.of(t.Context(), c)
	if err != nil || len(evaluated) != 1 || evaluated[0].m.Queries() != liveTexts {
		t.Fatalf("%+v, %v", evaluated, err)
	}
	asks := func(n int) {
		t.Helper()
		for i := 0; i < n; i++ {
			if _, err := c.Query(t.Context(), asked(i)); err != nil {
				t.Fatal(err)
			}
			for len(s.migrations.of(c).live.waiting) > shadowWaits/2 {
				time.Sleep(time.Millisecond)
			}
		}
		for end := time.Now().Add(time.Minute); len(s.migrations.of(c).live.waiting) > 0 && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
	}
	asks(150)
	shut(t, s)
	s = open(t, data, "")
	defer func() { shut(t, s) }()
	c = collectionOf(t, s, "c")
	shadow, _ := liveOf(t, s, c, m.ID)
	if shadow.Share != 1 || shadow.Queries < 149 || shadow.Thresholds == nil || shadow.Thresholds.Queries() != shadow.Queries || shadow.Kept == nil {
		t.Fatalf("after the restart: %+v", shadow)
	}
	if _, err := s.MigrationStep(t.Context(), c, m.ID, migrate.EventCutOver, StepOptions{}); err != nil {
		t.Fatal(err)
	}
	threshold := float32(0.3)
	q := asked(3)
	q.ScoreThreshold, q.ScoreSpace = &threshold, former
	a, err := c.Query(t.Context(), q)
	if err != nil || a.Threshold == nil {
		t.Fatalf("%+v, %v", a, err)
	}
	want, _ := shadow.Thresholds.Map(float64(threshold))
	sentences, _ := evaluated[0].m.Map(float64(threshold))
	if a.Threshold.Used != float32(want) || float32(sentences) == float32(want) {
		t.Errorf("%g is %g; the live queries say %g, and the sentences %g", threshold, a.Threshold.Used, want, sentences)
	}
}

// TestLiveQueriesEvaluate: an evaluation asks what people asked, where that is
// enough, and keeps no word of it.
func TestLiveQueriesEvaluate(t *testing.T) {
	s := open(t, t.TempDir(), "")
	defer func() { shut(t, s) }()
	c, err := s.Create(t.Context(), "c", hashWish(128))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Upsert(t.Context(), seasons(0, liveTexts)); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("boat ", 1000)
	for i := range 180 { // 120 different ones
		text := fmt.Sprintf("zanzibar %d storm", i%120)
		for _, q := range []Query{{Text: &text, Limit: 3}, {Text: &long, Limit: 1}} {
			if _, err := c.Query(t.Context(), q); err != nil {
				t.Fatal(err)
			}
		}
	}
	m, err := s.Migrate(t.Context(), c, MigrationWish{Wish: hashWish(512)})
	if err != nil {
		t.Fatal(err)
	}
	m = await(t, s, c, m.ID, migrate.Ready)
	record := string(m.Evaluation)
	if !strings.Contains(record, `"sample":"live queries"`) || !strings.Contains(record, `"queries":180,"k":10`) {
		t.Errorf("the evaluation: %.2000s", record)
	}
	if strings.Contains(record, "zanzibar") {
		t.Error("the record keeps what people asked")
	}
	var r report.Report
	if err := json.Unmarshal(m.Evaluation, &r); err != nil || r.Latency.Queries != 120 {
		t.Errorf("what was asked twice was run twice: %+v, %v", r.Latency, err)
	}

	// One text, however often, is no sample.
	one := "always the same"
	c.recent.mu.Lock()
	for i := range c.recent.texts {
		c.recent.texts[i] = one
	}
	c.recent.mu.Unlock()
	if _, err := s.MigrationStep(t.Context(), c, m.ID, migrate.EventEvaluate, StepOptions{}); err != nil {
		t.Fatal(err)
	}
	m = await(t, s, c, m.ID, migrate.Ready)
	if !strings.Contains(string(m.Evaluation), `"sample":"sampled documents"`) {
		t.Error("one text makes a sample of live queries")
	}
}

// TestQueriesForgotten: a service that is to remember no queries has none.
func TestQueriesForgotten(t *testing.T) {
	for _, forget := range []bool{false, true} {
		stored, err := store.Open(t.Context(), store.Options{Dir: t.TempDir(), Create: true, MinFreeBytes: -1})
		if err != nil {
			t.Fatal(err)
		}
		s, err := New(t.Context(), Options{Store: stored, Program: "vecino test", ForgetQueries: forget})
		if err != nil {
			t.Fatal(err)
		}
		c, err := s.Create(t.Context(), "c", hashWish(64))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Query(t.Context(), textQuery("boats in a storm")); err != nil {
			t.Fatal(err)
		}
		if texts, _ := c.recent.sample(); len(texts) == 0 != forget {
			t.Errorf("forget %v: %q is remembered", forget, texts)
		}
		shut(t, s)
	}
}

// TestRecentIsBounded: however much is asked, some of it is remembered, the
// newer the likelier.
func TestRecentIsBounded(t *testing.T) {
	var r recent
	for i := range 20 * liveQueries {
		r.add(fmt.Sprint(i))
	}
	r.add(strings.Repeat("x", liveBytes+1))
	texts, different := r.sample()
	if len(texts) != liveQueries || different != liveQueries {
		t.Fatalf("%d texts, %d different ones", len(texts), different)
	}
	newer := 0
	for _, text := range texts {
		var i int
		if _, err := fmt.Sscan(text, &i); err != nil {
			t.Fatal(err)
		}
		if i >= 10*liveQueries {
			newer++
		}
	}
	// Of those there at half the time exp(-1) are left.
	if share := float64(newer) / liveQueries; share < 0.55 || share > 0.72 {
		t.Errorf("%.2f are of the newer half", share)
	}
}

// TestLatencies: quantiles are those of the times, within 5 %, and what is kept
// is read back as it was.
func TestLatencies(t *testing.T) {
	const seed = 3
	rng := rand.New(rand.NewPCG(seed, 0))
	var l latencies
	times := make([]float64, 5000)
	for i := range times {
		times[i] = math.Exp(2*rng.NormFloat64()) + 0.02 // milliseconds
		l.add(time.Duration(times[i] * float64(time.Millisecond)))
	}
	slices.Sort(times)
	data, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	var back latencies
	if err := json.Unmarshal(data, &back); err != nil || back != l {
		t.Errorf("read back: %v", err)
	}
	got := back.timing()
	for name, pair := range map[string][2]float64{"p50": {*got.P50, times[2499]}, "p99": {*got.P99, times[4949]}} {
		if math.Abs(pair[0]/pair[1]-1) > 0.05 {
			t.Errorf("seed %d: %s is %g, and the times say %g", seed, name, pair[0], pair[1])
		}
	}
	l.add(0)
	l.add(time.Hour)
	if n := l.timing().Queries; n != 5002 {
		t.Errorf("%d times", n)
	}
}

// TestLiveFiguresOutliveAStop: what a run was about to keep when it was stopped
// is kept by who stopped it.
func TestLiveFiguresOutliveAStop(t *testing.T) {
	data := t.TempDir()
	s, c, record := liveCollection(t, data, MigrationWish{Shadow: 1})
	m := s.migrations.of(c)
	if err := m.step.take(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.stopLocked()
	m.live.change(func(r *liveRecord) { r.Shadow.Dropped = 7 })
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if err := m.keepLive(stopped, true); err == nil {
		t.Error("it was kept by a run that had ended")
	}
	if err := m.keepLive(t.Context(), true); err != nil {
		t.Error(err)
	}
	m.startLocked()
	m.step.leave()
	shut(t, s)
	s = open(t, data, "")
	defer func() { shut(t, s) }()
	if shadow, _ := liveOf(t, s, collectionOf(t, s, "c"), record.ID); shadow.Dropped != 7 {
		t.Errorf("after the restart: %+v", shadow)
	}
}

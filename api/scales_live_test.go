package api

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/vecino-db/vecino/api/report"
	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/compat/migrate"
	"github.com/vecino-db/vecino/embed/evaluate"
	"github.com/vecino-db/vecino/store"
)

// sharedData locates test data, or skips.
func sharedData(t *testing.T, name string) string {
	t.Helper()
	root := os.Getenv("VECINO_SHARED")
	if root == "" {
		root = filepath.Join("..", "..", "shared", "data")
	}
	path := filepath.Join(root, name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no shared data: %v (set VECINO_SHARED to its directory)", err)
	}
	return path
}

// TestThresholdsOfLiveQueries: half of Cranfield's 225 queries are asked before
// the migration, and thresholds that it maps by them keep the share of hits
// that pass of the other half, as far as halves of so few can be alike. A map
// of sentences is off by 0.06 and 0.26 between these spaces.
func TestThresholdsOfLiveQueries(t *testing.T) {
	cranfield, err := evaluate.Open(sharedData(t, "retrieval/cranfield"))
	if err != nil {
		t.Fatal(err)
	}
	models := filepath.Dir(sharedData(t, "models/model2vec-test-model-vocab-quantized"))
	for _, test := range []struct {
		model       string
		worst, mean float64
	}{
		{ModelBlend, 0.08, 0.05},
		{"local:model2vec-test-model-vocab-quantized", 0.15, 0.08},
	} {
		const seed = 7
		queries := slices.Clone(cranfield.Queries)
		rand.New(rand.NewPCG(seed, 0)).Shuffle(len(queries), func(i, j int) { queries[i], queries[j] = queries[j], queries[i] })
		asked, others := queries[:112], queries[112:]
		s := open(t, t.TempDir(), models)
		c, err := s.Create(t.Context(), "c", hashWish(512))
		if err != nil {
			t.Fatal(err)
		}
		former := c.Fingerprint()
		for from := 0; from < len(cranfield.Documents); from += 200 {
			var points []Point
			for i := from; i < min(from+200, len(cranfield.Documents)); i++ {
				if cranfield.Documents[i] != "" {
					points = append(points, Point{ID: store.NumID(uint64(i)), Text: cranfield.Documents[i], HasText: true})
				}
			}
			if _, err := c.Upsert(t.Context(), points); err != nil {
				t.Fatal(err)
			}
		}
		for _, text := range asked {
			if _, err := c.Query(t.Context(), Query{Text: &text, Limit: 10}); err != nil {
				t.Fatal(err)
			}
		}
		scores := func(threshold *float32, space compat.Fingerprint) (all []float32) {
			t.Helper()
			for _, text := range others {
				p := c.now() // past the queries that it remembers
				a, err := c.queryIn(t.Context(), p, p.serving, Query{Text: &text, Limit: 10, Exact: true, ScoreThreshold: threshold, ScoreSpace: space})
				if err != nil {
					t.Fatal(err)
				}
				for _, h := range a.Hits {
					all = append(all, h.Score)
				}
			}
			return all
		}
		before := scores(nil, former)
		m, err := s.Migrate(t.Context(), c, MigrationWish{Wish: Wish{Embedding: &EmbeddingWish{Model: test.model}}})
		if err != nil {
			t.Fatal(err)
		}
		m = await(t, s, c, m.ID, migrate.Ready)
		var r report.Report
		if err := json.Unmarshal(m.Evaluation, &r); err != nil || r.Sample != sampleLive || r.Thresholds.Queries() != len(asked) {
			t.Fatalf("%s: a map of %s, %v", test.model, r.Sample, err)
		}
		if _, err := s.MigrationStep(t.Context(), c, m.ID, migrate.EventCutOver, StepOptions{}); err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(before, func(a, b float32) int { return int(math.Copysign(1, float64(b-a))) })
		worst, mean := 0.0, 0.0
		for tenth := 1; tenth <= 9; tenth++ {
			threshold := before[len(before)*tenth/10]
			passed := 0
			for _, x := range before {
				if x >= threshold {
					passed++
				}
			}
			was, is := float64(passed)/float64(len(before)), float64(len(scores(&threshold, former)))/float64(10*len(others))
			t.Logf("%s: %.3f of the hits passed %.3f, and %.3f do after the cut-over", test.model, was, threshold, is)
			worst, mean = max(worst, math.Abs(is-was)), mean+math.Abs(is-was)/9
		}
		t.Logf("seed %d, %s: off by %.3f at worst, %.3f in the mean; the report expects %.3f of half, %.3f of all", seed, test.model, worst, mean, r.Kept.Worst, r.Kept.Whole)
		if worst > test.worst || mean > test.mean {
			t.Errorf("seed %d, %s: thresholds are off by %.3f, %.3f in the mean", seed, test.model, worst, mean)
		}
		shut(t, s)
	}
}

package api

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/compat/migrate"
)

// TestScoreSpace: a threshold of the former space lets as many hits pass after
// the cut-over as before, where the query names that space, and is taken as it
// is where it does not.
func TestScoreSpace(t *testing.T) {
	const seed = 5
	rng := rand.New(rand.NewPCG(seed, 0))
	s := open(t, t.TempDir(), "")
	defer func() { shut(t, s) }()
	c, err := s.Create(t.Context(), "c", hashWish(64))
	if err != nil {
		t.Fatal(err)
	}
	texts := bridgeTexts(rng, 600)
	if _, err := c.Upsert(t.Context(), pointsOf(texts)); err != nil {
		t.Fatal(err)
	}
	former := c.Fingerprint()
	// The map is made of documents' own words; what they ask for here is alike.
	asked := bridgeTexts(rng, 200)
	var scores []float32
	share := func(threshold float32, space compat.Fingerprint) (float64, *Translated) {
		t.Helper()
		passed := 0
		var translated *Translated
		for _, text := range asked {
			a, err := c.Query(t.Context(), Query{Text: &text, Limit: 10, Exact: true, ScoreThreshold: &threshold, ScoreSpace: space})
			if err != nil {
				t.Fatal(err)
			}
			passed, translated = passed+len(a.Hits), a.Threshold
			for _, h := range a.Hits {
				scores = append(scores, h.Score)
			}
		}
		return float64(passed) / float64(10*len(asked)), translated
	}
	share(-1, compat.Fingerprint{})
	mean := 0.0
	for _, x := range scores {
		mean += float64(x) / float64(len(scores))
	}
	threshold := float32(mean)
	before, translated := share(threshold, former)
	if translated != nil {
		t.Errorf("a threshold of the space that serves was translated: %+v", translated)
	}
	refused := func(space compat.Fingerprint) {
		t.Helper()
		var e *Error
		q := Query{Text: &asked[0], Limit: 10, ScoreThreshold: &threshold, ScoreSpace: space}
		if _, err := c.Query(t.Context(), q); !errors.As(err, &e) || e.Code != "no_threshold_map" {
			t.Errorf("a threshold of %.12s: %v", space, err)
		}
	}
	refused(compat.Fingerprint{1})
	m, err := s.Migrate(t.Context(), c, MigrationWish{Wish: hashWish(512)})
	if err != nil {
		t.Fatal(err)
	}
	await(t, s, c, m.ID, migrate.Ready)
	if _, err := s.MigrationStep(t.Context(), c, m.ID, migrate.EventCutOver, StepOptions{}); err != nil {
		t.Fatal(err)
	}
	plain, translated := share(threshold, compat.Fingerprint{})
	if translated != nil {
		t.Errorf("a threshold was translated unasked: %+v", translated)
	}
	kept, translated := share(threshold, former)
	if translated == nil || translated.Given != threshold || translated.Used == threshold || !translated.Sampled {
		t.Fatalf("a threshold of the former space: %+v", translated)
	}
	t.Logf("seed %d: %.3f of the hits pass %.3f; after the cut-over %.3f, and %.3f pass %.3f", seed, before, threshold, plain, kept, translated.Used)
	if math.Abs(kept-before) > 0.1 || math.Abs(plain-before) < 2*math.Abs(kept-before) {
		t.Errorf("seed %d: %.3f of the hits passed, and %.3f do with the threshold translated (%.3f without)", seed, before, kept, plain)
	}
	refused(compat.Fingerprint{1})
	if _, err := s.MigrationStep(t.Context(), c, m.ID, migrate.EventRollBack, StepOptions{}); err != nil {
		t.Fatal(err)
	}
	if again, translated := share(threshold, former); again != before || translated != nil {
		t.Errorf("after the rollback %.3f pass, %.3f did: %+v", again, before, translated)
	}
}

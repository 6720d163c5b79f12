package api

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/vecino-db/vecino/store"
)

// TestRehearsalAddsUp: what is carried up from batches is what all documents
// take, where batches follow a law; chance in them shows in the quartiles.
func TestRehearsalAddsUp(t *testing.T) {
	const level, slope, perToken, stored = 30e-6, 20e-6, 2e-6, 40e-6
	took := func(seconds float64) time.Duration { return time.Duration(seconds * 1e9) }
	rng := rand.New(rand.NewPCG(3, 0))
	for _, c := range []struct {
		name    string
		batches int
		noise   float64 // of each part of each batch, as a share
		within  float64
	}{
		{"few batches", 5, 0, 0.02},
		{"many batches", 100, 0, 0.01},
		{"noisy batches", 100, 0.3, 0.1},
	} {
		r := rehearsal{}
		for i := range c.batches {
			some := func(seconds float64) time.Duration { return took(seconds * (1 + c.noise*(2*rng.Float64()-1))) }
			graph, tokens := 64*(i+1), 64*(20+i%3)
			linked := 0.0
			for n := graph; n < graph+64; n++ {
				linked += level + slope*math.Log(float64(n))
			}
			r.batches = append(r.batches, rehearsed{documents: 64, tokens: tokens, graph: graph, made: some(perToken * float64(tokens)), linked: some(linked), read: some(stored * 32), synced: some(stored * 32), syncs: true})
		}
		const documents, tokens = 20_000, 500_000
		// A vector of no dimensions is written as often as its key and its links.
		writes := 2 * (1 + float64(graphBytes(r.want))/float64(vectorBytes(r.want)))
		want := perToken*tokens + stored/2*documents*(1+writes)
		for n := 1; n <= documents; n++ {
			want += level + slope*math.Log(float64(n))
		}
		seconds, low, high := r.backfill(documents, tokens)
		if math.Abs(seconds/want-1) > c.within {
			t.Errorf("%s: %.3f s, want %.3f", c.name, seconds, want)
		}
		if !(low <= seconds && seconds <= high) || c.noise > 0 && high/low < 1.02 {
			t.Errorf("%s: %.3f s between %.3f and %.3f", c.name, seconds, low, high)
		}
		if speed := r.tokensPerSecond() * perToken; math.Abs(speed-1) > 0.05 {
			t.Errorf("%s: the encoder is %.3f times as fast as it is", c.name, speed)
		}
	}
	if seconds, low, high := (&rehearsal{}).backfill(100, 100); seconds != 0 || low != 0 || high != 0 {
		t.Error("without a batch something is known")
	}
}

// TestDraw: of a long stream every part has its share of the sample.
func TestDraw(t *testing.T) {
	d := newDraw(1, 1000)
	for i := range 50_000 {
		d.add(store.NumID(uint64(i)))
	}
	seen := map[store.ID]bool{}
	for _, id := range d.shuffled() {
		seen[id] = true
	}
	for tenth := range 10 {
		n := 0
		for i := range 5000 {
			if seen[store.NumID(uint64(5000*tenth+i))] {
				n++
			}
		}
		if n < 60 || n > 140 { // four times the deviation of 100
			t.Errorf("%d of the sample are of tenth %d", n, tenth)
		}
	}
	if len(seen) != 1000 {
		t.Errorf("%d different ones, want 1000", len(seen))
	}
}

// TestEstimateKeepsNothing: a plan, by encoding and by derivation, leaves the
// collection as it was, and ends with its context.
func TestEstimateKeepsNothing(t *testing.T) {
	s := open(t, t.TempDir(), "")
	defer func() { shut(t, s) }()
	c, err := s.Create(t.Context(), "c", hashWish(64))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Upsert(t.Context(), seasons(0, 600)); err != nil {
		t.Fatal(err)
	}
	before, err := s.store.Describe(t.Context(), "c")
	if err != nil {
		t.Fatal(err)
	}
	encoded := hashWish(128)
	rebuilt := Wish{Index: IndexWish{M: 8}}
	for name, w := range map[string]Wish{"another dimension": encoded, "another graph": rebuilt} {
		e, err := s.Estimate(t.Context(), c, w, 2)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if e.Documents != 600 || !(e.Seconds > 0 && e.SecondsLow > 0 && e.SecondsHigh >= e.Seconds && e.EvaluationSeconds > 0 && e.DiskBytes > 0) {
			t.Errorf("%s: %+v", name, e)
		}
	}
	after, err := s.store.Describe(t.Context(), "c")
	if err != nil || after.Generation != before.Generation || after.Index.Live != before.Index.Live || after.Points != before.Points {
		t.Errorf("a plan changed the collection: %+v, before %+v: %v", after, before, err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := s.Estimate(ended, c, encoded, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("a plan whose caller has left: %v", err)
	}
	r := rehearsal{c: c, effort: newEffort(s.traffic, unlimited), want: c.Manifest()}
	if err := r.run(ended, s.store, []store.ID{store.NumID(1)}); !errors.Is(err, context.Canceled) {
		t.Errorf("a rehearsal whose caller has left: %v", err)
	}
}

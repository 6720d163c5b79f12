package store

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
)

func TestGateComparesManifests(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	s := open(t, testOptionsFor(t, fs))
	m := testManifest(4, 1)
	m.Space.QueryPrompt = "query: "
	c := create(t, s, "one", m)
	put(t, c, 1, 0, 3)
	raw := compat.Space{Encoder: "raw/1", Weights: compat.Digest{9}, Pooling: compat.PoolingNone, Normalization: compat.NormalizeNone, Precision: compat.PrecisionF32, Dimension: 4, FullDimension: 4}
	for _, test := range []struct {
		name    string
		change  func(s *compat.Space)
		verdict compat.Verdict
	}{
		{"another dimension", func(s *compat.Space) { s.Dimension, s.FullDimension = 8, 8 }, compat.VerdictReembed},
		{"the same dimension of other weights", func(s *compat.Space) { s.Weights[0] ^= 1 }, compat.VerdictReembed},
		{"raw vectors against an encoder", func(s *compat.Space) { *s = raw }, compat.VerdictRefuse},
		{"another query prompt", func(s *compat.Space) { s.QueryPrompt = "ask: " }, compat.VerdictRecheck},
		{"another document prompt", func(s *compat.Space) { s.DocumentPrompt = "passage: " }, compat.VerdictReembed},
		{"no space at all", func(s *compat.Space) { *s = compat.Space{} }, compat.VerdictReembed},
	} {
		for round := range 2 {
			want := m.Space
			test.change(&want)
			_, err := s.OpenCollection(ctx, "one", want)
			var mismatch *compat.MismatchError
			if !errors.As(err, &mismatch) {
				t.Fatalf("%s: %v, want a MismatchError", test.name, err)
			}
			if len(mismatch.Changes) == 0 || mismatch.Plan.Verdict < test.verdict || mismatch.Have != m.Space.Fingerprint() || mismatch.Want != want.Fingerprint() {
				t.Errorf("%s: round %d: verdict %v over %+v, want %v", test.name, round, mismatch.Plan.Verdict, mismatch.Changes, test.verdict)
			}
		}
	}
	if same := reopen(t, s, "one", m); same != c {
		t.Error("the same space gives another Collection")
	}
	if _, err := s.OpenCollection(ctx, "two", m.Space); !errors.Is(err, ErrNotFound) {
		t.Errorf("a missing collection: %v", err)
	}
	closeStore(t, s)
	if _, err := s.OpenCollection(ctx, "one", m.Space); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed store: %v", err)
	}
}

// The zero space has the zero fingerprint, which matches nothing.
func TestGateRefusesInvalidManifests(t *testing.T) {
	s := open(t, testOptionsFor(t, vfs.NewMem()))
	defer closeStore(t, s)
	for name, change := range map[string]func(m *compat.Manifest){
		"no space":          func(m *compat.Manifest) { m.Space = compat.Space{} },
		"unknown engine":    func(m *compat.Manifest) { m.Index.Engine = "ivf" },
		"a newer schema":    func(m *compat.Manifest) { m.Schema = compat.SchemaVersion + 1 },
		"a huge dimension":  func(m *compat.Manifest) { m.Space.Dimension = compat.MaxDimension + 1 },
		"an unknown metric": func(m *compat.Manifest) { m.Metric = "hamming" },
	} {
		m := testManifest(4, 1)
		change(&m)
		if _, err := s.Create(t.Context(), "one", m); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if list, err := s.List(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("refused collections left %v, %v", list, err)
	}
}

func TestGateComparesBatches(t *testing.T) {
	ctx := context.Background()
	s := open(t, testOptionsFor(t, vfs.NewMem()))
	defer closeStore(t, s)
	m := testManifest(4, 1)
	c := create(t, s, "one", m)
	before := c.current()
	for name, other := range map[string]compat.Manifest{"other weights": testManifest(4, 2), "other dimension": testManifest(5, 1)} {
		v := stamp(t, other, make([]float32, other.Space.Dimension))
		if _, err := c.Put(ctx, []Document{{}}, v); !errors.Is(err, index.ErrSpace) {
			t.Errorf("Put of %s: %v", name, err)
		}
		if _, err := c.Search(ctx, v, SearchQuery{Limit: 1}); !errors.Is(err, index.ErrSpace) {
			t.Errorf("Search with %s: %v", name, err)
		}
	}
	if _, err := c.Search(ctx, compat.Vectors{}, SearchQuery{Limit: 1}); err == nil {
		t.Error("a search without a vector was answered")
	}
	if c.current() != before {
		t.Error("a refused batch changed the collection")
	}
}

func TestSetEvidence(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	s := open(t, testOptionsFor(t, fs))
	m := testManifest(4, 1)
	c := create(t, s, "one", m)
	put(t, c, 1, 0, 10)
	recall := &compat.MeasuredRecall{K: 10, Ef: 64, Queries: 100, Recall: 0.97, At: time.Unix(1700000000, 0).UTC()}
	if err := c.SetEvidence(ctx, compat.Evidence{ModelCard: "a card", Recall: recall}); err != nil {
		t.Fatal(err)
	}
	if err := c.SetEvidence(ctx, compat.Evidence{Recall: &compat.MeasuredRecall{Recall: 7}}); err == nil {
		t.Error("a recall of 7 was accepted")
	}
	for range 2 {
		c := reopen(t, s, "one", m)
		got := c.Manifest().Evidence
		if got.ModelCard != "a card" || got.Recall == nil || *got.Recall != *recall {
			t.Errorf("evidence is %+v", got)
		}
		if n, err := c.Count(ctx, nil); n != 10 || err != nil {
			t.Errorf("count is %d, %v", n, err)
		}
		closeStore(t, s)
		s = open(t, testOptionsFor(t, fs))
	}
	closeStore(t, s)
}

// Chunks of another space are not loaded, whatever their key says.
func TestGateReadsFingerprintsOfChunks(t *testing.T) {
	ctx := context.Background()
	s := open(t, testOptionsFor(t, vfs.NewMem()))
	defer closeStore(t, s)
	one, two := create(t, s, "one", testManifest(4, 1)), create(t, s, "two", testManifest(4, 2))
	for _, c := range []*Collection{one, two} {
		put(t, c, 1, 0, 10)
		if err := c.checkpoint(ctx); err != nil {
			t.Fatal(err)
		}
	}
	h := one.serving().header
	last := uint32(len(h.written) - 1)
	chunk, err := get(s.db, chunkKey(two.number, 1, h.number, last))
	if err != nil || chunk == nil {
		t.Fatal(err)
	}
	if err := s.db.Set(chunkKey(one.number, 1, h.number, last), chunk, s.sync()); err != nil {
		t.Fatal(err)
	}
	source := chunkSource{ctx: ctx, reader: s.db, collection: one.number, generation: 1, header: h}
	if _, err := loadIndex(one.serving().config, source); !errors.Is(err, index.ErrSpace) || !strings.Contains(err.Error(), "checkpoint") {
		t.Errorf("a chunk of another space: %v, want ErrSpace", err)
	}
}

// TestBridgedQuery: a query that a bridge has carried into the space searches;
// one for another space, and none at all, don't.
func TestBridgedQuery(t *testing.T) {
	ctx := context.Background()
	s := open(t, testOptionsFor(t, vfs.NewMem()))
	defer closeStore(t, s)
	m := testManifest(4, 1)
	c := create(t, s, "one", m)
	put(t, c, 1, 0, 10)
	want, err := c.Search(ctx, stamp(t, m, vectorOf(3, 1, 4)), SearchQuery{Limit: 3})
	if err != nil {
		t.Fatal(err)
	}
	for _, to := range []compat.Manifest{m, testManifest(4, 2)} {
		stamper, err := to.Stamper()
		if err != nil {
			t.Fatal(err)
		}
		q, err := stamper.StampBridged(compat.Fingerprint{5}, vectorOf(3, 1, 4))
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.Search(ctx, q, SearchQuery{Limit: 3})
		if to.Space.Fingerprint() != m.Space.Fingerprint() {
			if !errors.Is(err, index.ErrSpace) {
				t.Errorf("a query carried into another space: %v", err)
			}
		} else if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("a query carried into the space: %+v, %v, want %+v", got, err, want)
		}
	}
	for name, q := range map[string]compat.Searchable{"none": nil, "no vectors": compat.Vectors{}, "nothing carried": compat.Bridged{}} {
		if _, err := c.Search(ctx, q, SearchQuery{Limit: 1}); !errors.Is(err, ErrBatch) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

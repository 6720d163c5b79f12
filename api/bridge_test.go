package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vecino-db/vecino/api/report"
	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/compat/migrate"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/weights"
	"github.com/vecino-db/vecino/index/filter"
	"github.com/vecino-db/vecino/store"
)

// bridgeWords are the vocabulary of the models here.
func bridgeWords() []string {
	words := []string{"[PAD]", "[UNK]"}
	for i := range 300 {
		words = append(words, fmt.Sprintf("w%c%c", 'a'+i/26, 'a'+i%26))
	}
	return words
}

// bridgeTexts are n documents of words of the vocabulary.
func bridgeTexts(rng *rand.Rand, n int) []string {
	words := bridgeWords()[2:]
	texts := make([]string, n)
	for i := range texts {
		var text []string
		for range 6 {
			text = append(text, words[rng.IntN(len(words))])
		}
		texts[i] = strings.Join(text, " ")
	}
	return texts
}

// writeWords makes a static model of the vocabulary with a row for each word.
func writeWords(t *testing.T, dir string, rows []float32) {
	t.Helper()
	words := bridgeWords()
	ids := map[string]int{}
	for i, w := range words {
		ids[w] = i
	}
	tokenizer, err := json.Marshal(map[string]any{
		"normalizer": map[string]any{"type": "BertNormalizer"}, "pre_tokenizer": map[string]any{"type": "BertPreTokenizer"},
		"model": map[string]any{"type": "WordPiece", "vocab": ids, "unk_token": "[UNK]"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var tensors bytes.Buffer
	if err := weights.Write(&tensors, []weights.Entry{weights.Float32Entry("embeddings", []int{len(words), len(rows) / len(words)}, rows)}, nil); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"model.safetensors": tensors.Bytes(), "tokenizer.json": tokenizer,
		"config.json": []byte(`{"model_type":"model2vec","architectures":["StaticModel"],"normalize":true}`),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// twoViews are two models that see nearly the same in words: the second one is
// the first, turned, with noise.
func twoViews(t *testing.T, models string, rng *rand.Rand) {
	t.Helper()
	const p, q = 24, 32
	words := len(bridgeWords())
	one, two := make([]float32, words*p), make([]float32, words*q)
	for i := range one {
		one[i] = float32(rng.NormFloat64())
	}
	turn := make([]float64, p*q)
	for i := range turn {
		turn[i] = rng.NormFloat64() / math.Sqrt(q)
	}
	for w := range words {
		for j := range q {
			sum := 0.05 * rng.NormFloat64()
			for i := range p {
				sum += float64(one[w*p+i]) * turn[i*q+j]
			}
			two[w*q+j] = float32(sum)
		}
	}
	writeWords(t, filepath.Join(models, "one"), one)
	writeWords(t, filepath.Join(models, "two"), two)
}

func pointsOf(texts []string) []Point {
	points := make([]Point, len(texts))
	for i, text := range texts {
		points[i] = Point{ID: store.NumID(uint64(i)), Text: text, HasText: true}
	}
	return points
}

// idsOf are those of the first hits of a text.
func idsOf(t *testing.T, c *Collection, text string) (ids []store.ID, a Answer) {
	t.Helper()
	a, err := c.Query(t.Context(), Query{Text: &text, Limit: 10, Exact: true, Pointer: "/query"})
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range a.Hits {
		ids = append(ids, h.ID)
	}
	return ids, a
}

func bridgeOf(t *testing.T, m migrate.Migration) BridgeRecord {
	t.Helper()
	r, err := readBridge(m)
	if err != nil || r == nil {
		t.Fatalf("no record of a bridge: %v", err)
	}
	return *r
}

// refusedWith queries and wants a refusal of a code.
func refusedWith(t *testing.T, c *Collection, code string) *Error {
	t.Helper()
	var refused *Error
	if _, err := c.Query(t.Context(), textQuery("waa wab")); !errors.As(err, &refused) || refused.Code != code || refused.Remedy == "" {
		t.Fatalf("a text is answered by %v, want %s", err, code)
	}
	return refused
}

// TestBridge: a model's directory goes; its collection is migrated to another
// model, and texts find what they found before, over restarts, until the
// cut-over.
func TestBridge(t *testing.T) {
	const seed, n = 7, 1300
	for _, prompts := range []bool{false, true} {
		t.Run(fmt.Sprint("prompts ", prompts), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 0))
			data, models := t.TempDir(), t.TempDir()
			twoViews(t, models, rng)
			texts, asked := bridgeTexts(rng, n), bridgeTexts(rng, 30)
			s := open(t, data, models)
			c, err := s.Create(t.Context(), "c", Wish{Embedding: &EmbeddingWish{Model: "local:one"}})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Upsert(t.Context(), pointsOf(texts)); err != nil {
				t.Fatal(err)
			}
			target := Wish{Embedding: &EmbeddingWish{Model: "local:two"}}
			if prompts {
				prompt := "waa "
				target.Embedding.QueryPrompt = &prompt
			}
			var refused *Error
			if _, err := s.Migrate(t.Context(), c, MigrationWish{Wish: target, Bridge: &BridgeWish{}}); !errors.As(err, &refused) || refused.Code != "encoder_runs" {
				t.Errorf("a bridge beside an encoder that runs: %v", err)
			}
			found := make([][]store.ID, len(asked))
			for i, text := range asked {
				found[i], _ = idsOf(t, c, text)
			}
			lost := c.Fingerprint()
			again := func() {
				t.Helper()
				shut(t, s)
				s = open(t, data, models)
				c = collectionOf(t, s, "c")
			}
			if err := os.Rename(filepath.Join(models, "one"), filepath.Join(t.TempDir(), "one")); err != nil {
				t.Fatal(err)
			}
			again()
			refusedWith(t, c, "encoder_missing")
			for _, w := range []struct {
				code string
				wish MigrationWish
			}{
				{"bad_bridge", MigrationWish{Wish: target, Bridge: &BridgeWish{Recall: 2}}},
				{"bad_bridge", MigrationWish{Wish: target, Bridge: &BridgeWish{Pairs: 10}}},
				{"no_bridge_needed", MigrationWish{Wish: Wish{Index: IndexWish{M: 24}}, Bridge: &BridgeWish{}}},
			} {
				if _, err := s.Migrate(t.Context(), c, w.wish); !errors.As(err, &refused) || refused.Code != w.code {
					t.Errorf("%+v: %v, want %s", w.wish.Bridge, err, w.code)
				}
			}
			m, err := s.Migrate(t.Context(), c, MigrationWish{Wish: target, Bridge: &BridgeWish{Recall: 0.6, Pairs: 1000}, Limits: migrate.Limits{TokensPerSecond: 20_000, Batch: 32}})
			if err != nil {
				t.Fatal(err)
			}
			refusedWith(t, c, "bridge_waiting")
			for bridgeOf(t, m).State == BridgeWaiting {
				if m, err = s.Migration(t.Context(), c, m.ID); err != nil || m.State.Final() || m.State == migrate.Failed {
					t.Fatalf("%+v %v", m, err)
				}
			}
			if m.State != migrate.Backfilling || m.Progress.Done >= n {
				t.Errorf("the bridge came when the migration was %s with %d of %d documents", m.State, m.Progress.Done, n)
			}
			if m, err = s.MigrationStep(t.Context(), c, m.ID, migrate.EventPause, StepOptions{}); err != nil {
				t.Fatal(err)
			}
			check := func(when string) {
				t.Helper()
				same, of := 0, 0
				for i, text := range asked {
					ids, a := idsOf(t, c, text)
					if a.Bridge.IsZero() || !a.Bridge.Matches(c.now().standby.fingerprint()) || !a.Fingerprint.Matches(lost) || a.Tokens == 0 {
						t.Fatalf("%s: answered by %v in %v", when, a.Bridge, a.Fingerprint)
					}
					for _, id := range ids {
						if of++; slices.Contains(found[i], id) {
							same++
						}
					}
				}
				b := bridgeOf(t, m)
				t.Logf("%s: %s; %d of %d hits are those of the lost model; held out %.3f; %d tokens for queries", when, b.Method, same, of, b.Check.Recall, b.Tokens)
				if float64(same) < (b.Check.Recall-0.15)*float64(of) || (b.Tokens > 0) != prompts {
					t.Errorf("seed %d: %s: %d of %d hits are those of the lost model; %+v", seed, when, same, of, b)
				}
			}
			check("while it is paused")
			groupBy, err := filter.ParsePath("kind")
			if err != nil {
				t.Fatal(err)
			}
			if groups, err := c.QueryGroups(t.Context(), GroupQuery{Query: textQuery(asked[0]), By: groupBy, Size: 1}); err != nil || groups.Bridge.IsZero() {
				t.Errorf("groups: %v %v", groups.Bridge, err)
			}
			again()
			check("after a restart")
			if _, err := s.MigrationStep(t.Context(), c, m.ID, migrate.EventResume, StepOptions{}); err != nil {
				t.Fatal(err)
			}
			m = await(t, s, c, m.ID, migrate.Ready)
			// Each text once, and what the fit took beside them.
			if b := bridgeOf(t, m); m.Progress.Encoded != n+b.Encoded {
				t.Errorf("%d texts were encoded, %d of them for the bridge; there are %d", m.Progress.Encoded, b.Encoded, n)
			}
			if m, err = s.MigrationStep(t.Context(), c, m.ID, migrate.EventCutOver, StepOptions{}); err != nil {
				t.Fatal(err)
			}
			if _, a := idsOf(t, c, asked[0]); !a.Bridge.IsZero() || a.Fingerprint.Matches(lost) {
				t.Errorf("after the cut-over %v answers by a bridge from %v", a.Fingerprint, a.Bridge)
			}
			if _, err = s.MigrationStep(t.Context(), c, m.ID, migrate.EventRollBack, StepOptions{}); err != nil {
				t.Fatal(err)
			}
			check("after a rollback")
			for _, e := range []migrate.Event{migrate.EventCutOver, migrate.EventCommit} {
				if _, err = s.MigrationStep(t.Context(), c, m.ID, e, StepOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			if kept, err := c.stored.Bridge(t.Context(), m.ID); err != nil || kept != nil {
				t.Errorf("%d bytes of the bridge outlive the migration: %v", len(kept), err)
			}
			shut(t, s)
		})
	}
}

// lostHash is a collection of a hash whose model is nowhere, with texts.
func lostHash(t *testing.T, s *Service, dimensions int, texts []string) *Collection {
	t.Helper()
	encoder, err := s.encoders.Open(t.Context(), ModelHash, EncoderOptions{Dimensions: dimensions})
	if err != nil {
		t.Fatal(err)
	}
	m := compat.Manifest{Space: encoder.Space(), Metric: compat.MetricCosine, Provenance: compat.Provenance{Model: "local:lost"}}.WithDefaults()
	stored, err := s.store.Create(t.Context(), "lost", m)
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.open(t.Context(), "lost", stored.Manifest())
	if err != nil {
		t.Fatal(err)
	}
	s.publish("lost", c, nil)
	points := pointsOf(texts)
	rows, err := rowsOf(t.Context(), encoder, embed.RoleDocument, texts)
	if err != nil {
		t.Fatal(err)
	}
	for i := range points {
		points[i].Vector = rows[i]
	}
	for batch := range slices.Chunk(points, 500) {
		if _, err := c.Upsert(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// TestBridgeOfHashes: builtin:hash of 256 dimensions is lost, and the one of
// 512 takes its place; a model that sees other things in texts does not.
func TestBridgeOfHashes(t *testing.T) {
	const seed = 3
	rng := rand.New(rand.NewPCG(seed, 0))
	models := t.TempDir()
	twoViews(t, models, rng)
	s := open(t, t.TempDir(), models)
	defer func() { shut(t, s) }()
	c := lostHash(t, s, 256, bridgeTexts(rng, 1500))
	refusedWith(t, c, "encoder_missing")
	run := func(w Wish) (migrate.Migration, BridgeRecord) {
		t.Helper()
		m, err := s.Migrate(t.Context(), c, MigrationWish{Wish: w, Bridge: &BridgeWish{}})
		if err != nil {
			t.Fatal(err)
		}
		m = await(t, s, c, m.ID, migrate.Ready)
		b := bridgeOf(t, m)
		t.Logf("seed %d: %+v", seed, b)
		var r report.Report
		if err := json.Unmarshal(m.Evaluation, &r); err != nil {
			t.Fatal(err)
		}
		if r.Bridge == nil || r.Bridge.Recall != b.Check.Recall || r.Bridge.Wanted != b.Least || r.Bridge.Refused != (b.State == BridgeRefused) {
			t.Errorf("the report has the bridge %+v", r.Bridge)
		}
		return m, b
	}
	m, b := run(Wish{Embedding: &EmbeddingWish{Model: "local:two"}})
	if b.State != BridgeRefused || b.Check == nil || b.Check.Recall >= 0.7 {
		t.Errorf("a model of another kind: %+v", b)
	}
	if refused := refusedWith(t, c, "bridge_refused"); !strings.Contains(refused.Detail, fmt.Sprintf("%.3f", b.Check.Recall)) {
		t.Errorf("the refusal does not say what was measured: %v", refused)
	}
	if _, err := s.MigrationStep(t.Context(), c, m.ID, migrate.EventAbort, StepOptions{}); err != nil {
		t.Fatal(err)
	}
	refusedWith(t, c, "encoder_missing")
	if _, b = run(hashWish(512)); b.State != BridgeServing || b.Check.Recall < 0.7 {
		t.Errorf("the hash of more dimensions: %+v", b)
	}
	if _, a := idsOf(t, c, "waa wab wac"); a.Bridge.IsZero() {
		t.Error("it does not answer by the bridge")
	}
}

// TestBridgeOfFewDocuments is refused.
func TestBridgeOfFewDocuments(t *testing.T) {
	s := open(t, t.TempDir(), "")
	defer func() { shut(t, s) }()
	c := lostHash(t, s, 64, bridgeTexts(rand.New(rand.NewPCG(1, 0)), 999))
	var refused *Error
	if _, err := s.Migrate(t.Context(), c, MigrationWish{Wish: hashWish(128), Bridge: &BridgeWish{}}); !errors.As(err, &refused) || refused.Code != "too_few_pairs" {
		t.Errorf("999 documents: %v", err)
	}
}

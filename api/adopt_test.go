package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/compat/migrate"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/store"
)

// claim is an adoption by a built-in model.
func claim(model string, dimensions int) AdoptWish {
	return AdoptWish{Embedding: EmbeddingWish{Model: model, Dimensions: dimensions}}
}

// vectorsOf embeds texts as documents, as a client would that then brings the
// vectors.
func vectorsOf(t *testing.T, s *Service, model string, o EncoderOptions, role embed.Role, texts []string) [][]float32 {
	t.Helper()
	encoder, err := s.Encoders().Open(t.Context(), model, o)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := encoder.Encode(t.Context(), role, texts)
	if err != nil {
		t.Fatal(err)
	}
	rows := make([][]float32, len(texts))
	for i := range rows {
		rows[i] = slices.Clone(encoded.Vectors.Row(i))
	}
	return rows
}

// brought are points with vectors. With a field their texts lie in the payload.
func brought(texts []string, rows [][]float32, field string) []Point {
	var points []Point
	for i, text := range texts {
		p := Point{ID: store.NumID(uint64(i)), Vector: rows[i]}
		if field == "" {
			p.Text, p.HasText = text, true
		} else {
			p.Payload, _ = json.Marshal(map[string]any{field: text, "n": i})
		}
		points = append(points, p)
	}
	return points
}

// rawCollection makes a collection of vectors that clients bring.
func rawCollection(t *testing.T, s *Service, name string, metric compat.Metric, points []Point) *Collection {
	t.Helper()
	c, err := s.Create(t.Context(), name, Wish{Vectors: &VectorsWish{Size: len(points[0].Vector), Metric: metric}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Upsert(t.Context(), points); err != nil {
		t.Fatal(err)
	}
	return c
}

// ports are texts that the built-in models tell apart.
func ports(n int) []string {
	texts := make([]string, n)
	for i := range texts {
		texts[i] = fmt.Sprintf("the ferry number %d leaves harbour %d before storm %d, and bread rises", i, i*7, i*13)
	}
	return texts
}

// storedRows are the vectors of all points, by id.
func storedRows(t *testing.T, c *Collection) map[string][]float32 {
	t.Helper()
	page, _, err := c.Scroll(t.Context(), store.ScrollQuery{Limit: 1 << 20, WithVector: true})
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string][]float32{}
	for _, p := range page {
		rows[p.ID.String()] = p.Vector
	}
	return rows
}

// TestAdopt takes vectors of a built-in model, whose texts lie in the payload,
// into its space: texts are answered, vectors must say that they are of it, and
// what was brought stays bit for bit, over a restart, a snapshot and a migration.
func TestAdopt(t *testing.T) {
	for _, field := range []string{"", "content"} {
		t.Run("text_field "+field, func(t *testing.T) {
			data := t.TempDir()
			s := open(t, data, "")
			texts := ports(60)
			points := brought(texts, vectorsOf(t, s, ModelStatic, EncoderOptions{}, embed.RoleDocument, texts), field)
			c := rawCollection(t, s, "c", compat.MetricCosine, points)
			raw, before := c.Fingerprint(), storedRows(t, c)
			wish := claim(ModelStatic, 0)
			wish.Embedding.TextField, wish.DryRun = field, true

			dry, err := s.Adopt(t.Context(), c, wish)
			if err != nil || dry.Verdict != AdoptProved || dry.Adopted || dry.Sampled != 60 || dry.WithText != 60 || dry.Failed != 0 || *dry.LeastCosine < 0.99999 || *dry.WrongShare != 0 || dry.Tokens == 0 {
				t.Fatalf("dry run: %+v, %v", dry, err)
			}
			if !c.Manifest().Space.Raw() || c.Manifest().Evidence.Adoption != nil || !c.Fingerprint().Matches(raw) {
				t.Fatal("a dry run changed the collection")
			}
			wish.DryRun, wish.Sample = false, 20
			done, err := s.Adopt(t.Context(), c, wish)
			if err != nil || !done.Adopted || done.Sampled != 20 || done.Points != 60 || done.From != raw || done.To != c.Fingerprint() || len(done.Worst) != maxWorst {
				t.Fatalf("adopted: %+v, %v", done, err)
			}
			// 1 - 0.05^(1/20), of a table of the rule of three.
			if math.Abs(*done.WrongShare-0.1391) > 1e-4 {
				t.Errorf("the share of others lies below %v", *done.WrongShare)
			}
			again := func(what string) {
				t.Helper()
				m := c.Manifest()
				encoder, err := s.Encoders().Open(t.Context(), ModelStatic, EncoderOptions{})
				if err != nil {
					t.Fatal(err)
				}
				if m.Space != encoder.Space() || !m.Provenance.Verified || m.Provenance.Model != ModelStatic || m.Provenance.TextField != field || len(m.Evidence.Probes) == 0 || m.Evidence.ModelCard == "" {
					t.Errorf("%s: the manifest is %+v", what, m)
				}
				if a := m.Evidence.Adoption; a == nil || a.From != raw || a.Texts != 20 || a.Points != 60 || a.LeastCosine < 0.99999 || a.At.IsZero() {
					t.Errorf("%s: the adoption is %+v", what, a)
				}
				for id, row := range before {
					if !slices.Equal(storedRows(t, c)[id], row) {
						t.Fatalf("%s: the vector of %s has changed", what, id)
					}
				}
				for i := range 60 {
					if a, err := c.Query(t.Context(), textQuery(texts[i])); err != nil || a.Hits[0].ID != store.NumID(uint64(i)) || a.Hits[0].Score < 0.9999 || a.Hits[0].Text != texts[i] {
						t.Fatalf("%s: %q finds %+v, %v", what, texts[i], a.Hits, err)
					}
				}
				var refused *Error
				old := points[3]
				old.Space = raw
				if _, err := c.Upsert(t.Context(), []Point{old}); !errors.As(err, &refused) || refused.Code != "another_space" {
					t.Errorf("%s: a vector of the raw space: %v", what, err)
				}
				if _, err := c.Query(t.Context(), Query{Vector: old.Vector, Space: raw, Limit: 1}); !errors.As(err, &refused) || refused.Code != "another_space" {
					t.Errorf("%s: a query of the raw space: %v", what, err)
				}
			}
			again("adopted")
			var refused *Error
			if _, err := s.Adopt(t.Context(), c, wish); !errors.As(err, &refused) || refused.Code != "already_verified" || refused.Kind != KindConflict {
				t.Errorf("once more: %v", err)
			}
			snapshot, err := s.CreateSnapshot(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			shut(t, s)
			s = open(t, data, "")
			c = collectionOf(t, s, "c")
			again("restarted")
			recovery, err := s.Recovery("copy", "c", snapshot.Name, RecoverWish{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := recovery.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			c = collectionOf(t, s, "copy")
			again("restored")
			migrates(t, s, c, texts)
			shut(t, s)
		})
	}
}

// migrates leads an adopted collection to another model, which needs every text.
func migrates(t *testing.T, s *Service, c *Collection, texts []string) {
	t.Helper()
	facts, err := c.facts(t.Context())
	if err != nil || facts.WithText != len(texts) {
		t.Fatalf("%+v, %v", facts, err)
	}
	m, err := s.Migrate(t.Context(), c, MigrationWish{Wish: hashWish(512)})
	if err != nil {
		t.Fatal(err)
	}
	var refused *Error
	if _, err := s.Adopt(t.Context(), c, claim(ModelHash, 512)); !errors.As(err, &refused) || refused.Code != "migration_under_way" {
		t.Errorf("an adoption during a migration: %v", err)
	}
	await(t, s, c, m.ID, migrate.Ready)
	for _, e := range []migrate.Event{migrate.EventCutOver, migrate.EventCommit} {
		if _, err := s.MigrationStep(t.Context(), c, m.ID, e, StepOptions{}); err != nil {
			t.Fatalf("%s: %v", e, err)
		}
	}
	for i, text := range texts {
		if a, err := c.Query(t.Context(), textQuery(text)); err != nil || a.Hits[0].ID != store.NumID(uint64(i)) {
			t.Fatalf("after the migration %q finds %+v, %v", text, a.Hits, err)
		}
	}
	history, err := s.History(t.Context(), c)
	if err != nil || len(history) != 2 || history[0].Manifest.Evidence.Adoption == nil || history[1].Manifest.Evidence.Adoption != nil {
		t.Errorf("the history: %+v, %v", history, err)
	}
}

// refusedAdoption wants an adoption to be refused, and the collection as it was.
func refusedAdoption(t *testing.T, s *Service, c *Collection, w AdoptWish, code string, hint ...string) AdoptResult {
	t.Helper()
	tag, rows := c.ETag(), storedRows(t, c)
	_, err := s.Adopt(t.Context(), c, w)
	var refused *Error
	var figures *AdoptError
	if !errors.As(err, &refused) || refused.Code != code || !errors.As(err, &figures) {
		t.Fatalf("%v, want %s", err, code)
	}
	for _, word := range hint {
		if !strings.Contains(refused.Remedy, word) {
			t.Errorf("the remedy %q does not say %q (%s)", refused.Remedy, word, refused.Detail)
		}
	}
	if c.ETag() != tag || !c.Manifest().Space.Raw() {
		t.Error("a refused adoption changed the manifest")
	}
	for id, row := range storedRows(t, c) {
		if !slices.Equal(rows[id], row) {
			t.Errorf("a refused adoption changed the vector of %s", id)
		}
	}
	w.DryRun = true
	dry, err := s.Adopt(t.Context(), c, w)
	if err != nil || dry.Verdict != figures.Result.Verdict || dry.Adopted {
		t.Errorf("the dry run: %+v, %v", dry, err)
	}
	return figures.Result
}

// TestAdoptRefuses: vectors of anything else than the claimed model are refused,
// with the figures and what is likely different.
func TestAdoptRefuses(t *testing.T) {
	models := t.TempDir()
	writeModel(t, models+"/colours", []float32{1, 0, 0})
	s := open(t, t.TempDir(), models)
	defer shut(t, s)
	texts := ports(40)
	static := vectorsOf(t, s, ModelStatic, EncoderOptions{}, embed.RoleDocument, texts)
	clone := func() [][]float32 {
		rows := make([][]float32, len(static))
		for i := range rows {
			rows[i] = slices.Clone(static[i])
		}
		return rows
	}
	n := 0
	make := func(texts []string, rows [][]float32) *Collection {
		n++
		return rawCollection(t, s, fmt.Sprintf("c%d", n), compat.MetricCosine, brought(texts, rows, ""))
	}
	t.Run("another model of the dimension", func(t *testing.T) {
		r := refusedAdoption(t, s, make(texts, static), claim(ModelHash, 256), "adoption_refused", "another model")
		if r.Failed != 40 || *r.LeastCosine > 0.5 || r.Tokens == 0 || len(r.Worst) != maxWorst || r.Worst[0].Cosine == nil || *r.Worst[0].Cosine != *r.LeastCosine {
			t.Errorf("%+v", r)
		}
	})
	t.Run("another dimension", func(t *testing.T) {
		if r := refusedAdoption(t, s, make(texts, static), claim(ModelHash, 512), "adoption_refused", "name the model"); r.Sampled != 0 || r.Tokens != 0 {
			t.Errorf("texts were embedded: %+v", r)
		}
		short := clone()
		for i := range short {
			short[i] = short[i][:128]
		}
		refusedAdoption(t, s, make(texts, short), claim(ModelStatic, 0), "adoption_refused", `"dimensions": 128`)
	})
	t.Run("a few rows", func(t *testing.T) {
		rows := clone()
		rows[7], rows[31] = rows[31], rows[7]
		rows[20][5] += 0.2
		r := refusedAdoption(t, s, make(texts, rows), claim(ModelStatic, 0), "adoption_refused", "37 of 40")
		var worst []string
		for _, p := range r.Worst[:r.Failed] {
			worst = append(worst, p.ID.String())
		}
		slices.Sort(worst)
		if r.Failed != 3 || !slices.Equal(worst, []string{"20", "31", "7"}) || *r.MeanCosine < 0.9 {
			t.Errorf("the worst are %v: %+v", worst, r)
		}
	})
	t.Run("lengths", func(t *testing.T) {
		rows := clone()
		for i := range rows {
			for j := range rows[i] {
				rows[i][j] *= 3
			}
		}
		if r := refusedAdoption(t, s, make(texts, rows), claim(ModelStatic, 0), "adoption_refused", `"normalize": false`); *r.LeastCosine < 0.999 || !strings.Contains(r.Worst[0].Reason, "3 long") {
			t.Errorf("%+v", r)
		}
	})
	t.Run("one length among many", func(t *testing.T) {
		many := ports(400)
		rows := vectorsOf(t, s, ModelStatic, EncoderOptions{}, embed.RoleDocument, many)
		for j := range rows[123] {
			rows[123][j] *= 1.005 // within what two runs may differ by, and no vector of the space
		}
		w := claim(ModelStatic, 0)
		w.Sample = 20
		if r := refusedAdoption(t, s, make(many, rows), w, "adoption_refused", "write those points again"); r.Sampled != 20 || !strings.Contains(r.Reason, "123") {
			t.Errorf("%+v", r)
		}
	})
	t.Run("roles", func(t *testing.T) {
		prompt := "the "
		colours := []string{"red", "blue", "green red", "blue blue", "green", "red.", "blue. red", "green.", "the red the", "red red blue", "blue green green", "green blue red"}
		rows := vectorsOf(t, s, "local:colours", EncoderOptions{QueryPrompt: &prompt}, embed.RoleQuery, colours)
		w := AdoptWish{Embedding: EmbeddingWish{Model: "local:colours", QueryPrompt: &prompt}}
		c := make(colours, rows)
		if r := refusedAdoption(t, s, c, w, "adoption_refused", `"document_prompt": "the "`); r.QueryCosine == nil || *r.QueryCosine < 0.9999 {
			t.Errorf("%+v", r)
		}
		w.Embedding.DocumentPrompt = &prompt
		if r, err := s.Adopt(t.Context(), c, w); err != nil || !r.Adopted {
			t.Errorf("as the hint says: %+v, %v", r, err)
		}
	})
	t.Run("no tokens", func(t *testing.T) {
		strange := slices.Clone(texts)
		for i := range strange {
			strange[i] = fmt.Sprintf("図書館%c", '一'+i)
		}
		if r := refusedAdoption(t, s, make(strange, static), claim(ModelStatic, 0), "adoption_refused", "no tokens"); r.Failed != 40 || r.Worst[0].Cosine != nil || r.LeastCosine != nil {
			t.Errorf("%+v", r)
		}
	})
}

// TestAdoptUnproved: without different texts for half of the points nothing is
// proved, however well those fit that there are.
func TestAdoptUnproved(t *testing.T) {
	s := open(t, t.TempDir(), "")
	defer shut(t, s)
	texts := ports(40)
	rows := vectorsOf(t, s, ModelStatic, EncoderOptions{}, embed.RoleDocument, texts)
	for name, test := range map[string]struct {
		texts     func(i int) string // "": none
		field     string
		with      int
		different int
		hint      string
	}{
		"none":             {func(int) string { return "" }, "", 0, 0, "text_field"},
		"in another field": {func(int) string { return "" }, "body", 0, 0, `the field "body"`},
		"spaces":           {func(int) string { return " \n" }, "", 0, 0, "text_field"},
		"all the same":     {func(int) string { return texts[0] }, "", 40, 1, "the same"},
		"fewer than half": {func(i int) string {
			if i < 19 {
				return texts[i]
			}
			return ""
		}, "", 19, 19, "text_field"},
	} {
		t.Run(name, func(t *testing.T) {
			var points []Point
			for i := range texts {
				text := test.texts(i)
				points = append(points, Point{ID: store.NumID(uint64(i)), Vector: rows[i], Text: text, HasText: text != "", Payload: json.RawMessage(`{"other":"field"}`)})
				if name == "all the same" {
					points[i].Vector = rows[0]
				}
			}
			c := rawCollection(t, s, strings.ReplaceAll(name, " ", "-"), compat.MetricCosine, points)
			w := claim(ModelStatic, 0)
			w.Embedding.TextField = test.field
			r := refusedAdoption(t, s, c, w, "adoption_unproved", test.hint)
			if r.Verdict != AdoptUnproved || r.Points != 40 || r.WithText != test.with || r.WithoutText != 40-test.with || r.Different != test.different || r.Sampled != 0 {
				t.Errorf("%+v", r)
			}
		})
	}
	same := brought(slices.Repeat(texts[:1], 40), slices.Repeat(rows[:1], 40), "")
	w := claim(ModelStatic, 0)
	w.Sample = MinAdoptSample
	refusedAdoption(t, s, rawCollection(t, s, "small-sample", compat.MetricCosine, same), w, "adoption_unproved", "a larger sample", "10 of 40")

	empty, err := s.Create(t.Context(), "empty", Wish{Vectors: &VectorsWish{Size: 256}})
	if err != nil {
		t.Fatal(err)
	}
	refusedAdoption(t, s, empty, claim(ModelStatic, 0), "adoption_unproved", "create it")

	// With texts for half it is proved, and says of how many it is not.
	points := brought(texts, rows, "")
	for i := 20; i < 40; i++ {
		points[i].Text, points[i].HasText = "", false
	}
	c := rawCollection(t, s, "half", compat.MetricCosine, points)
	if r, err := s.Adopt(t.Context(), c, claim(ModelStatic, 0)); err != nil || !r.Adopted || r.WithoutText != 20 || r.Sampled != 20 {
		t.Errorf("half: %+v, %v", r, err)
	}
	for _, w := range []AdoptWish{{}, {Embedding: EmbeddingWish{Model: ModelStatic}, Sample: MaxAdoptSample + 1}, {Embedding: EmbeddingWish{Model: ModelStatic}, Sample: MinAdoptSample - 1}, claim("local:nothing", 0)} {
		var refused *Error
		if _, err := s.Adopt(t.Context(), c, w); !errors.As(err, &refused) {
			t.Errorf("%+v: %v", w, err)
		}
	}
}

// TestAdoptSample: where half of many vectors are foreign, a small sample shows
// it, wherever they lie (a miss has the chance 2^-40).
func TestAdoptSample(t *testing.T) {
	s := open(t, t.TempDir(), "")
	defer shut(t, s)
	texts := ports(600)
	static := vectorsOf(t, s, ModelStatic, EncoderOptions{}, embed.RoleDocument, texts)
	foreign := vectorsOf(t, s, ModelHash, EncoderOptions{Dimensions: 256}, embed.RoleDocument, texts)
	copy(static[300:], foreign[300:])
	c := rawCollection(t, s, "c", compat.MetricCosine, brought(texts, static, ""))
	w := claim(ModelStatic, 0)
	w.Sample = 40
	if r := refusedAdoption(t, s, c, w, "adoption_refused"); r.Sampled != 40 || r.Failed < 5 || r.Failed > 35 || r.WrongShare != nil {
		t.Errorf("%+v", r)
	}
}

// TestAdoptRemote: the model behind an endpoint is asked for each text, whatever
// is known of its name, and its query prompt is told from its documents.
func TestAdoptRemote(t *testing.T) {
	data, e := t.TempDir(), newEndpoint(t)
	s := openRemote(t, data, e, time.Hour)
	defer func() { shut(t, s) }()
	texts := ports(30)
	rows := vectorsOf(t, s, "openai:m", EncoderOptions{}, embed.RoleDocument, texts)
	queries := vectorsOf(t, s, "openai:m", EncoderOptions{}, embed.RoleQuery, texts)
	c := rawCollection(t, s, "c", compat.MetricCosine, brought(texts, rows, ""))
	asked := rawCollection(t, s, "asked", compat.MetricCosine, brought(texts, queries, ""))
	if r := refusedAdoption(t, s, asked, claim("openai:m", 0), "adoption_refused", `"document_prompt": "query: "`); *r.QueryCosine < 0.9999 {
		t.Errorf("%+v", r)
	}
	var refused *Error
	e.set(func() { e.salt = "another model altogether " })
	refusedAdoption(t, s, c, claim("openai:m", 0), "adoption_refused")
	e.set(func() { e.salt, e.down = "", true })
	if _, err := s.Adopt(t.Context(), c, claim("openai:m", 0)); !errors.As(err, &refused) || refused.Code != "endpoint_failed" {
		t.Errorf("while the endpoint is away: %v", err)
	}
	e.set(func() { e.down, e.texts = false, nil })
	if r, err := s.Adopt(t.Context(), c, claim("openai:m", 0)); err != nil || !r.Adopted || r.Sampled != 30 {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, text := range texts {
		if e.sent(text) != 1 {
			t.Errorf("%q was sent %d times", text, e.sent(text))
		}
	}
	shut(t, s)
	s = openRemote(t, data, e, time.Hour)
	c = collectionOf(t, s, "c")
	waitUntil(t, func() bool { return c.Problem() == nil })
	if a, err := c.Query(t.Context(), textQuery(texts[4])); err != nil || len(a.Hits) == 0 || a.Hits[0].ID != store.NumID(4) {
		t.Errorf("after a restart: %+v, %v", a.Hits, err)
	}
}

// TestAdoptBesideWriters: writers bring raw vectors with texts in the payload,
// and others ask, while the collection is adopted. Whoever was acknowledged is
// there with its text, and nobody writes a raw vector after it.
func TestAdoptBesideWriters(t *testing.T) {
	s := open(t, t.TempDir(), "")
	defer shut(t, s)
	texts := ports(4000)
	rows := vectorsOf(t, s, ModelStatic, EncoderOptions{Dimensions: 64}, embed.RoleDocument, texts)
	points := brought(texts, rows, "content")
	c := rawCollection(t, s, "c", compat.MetricCosine, points[:200])
	raw := c.Fingerprint()
	const writers = 3
	acked := make([]int, writers)
	over := make(chan struct{})
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := 200 + w; ; i += writers { // until it is refused
				p := points[i%len(points)]
				p.ID, p.Space = store.NumID(uint64(i)), raw
				_, err := c.Upsert(t.Context(), []Point{p})
				var refused *Error
				if errors.As(err, &refused) && refused.Code == "another_space" || errors.Is(err, index.ErrSpace) {
					return
				}
				if err != nil {
					t.Errorf("point %d: %v", i, err)
					return
				}
				acked[w] = i
			}
		})
	}
	group.Go(func() {
		for {
			select {
			case <-over:
				return
			default:
			}
			p := c.now()
			a, err := c.Query(t.Context(), Query{Vector: rows[7], Space: p.serving.fingerprint(), Limit: 1})
			var refused *Error
			if errors.As(err, &refused) && refused.Code == "another_space" || errors.Is(err, index.ErrSpace) {
				continue // adopted since
			}
			if err != nil || len(a.Hits) != 1 || a.Hits[0].ID != store.NumID(7) || a.Fingerprint != p.serving.fingerprint() {
				t.Errorf("asked in %.12s: %+v, %v", p.serving.fingerprint(), a, err)
				return
			}
		}
	})
	wish := claim(ModelStatic, 64)
	wish.Embedding.TextField = "content"
	r, err := s.Adopt(t.Context(), c, wish)
	close(over)
	group.Wait()
	if err != nil || !r.Adopted {
		t.Fatalf("%+v, %v", r, err)
	}
	there := map[string]store.Stored{}
	page, _, err := c.Scroll(t.Context(), store.ScrollQuery{Limit: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range page {
		there[p.ID.String()] = p
	}
	want := 200
	for w, last := range acked {
		for i := 200 + w; i <= last; i += writers {
			want++
			if p := there[fmt.Sprint(i)]; p.Text != texts[i%len(texts)] {
				t.Errorf("point %d has the text %q", i, p.Text)
			}
		}
	}
	if len(there) != want {
		t.Errorf("%d points are there, want %d", len(there), want)
	}
	t.Logf("%d points were written, %d compared", want, r.Sampled)
}

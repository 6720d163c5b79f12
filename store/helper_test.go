package store

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/vecino-db/vecino/compat"
)

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		os.Exit(child(os.Getenv(childVariable)))
	}
	goleak.VerifyTestMain(m)
}

// testManifest is of an encoder that tests make up: another weights byte is
// another model.
func testManifest(dim int, weights byte) compat.Manifest {
	return compat.Manifest{
		Space: compat.Space{
			Encoder: "static/1", Weights: compat.Digest{1, weights}, Tokenizer: compat.Digest{2},
			Pooling: compat.PoolingMean, Normalization: compat.NormalizeNone,
			Precision: compat.PrecisionF32, Dimension: dim, FullDimension: dim,
		},
		Metric:     compat.MetricL2,
		Index:      compat.IndexBuild{Engine: compat.EngineExact},
		Provenance: compat.Provenance{Model: "local:test", Program: "test"},
	}.WithDefaults()
}

func hnswManifest(dim int) compat.Manifest {
	m := testManifest(dim, 1)
	m.Index.Engine = compat.EngineHNSW
	return m
}

func coderManifest(dim int) compat.Manifest {
	m := testManifest(dim, 1)
	m.Index.Engine = compat.EngineCoder
	return m
}

// stamp stamps rows for a manifest.
func stamp(t testing.TB, m compat.Manifest, rows ...[]float32) compat.Vectors {
	t.Helper()
	stamper, err := m.Stamper()
	if err != nil {
		t.Fatal(err)
	}
	v, err := stamper.Stamp(slices.Concat(rows...))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// vectorOf is a vector that tells a point and one of its versions from all
// others.
func vectorOf(id, version, dim int) []float32 {
	rng := rand.New(rand.NewPCG(uint64(id), uint64(version)))
	row := make([]float32, dim)
	for i := range row {
		row[i] = rng.Float32()*2 - 1
	}
	return row
}

// documentOf is the document of a point and one of its versions.
func documentOf(id, version int) Document {
	return Document{
		ID: NumID(uint64(id)), HasText: true, Text: fmt.Sprintf("text %d of version %d", id, version),
		Payload: json.RawMessage(fmt.Sprintf(`{"id":%d,"version":%d,"even":%t}`, id, version, id%2 == 0)),
	}
}

// put stores version of the points from..to-1.
func put(t testing.TB, c *Collection, version, from, to int) uint64 {
	t.Helper()
	m := c.Manifest()
	var docs []Document
	var rows [][]float32
	for id := from; id < to; id++ {
		docs = append(docs, documentOf(id, version))
		rows = append(rows, vectorOf(id, version, m.Space.Dimension))
	}
	sequence, err := c.Put(context.Background(), docs, stamp(t, m, rows...))
	if err != nil {
		t.Fatal(err)
	}
	return sequence
}

// testLog shows the store's log when -v is given.
func testLog(t testing.TB) *slog.Logger {
	if !testing.Verbose() {
		return nil
	}
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func testOptionsFor(t testing.TB, fs vfs.FS) Options {
	return Options{Dir: "data", FS: fs, Create: true, Logger: testLog(t), MemTableBytes: 1 << 20, CacheBytes: 1 << 20}
}

func open(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closeStore(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func create(t testing.TB, s *Store, name string, m compat.Manifest) *Collection {
	t.Helper()
	c, err := s.Create(context.Background(), name, m)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func reopen(t testing.TB, s *Store, name string, m compat.Manifest) *Collection {
	t.Helper()
	c, err := s.OpenCollection(context.Background(), name, m.Space)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// expect compares a collection with a model, through every way of reading.
// The model gives the version of each point that is there.
func expect(c *Collection, model map[int]int) error {
	ctx := context.Background()
	m := c.Manifest()
	dim := m.Space.Dimension
	n, err := c.Count(ctx, nil)
	if err != nil {
		return err
	}
	if n != len(model) {
		return fmt.Errorf("count is %d, want %d", n, len(model))
	}
	docs, next, err := c.Scroll(ctx, ScrollQuery{Limit: len(model) + 10, WithVector: true})
	if err != nil {
		return err
	}
	if len(docs) != len(model) || next != nil {
		return fmt.Errorf("scroll gives %d documents and next %v, want %d", len(docs), next, len(model))
	}
	stamper, err := m.Stamper()
	if err != nil {
		return err
	}
	for i, d := range docs {
		number, _ := d.ID.Number()
		id := int(number)
		if i > 0 && docs[i-1].ID.Compare(d.ID) >= 0 {
			return fmt.Errorf("scroll gives %s behind %s", d.ID, docs[i-1].ID)
		}
		version, ok := model[id]
		if !ok {
			return fmt.Errorf("point %d should not be there", id)
		}
		want := documentOf(id, version)
		if d.Text != want.Text || d.HasText != want.HasText || string(d.Payload) != string(want.Payload) {
			return fmt.Errorf("point %d is %q %s, want version %d", id, d.Text, d.Payload, version)
		}
		if !slices.Equal(d.Vector, vectorOf(id, version, dim)) {
			return fmt.Errorf("point %d has another vector than version %d", id, version)
		}
		q, err := stamper.Stamp(slices.Clone(d.Vector))
		if err != nil {
			return err
		}
		answer, err := c.Search(ctx, q, SearchQuery{Limit: 1})
		if err != nil {
			return err
		}
		if len(answer.Hits) != 1 || answer.Hits[0].ID != d.ID || answer.Hits[0].Score > 1e-3 {
			return fmt.Errorf("search for the vector of point %d gives %+v", id, answer.Hits)
		}
	}
	all, err := c.Search(ctx, mustStamp(stamper, vectorOf(-1, 0, dim)), SearchQuery{Limit: len(model) + 10, Exact: true})
	if err != nil {
		return err
	}
	if len(all.Hits) != len(model) {
		return fmt.Errorf("exact search finds %d points, want %d", len(all.Hits), len(model))
	}
	return nil
}

func mustStamp(s *compat.Stamper, row []float32) compat.Vectors {
	v, err := s.Stamp(row)
	if err != nil {
		panic(err)
	}
	return v
}

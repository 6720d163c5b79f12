package hash_test

import (
	"context"
	"testing"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/embedtest"
	"github.com/vecino-db/vecino/embed/evaluate"
	"github.com/vecino-db/vecino/embed/hash"
)

// cranfield is the collection.
func cranfield(t testing.TB) evaluate.Collection {
	t.Helper()
	c, err := evaluate.Open(embedtest.Shared(t, "retrieval", "cranfield"))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Documents) != 1400 || len(c.Queries) != 225 {
		t.Fatalf("read %d documents and %d queries, want 1400 and 225", len(c.Documents), len(c.Queries))
	}
	return c
}

func encode(t testing.TB, e embed.Encoder, role embed.Role, texts []string) compat.Vectors {
	t.Helper()
	out, err := e.Encode(context.Background(), role, texts)
	if err != nil {
		t.Fatal(err)
	}
	return out.Vectors
}

func newEncoder(t testing.TB, dimension int) *hash.Encoder {
	t.Helper()
	e, err := hash.New(hash.Options{Dimension: dimension})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestCranfield holds the encoder to what it promises of retrieval.
func TestCranfield(t *testing.T) {
	c := cranfield(t)
	for _, want := range []struct {
		dimension int
		ndcg      float64
	}{{256, 0.32}, {512, 0.36}, {1024, 0.37}} {
		got, err := evaluate.Retrieve(t.Context(), newEncoder(t, want.dimension), c)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("Cranfield, %4d dimensions: nDCG@10 %.4f, recall@100 %.4f", want.dimension, got.NDCG10, got.Recall100)
		if got.NDCG10 < want.ndcg {
			t.Errorf("%d dimensions: nDCG@10 is %.4f, want at least %.2f", want.dimension, got.NDCG10, want.ndcg)
		}
	}
}

// TestSTSB compares cosines with people's similarity scores.
func TestSTSB(t *testing.T) {
	pairs, err := evaluate.OpenPairs(embedtest.Shared(t, "retrieval", "stsb", "stsb-en-dev.csv"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := evaluate.Correlate(t.Context(), newEncoder(t, 0), pairs)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("STS-B dev, 512 dimensions: Spearman %.4f of %d pairs", got.Spearman, got.Pairs)
	if got.Spearman < 0.75 {
		t.Errorf("Spearman is %.4f, want at least 0.75", got.Spearman)
	}
}

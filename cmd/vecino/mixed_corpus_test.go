package main

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/hash"
	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/hnsw"
)

var mixedForeign = flag.Int("mixed.foreign", 3000, "texts of the large group in TestMixedCorpus; 20000 for the long form")

// TestMixedCorpus: a small corpus that was put before a large one of other words
// is found, each text by its own vector, and so is the large one.
func TestMixedCorpus(t *testing.T) {
	cranfield := filepath.Join("..", "..", "..", "shared", "data", "retrieval", "cranfield")
	if _, err := os.Stat(cranfield); err != nil {
		t.Skip("there is no shared data: ", err)
	}
	const dim = 512
	encoder, err := hash.New(hash.Options{Dimension: dim})
	if err != nil {
		t.Fatal(err)
	}
	ledger := newLedger(11)
	ledger.long = true
	var texts []string
	for _, text := range cranfieldTexts(t) {
		if text != "" {
			texts = append(texts, text)
		}
	}
	own := len(texts)
	for i := range *mixedForeign {
		texts = append(texts, ledger.text(100_000+i, 1))
	}
	encoded, err := encoder.Encode(t.Context(), embed.RoleDocument, texts)
	if err != nil {
		t.Fatal(err)
	}
	space := encoder.Space()
	space.Dimension = dim
	for _, encoding := range []compat.Encoding{compat.EncodingF32, compat.EncodingLVQ4x8} {
		m := compat.Manifest{Space: space, Metric: compat.MetricCosine, Index: compat.IndexBuild{Encoding: encoding}}.WithDefaults()
		g, err := hnsw.New(index.Config{Fingerprint: space.Fingerprint(), Stored: space.StoredFingerprint(), Dimension: dim, Metric: m.Metric, Build: m.Index, Search: m.Search, Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		for i := range texts {
			if err := g.Insert(t.Context(), []uint32{uint32(i)}, encoded.Vectors.Slice(i, i+1)); err != nil {
				t.Fatal(err)
			}
		}
		missed := func(from, to, step int) (n int) {
			for i := from; i < to; i += step {
				a, err := g.Search(t.Context(), index.Query{Vector: encoded.Vectors.Slice(i, i+1), K: 10, Ef: 100})
				if err != nil {
					t.Fatal(err)
				}
				if len(a.Hits) == 0 || a.Hits[0].Score < 0.999 {
					n++
				}
			}
			return n
		}
		small, large := missed(0, own, 1), missed(own, len(texts), max(1, *mixedForeign/1000))
		t.Logf("%s: %d of %d texts of the small group are missed, and %d of the large one", encoding, small, own, large)
		if small > own/50 || large > own/50 {
			t.Errorf("%s: too many", encoding)
		}
	}
}

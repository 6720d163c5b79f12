package compare_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/builtin"
	"github.com/vecino-db/vecino/embed/embedtest"
	"github.com/vecino-db/vecino/embed/evaluate"
	"github.com/vecino-db/vecino/embed/evaluate/compare"
	"github.com/vecino-db/vecino/embed/hash"
	"github.com/vecino-db/vecino/embed/static"
	"github.com/vecino-db/vecino/kernels/f32"
)

// rank ranks documents by exact search, depth hits a query.
func rank(t testing.TB, e embed.Encoder, c evaluate.Collection, depth int) [][]compare.Hit {
	t.Helper()
	encode := func(role embed.Role, texts []string) compat.Vectors {
		out, err := embed.EncodeAll(t.Context(), e, role, texts, embed.Budget{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return out.Vectors
	}
	documents, queries := encode(embed.RoleDocument, c.Documents), encode(embed.RoleQuery, c.Queries)
	out := make([][]compare.Hit, len(c.Queries))
	for q := range out {
		hits := make([]compare.Hit, 0, depth+1)
		for d := range c.Documents {
			score := float64(f32.Dot(queries.Row(q), documents.Row(d)))
			if len(hits) == depth && score <= hits[depth-1].Score {
				continue
			}
			at, _ := slices.BinarySearchFunc(hits, score, func(h compare.Hit, s float64) int {
				if h.Score >= s {
					return -1
				}
				return 1
			})
			hits = slices.Insert(hits, at, compare.Hit{ID: c.IDs[d], Score: score})
			hits = hits[:min(len(hits), depth)]
		}
		out[q] = hits
	}
	return out
}

// side puts two rankings side by side.
func side(c evaluate.Collection, before, after [][]compare.Hit) []compare.Query {
	queries := make([]compare.Query, len(before))
	for i := range queries {
		queries[i] = compare.Query{ID: fmt.Sprint(i + 1), Text: c.Queries[i], Old: before[i], New: after[i]}
	}
	return queries
}

// TestSpaces compares real spaces on Cranfield.
func TestSpaces(t *testing.T) {
	c, err := evaluate.Open(embedtest.Shared(t, "retrieval/cranfield"))
	if err != nil {
		t.Fatal(err)
	}
	lexical, err := hash.New(hash.Options{})
	if err != nil {
		t.Fatal(err)
	}
	broader, err := hash.New(hash.Options{Dimension: 1024})
	if err != nil {
		t.Fatal(err)
	}
	model, err := static.Open(embedtest.Shared(t, "models/model2vec-test-model-vocab-quantized"), static.Options{})
	if err != nil {
		t.Fatal(err)
	}
	blended, err := builtin.OpenBlend()
	if err != nil {
		t.Fatal(err)
	}
	before := rank(t, lexical, c, 100)
	for name, test := range map[string]struct {
		to                 embed.Encoder
		leastOverlap, most float64
		better             bool
		half, whole        float64 // that thresholds of real queries are off by, at most
	}{
		"hash 512 to 1024":      {broader, 0.7, 0.85, true, 0.04, 0.02},
		"hash 512 to blend":     {blended, 0.4, 0.7, true, 0.06, 0.03},
		"hash 512 to Model2Vec": {model, 0.1, 0.25, false, 0.12, 0.05},
	} {
		queries := side(c, before, rank(t, test.to, c, 100))
		a, err := compare.Agree(queries, compare.Options{})
		if err != nil {
			t.Fatal(err)
		}
		j, err := compare.Judge(c.Judged(), queries, compare.Options{})
		if err != nil {
			t.Fatal(err)
		}
		d := j.Difference.NDCG10
		t.Logf("%s: overlap@10 %.3f, RBO %.3f, tau %.3f; nDCG@10 %.4f [%.4f, %.4f] to %.4f, difference %+.4f [%+.4f, %+.4f], p %.4f", name, a.Overlap, a.RBO, *a.Tau,
			j.Old.NDCG10.Mean, j.Old.NDCG10.Low, j.Old.NDCG10.High, j.New.NDCG10.Mean, d.Mean, d.Low, d.High, d.P)
		if a.Overlap < test.leastOverlap || a.Overlap > test.most {
			t.Errorf("%s: overlap@10 is %.3f, want %.2f to %.2f", name, a.Overlap, test.leastOverlap, test.most)
		}
		if !d.Decided() || (d.Mean > 0) != test.better || d.P > 0.05 {
			t.Errorf("%s: the difference is not decided: %+v", name, d)
		}
		direct, err := evaluate.Retrieve(t.Context(), test.to, c)
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(direct.NDCG10-j.New.NDCG10.Mean) > 1e-3 || math.Abs(direct.Recall100-j.New.Recall100.Mean) > 1e-3 {
			t.Errorf("%s: evaluate has nDCG@10 %.4f, recall@100 %.4f, and the comparison %.4f, %.4f", name, direct.NDCG10, direct.Recall100, j.New.NDCG10.Mean, j.New.Recall100.Mean)
		}
		kept, err := compare.CrossCheck(queries, compare.ThresholdOptions{}, 1)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: thresholds of one half of the %d queries are off by %.3f on the other (worst of nine, mean of %d splits; greatest %.3f; mean of nine %.3f), of all by %.3f",
			name, kept.Queries, kept.Worst, kept.Splits, kept.Greatest, kept.Mean, kept.Whole)
		if kept.Worst > test.half || kept.Whole > test.whole || kept.Mean > kept.Worst {
			t.Errorf("%s: thresholds are off by more than %.3f and %.3f: %+v", name, test.half, test.whole, kept)
		}
	}
}

// TestThresholdsKeepTheShare maps thresholds between two real spaces and wants
// the share of passing hits kept within 5 % on queries that the map was not
// made of: 2,000 sentences of Cranfield's documents, and 4,000 others. A
// sentence's own document is left out.
func TestThresholdsKeepTheShare(t *testing.T) {
	c, err := evaluate.Open(embedtest.Shared(t, "retrieval/cranfield"))
	if err != nil {
		t.Fatal(err)
	}
	lexical, err := hash.New(hash.Options{})
	if err != nil {
		t.Fatal(err)
	}
	model, err := static.Open(embedtest.Shared(t, "models/model2vec-test-model-vocab-quantized"), static.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c.Queries = nil
	var own []string
	for i, document := range c.Documents {
		for _, sentence := range strings.Split(document, " . ") {
			if words := len(strings.Fields(sentence)); words >= 6 && words < 40 {
				c.Queries, own = append(c.Queries, sentence), append(own, c.IDs[i])
			}
		}
	}
	const sample, others, seed = 2000, 4000, 1
	rand.New(rand.NewPCG(seed, 0)).Shuffle(len(own), func(i, j int) {
		own[i], own[j] = own[j], own[i]
		c.Queries[i], c.Queries[j] = c.Queries[j], c.Queries[i]
	})
	c.Queries = c.Queries[:sample+others]
	queries := side(c, rank(t, lexical, c, 11), rank(t, model, c, 11))
	for i := range queries {
		q, itself := &queries[i], func(h compare.Hit) bool { return h.ID == own[i] }
		q.Old, q.New = slices.DeleteFunc(q.Old, itself), slices.DeleteFunc(q.New, itself)
	}
	m, err := compare.MapThresholds(queries[:sample], compare.ThresholdOptions{})
	if err != nil {
		t.Fatal(err)
	}
	check, err := m.Check(queries[sample:])
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range check.Rows {
		t.Logf("seed %d: a threshold of %.3f passes %.3f of the hits, and %.3f of the new space %.3f", seed, row.Old, row.OldShare, row.New, row.NewShare)
	}
	if check.Worst > 0.05 {
		t.Errorf("seed %d: the share of passing hits changes by %.3f, at most 0.05 is wanted", seed, check.Worst)
	}
}

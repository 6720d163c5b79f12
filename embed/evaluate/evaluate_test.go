package evaluate

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vecino-db/vecino/embed/hash"
)

// near compares with a value worked out by hand.
func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-9 {
		t.Errorf("%s is %.12f, want %.12f", what, got, want)
	}
}

func TestMeasuresByHand(t *testing.T) {
	log2 := math.Log2
	ideal := []float64{1, 3, 2} // in any order
	// Ranked: 2, nothing, 3; the document of gain 1 is not among them.
	gains := []float64{2, 0, 3}
	best := 3 + 2/log2(3) + 1/2.0
	near(t, "nDCG@10", NDCG(gains, ideal, 10), (2+3/2.0)/best)
	near(t, "nDCG@2", NDCG(gains, ideal, 2), 2/(3+2/log2(3)))
	near(t, "nDCG@1", NDCG([]float64{0, 3}, ideal, 1), 0)
	near(t, "the best nDCG", NDCG([]float64{3, 2, 1, 0}, ideal, 10), 1)
	near(t, "nDCG without judgements", NDCG([]float64{0}, nil, 10), 0)
	near(t, "recall@3", Recall(gains, 3, 3), 2.0/3)
	near(t, "recall@1", Recall(gains, 3, 1), 1.0/3)
	near(t, "recall of nothing", Recall(gains, 0, 3), 0)
	near(t, "RR@10", ReciprocalRank([]float64{0, 0, 0, 1, 1}, 10), 0.25)
	near(t, "RR@3", ReciprocalRank([]float64{0, 0, 0, 1}, 3), 0)
	near(t, "a cosine", Cosine([]float32{3, 4}, []float32{4, 3}), 24.0/25)
	near(t, "a cosine with nothing", Cosine([]float32{0, 0}, []float32{4, 3}), 0)
}

func TestSpearmanByHand(t *testing.T) {
	for _, c := range []struct {
		x, y []float64
		want float64
	}{
		{[]float64{1, 2, 3, 4}, []float64{10, 20, 30, 1000}, 1},
		{[]float64{1, 2, 3, 4}, []float64{4, 3, 2, 1}, -1},
		// 1 - 6 sum d^2 / (n (n^2 - 1)) with d = 1, 1, 0, 1, 1 over 5 values.
		{[]float64{1, 2, 3, 4, 5}, []float64{2, 1, 3, 5, 4}, 1 - 6*4.0/(5*24)},
		// Ties: ranks 1.5, 1.5, 3 and 1, 2, 3: cov 1.5, variances 1.5 and 2.
		{[]float64{7, 7, 9}, []float64{1, 2, 3}, 1.5 / math.Sqrt(1.5*2)},
	} {
		got, err := Spearman(c.x, c.y)
		if err != nil {
			t.Error(err)
		}
		near(t, "Spearman", got, c.want)
	}
	for _, c := range [][2][]float64{{{1}, {1}}, {{1, 2}, {1}}, {{1, 1}, {1, 2}}, {nil, nil}} {
		if _, err := Spearman(c[0], c[1]); !errors.Is(err, ErrNoOrder) {
			t.Errorf("%v: %v", c, err)
		}
	}
}

const smartDocuments = ".I 1\n.T\nthe wing\n.A\nsomebody\n.W\nlift of a wing\n.I 7\n.W\n.I am no field\n heat\n.I 9\n.T\n\n.W\n"

func TestReadSMART(t *testing.T) {
	c, err := ReadSMART(strings.NewReader(smartDocuments), strings.NewReader(".I 001\n.W\nwhat lifts\na wing .\n.I 004\n.W\nheat\n"), strings.NewReader("1 1 1\n1 9 4\n\n2 7 -1\n"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(c.IDs, "|") != "1|7|9" || strings.Join(c.Documents, "|") != "the wing lift of a wing|.I am no field heat|(empty)" {
		t.Errorf("documents %q %q", c.IDs, c.Documents)
	}
	if len(c.Queries) != 2 || c.Queries[0] != "what lifts a wing ." || c.Gains[0]["1"] != 4 || c.Gains[0]["9"] != 1 || c.Gains[1]["7"] != 1 {
		t.Errorf("queries %q %v", c.Queries, c.Gains)
	}
	for _, bad := range [][3]string{
		{"text\n", "", ""},
		{".W\nx\n", "", ""},
		{".I\n", "", ""},
		{".I 1\n", ".I 1\n.W\nq\n", "2 1 1\n"},
		{".I 1\n", ".I 1\n.W\nq\n", "1 1\n"},
		{".I 1\n", ".I 1\n.W\nq\n", "1 1 x\n"},
		{".I 1\n", ".I 1\n", "0 1 1\n"},
	} {
		if _, err := ReadSMART(strings.NewReader(bad[0]), strings.NewReader(bad[1]), strings.NewReader(bad[2])); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

const (
	beirCorpus  = `{"_id":"a","title":"Rye","text":"Rye bread keeps for a week."}` + "\n\n" + `{"_id":"b","text":"The ferry leaves at seven."}` + "\n" + `{"_id":"c","title":"","text":"Bread rises with yeast."}` + "\n"
	beirQueries = `{"_id":"q1","text":"how long does rye bread keep"}` + "\n" + `{"_id":"q2","text":"nobody judged this"}` + "\n" + `{"_id":"q3","text":"when does the ferry leave"}` + "\n"
	beirQrels   = "query-id\tcorpus-id\tscore\nq1\ta\t2\nq1\tc\t1\nq1\tb\t0\nq3\tb\t1\nq3\tgone\t1\n"
)

func TestReadBEIR(t *testing.T) {
	c, err := ReadBEIR(strings.NewReader(beirCorpus), strings.NewReader(beirQueries), strings.NewReader(beirQrels))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Documents) != 3 || c.Documents[0] != "Rye Rye bread keeps for a week." || len(c.Queries) != 2 || len(c.Gains[0]) != 2 || len(c.Gains[1]) != 1 {
		t.Errorf("read %+v", c)
	}
	for _, bad := range [][3]string{{"{", "", ""}, {`{"text":"x"}`, "", ""}, {"", "[]", ""}, {"", "", "q\td\n"}, {"", "", "q\td\tx\n"}} {
		if _, err := ReadBEIR(strings.NewReader(bad[0]), strings.NewReader(bad[1]), strings.NewReader(bad[2])); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

// TestRetrieve runs a small collection from a directory, with texts that have
// no tokens among documents and queries.
func TestRetrieve(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"corpus.jsonl": beirCorpus + `{"_id":"d","text":"\u0007"}` + "\n", "queries.jsonl": beirQueries + `{"_id":"q4","text":"  "}` + "\n", "qrels.tsv": beirQrels + "q4\ta\t1\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	enc, err := hash.New(hash.Options{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := Retrieve(context.Background(), enc, c)
	if err != nil {
		t.Fatal(err)
	}
	// Both usable queries find everything in the best order; the third has no
	// tokens and counts nothing.
	near(t, "nDCG@10", got.NDCG10, 2.0/3)
	near(t, "recall@100", got.Recall100, 2.0/3)
	near(t, "MRR@10", got.MRR10, 2.0/3)
	if got.Documents != 4 || got.Queries != 3 || got.Unusable < 1 || got.Tokens == 0 {
		t.Errorf("%+v", got)
	}
	if _, err := Open(t.TempDir()); !errors.Is(err, ErrNoCollection) {
		t.Errorf("an empty directory: %v", err)
	}
}

func TestPairs(t *testing.T) {
	for _, c := range []struct {
		text string
		tabs bool
		want int
	}{
		{"a,b,5\n\"a, too\",b,0.5\n", false, 2},
		{"sentence1\tsentence2\tscore\na\tb \"x\tc\t1\n", true, -1},
		{"s1\ts2\tscore\nan \"odd\" one\tb\t1\nc\td\t2\n", true, 2},
		{"a,b,c\n", false, -1},
		{"a,b,1\nc,d,x\n", false, -1},
		{"a,b\n", false, -1},
		{"", true, -1},
	} {
		pairs, err := ReadPairs(strings.NewReader(c.text), c.tabs)
		if len(pairs) != max(c.want, 0) || (err == nil) != (c.want >= 0) {
			t.Errorf("%q: %v, %v", c.text, pairs, err)
		}
	}
	enc, err := hash.New(hash.Options{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := Correlate(context.Background(), enc, []Pair{{"a red bicycle", "a red bicycle", 5}, {"a red bicycle", "the bicycle is red and fast", 3}, {"a red bicycle", "yeast makes bread rise", 0}})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "Spearman", got.Spearman, 1)
}

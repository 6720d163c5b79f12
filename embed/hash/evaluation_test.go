package hash_test

import (
	"bufio"
	"context"
	"encoding/csv"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/hash"
)

// sharedFile locates a file of the evaluation collections, or skips.
func sharedFile(t testing.TB, name string) string {
	t.Helper()
	root := os.Getenv("VECINO_SHARED")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "data")
	}
	path := filepath.Join(root, "retrieval", name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no shared data: %v (set VECINO_SHARED to its directory)", err)
	}
	return path
}

func open(t testing.TB, name string) *os.File {
	t.Helper()
	f, err := os.Open(sharedFile(t, name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// record is one entry of a SMART file: its .I number and the text of its
// fields by their letter.
type record struct {
	id     int
	fields map[string]string
}

var smartField = regexp.MustCompile(`^\.([IXTABWNKCB])(?:\s+(\d+))?\s*$`)

func readSMART(t testing.TB, name string) []record {
	t.Helper()
	var records []record
	field := ""
	lines := bufio.NewScanner(open(t, name))
	for lines.Scan() {
		m := smartField.FindStringSubmatch(lines.Text())
		switch {
		case m != nil && m[1] == "I":
			id, _ := strconv.Atoi(m[2])
			records, field = append(records, record{id: id, fields: map[string]string{}}), ""
		case m != nil:
			field = m[1]
		case field != "":
			records[len(records)-1].fields[field] += lines.Text() + "\n"
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return records
}

// cranfield is the collection: documents, queries in file order, and the gain
// of each judged document of a query (grades 1..4 gain 4..1, others 1).
type cranfield struct {
	ids            []int
	texts, queries []string
	gains          []map[int]float64
}

func loadCranfield(t testing.TB) cranfield {
	var c cranfield
	oneLine := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	for _, d := range readSMART(t, "cranfield/cran.all.1400") {
		text := oneLine(d.fields["T"] + " " + d.fields["W"])
		if text == "" {
			text = "(empty)"
		}
		c.ids, c.texts = append(c.ids, d.id), append(c.texts, text)
	}
	for _, q := range readSMART(t, "cranfield/cran.qry") {
		c.queries = append(c.queries, oneLine(q.fields["W"]))
		c.gains = append(c.gains, map[int]float64{})
	}
	lines := bufio.NewScanner(open(t, "cranfield/cranqrel"))
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 3 {
			continue
		}
		query, _ := strconv.Atoi(f[0])
		id, _ := strconv.Atoi(f[1])
		grade, _ := strconv.Atoi(f[2])
		gain := 1.0
		if grade >= 1 && grade <= 4 {
			gain = float64(5 - grade)
		}
		c.gains[query-1][id] = gain
	}
	if len(c.texts) != 1400 || len(c.queries) != 225 {
		t.Fatalf("read %d documents and %d queries, want 1400 and 225", len(c.texts), len(c.queries))
	}
	return c
}

// evaluate ranks every document for every query by exact cosine and returns
// the means of nDCG@10 and recall@100.
func (c cranfield) evaluate(t testing.TB, e embed.Encoder) (ndcg, recall float64) {
	documents := encode(t, e, embed.RoleDocument, c.texts)
	queries := encode(t, e, embed.RoleQuery, c.queries)
	scores := make([]float64, len(c.ids))
	order := make([]int, len(c.ids))
	for q, gains := range c.gains {
		for i := range order {
			order[i], scores[i] = i, dot(queries.Row(q), documents.Row(i))
		}
		slices.SortStableFunc(order, func(a, b int) int {
			switch {
			case scores[a] > scores[b]:
				return -1
			case scores[a] < scores[b]:
				return 1
			}
			return 0
		})
		var dcg, best, found float64
		for rank, i := range order[:100] {
			gain, judged := gains[c.ids[i]]
			if rank < 10 {
				dcg += gain / math.Log2(float64(rank)+2)
			}
			if judged {
				found++
			}
		}
		ideal := make([]float64, 0, len(gains))
		for _, gain := range gains {
			ideal = append(ideal, gain)
		}
		sort.Sort(sort.Reverse(sort.Float64Slice(ideal)))
		for rank, gain := range ideal[:min(10, len(ideal))] {
			best += gain / math.Log2(float64(rank)+2)
		}
		if best > 0 {
			ndcg += dcg / best
			recall += found / float64(len(gains))
		}
	}
	n := float64(len(c.queries))
	return ndcg / n, recall / n
}

func encode(t testing.TB, e embed.Encoder, role embed.Role, texts []string) compat.Vectors {
	t.Helper()
	out, err := e.Encode(context.Background(), role, texts)
	if err != nil {
		t.Fatal(err)
	}
	return out.Vectors
}

func dot(a, b []float32) float64 {
	sum := 0.0
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
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
	c := loadCranfield(t)
	for _, want := range []struct {
		dimension int
		ndcg      float64
	}{{256, 0.32}, {512, 0.36}, {1024, 0.37}} {
		ndcg, recall := c.evaluate(t, newEncoder(t, want.dimension))
		t.Logf("Cranfield, %4d dimensions: nDCG@10 %.4f, recall@100 %.4f", want.dimension, ndcg, recall)
		if ndcg < want.ndcg {
			t.Errorf("%d dimensions: nDCG@10 is %.4f, want at least %.2f", want.dimension, ndcg, want.ndcg)
		}
	}
}

// TestSTSB compares cosines with people's similarity scores.
func TestSTSB(t *testing.T) {
	rows, err := csv.NewReader(open(t, "stsb/stsb-en-dev.csv")).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var a, b []string
	var people, ours []float64
	for _, row := range rows {
		score, err := strconv.ParseFloat(row[2], 64)
		if err != nil {
			t.Fatal(err)
		}
		a, b, people = append(a, row[0]), append(b, row[1]), append(people, score)
	}
	e := newEncoder(t, 0)
	left, right := encode(t, e, embed.RoleDocument, a), encode(t, e, embed.RoleDocument, b)
	for i := range a {
		ours = append(ours, dot(left.Row(i), right.Row(i)))
	}
	rho := correlation(ranks(ours), ranks(people))
	t.Logf("STS-B dev, 512 dimensions: Spearman %.4f of %d pairs", rho, len(a))
	if rho < 0.75 {
		t.Errorf("Spearman is %.4f, want at least 0.75", rho)
	}
}

// ranks gives each value its place in ascending order, equal values the mean
// of theirs.
func ranks(values []float64) []float64 {
	order := make([]int, len(values))
	for i := range order {
		order[i] = i
	}
	sort.Slice(order, func(i, j int) bool { return values[order[i]] < values[order[j]] })
	out := make([]float64, len(values))
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && values[order[j]] == values[order[i]] {
			j++
		}
		for _, at := range order[i:j] {
			out[at] = float64(i+j-1) / 2
		}
		i = j
	}
	return out
}

func correlation(x, y []float64) float64 {
	var mx, my, xy, xx, yy float64
	for i := range x {
		mx, my = mx+x[i]/float64(len(x)), my+y[i]/float64(len(y))
	}
	for i := range x {
		xy += (x[i] - mx) * (y[i] - my)
		xx += (x[i] - mx) * (x[i] - mx)
		yy += (y[i] - my) * (y[i] - my)
	}
	return xy / math.Sqrt(xx*yy)
}

package evaluate

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/vecino-db/vecino/embed/hash"
)

func TestReadJudged(t *testing.T) {
	got, err := ReadJudged(strings.NewReader(`{"id":"q1","text":"how long does rye bread keep","relevant":{"a":2,"7":0.5,"none":0}}

  {"relevant":{},"text":"nobody knows","id":12}
{"id":"q3","text":"no judgement"}`))
	want := []Judged{
		{ID: "q1", Text: "how long does rye bread keep", Gains: map[string]float64{"a": 2, "7": 0.5}},
		{ID: "12", Text: "nobody knows", Gains: map[string]float64{}},
		{ID: "q3", Text: "no judgement", Gains: map[string]float64{}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, %v", got, err)
	}
	good := `{"id":"q","text":"t","relevant":{}}` + "\n"
	for line, says := range map[string]string{
		`[1]`:                                                             "line 2: want an object",
		`{"id":"x"`:                                                       "line 2",
		`{"id":"x","text":"t"} {}`:                                        "more after",
		`{"id":"x","text":"t","relevance":{}}`:                            "unknown key",
		`{"id":"x","id":"y","text":"t"}`:                                  "stands there twice",
		`{"ID":"x","text":"t"}`:                                           "unknown key",
		`{"id":"q","text":"t"}`:                                           "stands in line 1 already",
		`{"id":"","text":"t"}`:                                            "no id",
		`{"id":-1,"text":"t"}`:                                            "want a string or an unsigned integer",
		`{"id":1.5,"text":"t"}`:                                           "want a string or an unsigned integer",
		`{"id":null,"text":"t"}`:                                          "want a string or an unsigned integer",
		`{"id":"x","text":" "}`:                                           "no text",
		`{"id":"x","text":7}`:                                             "want a string",
		`{"id":"x","text":"t","relevant":[]}`:                             "want an object",
		`{"id":"x","text":"t","relevant":null}`:                           "want an object",
		`{"id":"x","text":"t","relevant":{"":1}}`:                         "empty id",
		`{"id":"x","text":"t","relevant":{"a":1,"a":2}}`:                  "stands there twice",
		`{"id":"x","text":"t","relevant":{"a":-1}}`:                       "grade is -1",
		`{"id":"x","text":"t","relevant":{"a":1e9}}`:                      "grade is 1e9",
		`{"id":"x","text":"t","relevant":{"a":"1"}}`:                      `grade is "1"`,
		`{"id":"x","text":"t","relevant":{"a":true}}`:                     "grade is true",
		"{\"id\":\"x\",\"text\":\"\xff\"}":                                "UTF-8",
		`{"id":"x","text":"` + strings.Repeat("a", maxQueryText+1) + `"}`: "at most",
	} {
		if _, err := ReadJudged(strings.NewReader(good + line)); !errors.Is(err, ErrJudgements) || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%.60s: %v, want %q", line, err, says)
		}
	}
	if _, err := ReadJudged(strings.NewReader("\n")); !errors.Is(err, ErrJudgements) {
		t.Errorf("nothing: %v", err)
	}
}

// FuzzReadJudged: no line panics, and what is read has ids and texts.
func FuzzReadJudged(f *testing.F) {
	f.Add(`{"id":"q1","text":"t","relevant":{"a":2}}`)
	f.Add(`{"id":1,"text":"\ud800","relevant":{"a":0,"b":{}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ReadJudged(strings.NewReader(text))
		if (err == nil) == (len(got) == 0) {
			t.Fatalf("%d queries and %v", len(got), err)
		}
		for _, q := range got {
			if q.ID == "" || strings.TrimSpace(q.Text) == "" {
				t.Fatalf("read %+v", q)
			}
		}
	})
}

func TestOpenJudged(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	one, err := OpenJudged(write("one.jsonl", `{"id":"q","text":"t","relevant":{"a":1}}`))
	if err != nil || len(one) != 1 || one[0].Gains["a"] != 1 {
		t.Errorf("a file: %+v, %v", one, err)
	}
	write("queries.jsonl", beirQueries)
	if _, err := OpenJudged(dir); !errors.Is(err, ErrJudgements) {
		t.Errorf("a directory without judgements: %v", err)
	}
	write("qrels.tsv", beirQrels)
	two, err := OpenJudged(dir)
	// Unlike a collection's, these judgements keep the document that is gone.
	if err != nil || len(two) != 2 || two[0].ID != "q1" || len(two[0].Gains) != 2 || len(two[1].Gains) != 2 {
		t.Errorf("a directory: %+v, %v", two, err)
	}
	if _, err := OpenJudged(filepath.Join(dir, "gone")); !errors.Is(err, ErrJudgements) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// TestScoreOfOneQuery compares with the measures, which are tested by hand.
func TestScoreOfOneQuery(t *testing.T) {
	q := Judged{Gains: map[string]float64{"a": 3, "b": 1, "far": 2}}
	ranked := []string{"x", "b", "b", "a"}
	for i := range 200 {
		ranked = append(ranked, fmt.Sprint("filler", i))
	}
	got := q.Score(append(ranked, "far"))
	near(t, "nDCG@10", got.NDCG10, NDCG([]float64{0, 1, 3}, []float64{3, 1, 2}, 10))
	near(t, "recall@100", got.Recall100, 2.0/3)
	near(t, "RR@10", got.RR10, 0.5)
	if (Judged{}).Score(ranked) != (Scores{}) || q.Score(nil) != (Scores{}) {
		t.Error("nothing judged or nothing found counts something")
	}
}

// TestRetrieveByQuery: the scores of the queries have the measures as means.
func TestRetrieveByQuery(t *testing.T) {
	c, err := ReadBEIR(strings.NewReader(beirCorpus), strings.NewReader(beirQueries), strings.NewReader(beirQrels))
	if err != nil {
		t.Fatal(err)
	}
	enc, err := hash.New(hash.Options{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := Retrieve(t.Context(), enc, c)
	if err != nil {
		t.Fatal(err)
	}
	q, err := Bootstrap{}.Quality(got.Scores)
	if err != nil || len(got.Scores) != len(c.Queries) {
		t.Fatalf("%d scores, %v", len(got.Scores), err)
	}
	near(t, "nDCG@10", q.NDCG10.Mean, got.NDCG10)
	near(t, "recall@100", q.Recall100.Mean, got.Recall100)
	near(t, "MRR@10", q.MRR10.Mean, got.MRR10)
	if c.Missing != 1 {
		t.Errorf("%d judgements of missing documents, want 1", c.Missing)
	}
	gain, err := Bootstrap{}.Gain(got.Scores, make([]Scores, len(got.Scores)))
	if err != nil || gain.MRR10.Mean != -got.MRR10 {
		t.Errorf("against nothing: %+v, %v", gain, err)
	}
	if judged := c.Judged(); len(judged) != 2 || judged[1].ID != "2" || judged[1].Gains["b"] != 1 {
		t.Errorf("judged %+v", judged)
	}
}

func warningsByCode(list []Warning) map[string]Warning {
	out := map[string]Warning{}
	for _, w := range list {
		out[w.Code] = w
	}
	return out
}

func TestCheckJudged(t *testing.T) {
	document := "The ferry to the northern islands leaves the old harbour at seven in the morning, and returns before the storm of the evening."
	c := NewCheck([]Judged{
		{ID: "copy", Text: "the ferry to the NORTHERN islands: leaves the old harbour at seven", Gains: map[string]float64{"1": 1}},
		{ID: "own", Text: "when does the boat to the islands leave in the morning", Gains: map[string]float64{"1": 1, "gone": 2}},
		{ID: "again", Text: "When does the boat to the islands leave, in the morning?", Gains: map[string]float64{"2": 1}},
		{ID: "empty", Text: "bread", Gains: nil},
		{ID: "title", Text: "rye bread", Gains: map[string]float64{"2": 1}},
	})
	c.Document("1", document)
	c.Document("1", document)
	c.Document("2", "Rye bread")
	c.Document("3", "")
	if missing, all := c.Missing(); missing != 1 || all != 3 {
		t.Errorf("%d of %d judged documents are missing, want 1 of 3", missing, all)
	}
	got := warningsByCode(c.Warnings())
	for code, want := range map[string]string{
		"missing_documents": "1 [own]", "nothing_relevant": "1 [empty]", "few_queries": "4 []", "near_duplicates": "2 [copy in 1 title in 2]", "repeated_queries": "1 [again]",
	} {
		if w := got[code]; fmt.Sprintf("%d %v", w.Count, w.Examples) != want || w.Text == "" {
			t.Errorf("%s: %+v, want %s", code, got[code], want)
		}
	}
	var clean []Judged
	for i := range MinQueries {
		clean = append(clean, Judged{ID: fmt.Sprint(i), Text: fmt.Sprint("question number ", i), Gains: map[string]float64{"1": 1}})
	}
	c = NewCheck(clean)
	c.Document("1", document)
	if w := c.Warnings(); len(w) != 0 {
		t.Errorf("sound judgements: %+v", w)
	}
}

func TestLeakage(t *testing.T) {
	c := Collection{
		Documents: []string{"The ferry to the northern islands leaves the old harbour at seven in the morning.", "Bread rises with yeast.", "Nothing of this is known to anybody who was trained."},
		Queries:   []string{"how long does rye bread keep when it is sliced", "yeast"},
	}
	l := NewLeakage(c)
	if r := l.Report(); !r.Clean() {
		t.Errorf("nothing trained: %+v", r)
	}
	for range 2 {
		l.Training("A ferry. The ferry to the northern islands leaves the old harbour at seven in spring.")
		l.Training("bread rises, with yeast")
		l.Training("How long does rye bread keep when it is sliced? A week.")
		l.Training("yeast makes it rise")
		l.Training("")
	}
	r := l.Report()
	if r.Clean() || r.DocumentsSeen != 2 || r.QueriesSeen != 1 || r.TrainingTexts != 10 || len(r.Examples) != 3 || r.Examples[1].Training != "bread rises, with yeast" {
		t.Errorf("%+v", r)
	}
	if want := "2 of 3 documents and 1 of 2 queries stand among 10 training texts, as they are or nearly"; r.String() != want {
		t.Errorf("%s", r)
	}
}

func TestSnippet(t *testing.T) {
	for _, c := range []struct {
		text string
		most int
		want string
	}{{" a\n b ", 10, "a b"}, {"été été été", 7, "été ..."}, {"abcdef", 2, "..."}, {"", 0, ""}} {
		if got := Snippet(c.text, c.most); got != c.want {
			t.Errorf("%q in %d: %q", c.text, c.most, got)
		}
	}
}

// TestNearTexts: what is compared is the shorter of two texts, and one look-up
// leaves nothing behind for the next.
func TestNearTexts(t *testing.T) {
	n := newNearTexts()
	n.add("one two three four five six seven eight nine ten eleven twelve thirteen fourteen") // 12 triples
	n.add("red green blue white black brown")                                                 // 4
	n.add("short text")
	for text, want := range map[string]string{
		"four five six seven eight nine":                                 "[0]", // wholly within a longer one
		"so red green blue white black brown and then a lot of others":   "[1]", // holds a shorter one
		"one two three four five six seven eight nine a b c d e f g h":   "[]",  // 7 of 12
		"seven eight nine ten eleven twelve thirteen fourteen x y z w v": "[]",  // 6 of 11
		"Short, text!":          "[2]",
		"short text and more":   "[]",
		"four five six":         "[]", // too little to tell
		"":                      "[]",
		"red green blue purple": "[]",
	} {
		for range 3 {
			if got := fmt.Sprint(n.near(text)); got != want {
				t.Errorf("%q is near %s, want %s", text, got, want)
			}
		}
	}
}

// TestLeakagePhrase: a phrase out of a long text is not that text; a half of it is.
func TestLeakagePhrase(t *testing.T) {
	words := make([]string, 100)
	for i := range words {
		words[i] = fmt.Sprintf("word%d", i)
	}
	c := Collection{Documents: []string{strings.Join(words, " ")}}
	l := NewLeakage(c)
	l.Training(strings.Join(words[10:18], " "))
	if r := l.Report(); !r.Clean() {
		t.Errorf("a phrase passes for the document: %+v", r)
	}
	l.Training(strings.Join(words[20:70], " "))
	if r := l.Report(); r.DocumentsSeen != 1 {
		t.Errorf("half of the document is not found: %+v", r)
	}
}

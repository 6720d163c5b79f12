package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed/bridge"
	"github.com/vecino-db/vecino/embed/evaluate"
	"github.com/vecino-db/vecino/embed/evaluate/compare"
)

var update = flag.Bool("update", false, "write the golden files anew")

// queries are made rankings: the new one has the relevant document "a" a rank
// higher in every second query, and other documents below.
func queries(n int) (runs []compare.Query, judged []evaluate.Judged) {
	for i := range n {
		id := fmt.Sprint("q", i)
		q := compare.Query{ID: id, Text: fmt.Sprintf("question %d about <b>tables</b> | and _pipes_", i)}
		before, after := "xabcdefghi", "xabcdefghi"
		if i%2 == 0 {
			after = "axbvwutsrq"
		}
		if i%5 == 0 {
			after = "xzybuvwtsr"
		}
		for rank := range before {
			score := 0.9 - 0.05*float64(rank) - 0.002*float64(i)
			q.Old = append(q.Old, compare.Hit{ID: before[rank : rank+1], Score: score, Text: "the text of " + before[rank:rank+1]})
			q.New = append(q.New, compare.Hit{ID: after[rank : rank+1], Score: score * score, Text: "the text of " + after[rank:rank+1]})
		}
		runs = append(runs, q)
		judged = append(judged, evaluate.Judged{ID: id, Text: q.Text, Gains: map[string]float64{"a": 1, "gone": 2}})
	}
	return runs, judged
}

// whole is a report in which everything was measured.
func whole(t testing.TB) Report {
	t.Helper()
	runs, judged := queries(20)
	options := compare.Options{MostChanged: 2, Bootstrap: evaluate.Bootstrap{Resamples: 1000, Seed: 1}}
	agreement, err := compare.Agree(runs, options)
	judgement, err2 := compare.Judge(judged, runs, options)
	check := evaluate.NewCheck(judged)
	check.Document("a", "the text of a")
	judgement.Warnings = check.Warnings()
	thresholds, err3 := compare.MapThresholds(runs, compare.ThresholdOptions{})
	kept, err4 := compare.CrossCheck(runs, compare.ThresholdOptions{}, 1)
	if err := errors.Join(err, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	before := compat.Manifest{
		Space:  compat.Space{Encoder: "hash/1", Tokenizer: compat.Digest{1}, Pooling: compat.PoolingNone, Normalization: compat.NormalizeL2, Precision: compat.PrecisionF32, Dimension: 512, FullDimension: 512},
		Metric: compat.MetricCosine, Provenance: compat.Provenance{Model: "builtin:hash"},
	}.WithDefaults()
	after := before
	after.Space.Encoder, after.Space.Weights, after.Space.Dimension, after.Space.FullDimension = "static/1", compat.Digest{7}, 64, 64
	after.Provenance.Model, after.Evidence.ModelCard = "local:my_table", "A table of word vectors.\nLicence: MIT."
	recall := 0.981
	return Report{
		Collection: "articles", Migration: "m-1", At: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Program: "0.1.0",
		Old: GenerationOf(1, 1400, before), New: GenerationOf(2, 1400, after),
		Verdict: compat.VerdictReembed, Changes: compat.Diff(before, after),
		Gates: []Gate{
			{Name: "coverage", Passed: true, Measured: "1,400 of 1,400", Wanted: "all", Decides: true},
			{Name: "p99", Passed: false, Measured: "2.4 x", Wanted: "at most 2.0 x", Decides: true},
			{Name: "overlap@10", Measured: "0.62", Wanted: "nothing"},
		},
		Recall:    &Recall{K: 10, Ef: 64, Queries: 200, New: 0.993, Old: &recall},
		Latency:   &Latency{Queries: 200, OldP50: 0.41, OldP99: 1.2, NewP50: 0.66, NewP99: 2.88},
		Judgement: &judgement, Agreement: &agreement, Thresholds: thresholds, Kept: &kept,
		Bridge: &Bridge{
			Check:  bridge.Check{Recall: 0.863, K: 10, HeldOut: 300, Pool: 6000, Pairs: 5400, Tried: []bridge.Tried{{Method: bridge.Orthogonal, Recall: 0.812}, {Method: bridge.Linear, Recall: 0.856}}},
			Wanted: 0.7,
		},
		Sample: "judged queries",
	}
}

// bare is a report in which nearly nothing was.
func bare(t testing.TB) Report {
	r := whole(t)
	return Report{
		Collection: r.Collection, Migration: r.Migration, At: r.At, Program: r.Program, Old: r.Old, New: r.New,
		Verdict: compat.VerdictRebuild, Recall: &Recall{K: 10, Ef: 64, Queries: 200, New: 0.993},
		Reasons: map[string]string{"judgement": "no judged queries were given"},
	}
}

func TestGolden(t *testing.T) {
	for name, r := range map[string]Report{"whole": whole(t), "bare": bare(t)} {
		files, err := r.Files()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			path := filepath.Join("testdata", name+"-"+f.Name)
			if *update {
				if err := os.WriteFile(path, f.Bytes, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(f.Name, ".json") && sameNumbers(t, f.Bytes, want) {
				continue
			}
			if !bytes.Equal(f.Bytes, want) {
				t.Errorf("%s differs (go test -update writes it anew):\n%s", path, f.Bytes)
			}
		}
	}
}

// sameNumbers compares JSON, numbers but for their last bits: CPUs that multiply
// and add in one step round otherwise.
func sameNumbers(t *testing.T, a, b []byte) bool {
	t.Helper()
	var x, y any
	if err := errors.Join(json.Unmarshal(a, &x), json.Unmarshal(b, &y)); err != nil {
		t.Fatal(err)
	}
	return alike(x, y)
}

func alike(x, y any) bool {
	switch a := x.(type) {
	case float64:
		b, ok := y.(float64)
		return ok && math.Abs(a-b) <= 1e-9*(1+math.Abs(a))
	case []any:
		b, ok := y.([]any)
		return ok && slices.EqualFunc(a, b, alike)
	case map[string]any:
		b, ok := y.(map[string]any)
		return ok && maps.EqualFunc(a, b, alike)
	}
	return x == y
}

// TestParts: what is absent is said to be, everywhere, and nothing else.
func TestParts(t *testing.T) {
	all, few := whole(t), bare(t)
	if absent := all.Absent(); len(absent) != 0 || strings.Contains(all.Markdown(), "Not measured") {
		t.Errorf("of a whole report %+v are absent", absent)
	}
	if absent := few.Absent(); len(absent) != 7 || absent[2] != (Absence{"judgement", "no judged queries were given"}) {
		t.Errorf("absent: %+v", absent)
	}
	text := few.Markdown()
	for _, part := range few.parts() {
		if strings.Contains(text, "## "+part.title) == part.absent || strings.Contains(text, "- "+part.title) != part.absent {
			t.Errorf("%s: absent is %v, and the Markdown says\n%s", part.name, part.absent, text)
		}
	}
	if strings.Contains(text, "NaN") || strings.Contains(text, "0.0000") {
		t.Errorf("a figure that was not measured:\n%s", text)
	}
	// Every nil part of the struct is in the list of parts.
	data, err := json.Marshal(Report{})
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		t.Fatal(err)
	}
	nulls := 0
	for name, value := range fields {
		if string(value) == "null" && name != "changes" {
			nulls++
		}
	}
	if want := len(Report{}.Absent()); nulls != want {
		t.Errorf("%d parts of the JSON are null, and %d are said to be absent", nulls, want)
	}
}

// TestRefusedBridge: the report does not say that one serves which was refused.
func TestRefusedBridge(t *testing.T) {
	r := whole(t)
	if text := r.Markdown(); !strings.Contains(text, "are carried into the serving space: recall@10 0.863") || strings.Contains(text, "Refused") {
		t.Errorf("one that serves: %s", text)
	}
	r.Bridge.Refused = true
	if text := r.Markdown(); strings.Contains(text, "are carried into") || !strings.Contains(text, "Refused: until the cut-over no text is answered: recall@10 0.863") {
		t.Errorf("one that was refused: %s", text)
	}
}

// TestReadBack: the JSON is all of the report.
func TestReadBack(t *testing.T) {
	for _, r := range []Report{whole(t), bare(t)} {
		data, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var back Report
		if err := json.Unmarshal(data, &back); err != nil {
			t.Fatal(err)
		}
		one, err1 := r.Files()
		two, err2 := back.Files()
		if err := errors.Join(err1, err2); err != nil || len(one) != len(two) {
			t.Fatalf("%d files and %d: %v", len(one), len(two), err)
		}
		for i := range one {
			if !bytes.Equal(one[i].Bytes, two[i].Bytes) {
				t.Errorf("%s differs after it was read back:\n%s\n%s", one[i].Name, one[i].Bytes, two[i].Bytes)
			}
		}
	}
}

func TestPassed(t *testing.T) {
	pass, fail, told := Gate{Passed: true, Decides: true}, Gate{Decides: true}, Gate{}
	for _, c := range []struct {
		gates []Gate
		want  bool
	}{{nil, false}, {[]Gate{told}, false}, {[]Gate{pass, told}, true}, {[]Gate{pass, fail}, false}, {[]Gate{pass}, true}} {
		if got := (Report{Gates: c.gates}).Passed(); got != c.want {
			t.Errorf("%+v: %v", c.gates, got)
		}
	}
}

// TestForeignTexts: what users store breaks no table and is no markup.
func TestForeignTexts(t *testing.T) {
	nasty := "a|b\n\n# x <script>alert(1)</script> [l](javascript:x) `code` **bold** _em_ snake_case \x1b[31m\u202e\xff end"
	r := whole(t)
	r.Collection, r.Old.Model, r.Sample, r.Migration, r.New.Card = nasty, nasty, nasty, nasty, nasty
	r.Agreement.MostChanged[0].ID, r.Agreement.MostChanged[0].Text = nasty, "# "+nasty
	r.Agreement.MostChanged[0].Old[0].Text, r.Agreement.MostChanged[0].Old[0].ID = nasty, nasty
	r.Gates[0].Measured = nasty
	r.Judgement.Warnings[0].Examples = []string{nasty}
	r.Reasons = map[string]string{"gates": nasty}
	files, err := r.Files()
	if err != nil {
		t.Fatal(err)
	}
	text := string(files[0].Bytes)
	if strings.Contains(regexp.MustCompile("`[^`]*`").ReplaceAllString(text, ""), " <script>") || strings.ContainsAny(text, "\x1b\u202e") || !utf8.ValidString(text) || !strings.Contains(text, "snake_case") {
		t.Errorf("markup of a user's:\n%s", text)
	}
	want := strings.Count(whole(t).Markdown(), "\n")
	if got := strings.Count(text, "\n"); got != want+6 { // six lines of links to the plots
		t.Errorf("%d lines, and %d without such texts", got, want)
	}
	for i, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(line, "|") && strings.Count(strings.ReplaceAll(line, `\|`, ""), "|") > 8 {
			t.Errorf("line %d has more cells than its table: %s", i+1, line)
		}
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name, ".svg") {
			continue
		}
		d := xml.NewDecoder(bytes.NewReader(f.Bytes))
		for {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", f.Name, err)
			}
			if e, ok := token.(xml.StartElement); ok && e.Name.Local == "script" {
				t.Errorf("%s runs a script", f.Name)
			}
		}
	}
}

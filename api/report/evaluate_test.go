package report

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed/evaluate"
	"github.com/vecino-db/vecino/embed/evaluate/compare"
)

func TestEvaluate(t *testing.T) {
	runs, judged := queries(20)
	options := compare.Options{MostChanged: 2, Bootstrap: evaluate.Bootstrap{Resamples: 1000, Seed: 1}}
	// Runs of other queries beside the judged ones, and in another order.
	more := slices.Concat([]compare.Query{{ID: "live", Old: runs[0].Old, New: runs[0].New}}, runs[10:], runs[:10])
	warnings := []evaluate.Warning{{Code: "few_queries", Count: 20, Text: "only 20"}}
	var r Report
	if err := r.Evaluate(Evaluation{Runs: more, Judged: judged, Warnings: warnings, Old: compat.MetricCosine, New: compat.MetricCosine, Options: options}); err != nil {
		t.Fatal(err)
	}
	want, err := compare.Judge(judged, runs, options)
	if err != nil {
		t.Fatal(err)
	}
	want.Warnings = warnings
	if r.Judgement == nil || !reflect.DeepEqual(*r.Judgement, want) {
		t.Errorf("judgement %+v, want %+v", r.Judgement, want)
	}
	if r.Agreement == nil || r.Agreement.Queries != 21 || r.Thresholds == nil || r.Thresholds.Queries() != 21 || r.Kept == nil || len(r.Reasons) != 0 {
		t.Errorf("%+v", r)
	}

	// Few queries, no judgements: no map, and the reasons are there.
	r = Report{}
	if err := r.Evaluate(Evaluation{Runs: runs[:3], Options: options}); err != nil {
		t.Fatal(err)
	}
	if r.Judgement != nil || r.Agreement == nil || r.Thresholds != nil || r.Kept != nil {
		t.Errorf("of three queries: %+v", r)
	}
	for part, says := range map[string]string{"judgement": "no judged queries", "thresholds": "sample more queries", "kept": "no map"} {
		if !strings.Contains(r.Reasons[part], says) {
			t.Errorf("%s: %q", part, r.Reasons[part])
		}
	}
	// A map, but none of a half.
	r = Report{}
	if err := r.Evaluate(Evaluation{Runs: runs[:12], Options: options}); err != nil || r.Thresholds == nil || r.Kept != nil || !strings.Contains(r.Reasons["kept"], "half") {
		t.Errorf("of twelve queries: %+v, %v", r, err)
	}
	r = Report{}
	if err := r.Evaluate(Evaluation{}); err != nil || len(r.Absent()) != len(r.parts()) || r.Reasons["agreement"] == "" {
		t.Errorf("of none: %+v, %v", r, err)
	}
	if err := r.Evaluate(Evaluation{Runs: runs[1:], Judged: judged}); err == nil || !strings.Contains(err.Error(), "q0") {
		t.Errorf("a judged query that was not run: %v", err)
	}
	if err := r.Evaluate(Evaluation{Runs: runs, Options: compare.Options{K: -1}}); err == nil {
		t.Error("a depth of -1 was accepted")
	}
}

package report

import (
	"errors"
	"fmt"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed/evaluate"
	"github.com/vecino-db/vecino/embed/evaluate/compare"
)

// Evaluation is what both generations answered.
type Evaluation struct {
	// Runs are the queries with their rankings, 100 deep where there are as
	// many hits.
	Runs []compare.Query
	// Judged are judged queries; each has a run of its id. Empty: there are none.
	Judged []evaluate.Judged
	// Warnings about Judged, of an evaluate.Check that saw every document.
	Warnings []evaluate.Warning
	Old, New compat.Metric
	Options  compare.Options
}

// Evaluate fills in the parts that two runs over the same queries give:
// judgement, agreement, thresholds and how well they are kept. What can't be
// had stays absent, with its reason. Errors: those of compare.Options.Validate,
// and a judged query without a run.
func (r *Report) Evaluate(e Evaluation) error {
	if err := e.Options.Validate(); err != nil {
		return err
	}
	r.Judgement, r.Agreement, r.Thresholds, r.Kept = nil, nil, nil, nil
	if err := r.judge(e); err != nil {
		return err
	}
	agreement, err := compare.Agree(e.Runs, e.Options)
	switch {
	case err == nil:
		r.Agreement = &agreement
	case errors.Is(err, compare.ErrNoQueries):
		r.lacks("agreement", "no queries were run in both generations")
	default:
		return err
	}
	scales := compare.ThresholdOptions{Old: e.Old, New: e.New}
	if r.Thresholds, err = compare.MapThresholds(e.Runs, scales); err != nil {
		r.Thresholds = nil
		r.lacks("thresholds", err.Error())
		r.lacks("kept", "there is no map to check")
		return nil
	}
	kept, err := compare.CrossCheck(e.Runs, scales, e.Options.Bootstrap.Seed)
	if err != nil {
		r.lacks("kept", "half of the queries are too few: "+err.Error())
		return nil
	}
	r.Kept = &kept
	return nil
}

// judge fills in the judgement.
func (r *Report) judge(e Evaluation) error {
	if len(e.Judged) == 0 {
		r.lacks("judgement", "no judged queries were given")
		return nil
	}
	byID := make(map[string]compare.Query, len(e.Runs))
	for _, q := range e.Runs {
		byID[q.ID] = q
	}
	runs := make([]compare.Query, len(e.Judged))
	for i, q := range e.Judged {
		run, ok := byID[q.ID]
		if !ok {
			return fmt.Errorf("report: the judged query %q was not run in both generations", q.ID)
		}
		runs[i] = run
	}
	judgement, err := compare.Judge(e.Judged, runs, e.Options)
	if err != nil {
		return err
	}
	judgement.Warnings = e.Warnings
	r.Judgement = &judgement
	return nil
}

// lacks notes why a part was not measured, unless a reason is known already.
func (r *Report) lacks(part, reason string) {
	if r.Reasons == nil {
		r.Reasons = map[string]string{}
	}
	if r.Reasons[part] == "" {
		r.Reasons[part] = reason
	}
}

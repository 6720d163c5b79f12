package compare

import (
	"fmt"

	"github.com/vecino-db/vecino/embed/evaluate"
)

// Judgement is what judged queries say of two runs.
type Judgement struct {
	Queries    int              `json:"queries"`
	Old        evaluate.Quality `json:"old"`
	New        evaluate.Quality `json:"new"`
	Difference evaluate.Gain    `json:"difference"` // new minus old, paired
	// PerQuery has the measures of each query, in the order of the judgements.
	PerQuery []JudgedQuery      `json:"per_query"`
	Warnings []evaluate.Warning `json:"warnings"`
}

// JudgedQuery is one query under both runs.
type JudgedQuery struct {
	ID  string          `json:"id"`
	Old evaluate.Scores `json:"old"`
	New evaluate.Scores `json:"new"`
}

// Judge measures both runs by judged queries. runs[i] must be the query
// judged[i], told by its id. A run without hits counts 0. Warnings are left to
// the caller, who sees the documents (evaluate.Check). Errors: ErrNoQueries,
// and those of Validate.
func Judge(judged []evaluate.Judged, runs []Query, o Options) (Judgement, error) {
	if err := o.Validate(); err != nil {
		return Judgement{}, err
	}
	if len(judged) == 0 || len(judged) != len(runs) {
		return Judgement{}, fmt.Errorf("%w: %d judged queries and %d runs: give a run for each", ErrNoQueries, len(judged), len(runs))
	}
	out := Judgement{Queries: len(judged), PerQuery: make([]JudgedQuery, len(judged))}
	before, after := make([]evaluate.Scores, len(judged)), make([]evaluate.Scores, len(judged))
	for i, q := range judged {
		if q.ID != runs[i].ID {
			return Judgement{}, fmt.Errorf("%w: run %d is of query %q and the judgement of %q: give them in the same order", ErrNoQueries, i, runs[i].ID, q.ID)
		}
		before[i], after[i] = q.Score(ids(runs[i].Old)), q.Score(ids(runs[i].New))
		out.PerQuery[i] = JudgedQuery{ID: q.ID, Old: before[i], New: after[i]}
	}
	var err error
	if out.Old, err = o.Bootstrap.Quality(before); err != nil {
		return Judgement{}, err
	}
	if out.New, err = o.Bootstrap.Quality(after); err != nil {
		return Judgement{}, err
	}
	out.Difference, err = o.Bootstrap.Gain(before, after)
	return out, err
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/vecino-db/vecino/api"
)

// job trains and migrates in one job of the server, which installs the model
// in its own directory of models.
func (c *modelsTrainCmd) job(ctx context.Context, out *output, name string) error {
	body := map[string]any{"base": c.Base, "name": name, "title": c.Title, "seed": c.Seed, "migrate": true}
	pairs, err := readTrainingPairs(c.Pairs)
	if err != nil {
		return err
	}
	listed := make([]map[string]string, len(pairs))
	for i, p := range pairs {
		listed[i] = map[string]string{"query": p.Query, "document": p.Document}
	}
	body["pairs"] = listed
	if c.Qrels != "" {
		if body["judgements"], err = judgedQueries(c.Qrels); err != nil {
			return err
		}
	}
	if c.Data != "" {
		if c.Models == "" {
			c.Models = defaultModels
		}
		if err := os.MkdirAll(c.Models, 0o755); err != nil {
			return fmt.Errorf("directory of models: %w; name another one by --models", err)
		}
	}
	return c.with(ctx, func(r *remote) error {
		var job api.Job
		if err := r.result(ctx, http.MethodPost, collection(c.Collection, "/train"), body, &job); err != nil {
			return err
		}
		job, err := waitJob(ctx, out, r, job.ID)
		if err != nil {
			return err
		}
		var t api.Training
		if len(job.Result) > 0 {
			if err := json.Unmarshal(job.Result, &t); err != nil {
				return fmt.Errorf("the answer is not vecino's: %w", err)
			}
			if c.JSON {
				err = out.JSON(job.Result)
			} else {
				printTraining(out, t)
			}
		}
		if job.State != api.JobDone {
			err = errors.Join(err, fmt.Errorf("job %s is %s: %s", job.ID, job.State, job.Error))
		}
		return err
	})
}

// waitJob waits for the end of a job, and tells of its steps. When ctx ends it
// ends the job.
func waitJob(ctx context.Context, out *output, r *remote, id string) (job api.Job, err error) {
	step, told := "", time.Time{}
	for {
		if err = r.result(ctx, http.MethodGet, "/jobs/"+id, nil, &job); err == nil && job.State != api.JobRunning {
			return job, nil
		}
		if err == nil && (job.Step != step || time.Since(told) > lineEvery) {
			step, told = job.Step, time.Now()
			text := job.Step
			if job.Total > 0 {
				text += fmt.Sprintf(": %d of %d", job.Done, job.Total)
			}
			fmt.Fprintln(out.errors, line(text, 100))
		}
		if err == nil {
			select {
			case <-ctx.Done():
				err = ctx.Err()
			case <-time.After(50 * time.Millisecond):
			}
		}
		if err != nil {
			leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
			defer cancel()
			if ctx.Err() != nil {
				var ended bool
				err = errors.Join(err, r.result(leaving, http.MethodDelete, "/jobs/"+id, nil, &ended))
			}
			return job, err
		}
	}
}

// printTraining writes the outcome for people.
func printTraining(out *output, t api.Training) {
	percent := func(x float64) string { return fmt.Sprintf("%.1f %%", 100*x) }
	var rows []table.Row
	if h := t.HeldOut; h != nil {
		rows = append(rows,
			table.Row{"found first", percent(h.Base.First), percent(h.Adapted.First)},
			table.Row{"among the first ten", percent(h.Base.Ten), percent(h.Adapted.Ten)},
			table.Row{"mean of 1/rank", fmt.Sprintf("%.3f", h.Base.Reciprocal), fmt.Sprintf("%.3f", h.Adapted.Reciprocal)})
	}
	if j := t.Judged; j != nil {
		rows = append(rows, table.Row{"nDCG@10, judged queries", fmt.Sprintf("%.4f", j.Base.NDCG10.Mean), fmt.Sprintf("%.4f", j.Adapted.NDCG10.Mean)})
	}
	if len(rows) > 0 {
		out.Table(table.Row{"", "base", "adapted"}, rows)
	}
	fmt.Fprintf(out, "%d documents, of which %d were held out, and %d pairs; %.1f s\n", t.Documents, t.Held, t.Pairs, t.Seconds)
	if t.Installed {
		fmt.Fprintf(out, "%s is installed in the server's directory of models.\n", t.Model)
	}
	if m := t.Migration; m != nil {
		fmt.Fprintf(out, "migration %d of %s: %s\n", m.ID, line(t.Collection, 100), m.State)
	}
	if t.Next != "" {
		fmt.Fprintf(out, "Next: %s\n", t.Next)
	}
}

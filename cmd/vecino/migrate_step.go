package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
)

// whichMigration names one: the newest, unless --id says which.
type whichMigration struct {
	connection
	Collection string `short:"c" required:"" help:"Collection." placeholder:"NAME"`
	ID         string `help:"Which migration; the newest when left out." placeholder:"N"`
	JSON       bool   `help:"Print JSON."`
}

// do takes a step ("" takes none) and shows what came of it.
func (c *whichMigration) do(ctx context.Context, out *output, step string, body map[string]any, wait bool) error {
	return c.with(ctx, func(r *remote) (err error) {
		id := c.ID
		if id == "" {
			if id, err = latest(ctx, r, c.Collection); err != nil {
				return err
			}
		}
		if step != "" {
			if body == nil {
				body = map[string]any{}
			}
			var ignored json.RawMessage
			if err := r.result(ctx, http.MethodPost, migrationsPath(c.Collection, id, step), body, &ignored); err != nil {
				return err
			}
		}
		return followMigration(ctx, out, r, c.Collection, id, wait, c.JSON)
	})
}

// migrateStatusCmd shows.
type migrateStatusCmd struct {
	whichMigration
	Wait   bool   `help:"Wait until nothing goes on by itself."`
	Report string `help:"Write the report's files (Markdown, JSON, SVG) into this directory." placeholder:"DIR"`
}

// Help teaches.
func (migrateStatusCmd) Help() string {
	return `Examples:
  vecino migrate status -c notes
  vecino migrate status -c notes --wait --report ./report

Shows state, progress, gates and what to do next; the bridge, the shadow and the
canary where there are any. With --wait the exit status is 1 where it is not ready
(with auto: does not serve) at the end; without, 0 says that it could be shown.`
}

// Run shows.
func (c *migrateStatusCmd) Run(ctx context.Context, out *output) error {
	if c.Report == "" {
		return c.do(ctx, out, "", nil, c.Wait)
	}
	return errors.Join(c.do(ctx, out, "", nil, c.Wait), c.report(ctx, out))
}

// report writes the report's files.
func (c *migrateStatusCmd) report(ctx context.Context, out *output) error {
	return c.with(ctx, func(r *remote) (err error) {
		id := c.ID
		if id == "" {
			if id, err = latest(ctx, r, c.Collection); err != nil {
				return err
			}
		}
		if err := os.MkdirAll(c.Report, 0o755); err != nil {
			return err
		}
		for i, name := range []string{"report.md", "report.json", "scores.svg", "queries.svg", "overlap.svg"} {
			file, err := r.file(ctx, migrationsPath(c.Collection, id, "report", name))
			var refused *serverError
			if errors.As(err, &refused) && refused.Code == "no_such_file" && i > 0 {
				continue // a plot whose part was not measured
			}
			if err != nil {
				return err
			}
			path := filepath.Join(c.Report, name)
			if err := os.WriteFile(path, file, 0o644); err != nil {
				return err
			}
			fmt.Fprintln(out, path)
		}
		return nil
	})
}

// migratePauseCmd pauses.
type migratePauseCmd struct{ whichMigration }

// Help teaches.
func (migratePauseCmd) Help() string {
	return `Nothing is encoded or evaluated until it is resumed, also over restarts. Writes
still go to both generations, and the disk stays taken: to end it, abort it.`
}

// Run pauses.
func (c *migratePauseCmd) Run(ctx context.Context, out *output) error {
	return c.do(ctx, out, "pause", nil, false)
}

// migrateResumeCmd goes on.
type migrateResumeCmd struct {
	whichMigration
	Wait bool `help:"Wait until nothing goes on by itself."`
}

// Help teaches.
func (migrateResumeCmd) Help() string {
	return `Goes on with a paused migration, or tries a failed one again: what the new
generation lacks is brought in, and the gates are measured anew. With --wait the
exit status is 1 where it is not ready (with auto: does not serve) at the end.`
}

// Run goes on.
func (c *migrateResumeCmd) Run(ctx context.Context, out *output) error {
	return c.do(ctx, out, "resume", nil, c.Wait)
}

// migrateEvaluateCmd measures again.
type migrateEvaluateCmd struct {
	whichMigration
	Qrels string `help:"File of judged queries, ${judged}." placeholder:"PATH"`
}

// Help teaches.
func (migrateEvaluateCmd) Help() string {
	return `Measures all gates again and waits: after a failure that has been mended, or with
judged queries that came later (--qrels), which replace those that there were.
Exit status 1 where a gate is not passed: the migration is failed then.`
}

// Run measures.
func (c *migrateEvaluateCmd) Run(ctx context.Context, out *output) error {
	body := map[string]any{}
	if c.Qrels != "" {
		var err error
		if body["judgements"], err = judgedQueries(c.Qrels); err != nil {
			return err
		}
	}
	return c.do(ctx, out, "evaluate", body, true)
}

// migrateCutoverCmd cuts over.
type migrateCutoverCmd struct {
	whichMigration
	RequireCard bool `help:"Refuse a generation without a model card."`
}

// Help teaches.
func (migrateCutoverCmd) Help() string {
	return `Queries that come from here on are answered by the new generation; the former one
gets every write until the commit. Possible when every gate has passed (ready), or
after a rollback; no flag overrides a gate.`
}

// Run cuts over.
func (c *migrateCutoverCmd) Run(ctx context.Context, out *output) error {
	return c.do(ctx, out, "cutover", map[string]any{"require_card": c.RequireCard}, false)
}

// migrateRollbackCmd goes back.
type migrateRollbackCmd struct{ whichMigration }

// Help teaches.
func (migrateRollbackCmd) Help() string {
	return `Possible from the cut-over until the commit. What was written meanwhile is in the
former generation, too. Where it is not, because that model is lost, the rollback is
refused (incomplete) and names the documents. After it: cutover again, or abort.`
}

// Run goes back.
func (c *migrateRollbackCmd) Run(ctx context.Context, out *output) error {
	return c.do(ctx, out, "rollback", nil, false)
}

// migrateCommitCmd commits.
type migrateCommitCmd struct{ whichMigration }

// Help teaches.
func (migrateCommitCmd) Help() string {
	return `Ends the migration with the new generation: the former one is deleted, its disk and
memory are free again, and there is no rollback from here.`
}

// Run commits.
func (c *migrateCommitCmd) Run(ctx context.Context, out *output) error {
	return c.do(ctx, out, "commit", nil, false)
}

// migrateAbortCmd aborts.
type migrateAbortCmd struct{ whichMigration }

// Help teaches.
func (migrateAbortCmd) Help() string {
	return `Ends the migration with the former generation: the new one is deleted, and with it
what was encoded for it. Not possible while it serves: roll back first.`
}

// Run aborts.
func (c *migrateAbortCmd) Run(ctx context.Context, out *output) error {
	return c.do(ctx, out, "abort", nil, false)
}

// file reads an answer that is no JSON of the API's.
func (r *remote) file(ctx context.Context, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.base+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := r.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, maxReply))
	if err == nil && response.StatusCode/100 != 2 {
		err = refusal(response, data)
	}
	return data, err
}

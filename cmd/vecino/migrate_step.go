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
		if wait {
			if err := waitMigration(ctx, out, r, c.Collection, id); err != nil {
				return err
			}
		}
		return showMigration(ctx, out, r, c.Collection, id, c.JSON)
	})
}

// migrateStatusCmd shows.
type migrateStatusCmd struct {
	whichMigration
	Wait   bool   `help:"Wait until nothing goes on by itself."`
	Report string `help:"Write the report's files (Markdown, JSON, SVG) into this directory." placeholder:"DIR"`
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

// Run pauses.
func (c *migratePauseCmd) Run(ctx context.Context, out *output) error {
	return c.do(ctx, out, "pause", nil, false)
}

// migrateResumeCmd goes on.
type migrateResumeCmd struct {
	whichMigration
	Wait bool `help:"Wait until nothing goes on by itself."`
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

// Run cuts over.
func (c *migrateCutoverCmd) Run(ctx context.Context, out *output) error {
	return c.do(ctx, out, "cutover", map[string]any{"require_card": c.RequireCard}, false)
}

// migrateRollbackCmd goes back.
type migrateRollbackCmd struct{ whichMigration }

// Run goes back.
func (c *migrateRollbackCmd) Run(ctx context.Context, out *output) error {
	return c.do(ctx, out, "rollback", nil, false)
}

// migrateCommitCmd commits.
type migrateCommitCmd struct{ whichMigration }

// Run commits.
func (c *migrateCommitCmd) Run(ctx context.Context, out *output) error {
	return c.do(ctx, out, "commit", nil, false)
}

// migrateAbortCmd aborts.
type migrateAbortCmd struct{ whichMigration }

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

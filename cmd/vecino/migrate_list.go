package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/jedib0t/go-pretty/v6/table"
)

// migrateListCmd lists migrations.
type migrateListCmd struct {
	connection
	Collection string `short:"c" help:"Collection; all of them when left out." placeholder:"NAME"`
	JSON       bool   `help:"Print JSON, without evaluations."`
}

// Help teaches.
func (migrateListCmd) Help() string {
	return `Examples:
  vecino migrate list -c notes     those of a collection, the newest first
  vecino migrate list              those of every collection

One that leads a generation to itself changed its manifest in place. Of a single
one, migrate status --id N shows the gates.`
}

// Run lists.
func (c *migrateListCmd) Run(ctx context.Context, out *output) error {
	return c.with(ctx, func(r *remote) error {
		names := []string{c.Collection}
		if c.Collection == "" {
			var all struct{ Collections []struct{ Name string } }
			if err := r.result(ctx, http.MethodGet, "/collections", nil, &all); err != nil {
				return err
			}
			names = nil
			for _, found := range all.Collections {
				names = append(names, found.Name)
			}
		}
		list := []json.RawMessage{}
		var errs []error // of collections that can't be read: the others are listed
		for _, name := range names {
			var got struct{ Migrations []json.RawMessage }
			if err := r.result(ctx, http.MethodGet, migrationsPath(name), nil, &got); err != nil {
				errs = append(errs, fmt.Errorf("migrations of %s: %w", name, err))
			}
			list = append(list, got.Migrations...)
		}
		if c.JSON {
			return errors.Join(append(errs, out.JSON(map[string]any{"migrations": list}))...)
		}
		var rows []table.Row
		for _, raw := range list {
			var m migrationState
			if err := json.Unmarshal(raw, &m); err != nil {
				return fmt.Errorf("the answer is not vecino's: %w", err)
			}
			ended := ""
			if m.EndedAt != nil {
				ended = m.EndedAt.Format(listed)
			}
			rows = append(rows, table.Row{m.Collection, m.ID, m.State, m.Verdict, fmt.Sprintf("%d to %d", m.From, m.To), m.StartedAt.Format(listed), ended, line(m.Reason, 60)})
		}
		if len(rows) == 0 && len(errs) > 0 {
			return errors.Join(errs...)
		}
		out.Table(table.Row{"collection", "id", "state", "verdict", "generations", "started", "ended", "reason"}, rows)
		return errors.Join(errs...)
	})
}

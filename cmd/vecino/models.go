package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/jedib0t/go-pretty/v6/table"
)

// modelsCmd holds the commands about models.
type modelsCmd struct {
	List modelsListCmd `cmd:"" help:"List the models that can be named."`
}

// modelsListCmd lists them.
type modelsListCmd struct {
	connection
	JSON bool `help:"Print JSON."`
}

// Run lists.
func (c *modelsListCmd) Run(ctx context.Context, out *output) error {
	return c.with(ctx, func(r *remote) error {
		var answer json.RawMessage
		if err := r.call(ctx, http.MethodGet, "/v1/models", nil, &answer); err != nil {
			return err
		}
		var list struct {
			Data []struct {
				ID, Kind, Description, Problem string
				Dimensions                     int
				Matryoshka                     []int
			} `json:"data"`
		}
		if err := json.Unmarshal(answer, &list); err != nil {
			return fmt.Errorf("the answer is not vecino's: %w", err)
		}
		if c.JSON {
			return out.JSON(answer)
		}
		var rows []table.Row
		for _, m := range list.Data {
			what := m.Description
			if m.Problem != "" {
				what = "can't be used: " + m.Problem
			}
			rows = append(rows, table.Row{m.ID, m.Kind, m.Dimensions, line(what, 90)})
		}
		out.Table(table.Row{"model", "kind", "dimensions", "what it is"}, rows)
		return nil
	})
}

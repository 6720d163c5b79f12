package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/vecino-db/vecino/compat"
)

// manifestDiffCmd compares a collection with what is wanted of it.
type manifestDiffCmd struct {
	connection
	target
	Collection string `short:"c" required:"" help:"Collection." placeholder:"NAME"`
	JSON       bool   `help:"Print JSON."`
}

// Help teaches.
func (manifestDiffCmd) Help() string {
	return `Examples:
  vecino manifest diff -c notes --model local:potion
  vecino manifest diff -c notes --encoding int8 --json

What is left out stays as it is. Exit status: 0 the vectors stay in their space
(only the index, its encoding, the query prompt or search defaults differ, or
nothing), 3 they would be others, whether there is a way to them (derive, reembed)
or none (refuse). The time that it takes: vecino migrate plan.`
}

// Run compares.
func (c *manifestDiffCmd) Run(ctx context.Context, out *output) error {
	wish, err := c.wish()
	if err != nil {
		return err
	}
	return c.with(ctx, func(r *remote) error {
		var raw json.RawMessage
		if err := r.result(ctx, http.MethodPost, collection(c.Collection, "/manifest/diff"), wish, &raw); err != nil {
			return err
		}
		got, err := printPlan(out, c.Collection, raw, c.JSON)
		if err == nil && got.anotherSpace() {
			err = refusedError{fmt.Errorf("%s: the vectors would be those of another space (%s)", c.Collection, got.Verdict)}
		}
		return err
	})
}

// manifestHistoryCmd shows the generations that a collection had.
type manifestHistoryCmd struct {
	connection
	Collection string `short:"c" required:"" help:"Collection." placeholder:"NAME"`
	JSON       bool   `help:"Print JSON, with manifests and evaluations."`
}

// Run shows.
func (c *manifestHistoryCmd) Run(ctx context.Context, out *output) error {
	return c.with(ctx, func(r *remote) error {
		var raw json.RawMessage
		if err := r.result(ctx, http.MethodGet, collection(c.Collection, "/history"), nil, &raw); err != nil {
			return err
		}
		if c.JSON {
			return out.JSON(raw)
		}
		var got struct {
			Generations []struct {
				Generation       int
				CreatedAt        time.Time `json:"created_at"`
				Serving, Standby bool
				Manifest         compat.Manifest
				Migration        *migrationState
				Changes          []migrationState
			}
		}
		if err := json.Unmarshal(raw, &got); err != nil {
			return fmt.Errorf("the answer is not vecino's: %w", err)
		}
		var rows []table.Row
		for _, g := range got.Generations {
			place := "gone"
			switch {
			case g.Serving:
				place = "serves"
			case g.Standby:
				place = "stands by"
			}
			how := "the first"
			if m := g.Migration; m != nil {
				how = fmt.Sprintf("migration %s, %s: %s, %s", m.ID, m.Verdict, m.State, gatesPassed(*m))
			}
			if a := g.Manifest.Evidence.Adoption; a != nil {
				how += "; adopted " + adoptedBy(*a)
			}
			model := g.Manifest.Provenance.Model
			if model == "" {
				model = "raw vectors"
			}
			rows = append(rows, table.Row{g.Generation, place, fmt.Sprintf("%s, %d", model, g.Manifest.Space.Dimension), licence(g.Manifest), fmt.Sprintf("%s, %s", g.Manifest.Index.Engine, g.Manifest.Index.Encoding), g.CreatedAt.Format(listed), how})
			for _, m := range g.Changes {
				rows = append(rows, table.Row{"", "", "", "", "", m.StartedAt.Format(listed), fmt.Sprintf("  migration %s, %s, %s: %s", m.ID, m.Verdict, gatesPassed(m), line(changesOf(m.Changes), 80))})
			}
		}
		out.Table(table.Row{"generation", "", "model", "licence", "index", "made", "by"}, rows)
		return nil
	})
}

// listed is the form of a time in a list.
const listed = "2006-01-02 15:04:05"

// gatesPassed counts the gates of a migration.
func gatesPassed(m migrationState) string {
	if len(m.Gates) == 0 {
		return "not evaluated"
	}
	passed := 0
	for _, gate := range m.Gates {
		if gate.Passed {
			passed++
		}
	}
	return fmt.Sprintf("%d of %d gates passed", passed, len(m.Gates))
}

// changesOf names what was changed, with both values.
func changesOf(changes []compat.Change) string {
	var list []string
	for _, c := range changes {
		list = append(list, fmt.Sprintf("%s %s to %s", c.Field, c.Have, c.Want))
	}
	return strings.Join(list, ", ")
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
)

// queryShare is a part of a whole, written as 10% or 0.1.
type queryShare float64

// UnmarshalText reads it.
func (s *queryShare) UnmarshalText(text []byte) error {
	number, percent := strings.CutSuffix(strings.TrimSpace(string(text)), "%")
	x, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if percent {
		x /= 100
	}
	if err != nil || !(x >= 0 && x <= 1) {
		return fmt.Errorf("%q is no share; write it as 10%% or 0.1", text)
	}
	*s = queryShare(x)
	return nil
}

// migrateSetCmd changes limits and shares.
type migrateSetCmd struct {
	whichMigration
	TokensPerSecond *int        `help:"Encode no more than this; 0 ends the bound." placeholder:"N"`
	CPUs            *float64    `name:"cpus" help:"Use no more processor time than so many processors have; 0 ends the bound." placeholder:"X"`
	Batch           *int        `help:"Documents that are encoded together; 0: 64." placeholder:"N"`
	Shadow          *queryShare `help:"Share of the live queries by text that are compared in both generations; 0 ends it." placeholder:"SHARE"`
	Canary          *queryShare `help:"Share of the live queries by text that the new generation answers; 0 ends it." placeholder:"SHARE"`
}

// Help teaches.
func (migrateSetCmd) Help() string {
	return `Examples:
  vecino migrate set -c notes --tokens-per-second 20000 --cpus 0
  vecino migrate set -c notes --canary 20%
  vecino migrate set -c notes --canary 0 --shadow 100%

What is left out stays, and what runs goes on: limits hold from the next batch
on, in an evaluation at once, and nothing is encoded again. The canary is out while the migration is ready, and the
shadow compares while both generations are complete: ready, rollback_window,
rolled_back. Raising the canary's share keeps the queries that it had. The
figures so far stay and go on; vecino migrate status shows them.`
}

// Run changes them.
func (c *migrateSetCmd) Run(ctx context.Context, out *output) error {
	body, limits := map[string]any{}, map[string]any{}
	if c.TokensPerSecond != nil {
		limits["tokens_per_second"] = *c.TokensPerSecond
	}
	if c.CPUs != nil {
		limits["cpus"] = *c.CPUs
	}
	if c.Batch != nil {
		limits["batch"] = *c.Batch
	}
	if len(limits) > 0 {
		body["limits"] = limits
	}
	if c.Shadow != nil {
		body["shadow"] = *c.Shadow
	}
	if c.Canary != nil {
		body["canary"] = *c.Canary
	}
	if len(body) == 0 {
		return usageError{errors.New("nothing is asked for; give --tokens-per-second 20000, --canary 5% or others")}
	}
	return c.with(ctx, func(r *remote) (err error) {
		id := c.ID
		if id == "" {
			if id, err = latest(ctx, r, c.Collection); err != nil {
				return err
			}
		}
		var ignored json.RawMessage
		if err := r.result(ctx, http.MethodPatch, migrationsPath(c.Collection, id), body, &ignored); err != nil {
			return err
		}
		return showMigration(ctx, out, r, c.Collection, id, c.JSON)
	})
}

// timing is how long queries took in one generation.
type timing struct {
	Queries int
	P50     *float64 `json:"p50_ms"`
	P99     *float64 `json:"p99_ms"`
}

// String is both times, or a dash.
func (t timing) String() string {
	if t.P50 == nil || t.P99 == nil {
		return "-"
	}
	return fmt.Sprintf("%.2f / %.2f ms", *t.P50, *t.P99)
}

// shadowState is what the comparison of live queries has shown.
type shadowState struct {
	Share                    float64
	Queries, Dropped, Failed int
	Overlap                  *float64 `json:"overlap_at_10"`
	Tau                      *float64
	SameFirst                int `json:"same_first"`
	Old, New                 timing
	Kept                     *struct{ Whole float64 }
}

// canaryState is what the target did with live queries before the cut-over.
type canaryState struct {
	Share                 float64
	Queries, Failed, Held int
	Old, New              timing
}

// showLive shows what both generations did with live queries.
func showLive(out *output, m migrationState) {
	number := func(x *float64) string {
		if x == nil {
			return "-"
		}
		return fmt.Sprintf("%.3f", *x)
	}
	var rows []table.Row
	if s := m.Shadow; s != nil {
		rows = append(rows,
			table.Row{"shadow", fmt.Sprintf("%.4g %% of the queries: %d compared, %d dropped, %d failed", 100*s.Share, s.Queries, s.Dropped, s.Failed)},
			table.Row{"", fmt.Sprintf("overlap@10 %s, rank correlation %s, the same first hit %d times", number(s.Overlap), number(s.Tau), s.SameFirst)},
			table.Row{"", fmt.Sprintf("p50 / p99 of searches: old %s, new %s", s.Old, s.New)})
		if s.Kept != nil {
			rows = append(rows, table.Row{"", fmt.Sprintf("score thresholds mapped by them keep the share of hits within about %.1f %%", 100*s.Kept.Whole)})
		}
	}
	if c := m.Canary; c != nil {
		rows = append(rows,
			table.Row{"canary", fmt.Sprintf("%.4g %% of the queries: %d answered, %d failed, %d held back", 100*c.Share, c.Queries, c.Failed, c.Held)},
			table.Row{"", fmt.Sprintf("p50 / p99 of queries: old %s, new %s", c.Old, c.New)})
	}
	if len(rows) > 0 {
		out.Table(table.Row{"live queries", ""}, rows)
	}
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/jedib0t/go-pretty/v6/table"
)

// queryCmd asks one question.
type queryCmd struct {
	connection
	Collection string  `short:"c" required:"" help:"Collection to search." placeholder:"NAME"`
	Limit      int     `short:"n" help:"Hits wanted." default:"10"`
	Filter     string  `help:"Filter of payloads, as JSON." placeholder:"JSON"`
	Ef         int     `help:"Breadth of the search; the manifest's when left out."`
	Exact      bool    `help:"Look at every vector."`
	MinScore   float32 `help:"Leave out hits with less (with more, under Euclid)." placeholder:"SCORE"`
	JSON       bool    `help:"Print the server's answer as JSON."`
	Text       string  `arg:"" help:"What to look for."`
}

// Help teaches.
func (queryCmd) Help() string {
	return `Examples:
  vecino query -c notes "how do I start the server"
  vecino query -c notes -n 3 --json "bread" | jq '.points[].id'
  vecino query -c notes --filter '{"must":[{"key":"source","match":{"value":"README.md"}}]}' install`
}

// queryHit is a hit as the server sends it.
type queryHit struct {
	ID      any             `json:"id"`
	Version uint64          `json:"version"`
	Score   float64         `json:"score"`
	Payload json.RawMessage `json:"payload,omitempty"`
	Text    string          `json:"text,omitempty"`
}

// queryAnswer is what is printed as JSON.
type queryAnswer struct {
	Points []queryHit      `json:"points"`
	Usage  json.RawMessage `json:"usage"` // as the API has it: tokens, plan, bridge, canary, score_thresholds
}

// Run asks.
func (c *queryCmd) Run(ctx context.Context, out *output) error {
	body := map[string]any{"query": map[string]any{"text": c.Text}, "limit": c.Limit, "with_payload": true, "params": map[string]any{"exact": c.Exact}}
	if c.Ef != 0 {
		body["params"] = map[string]any{"exact": c.Exact, "hnsw_ef": c.Ef}
	}
	if c.MinScore != 0 {
		body["score_threshold"] = c.MinScore
	}
	if c.Filter != "" {
		if !json.Valid([]byte(c.Filter)) {
			return usageError{fmt.Errorf("--filter is no JSON: %s", c.Filter)}
		}
		body["filter"] = json.RawMessage(c.Filter)
	}
	return c.with(ctx, func(r *remote) error {
		var answer struct {
			Result struct{ Points []queryHit }
			Usage  json.RawMessage
		}
		if err := r.call(ctx, http.MethodPost, collection(c.Collection, "/points/query"), body, &answer); err != nil {
			return err
		}
		found := queryAnswer{answer.Result.Points, answer.Usage}
		if c.JSON {
			return out.JSON(found)
		}
		rows := make([]table.Row, 0, len(found.Points))
		for _, h := range found.Points {
			rows = append(rows, table.Row{fmt.Sprintf("%.4f", h.Score), line(fmt.Sprint(h.ID), 40), line(h.Text, 90)})
		}
		out.Table(table.Row{"score", "id", "text"}, rows)
		return found.by(out)
	})
}

// by says who answered where it was not the collection's own model alone.
func (a queryAnswer) by(out *output) error {
	var use struct{ Bridge, Canary bool }
	if err := json.Unmarshal(a.Usage, &use); err != nil {
		return fmt.Errorf("the answer is not vecino's: %w", err)
	}
	if use.Bridge {
		fmt.Fprintln(out, "by a bridge: the text was encoded by the model that the collection is migrated to, and carried over")
	}
	if use.Canary {
		fmt.Fprintln(out, "by the canary: the new generation of the migration under way answered")
	}
	return nil
}

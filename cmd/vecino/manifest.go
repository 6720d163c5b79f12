package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/vecino-db/vecino/api"
	"github.com/vecino-db/vecino/compat"
)

// manifestCmd holds the commands about manifests.
type manifestCmd struct {
	Show    manifestShowCmd    `cmd:"" help:"Show a collection's manifest."`
	Diff    manifestDiffCmd    `cmd:"" help:"Say what another manifest would mean; nothing changes."`
	History manifestHistoryCmd `cmd:"" help:"Show every generation that a collection had."`
	Adopt   manifestAdoptCmd   `cmd:"" help:"Prove which model made a collection's raw vectors, and give it that model."`
}

// manifestShowCmd shows one.
type manifestShowCmd struct {
	connection
	Collection string `short:"c" required:"" help:"Collection." placeholder:"NAME"`
	JSON       bool   `help:"Print JSON."`
}

// Run shows.
func (c *manifestShowCmd) Run(ctx context.Context, out *output) error {
	return c.with(ctx, func(r *remote) error {
		var raw json.RawMessage
		if err := r.result(ctx, http.MethodGet, collection(c.Collection, "/manifest"), nil, &raw); err != nil {
			return err
		}
		if c.JSON {
			return out.JSON(raw)
		}
		var got struct {
			Generation  uint64
			Fingerprint string
			Unverified  bool
			Problem     string
			Manifest    compat.Manifest
		}
		if err := json.Unmarshal(raw, &got); err != nil {
			return fmt.Errorf("the answer is not vecino's: %w", err)
		}
		rows := manifestRows(got.Manifest)
		rows = append([]table.Row{{"collection", c.Collection}, {"generation", got.Generation}, {"fingerprint", got.Fingerprint}}, rows...)
		if got.Unverified {
			rows = append(rows, table.Row{"unverified", "nothing is known of the model that the vectors come from; vecino manifest adopt proves one"})
		}
		if got.Problem != "" {
			rows = append(rows, table.Row{"problem", line(got.Problem, 100)})
		}
		out.Table(table.Row{"", ""}, rows)
		return nil
	})
}

// manifestRows are what people look for in a manifest.
func manifestRows(m compat.Manifest) []table.Row {
	s := m.Space
	model := m.Provenance.Model
	if model == "" {
		model = "none: raw vectors"
	}
	limit := "none"
	if s.MaxTokens > 0 {
		limit = strconv.Itoa(s.MaxTokens) + " tokens"
	}
	rows := []table.Row{
		{"model", model},
		{"encoder", s.Encoder},
		{"weights", s.Weights.String()},
		{"tokenizer", s.Tokenizer.String()},
		{"dimension", fmt.Sprintf("%d of %d", s.Dimension, s.FullDimension)},
		{"pooling, normalization", fmt.Sprintf("%s, %s", s.Pooling, s.Normalization)},
		{"query, document prompt", fmt.Sprintf("%q, %q", s.QueryPrompt, s.DocumentPrompt)},
		{"truncation", limit},
		{"precision", s.Precision},
		{"metric", m.Metric},
		{"index", fmt.Sprintf("%s, %s, m %d, ef_construction %d", m.Index.Engine, m.Index.Encoding, m.Index.M, m.Index.EfConstruction)},
		{"search", fmt.Sprintf("ef %d, oversampling %g", m.Search.Ef, m.Search.Oversampling)},
		{"licence", licence(m)},
		{"probes", fmt.Sprintf("%d texts", len(m.Evidence.Probes))},
		{"made", fmt.Sprintf("%s by %s", m.Provenance.CreatedAt.Format("2006-01-02 15:04:05 MST"), m.Provenance.Program)},
	}
	if a := m.Evidence.Adoption; a != nil {
		rows = append(rows, table.Row{"adopted", adoptedBy(*a)})
	}
	return rows
}

// licence is what the model card of a manifest says of it, on one line.
func licence(m compat.Manifest) string {
	switch stated := api.LicenceOf(m); {
	case stated != "":
		return line(stated, 60)
	case m.Evidence.ModelCard != "":
		return "vecino's own"
	}
	return "none: there is no model card"
}

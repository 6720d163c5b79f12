package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/vecino-db/vecino/api"
)

// modelsCmd holds the commands about models.
type modelsCmd struct {
	Pull    modelsPullCmd    `cmd:"" help:"Get a model from a hub."`
	List    modelsListCmd    `cmd:"" help:"List the models that can be named."`
	Inspect modelsInspectCmd `cmd:"" help:"Say what a model is, and check it."`
	Compare modelsCompareCmd `cmd:"" help:"Measure two models side by side."`
	Train   modelsTrainCmd   `cmd:"" help:"Make a model better on a collection's own documents."`
}

// modelsListCmd lists them.
type modelsListCmd struct {
	connection
	JSON bool `help:"Print JSON."`
}

// Help teaches.
func (modelsListCmd) Help() string {
	return `Examples:
  vecino models list                        those of the server
  vecino models list --models ./models      those of a directory; no server is needed`
}

// listedModel is a model as it is listed.
type listedModel struct {
	ID          string `json:"id"`
	Kind        string `json:"kind,omitempty"`
	Description string `json:"description,omitempty"`
	Problem     string `json:"problem,omitempty"`
	Licence     string `json:"licence,omitempty"`
	Source      string `json:"source,omitempty"`
	Dimensions  int    `json:"dimensions,omitempty"`
	Matryoshka  []int  `json:"matryoshka,omitempty"`
	MaxTokens   int    `json:"max_tokens,omitempty"`
	Fingerprint string `json:"fingerprint,omitempty"`
}

// Run lists.
func (c *modelsListCmd) Run(ctx context.Context, out *output) error {
	if c.Models != "" && c.Data == "" {
		list, err := installed(ctx, c.Models)
		if err != nil {
			return err
		}
		if c.JSON {
			return out.JSON(map[string]any{"object": "list", "data": list})
		}
		printModels(out, list)
		return nil
	}
	return c.with(ctx, func(r *remote) error {
		var answer json.RawMessage
		if err := r.call(ctx, http.MethodGet, "/v1/models", nil, &answer); err != nil {
			return err
		}
		var list struct {
			Data []listedModel `json:"data"`
		}
		if err := json.Unmarshal(answer, &list); err != nil {
			return fmt.Errorf("the answer is not vecino's: %w", err)
		}
		if c.JSON {
			return out.JSON(answer)
		}
		printModels(out, list.Data)
		return nil
	})
}

// installed lists the models in a directory, and the built-in one.
func installed(ctx context.Context, dir string) ([]listedModel, error) {
	encoders, err := api.NewEncoders(api.EncodersOptions{Models: dir})
	if err != nil {
		return nil, err
	}
	defer encoders.Close()
	models, err := encoders.List(ctx)
	if err != nil {
		return nil, err
	}
	var list []listedModel
	for _, m := range models {
		one := listedModel{ID: m.Name, Problem: m.Problem}
		if m.Problem == "" {
			one.Kind, one.Description, one.Licence, one.Source, one.Matryoshka = m.Info.Kind, m.Info.Description, m.Info.Licence, m.Info.Source, m.Info.Matryoshka
			one.Dimensions, one.MaxTokens, one.Fingerprint = m.Space.Dimension, m.Space.MaxTokens, m.Space.Fingerprint().String()
		}
		list = append(list, one)
	}
	return list, nil
}

// printModels prints a table.
func printModels(out *output, list []listedModel) {
	var rows []table.Row
	for _, m := range list {
		what := m.Description
		if m.Problem != "" {
			what = "can't be used: " + m.Problem
		}
		dimensions := ""
		if m.Dimensions > 0 {
			dimensions = fmt.Sprint(m.Dimensions)
		}
		if len(m.Matryoshka) > 0 {
			dimensions += " (" + strings.Trim(fmt.Sprint(m.Matryoshka), "[]") + ")"
		}
		rows = append(rows, table.Row{m.ID, m.Kind, dimensions, line(m.Licence, 24), line(what, 80)})
	}
	out.Table(table.Row{"model", "kind", "dimensions", "licence", "what it is"}, rows)
}

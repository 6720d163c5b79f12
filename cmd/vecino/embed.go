package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// embedCmd turns texts into vectors.
type embedCmd struct {
	connection
	Model      string   `short:"m" help:"Model." default:"builtin:blend"`
	Dimensions int      `help:"Dimensions, for a model that can be cut."`
	Role       string   `help:"What the texts are for." enum:"document,query" default:"document"`
	JSON       bool     `help:"Print the server's answer as JSON instead of one vector a line."`
	Texts      []string `arg:"" optional:"" help:"Texts; lines of the standard input when there are none."`
}

// Help teaches.
func (embedCmd) Help() string {
	return `Examples:
  vecino embed "a text" "another one"
  vecino embed --role query --dimensions 256 < texts.txt > vectors.jsonl`
}

// maxEmbedLine is the longest line that is read as a text.
const maxEmbedLine = 16 << 20

// embedBatch is how many texts are sent together.
const embedBatch = 256

// Run embeds.
func (c *embedCmd) Run(ctx context.Context, out *output) error {
	return c.with(ctx, func(r *remote) error {
		if len(c.Texts) > 0 {
			return c.send(ctx, r, out, c.Texts)
		}
		lines := bufio.NewScanner(out.input)
		lines.Buffer(nil, maxEmbedLine)
		var batch []string
		for lines.Scan() {
			if strings.TrimSpace(lines.Text()) == "" {
				continue
			}
			if batch = append(batch, lines.Text()); len(batch) == embedBatch {
				if err := c.send(ctx, r, out, batch); err != nil {
					return err
				}
				batch = batch[:0]
			}
		}
		if err := lines.Err(); err != nil {
			return fmt.Errorf("read texts: %w", err)
		}
		if len(batch) == 0 {
			return nil
		}
		return c.send(ctx, r, out, batch)
	})
}

// send embeds some texts and prints their vectors.
func (c *embedCmd) send(ctx context.Context, r *remote, out *output, texts []string) error {
	body := map[string]any{"model": c.Model, "input": texts, "input_type": c.Role}
	if c.Dimensions != 0 {
		body["dimensions"] = c.Dimensions
	}
	var answer json.RawMessage
	if err := r.call(ctx, http.MethodPost, "/v1/embeddings", body, &answer); err != nil {
		return err
	}
	if c.JSON {
		return out.JSON(answer)
	}
	var list struct {
		Data []struct {
			Embedding json.RawMessage `json:"embedding"`
		} `json:"data"`
	}
	if err := json.Unmarshal(answer, &list); err != nil {
		return fmt.Errorf("the answer is not vecino's: %w", err)
	}
	for _, d := range list.Data {
		if _, err := fmt.Fprintf(out, "%s\n", d.Embedding); err != nil {
			return err
		}
	}
	return nil
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/vecino-db/vecino/embed/evaluate"
	"github.com/vecino-db/vecino/embed/evaluate/compare"
	"github.com/vecino-db/vecino/embed/train/adapt"
	"github.com/vecino-db/vecino/embed/train/passages"
)

// scrollPage is the points of one answer.
const scrollPage = 1000

// readStored reads a collection's texts with their ids, and their titles where
// a payload field of them is named.
func readStored(ctx context.Context, r *remote, name, title string) (ids []string, documents []adapt.Document, err error) {
	offset := json.RawMessage("null")
	fields := []string{} // of the payload: texts come along
	if title != "" {
		fields = append(fields, title)
	}
	for {
		var page struct {
			Points []struct {
				ID      any            `json:"id"`
				Text    string         `json:"text"`
				Payload map[string]any `json:"payload"`
			} `json:"points"`
			Next json.RawMessage `json:"next_page_offset"`
		}
		body := map[string]any{"limit": scrollPage, "offset": offset, "with_payload": fields}
		var raw json.RawMessage
		if err := r.result(ctx, http.MethodPost, collection(name, "/points/scroll"), body, &raw); err != nil {
			return nil, nil, err
		}
		if err := decodeNumbers(raw, &page); err != nil {
			return nil, nil, fmt.Errorf("the answer is not vecino's: %w", err)
		}
		for _, p := range page.Points {
			if p.Text == "" {
				continue
			}
			t, _ := p.Payload[title].(string)
			ids, documents = append(ids, fmt.Sprint(p.ID)), append(documents, adapt.Document{Title: t, Body: p.Text})
		}
		if len(page.Next) == 0 || string(page.Next) == "null" {
			return ids, documents, nil
		}
		offset = page.Next
	}
}

// mostPairsCompared bounds the pairs that stand in for judged queries.
const mostPairsCompared = 1000

// stored is the collection of the service that is ranked: its documents with
// the judged queries of --qrels, or one pair of texts of each document.
func (c *modelsCompareCmd) stored(ctx context.Context) (out evaluate.Collection, err error) {
	var ids []string
	var documents []adapt.Document
	err = c.with(ctx, func(r *remote) (err error) {
		ids, documents, err = readStored(ctx, r, c.Collection, c.Title)
		return err
	})
	if err != nil {
		return out, err
	}
	if c.Qrels != "" {
		judged, err := evaluate.OpenJudged(c.Qrels)
		if err != nil {
			return out, err
		}
		out.IDs = ids
		for _, d := range documents {
			out.Documents = append(out.Documents, d.Body)
		}
		for _, q := range judged {
			out.Queries, out.Gains = append(out.Queries, q.Text), append(out.Gains, q.Gains)
		}
		return out, nil
	}
	for i := 0; i < len(documents); i += 1 + len(documents)/mostPairsCompared {
		pairs := passages.Plain(documents[i].Title, documents[i].Body, passages.Standard())
		if len(pairs) == 0 {
			continue
		}
		out.IDs, out.Documents = append(out.IDs, ids[i]), append(out.Documents, pairs[0].Document)
		out.Queries, out.Gains = append(out.Queries, pairs[0].Query), append(out.Gains, map[string]float64{ids[i]: 1})
	}
	if len(out.Queries) == 0 {
		return out, fmt.Errorf("no document of %q has two parts to compare; give judged queries by --qrels", c.Collection)
	}
	return out, nil
}

// agree compares two models' rankings of the same collection.
func agree(c evaluate.Collection, a, b evaluate.Retrieval) (compare.Agreement, error) {
	hits := func(ranked []evaluate.Ranked) []compare.Hit {
		out := make([]compare.Hit, len(ranked))
		for i, r := range ranked {
			out[i] = compare.Hit{ID: c.IDs[r.Document], Score: r.Score}
		}
		return out
	}
	queries := make([]compare.Query, len(c.Queries))
	for i, text := range c.Queries {
		queries[i] = compare.Query{ID: strconv.Itoa(i + 1), Text: text, Old: hits(a.Ranked[i]), New: hits(b.Ranked[i])}
	}
	return compare.Agree(queries, compare.Options{})
}

// decodeNumbers reads JSON, and numbers as they are written: ids have 64 bits.
func decodeNumbers(data []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return d.Decode(to)
}

package api

import (
	"context"
	"errors"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
)

// makeProbes embeds the fixed texts in both roles.
func makeProbes(ctx context.Context, encoder embed.Encoder) ([]compat.Probe, error) {
	texts := compat.ProbeTexts()
	documents, queries, err := probeRows(ctx, encoder, texts)
	if err != nil {
		return nil, err
	}
	probes := make([]compat.Probe, len(texts))
	for i, text := range texts {
		probes[i] = compat.Probe{Text: text, Document: documents[i], Query: queries[i]}
	}
	return probes, nil
}

// checkProbes proves that the encoder is the one that made the stored probes.
// Collections without probes have nothing to prove it by, and pass: their
// space has passed the gate.
func checkProbes(ctx context.Context, encoder embed.Encoder, stored []compat.Probe) error {
	if len(stored) == 0 {
		return nil
	}
	texts := make([]string, len(stored))
	for i, p := range stored {
		texts[i] = p.Text
	}
	documents, queries, err := probeRows(ctx, encoder, texts)
	if err != nil {
		return err
	}
	_, err = compat.CompareProbes(stored, documents, queries)
	if errors.Is(err, compat.ErrNoProbes) {
		return nil
	}
	return err
}

// probeRows embeds texts in both roles. Somebody waits for the outcome, so
// they go before an ingest.
func probeRows(ctx context.Context, encoder embed.Encoder, texts []string) (documents, queries [][]float32, err error) {
	ctx = embed.WithPriority(ctx, embed.PriorityQuery)
	if documents, err = rowsOf(ctx, encoder, embed.RoleDocument, texts); err != nil {
		return nil, nil, err
	}
	queries, err = rowsOf(ctx, encoder, embed.RoleQuery, texts)
	return documents, queries, err
}

// rowsOf embeds texts; one without tokens has no row.
func rowsOf(ctx context.Context, encoder embed.Encoder, role embed.Role, texts []string) ([][]float32, error) {
	rows := make([][]float32, len(texts))
	encoded, err := encoder.Encode(ctx, role, texts)
	var refused *embed.TextError
	switch {
	case err == nil:
		for i := range rows {
			rows[i] = encoded.Vectors.Row(i)
		}
		return rows, nil
	case !errors.Is(err, embed.ErrNoTokens), !errors.As(err, &refused), len(texts) == 1:
		if len(texts) == 1 && errors.Is(err, embed.ErrNoTokens) {
			return rows, nil
		}
		return nil, err
	}
	for i, text := range texts {
		one, err := rowsOf(ctx, encoder, role, []string{text})
		if err != nil {
			return nil, err
		}
		rows[i] = one[0]
	}
	return rows, nil
}

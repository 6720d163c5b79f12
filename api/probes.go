package api

import (
	"context"
	"errors"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
)

// makeProbes embeds the fixed texts in both roles.
func makeProbes(ctx context.Context, encoder embed.Encoder) ([]compat.Probe, error) {
	var probes []compat.Probe
	for _, text := range compat.ProbeTexts() {
		document, err := probeRow(ctx, encoder, embed.RoleDocument, text)
		if err != nil {
			return nil, err
		}
		query, err := probeRow(ctx, encoder, embed.RoleQuery, text)
		if err != nil {
			return nil, err
		}
		probes = append(probes, compat.Probe{Text: text, Document: document, Query: query})
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
	documents, queries := make([][]float32, len(stored)), make([][]float32, len(stored))
	for i, p := range stored {
		var err error
		if documents[i], err = probeRow(ctx, encoder, embed.RoleDocument, p.Text); err != nil {
			return err
		}
		if queries[i], err = probeRow(ctx, encoder, embed.RoleQuery, p.Text); err != nil {
			return err
		}
	}
	_, err := compat.CompareProbes(stored, documents, queries)
	if errors.Is(err, compat.ErrNoProbes) {
		return nil
	}
	return err
}

// probeRow embeds one text; a text without tokens has no row.
func probeRow(ctx context.Context, encoder embed.Encoder, role embed.Role, text string) ([]float32, error) {
	encoded, err := encoder.Encode(ctx, role, []string{text})
	switch {
	case errors.Is(err, embed.ErrNoTokens):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return encoded.Vectors.Row(0), nil
}

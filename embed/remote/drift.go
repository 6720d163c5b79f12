package remote

import (
	"context"
	"errors"
	"fmt"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
)

// Drift embeds the texts of stored probes again, in both roles, and compares:
// it notices another model behind the name. The error wraps compat.ErrProbe if
// there is one, and is compat.ErrNoProbes if nothing can be told; any other
// error means that the endpoint gave no vectors to compare.
func (e *Encoder) Drift(ctx context.Context, stored []compat.Probe) error {
	e.kept.clear() // what comes is fresh, and what came before may be another model's
	documents, err := e.probe(ctx, embed.RoleDocument, stored)
	if err != nil {
		return err
	}
	queries := documents
	if e.space.QueryPrompt != e.space.DocumentPrompt {
		if queries, err = e.probe(ctx, embed.RoleQuery, stored); err != nil {
			return err
		}
	}
	if _, err = compat.CompareProbes(stored, documents, queries); err != nil {
		return fmt.Errorf("model %q at %s: %w", e.model, e.base.Host, err)
	}
	return nil
}

// probe embeds the probes' texts. A text that the endpoint has no tokens for
// has no row, as when the probes were made.
func (e *Encoder) probe(ctx context.Context, role embed.Role, stored []compat.Probe) ([][]float32, error) {
	rows := make([][]float32, len(stored))
	var texts []string
	var at []int
	for i, p := range stored {
		if embeddable(p.Text) {
			texts, at = append(texts, p.Text), append(at, i)
		}
	}
	out, err := e.Encode(ctx, role, texts)
	if errors.Is(err, ErrDimension) {
		return nil, fmt.Errorf("%w: %w", compat.ErrProbe, err)
	}
	if err != nil {
		return nil, err
	}
	for row, i := range at {
		rows[i] = out.Vectors.Row(row)
	}
	return rows, nil
}

package api

import (
	"context"
	"errors"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
)

// proved is the encoder of a new generation, and what is known of it goes into
// the manifest. Where the vectors come of the encoder, so do the probes. Where
// they are those of the generation that serves, or follow from them, so do the
// probes, and an encoder that doesn't come through these is another one: the
// generation goes without, as the one that serves does. Errors: those of the
// encoder, where the vectors come of it.
func (s *Service) proved(ctx context.Context, have compat.Manifest, want *compat.Manifest, verdict compat.Verdict) (encoder *served, problem, err error) {
	want.Evidence = compat.Evidence{}
	follows := verdict < compat.VerdictReembed
	encoder, problem = s.encoderOf(ctx, *want)
	if encoder == nil && !follows && !want.Space.Raw() {
		return nil, nil, problem
	}
	defer func() {
		// An endpoint is asked again: its model may come back.
		if err != nil || problem != nil && encoder != nil && encoder.endpoint == nil {
			encoder.release()
			encoder = nil
		}
	}()
	if !follows && encoder != nil {
		want.Evidence.Probes, err = s.probesFor(ctx, encoder)
		want.Evidence.ModelCard = cardOf(encoder)
		return encoder, nil, err
	}
	want.Evidence.ModelCard, want.Evidence.Adoption = have.Evidence.ModelCard, have.Evidence.Adoption
	if want.Evidence.Probes, err = derivedProbes(have, *want); err != nil || encoder == nil {
		return encoder, problem, err
	}
	if space := encoder.Space(); !space.Fingerprint().Matches(want.Space.Fingerprint()) {
		other := *want
		other.Space = space
		return encoder, compat.NewMismatch("", *want, other, compat.Facts{}), nil
	}
	prompted := have.Space.QueryPrompt != want.Space.QueryPrompt
	if encoder.endpoint != nil && len(want.Evidence.Probes) > 0 && !prompted {
		return encoder, errUnchecked, nil // it may be away, and the vectors need it not
	}
	fresh, err := s.probesFor(ctx, encoder)
	if err != nil {
		return encoder, nil, err
	}
	if problem = sameDocuments(want.Evidence.Probes, fresh); problem != nil {
		return encoder, problem, nil
	}
	if card := cardOf(encoder); card != "" {
		want.Evidence.ModelCard = card // it may have come since
	}
	if len(want.Evidence.Probes) == 0 || prompted {
		want.Evidence.Probes = fresh
	}
	return encoder, nil, nil
}

// derivedProbes are the probes of a generation as those of another whose vectors
// follow from its own.
func derivedProbes(have, want compat.Manifest) ([]compat.Probe, error) {
	d, err := compat.NewDerivation(have, want)
	if err != nil || d == nil {
		return nil, err
	}
	raw, err := embed.NewRaw(have)
	if err != nil {
		return nil, err
	}
	derive := func(row []float32) ([]float32, error) {
		if row == nil {
			return nil, nil
		}
		v, err := raw.Stamp([][]float32{row})
		if err == nil {
			v, err = d.Derive(v)
		}
		if err != nil {
			return nil, err
		}
		return v.Row(0), nil
	}
	var probes []compat.Probe
	for _, p := range have.Evidence.Probes {
		document, failed := derive(p.Document)
		query, also := derive(p.Query)
		if errors.Join(failed, also) != nil {
			continue // it has no direction there
		}
		probes = append(probes, compat.Probe{Text: p.Text, Document: document, Query: query})
	}
	return probes, nil
}

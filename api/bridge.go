package api

import (
	"context"
	"errors"
	"fmt"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/bridge"
)

// Bounds of a BridgeWish.
const (
	defaultBridgeRecall = 0.7
	defaultBridgePairs  = 10_000
	maxBridgePairs      = 20_000
)

// BridgeWish asks for a bridge: while a migration fills its target, texts are
// encoded by the target's encoder and carried over to the serving generation,
// whose own encoder can't be run any more.
type BridgeWish struct {
	Recall float64 // recall@10 on held-out pairs below which there is none, above 0 to 1; 0: 0.7
	Pairs  int     // documents that it is fitted and checked on, 1,000 to 20,000; 0: 10,000. Fewer where there are fewer, from 1,000 on
}

// Validate says what is out of bounds.
func (w BridgeWish) Validate() error {
	if err := (bridge.Options{MinRecall: w.Recall}).Validate(); err != nil {
		return err
	}
	if w.Pairs != 0 && (w.Pairs < bridge.MinPairs || w.Pairs > maxBridgePairs) {
		return fmt.Errorf("bridge: %d pairs: give %d to %d, or leave them out for %d", w.Pairs, bridge.MinPairs, maxBridgePairs, defaultBridgePairs)
	}
	return nil
}

// BridgeState is what became of a bridge.
type BridgeState string

// The states.
const (
	BridgeWaiting BridgeState = "waiting" // for the vectors that it is fitted on
	BridgeServing BridgeState = "serving" // it carries queries while the former generation serves
	BridgeRefused BridgeState = "refused" // it would find too little, or there were too few pairs
)

// BridgeRecord is what a migration keeps of its bridge, beside the bridge.
type BridgeRecord struct {
	State  BridgeState   `json:"state"`
	Least  float64       `json:"recall_wanted"`
	Wanted int           `json:"pairs_wanted"`
	Reason string        `json:"reason,omitempty"` // why it was refused
	Method bridge.Method `json:"method,omitempty"`
	Check  *bridge.Check `json:"check"` // nil: nothing was measured
	// Tokens and Encoded are what its queries took beside the backfill: nothing
	// where the target encodes queries as it does documents.
	Tokens  int `json:"tokens"`
	Encoded int `json:"encoded"`
}

// carrier is a collection's bridge as queries see it.
type carrier struct {
	record  BridgeRecord
	bridge  *bridge.Bridge // nil: there is none (yet)
	stamper *compat.Stamper
}

// newCarrier is a bridge that leads to a generation.
func newCarrier(record BridgeRecord, b *bridge.Bridge, to *generation) (*carrier, error) {
	if b == nil {
		return &carrier{record: record}, nil
	}
	if !b.To().Matches(to.fingerprint()) {
		return nil, fmt.Errorf("bridge: %w: it leads to %.12s, and generation %d is of %.12s", bridge.ErrSpace, b.To(), to.number, to.fingerprint())
	}
	stamper, err := to.manifest.Stamper()
	return &carrier{record: record, bridge: b, stamper: stamper}, err
}

// lostEncoder reports whether an encoder failed because it can't be run: not
// for what it was asked, and not because it has too much to do.
func lostEncoder(g *generation, err error) bool {
	var refused *Error
	return g.encoding.Load().encoder == nil || errors.As(err, &refused) && refused.Code == "endpoint_failed"
}

// queryText encodes the text of a query for a generation, by its own encoder or,
// where that can't be run, by the bridge of the migration under way.
func (c *Collection) queryText(ctx context.Context, g *generation, text string) (compat.Searchable, int, error) {
	encoded, err := c.encode(ctx, g, embed.RoleQuery, []string{text})
	if err == nil {
		return encoded.Vectors, encoded.Tokens[0], nil
	}
	carrier := c.bridge.Load()
	if ctx.Err() != nil || carrier == nil || !lostEncoder(g, err) {
		return nil, 0, err
	}
	if carrier.bridge == nil {
		return nil, 0, c.noBridge(carrier.record, err)
	}
	from := c.now().ofSpace(carrier.bridge.From())
	if from == nil || !carrier.bridge.To().Matches(g.fingerprint()) {
		return nil, 0, err // a bridge of other generations
	}
	if encoded, err = c.encode(ctx, from, embed.RoleQuery, []string{text}); err != nil {
		return nil, 0, err
	}
	carried, err := carrier.bridge.Apply(carrier.stamper, encoded.Vectors)
	return carried, encoded.Tokens[0], err
}

// noBridge says why a text could not be carried over, beside why the
// collection's own encoder did not encode it.
func (c *Collection) noBridge(r BridgeRecord, lost error) error {
	e := &Error{Kind: KindNotReady, Code: "bridge_waiting", Err: lost}
	why := fmt.Sprintf("the bridge of the migration under way is fitted when the target has %d documents", r.Wanted)
	e.Remedy = "try again later; until then query by vector or by id"
	if r.State == BridgeRefused {
		e.Code, why = "bridge_refused", "there is no bridge from the migration under way: "+r.Reason
		e.Remedy = "query by vector or by id until the migration is cut over, or put the model back and restart the server"
	}
	e.Detail = fmt.Sprintf("collection %q can't encode texts, and %s", c.Name(), why)
	var refused *Error
	if errors.As(lost, &refused) {
		e.Detail = refused.Detail + "; " + why
	}
	return e
}

// bridgeable refuses a bridge where none is needed, or can be fitted.
func (s *Service) bridgeable(ctx context.Context, c *Collection, verdict compat.Verdict, documents int) error {
	g := c.serving()
	if verdict != compat.VerdictReembed {
		return invalid("no_bridge_needed", "/bridge", "a bridge is for a migration to another model, and this one is %s: leave it out", verdict)
	}
	if g.endpoint != nil {
		s.checkEndpoint(ctx, c, g) // it may have gone since the last comparison
	}
	now := g.encoding.Load()
	runs := now.encoder != nil
	if runs && g.endpoint != nil {
		_, err := c.encode(ctx, g, embed.RoleQuery, []string{c.Name()})
		runs = err == nil || !lostEncoder(g, err)
	}
	if runs {
		return &Error{
			Kind: KindConflict, Code: "encoder_runs", Detail: fmt.Sprintf("collection %q has its own encoder, %s, which answers texts better than any bridge", c.Name(), g.manifest.Provenance.Model),
			Remedy: "leave the bridge out", Fields: []Field{{Pointer: "/bridge", Reason: "the encoder can be run"}},
		}
	}
	if documents < bridge.MinPairs {
		return &Error{
			Kind: KindInvalid, Code: "too_few_pairs", Detail: fmt.Sprintf("a bridge is fitted on %d documents at least, and collection %q has %d", bridge.MinPairs, c.Name(), documents),
			Remedy: "leave the bridge out: so few documents are soon encoded anew", Fields: []Field{{Pointer: "/bridge", Reason: "too few documents"}},
		}
	}
	return nil
}

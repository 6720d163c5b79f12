package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/compat/migrate"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/bridge"
	"github.com/vecino-db/vecino/store"
)

// bridgeSeed decides which documents make a bridge, and which of them check it.
const bridgeSeed = 1

// fitting is the backlog of a migration whose bridge waits for its pairs. Until
// there are as many as it wants it takes documents from random places, so that
// they stand for all; what they get is what they would have got in their turn.
type fitting struct {
	*backlog
	m      *migration
	record *migrate.Migration // the run's
	bridge BridgeRecord
	rng    *rand.Rand
	tries  int
}

// filling is the backlog of a run, which fits the bridge on its way.
func (m *migration) filling(record *migrate.Migration) (migrate.Backlog, error) {
	b := m.backlog(record.To)
	r, err := readBridge(*record)
	if err != nil || r == nil || r.State != BridgeWaiting {
		return b, err
	}
	return &fitting{backlog: b, m: m, record: record, bridge: *r, rng: rand.New(rand.NewPCG(bridgeSeed, record.ID))}, nil
}

// Next implements migrate.Backlog.
func (f *fitting) Next(ctx context.Context, n int) (migrate.Batch, error) {
	if f.bridge.State != BridgeWaiting {
		return f.backlog.Next(ctx, n)
	}
	have, _ := f.Coverage()
	// Documents that can't be encoded are met again and again: the tries end.
	if have < f.bridge.Wanted && f.tries < 16+4*f.bridge.Wanted/n {
		f.tries++
		f.at = f.c.stored.PositionAt(f.rng.Float64())
		batch, err := f.backlog.Next(ctx, n)
		if batch == nil && err == nil { // nothing is lacking behind this place
			batch, err = f.backlog.Next(ctx, n)
		}
		if batch != nil || err != nil {
			return batch, err
		}
	}
	if err := f.fit(ctx); err != nil {
		return nil, err
	}
	f.at = 0
	return f.backlog.Next(ctx, n)
}

// fit fits the bridge and keeps what came of it.
func (f *fitting) fit(ctx context.Context) error {
	p := f.c.now()
	old, anew := p.of(f.record.From), p.of(f.record.To)
	if old == nil || anew == nil {
		return fmt.Errorf("generations %d and %d of %q are not both there", f.record.From, f.record.To, f.c.Name())
	}
	b, err := f.make(ctx, old, anew)
	var refused *bridge.RecallError
	switch {
	case errors.As(err, &refused):
		f.bridge.Check = &refused.Check
		f.bridge.State, f.bridge.Reason = BridgeRefused, err.Error()
	case errors.Is(err, bridge.ErrPairs):
		f.bridge.State, f.bridge.Reason = BridgeRefused, err.Error()
	case err != nil:
		return err
	default:
		check := b.Check()
		f.bridge.State, f.bridge.Method, f.bridge.Check = BridgeServing, b.Method(), &check
	}
	if f.record.Bridge, err = json.Marshal(f.bridge); err != nil {
		return err
	}
	f.record.Progress.Tokens += f.bridge.Tokens
	f.record.Progress.Encoded += f.bridge.Encoded
	carrier, err := newCarrier(f.bridge, b, old)
	if err != nil {
		return err
	}
	err = f.m.write(f.record.Clone(), func(kept store.Record) error {
		if b == nil {
			return f.c.stored.SetRecord(ctx, kept)
		}
		data, err := b.MarshalBinary()
		if err != nil {
			return err
		}
		return f.c.stored.SetBridge(ctx, data, kept)
	})
	if err != nil {
		return err
	}
	f.c.bridge.Store(carrier)
	f.m.owner.service.logger.Info("bridge", "collection", f.c.Name(), "migration", f.record.ID, "state", f.bridge.State, "check", f.bridge.Check)
	return nil
}

// make samples pairs and fits.
func (f *fitting) make(ctx context.Context, old, anew *generation) (*bridge.Bridge, error) {
	sample, err := f.c.stored.SamplePairs(ctx, anew.number, f.bridge.Wanted, bridgeSeed)
	if err != nil {
		return nil, err
	}
	pairs := bridge.Pairs{FromSpace: anew.manifest.Space, ToSpace: old.manifest.Space, From: sample.Standby, To: sample.Serving, Metric: old.manifest.Metric}
	if anew.manifest.Space.QueryPrompt != anew.manifest.Space.DocumentPrompt {
		// A query comes out otherwise than a document of the same words.
		if pairs.From, pairs.To, err = f.asQueries(ctx, anew, sample); err != nil {
			return nil, err
		}
	}
	return bridge.Fit(ctx, pairs, bridge.Options{MinRecall: f.bridge.Least, Seed: bridgeSeed})
}

// bridgeBatch is how many texts are encoded together for a bridge.
const bridgeBatch = 64

// asQueries encodes the texts of pairs in the role of queries, at the run's
// pace. What was encoded before a stop comes out of the cache, where there is
// one.
func (f *fitting) asQueries(ctx context.Context, anew *generation, p store.Pairs) (from, to compat.Vectors, err error) {
	var parts []compat.Vectors
	var rows []int
	f.bridge.Tokens, f.bridge.Encoded = 0, 0
	for begin := 0; begin < len(p.Texts); begin += bridgeBatch {
		began := time.Now()
		var texts []string
		var own []int
		for i := begin; i < min(begin+bridgeBatch, len(p.Texts)); i++ {
			if p.Texts[i] != "" {
				texts, own = append(texts, p.Texts[i]), append(own, i)
			}
		}
		if len(texts) == 0 {
			continue
		}
		encoded, some, err := f.c.encodeSome(ctx, anew, embed.RoleQuery, texts)
		if err != nil {
			return from, to, err
		}
		tokens := 0
		for _, n := range encoded.Tokens {
			tokens += n
		}
		f.bridge.Tokens, f.bridge.Encoded = f.bridge.Tokens+tokens, f.bridge.Encoded+encoded.Vectors.Len()
		if encoded.Vectors.Len() > 0 {
			parts = append(parts, encoded.Vectors)
		}
		for i, row := range some {
			if row >= 0 {
				rows = append(rows, own[i])
			}
		}
		if err := migrate.Rest(ctx, systemClock{}, f.m.limits, tokens, time.Since(began)); err != nil {
			return from, to, err
		}
	}
	if len(parts) == 0 {
		return from, to, fmt.Errorf("%w: no text of the documents could be encoded", bridge.ErrPairs)
	}
	from, err = compat.Concat(parts...)
	return from, p.Serving.Select(rows), err
}

// newBridgeRecord is that of a wish whose bridge waits.
func newBridgeRecord(w BridgeWish, documents int) BridgeRecord {
	return BridgeRecord{State: BridgeWaiting, Least: cmp.Or(w.Recall, defaultBridgeRecall), Wanted: min(cmp.Or(w.Pairs, defaultBridgePairs), documents)}
}

// readBridge is what a migration keeps of its bridge; nil: none was asked for.
func readBridge(m migrate.Migration) (*BridgeRecord, error) {
	if len(m.Bridge) == 0 {
		return nil, nil
	}
	var r BridgeRecord
	if err := json.Unmarshal(m.Bridge, &r); err != nil {
		return nil, fmt.Errorf("bridge of migration %d of %q: %w", m.ID, m.Collection, err)
	}
	return &r, nil
}

// openBridge takes up the bridge of a migration after a start. One that can't
// be read is refused, and the migration goes on.
func (m *migration) openBridge(ctx context.Context) error {
	record := m.get()
	r, err := readBridge(record)
	if err != nil || r == nil {
		return err
	}
	old := m.c.now().of(record.From)
	if r.State != BridgeServing || old == nil {
		m.c.bridge.Store(&carrier{record: *r})
		return nil
	}
	data, err := m.c.stored.Bridge(ctx, record.ID)
	if err != nil {
		return err
	}
	var b bridge.Bridge
	var loaded *carrier
	if err = b.UnmarshalBinary(data); err == nil {
		loaded, err = newCarrier(*r, &b, old)
	}
	if err != nil {
		m.owner.service.logger.Error("the bridge can't be read; texts are refused until the cut-over", "collection", m.c.Name(), "migration", record.ID, "error", err)
		r.State, r.Reason = BridgeRefused, "it can't be read: "+err.Error()
		loaded = &carrier{record: *r}
	}
	m.c.bridge.Store(loaded)
	return nil
}

package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/compat/migrate"
	"github.com/vecino-db/vecino/embed/evaluate"
	"github.com/vecino-db/vecino/store"
)

// MigrationWish asks for a migration: what a collection should be, and how it
// gets there.
type MigrationWish struct {
	Wish Wish
	Auto bool // cut over when the gates have passed
	// RequireCard makes a model card of the target one of the gates. What needs
	// no new generation has none.
	RequireCard bool
	Limits      migrate.Limits
	Judged      []evaluate.Judged // judged queries for the evaluation; nil: none
	Shadow      float64           // share of the queries by text that are compared in both generations when these are complete, 0 to 1
	Canary      float64           // share of them that the target answers when it is ready, 0 to 1; not with Auto
	Bridge      *BridgeWish       // nil: texts wait for the cut-over where the encoder can't be run
}

// Validate says what is out of bounds, or does not go together.
func (w MigrationWish) Validate() error {
	if err := validLimits(w.Limits); err != nil {
		return err
	}
	if err := (MigrationUpdate{Shadow: &w.Shadow, Canary: &w.Canary}).Validate(); err != nil {
		return err
	}
	if err := notWithAuto(w.Auto, w.Canary); err != nil {
		return err
	}
	if w.Bridge != nil {
		if err := w.Bridge.Validate(); err != nil {
			return invalid("bad_bridge", "/bridge", "%v", err)
		}
	}
	return nil
}

// idle refuses where a migration of the collection is under way.
func (s *Service) idle(c *Collection) error {
	m := s.migrations.of(c)
	if m == nil {
		return nil
	}
	record := m.get()
	return &Error{
		Kind: KindConflict, Code: "migration_under_way", Detail: fmt.Sprintf("migration %d of %q is %s", record.ID, c.Name(), record.State),
		Remedy: fmt.Sprintf("finish it (commit) or abort it first: POST /collections/%s/migrations/%d/abort", c.Name(), record.ID),
	}
}

// Migrate starts a migration and gives its record. What needs no new
// generation is done at once, and ended when Migrate returns; another query
// prompt only where the judged queries, which are run before, don't do decidedly
// worse with it: the migration has failed otherwise. Errors:
// *compat.MismatchError where there is no way, KindInvalid for what does not
// suit the change, KindConflict where one is under way, KindNotReady where the
// disk has no room, and those of the encoder.
func (s *Service) Migrate(ctx context.Context, c *Collection, w MigrationWish) (migrate.Migration, error) {
	if err := w.Validate(); err != nil {
		return migrate.Migration{}, err
	}
	want, err := s.target(ctx, c, w.Wish)
	if err != nil {
		return migrate.Migration{}, err
	}
	facts, err := c.facts(ctx)
	if err != nil {
		return migrate.Migration{}, err
	}
	judged, err := s.recheck(ctx, c, w, want)
	if err != nil {
		return migrate.Migration{}, err
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	if err := s.idle(c); err != nil {
		return migrate.Migration{}, err
	}
	have := c.Manifest()
	facts.Asked = w.Wish.asked()
	mismatch := compat.NewMismatch(c.Name(), have, want, facts)
	if mismatch.Plan.Verdict == compat.VerdictRefuse {
		return migrate.Migration{}, mismatch
	}
	if err := w.suits(mismatch.Plan.Verdict); err != nil {
		return migrate.Migration{}, err
	}
	if w.Bridge != nil {
		if err := s.bridgeable(ctx, c, mismatch.Plan.Verdict, facts.Documents); err != nil {
			return migrate.Migration{}, err
		}
	}
	earlier, err := migrationsOf(ctx, c.stored)
	if err != nil {
		return migrate.Migration{}, err
	}
	m := s.migrations.migration(c, w.Judged)
	m.record = migrate.Migration{
		ID: 1, Collection: c.Name(), State: migrate.Planned, Verdict: mismatch.Plan.Verdict, Changes: mismatch.Changes,
		From: c.stored.Generation(), Auto: w.Auto, RequireCard: w.RequireCard, Limits: w.Limits, StartedAt: time.Now().UTC(),
	}
	m.record.Progress.Total = facts.Documents
	if len(earlier) > 0 {
		m.record.ID = earlier[0].ID + 1
	}
	m.id, m.live = m.record.ID, newLive(liveRecord{Shadow: shadowRecord{Share: w.Shadow}, Canary: canaryRecord{Share: w.Canary}})
	if m.record.Wish, err = writeJudged(w.Judged); err != nil {
		return migrate.Migration{}, err
	}
	if w.Bridge != nil {
		if m.record.Bridge, err = json.Marshal(newBridgeRecord(*w.Bridge, facts.Documents)); err != nil {
			return migrate.Migration{}, err
		}
	}
	if mismatch.Plan.Verdict.Opens() {
		return s.settle(ctx, m, want, judged)
	}
	return s.begin(ctx, m, want)
}

// target is the manifest that a wish leads to, as a new generation has it.
func (s *Service) target(ctx context.Context, c *Collection, w Wish) (compat.Manifest, error) {
	want, err := s.wanted(ctx, c.Manifest(), w)
	if err != nil {
		return want, err
	}
	checked := want
	checked.Evidence = compat.Evidence{} // it was observed of the manifest there is
	return want, checked.Validate()
}

// settle gives the serving generation its manifest: the vectors stay. judged is
// what the judged queries said of it, if there are any.
func (s *Service) settle(ctx context.Context, m *migration, want compat.Manifest, judged *rechecked) (migrate.Migration, error) {
	c := m.c
	m.record.To = m.record.From
	if passed, err := m.judgedBy(judged); err != nil {
		return migrate.Migration{}, err
	} else if !passed {
		return m.refuse(ctx, judged)
	}
	want.Evidence = c.Manifest().Evidence
	encoder, problem, err := s.settled(ctx, c, &want)
	if err != nil {
		return migrate.Migration{}, err
	}
	record := m.get()
	if err := record.Apply(migrate.EventSettle, time.Now().UTC()); err != nil {
		encoder.release()
		return migrate.Migration{}, err
	}
	kept, err := storedRecord(record)
	var end func() error
	if err == nil {
		end, err = c.stored.Retune(ctx, want, kept)
	}
	if err != nil {
		encoder.release()
		return migrate.Migration{}, err
	}
	former := c.serving()
	g, err := s.newGeneration(former.number, c.stored.Manifest(), encoder, problem)
	if err == nil {
		err = c.arrange(g, nil)
	}
	err = errors.Join(err, end())
	former.hold.release()
	c.scales.forget()
	s.logger.Info("collection opened under another manifest", "collection", c.Name(), "verdict", record.Verdict.String())
	return record, err
}

// settled is the encoder of a manifest whose documents stay as they are, proved
// by the probes that there are; those of the query role are made anew.
func (s *Service) settled(ctx context.Context, c *Collection, want *compat.Manifest) (encoder *served, problem, err error) {
	if encoder, problem = s.encoderOf(ctx, *want); encoder == nil {
		if len(want.Evidence.Probes) > 0 && want.Space.QueryPrompt != c.Manifest().Space.QueryPrompt {
			return nil, nil, fmt.Errorf("the probes can't be run: %w", problem)
		}
		return nil, problem, nil
	}
	probes, err := s.probesFor(ctx, encoder)
	if err == nil && len(want.Evidence.Probes) > 0 {
		err = sameDocuments(want.Evidence.Probes, probes)
	}
	if err != nil {
		encoder.release()
		return nil, nil, err
	}
	want.Evidence.Probes = probes
	return encoder, nil, nil
}

// sameDocuments compares the document side of two sets of probes of the same
// texts.
func sameDocuments(stored, fresh []compat.Probe) error {
	texts := map[string]compat.Probe{}
	for _, p := range fresh {
		texts[p.Text] = p
	}
	documents, queries := make([][]float32, len(stored)), make([][]float32, len(stored))
	for i, p := range stored {
		anew, ok := texts[p.Text]
		if !ok {
			anew = p // a text of an older program: nothing to compare
		}
		documents[i], queries[i] = anew.Document, p.Query
	}
	_, err := compat.CompareProbes(stored, documents, queries)
	if errors.Is(err, compat.ErrNoProbes) {
		return nil
	}
	return err
}

// begin makes the target generation and starts to fill it.
func (s *Service) begin(ctx context.Context, m *migration, want compat.Manifest) (_ migrate.Migration, err error) {
	c := m.c
	encoder, problem, err := s.proved(ctx, c.Manifest(), &want, m.record.Verdict)
	if err != nil {
		return migrate.Migration{}, err
	}
	var standby *generation
	defer func() {
		if err != nil {
			encoder.release()
		}
	}()
	if err = s.hasRoom(want, m.record.Verdict, encoder, m.record.Progress.Total); err != nil {
		return migrate.Migration{}, err
	}
	want.Provenance.Program, want.Provenance.CreatedAt = s.program, time.Now().UTC().Truncate(time.Second)
	want = want.WithDefaults()
	serving := c.serving()
	next, err := c.nextGeneration(ctx)
	if err != nil {
		return migrate.Migration{}, err
	}
	if standby, err = s.newGeneration(next, want, encoder, problem); err != nil {
		return migrate.Migration{}, err
	}
	// Writers bring both from here on; until the store knows of the second it
	// leaves out what they bring for it.
	before := c.now()
	if err = c.arrange(serving, standby); err != nil {
		return migrate.Migration{}, err
	}
	record := m.get()
	record.To = next
	if err = record.Apply(migrate.EventStart, time.Now().UTC()); err == nil {
		var kept store.Record
		if kept, err = storedRecord(record); err == nil {
			_, err = c.stored.StartStandby(ctx, want, kept)
		}
	}
	if err != nil {
		return migrate.Migration{}, errors.Join(err, c.arrange(before.serving, before.standby))
	}
	m.set(record)
	if r, err := readBridge(record); err == nil && r != nil {
		c.bridge.Store(&carrier{record: *r})
	}
	if err := m.step.take(context.WithoutCancel(ctx)); err != nil { // nobody else knows it yet
		return migrate.Migration{}, err
	}
	defer m.step.leave()
	s.migrations.enter(m)
	m.startLocked()
	s.logger.Info("migration started", "collection", c.Name(), "migration", record.ID, "verdict", record.Verdict.String(), "documents", record.Progress.Total)
	return record, nil
}

// nextGeneration is the number that the store gives to a new generation.
func (c *Collection) nextGeneration(ctx context.Context) (uint64, error) {
	list, err := c.stored.Generations(ctx)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	return list[len(list)-1].Number + 1, nil
}

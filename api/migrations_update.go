package api

import (
	"context"
	"fmt"

	"github.com/vecino-db/vecino/compat/migrate"
	"github.com/vecino-db/vecino/store"
)

// MigrationUpdate changes a migration that lasts; nil: as it is.
type MigrationUpdate struct {
	Shadow *float64 // share of the queries by text that are compared, 0 to 1
	Canary *float64 // share of the queries by text that the target answers, 0 to 1
	Limits LimitsUpdate
}

// LimitsUpdate changes the limits of a migration; nil: as it is. Zero is no
// bound, or the default.
type LimitsUpdate struct {
	TokensPerSecond *int
	CPUs            *float64
	Batch           *int
}

// On gives limits with the changes.
func (u LimitsUpdate) On(l migrate.Limits) migrate.Limits {
	if u.TokensPerSecond != nil {
		l.TokensPerSecond = *u.TokensPerSecond
	}
	if u.CPUs != nil {
		l.CPUs = *u.CPUs
	}
	if u.Batch != nil {
		l.Batch = *u.Batch
	}
	return l
}

// Validate says what is out of bounds.
func (u MigrationUpdate) Validate() error {
	for _, share := range []struct {
		name  string
		value *float64
	}{{"shadow", u.Shadow}, {"canary", u.Canary}} {
		if x := share.value; x != nil && !(*x >= 0 && *x <= 1) {
			return invalid("bad_share", "/"+share.name, "%s: a share of %g; give a number from 0, for none, to 1", share.name, *x)
		}
	}
	return validLimits(u.Limits.On(migrate.Limits{}))
}

// validLimits refuses limits that are out of range.
func validLimits(l migrate.Limits) error {
	if err := l.Validate(); err != nil {
		return invalid("bad_limits", "/limits", "%v", err)
	}
	return nil
}

// notWithAuto refuses a canary of a migration that does not wait for anybody.
func notWithAuto(auto bool, canary float64) error {
	if !auto || canary == 0 {
		return nil
	}
	e := invalid("canary_and_auto", "/canary", "a migration that cuts over by itself leaves no time to a canary")
	e.Remedy = "leave auto out and cut over when the canary's figures please you, or leave the canary out"
	return e
}

// UpdateMigration changes what a migration that has not ended takes of the
// machine, from its next batch on, and what it does with live queries. What runs
// goes on. Errors: KindNotFound, KindInvalid, KindConflict where it has ended,
// and those of the store.
func (s *Service) UpdateMigration(ctx context.Context, c *Collection, id uint64, u MigrationUpdate) (migrate.Migration, error) {
	if err := u.Validate(); err != nil {
		return migrate.Migration{}, err
	}
	m := s.migrations.of(c)
	if m == nil || m.get().ID != id {
		ended, err := s.Migration(ctx, c, id)
		if err == nil {
			err = beingDeleted(ended)
		}
		if err == nil {
			err = hasEnded(ended)
		}
		return migrate.Migration{}, err
	}
	if err := m.step.take(ctx); err != nil {
		return migrate.Migration{}, err
	}
	defer m.step.leave()
	if record := m.get(); record.State.Final() || record.InPlace() {
		return migrate.Migration{}, hasEnded(record)
	} else if u.Canary != nil {
		if err := notWithAuto(record.Auto, *u.Canary); err != nil {
			return migrate.Migration{}, err
		}
	}
	if err := m.update(ctx, u); err != nil {
		return migrate.Migration{}, err
	}
	return m.get(), nil
}

// update makes changes and keeps them, or leaves everything as it was.
func (m *migration) update(ctx context.Context, u MigrationUpdate) error {
	m.writing.Lock()
	defer m.writing.Unlock()
	limits := m.limits()
	shadow, canary := m.live.shares()
	m.setLimits(u.Limits.On(limits))
	m.setShares(u.Shadow, u.Canary)
	record := m.get()
	if m.limits() != limits {
		record.Progress.ETA = nil // it was that of the former ones
	}
	err := m.writeLocked(record, func(kept store.Record) error { return m.c.stored.SetRecord(ctx, kept) })
	if err != nil {
		m.setLimits(limits)
		m.setShares(&shadow, &canary)
	}
	return err
}

// setShares changes the settings of live queries, and lets queries see them.
func (m *migration) setShares(shadow, canary *float64) {
	if shadow == nil && canary == nil {
		return
	}
	m.live.change(func(r *liveRecord) {
		if shadow != nil {
			r.Shadow.Share = *shadow
		}
		if canary != nil {
			r.Canary.Share = *canary
		}
	})
	m.mu.Lock()
	defer m.mu.Unlock()
	m.publishLocked()
}

func hasEnded(m migrate.Migration) *Error {
	return &Error{
		Kind: KindConflict, Code: "wrong_state", Detail: fmt.Sprintf("migration %d of %q is %s: nothing of it can be changed any more", m.ID, m.Collection, m.State),
		Remedy: "start another migration", Err: migrate.ErrStep,
	}
}

package migrate

import (
	"context"
	"fmt"
	"time"

	"github.com/vecino-db/vecino/compat"
)

// Batch is some documents of the backlog.
type Batch interface {
	// Len is the number of documents.
	Len() int
	// Do makes the vectors of the documents in the target's space, by encoding
	// or by derivation, and stores them. Documents that have no vector there,
	// whatever is tried, are blocked: they are named, and no error.
	Do(ctx context.Context) (Done, error)
}

// Done is the outcome of a batch.
type Done struct {
	Filled  int      // documents that got their vector
	Encoded int      // texts that went through the encoder
	Tokens  int      // of these texts
	Blocked []string // ids
	CPU     time.Duration
}

// Backlog is the documents that the target lacks.
type Backlog interface {
	// Next is up to n documents behind those that it gave before, or nil at the
	// end of the walk; the next call begins a new one.
	Next(ctx context.Context, n int) (Batch, error)
	// Coverage is how many documents the target has, and how many there are.
	Coverage() (have, total int)
}

// Keeper keeps the record over restarts.
type Keeper interface {
	// Keep makes the record durable.
	Keep(ctx context.Context, m Migration) error
}

// Clock is the time, and waits.
type Clock interface {
	Now() time.Time
	// Sleep waits for d or until ctx ends, whose error it gives.
	Sleep(ctx context.Context, d time.Duration) error
}

// keepEvery is how often progress is kept: it is shown, and decides nothing.
const keepEvery = 2 * time.Second

// Runner works off the backlog of one migration. It is used by one goroutine.
type Runner struct {
	Backlog Backlog
	Keeper  Keeper
	Clock   Clock
	// Limits are looked at before each batch and during a rest: they may change.
	Limits func() Limits
	// Changed is told of each change of the record; nil: nobody is.
	Changed func(m Migration)

	kept   time.Time
	limits Limits    // of the present batch
	began  time.Time // of the run under these limits
	first  int       // documents that the target had then
}

// Fill works off the backlog until it holds nothing that can be done, from
// backfilling or catching_up to evaluating. m follows. It ends early with the
// context's error, and with the first error of the backlog or the keeper, the
// record as it is then.
func (r *Runner) Fill(ctx context.Context, m *Migration) error {
	r.limits = r.Limits()
	r.measure()
	for {
		walk, err := r.walk(ctx, m)
		if err != nil {
			return err
		}
		if m.State == Backfilling {
			if err := r.apply(ctx, m, EventFilled); err != nil {
				return err
			}
			continue
		}
		if walk.Filled == 0 {
			return r.apply(ctx, m, EventCaughtUp)
		}
	}
}

// measure begins to measure the pace.
func (r *Runner) measure() {
	r.began = r.Clock.Now()
	r.first, _ = r.Backlog.Coverage()
}

// walk goes once over the backlog.
func (r *Runner) walk(ctx context.Context, m *Migration) (sum Done, err error) {
	m.Progress.Blocked, m.Progress.BlockedIDs = 0, nil
	for {
		if err := ctx.Err(); err != nil {
			return sum, err
		}
		if limits := r.Limits(); limits != r.limits {
			r.limits = limits
			r.measure() // the pace so far says nothing of the one from here on
		}
		began := r.Clock.Now()
		batch, err := r.Backlog.Next(ctx, r.limits.withDefaults().Batch)
		if err != nil {
			return sum, fmt.Errorf("read what the target lacks: %w", err)
		}
		if batch == nil {
			return sum, r.progress(ctx, m, Done{}, began, true)
		}
		done, err := batch.Do(ctx)
		sum.Filled += done.Filled
		if kept := r.progress(ctx, m, done, began, false); err == nil {
			err = kept
		}
		if err == nil {
			err = Rest(ctx, r.Clock, r.Limits, done.Tokens, r.Clock.Now().Sub(began))
		}
		if err != nil {
			return sum, err
		}
	}
}

// restSlice is the longest part of a rest: a bound that is raised meanwhile ends
// it.
const restSlice = time.Second

// Rest waits as long as the bound of tokens asks for behind so many that took so
// long. That of processor time is the backlog's to keep, by a Pace: it alone sees
// when it is used.
func Rest(ctx context.Context, clock Clock, limits func() Limits, tokens int, took time.Duration) error {
	for {
		left := limits().restOf(tokens, took)
		if left == 0 {
			return ctx.Err()
		}
		left = min(left, restSlice)
		if err := clock.Sleep(ctx, left); err != nil {
			return err
		}
		took += left
	}
}

// progress counts a batch in that began at a time, and keeps the record now and
// then.
func (r *Runner) progress(ctx context.Context, m *Migration, done Done, began time.Time, keep bool) error {
	p, now := &m.Progress, r.Clock.Now()
	took := now.Sub(began)
	p.Done, p.Total = r.Backlog.Coverage()
	p.Tokens += done.Tokens
	p.Encoded += done.Encoded
	p.Worked += took.Seconds()
	p.CPU += done.CPU.Seconds()
	p.Blocked += len(done.Blocked)
	for _, id := range done.Blocked {
		if len(p.BlockedIDs) < compat.MaxBlockedIDs {
			p.BlockedIDs = append(p.BlockedIDs, id)
		}
	}
	p.ETA = r.eta(*p, r.limits.restOf(done.Tokens, took))
	if r.Changed != nil {
		r.Changed(m.Clone())
	}
	if !keep && now.Sub(r.kept) < keepEvery {
		return nil
	}
	r.kept = now
	return r.Keeper.Keep(ctx, m.Clone())
}

// eta is the time that is left at the pace under these limits, in seconds: the
// rests are among it, and so is the one that comes now.
func (r *Runner) eta(p Progress, rest time.Duration) *float64 {
	if p.Done <= r.first {
		return nil
	}
	took := r.Clock.Now().Sub(r.began) + rest
	left := max(0, p.Total-p.Done-p.Blocked)
	seconds := rest.Seconds() + took.Seconds()/float64(p.Done-r.first)*float64(left)
	return &seconds
}

// apply takes a step and keeps it.
func (r *Runner) apply(ctx context.Context, m *Migration, e Event) error {
	if err := m.Apply(e, r.Clock.Now()); err != nil {
		return err
	}
	if r.Changed != nil {
		r.Changed(m.Clone())
	}
	return r.Keeper.Keep(ctx, m.Clone())
}

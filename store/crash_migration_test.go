package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The crash test of migrations: writers that own their points, as in
// TestCrash, beside a migrator that leads the collection from one space into
// another and back, over and over, with a rollback now and then. A crash at any
// write operation must leave every acknowledged write in every generation that
// there was when it began, and nothing that was deleted or replaced in any.

// rowOf is what the encoder of a generation makes of a text.
func rowOf(g *generation) func(text string) []float32 {
	if g.config.Dimension == targetDim {
		return targetRow
	}
	return servingRow(g.config.Dimension)
}

// migrationStep is operation n of writer w, in both spaces.
func migrationStep(ctx context.Context, c *Collection, w, n int) error {
	ids, remove := operation(w, n)
	if remove {
		var doomed []ID
		for _, id := range ids {
			doomed = append(doomed, NumID(uint64(id)))
		}
		_, _, err := c.Delete(ctx, doomed)
		return err
	}
	return putBoth(ctx, c, crashManifest(), targetManifest(), n, ids...)
}

// migrationRun is one workload and the crashes that are taken of it.
type migrationRun struct {
	crashRun
	mu     sync.Mutex
	begun  map[uint64][crashWriters]int64 // by generation: operations that may have begun without it
	rounds atomic.Int64
}

// migrate is one migration; n counts them.
func (r *migrationRun) migrate(ctx context.Context, c *Collection, n int) error {
	m := targetManifest()
	if n%2 == 0 {
		m = crashManifest()
	}
	former := c.Generation()
	number, err := c.StartStandby(ctx, m, Record{Migration: uint64(n), Value: []byte("started")})
	if err != nil {
		return err
	}
	var begun [crashWriters]int64
	for w := range begun {
		begun[w] = r.writers[w].started.Load()
	}
	r.mu.Lock()
	r.begun[number] = begun
	r.mu.Unlock()
	for {
		if err := fillGeneration(ctx, c, number, 5); err != nil {
			return err
		}
		if n%5 == 4 {
			return c.Retire(ctx, number, Record{Migration: uint64(n), Value: []byte("aborted")})
		}
		err := c.SwitchTo(ctx, number, Record{Migration: uint64(n), Value: []byte("cut over")})
		if err == nil {
			break
		}
		if !errors.Is(err, ErrIncomplete) {
			return err
		}
	}
	if n%3 == 0 {
		if err := errors.Join(c.SwitchTo(ctx, former, Record{}), c.SwitchTo(ctx, number, Record{})); err != nil {
			return err
		}
	}
	return c.Retire(ctx, former, Record{Migration: uint64(n), Value: []byte("committed")})
}

// fillGeneration fills the standby of a number, whatever its space.
func fillGeneration(ctx context.Context, c *Collection, number uint64, batch int) error {
	from := Position(0)
	for {
		docs, _, next, done, err := c.Unfilled(ctx, number, from, batch, false)
		if done || err != nil {
			return err
		}
		g := c.generations.Load().of(number)
		var rows [][]float32
		for _, d := range docs {
			rows = append(rows, rowOf(g)(d.Text))
		}
		if _, err := c.Fill(ctx, number, docs, mustStamp(g.stamper, slices.Concat(rows...)), nil); err != nil {
			return err
		}
		from = next
	}
}

// work writes and migrates until enough crashes were taken.
func (r *migrationRun) work(ctx context.Context, fs vfs.FS, wanted *atomic.Int64) error {
	s, err := Open(ctx, r.options(fs))
	if err != nil {
		return err
	}
	c, err := s.Create(ctx, "main", crashManifest())
	if err != nil {
		return errors.Join(err, s.Close(ctx))
	}
	errs := make([]error, crashWriters+1)
	var group sync.WaitGroup
	for w := range crashWriters {
		group.Go(func() {
			p := &r.writers[w]
			for n := int64(1); wanted.Load() > 0 && errs[w] == nil; n++ {
				p.started.Store(n)
				if errs[w] = migrationStep(ctx, c, w, int(n)); errs[w] == nil {
					p.acked.Store(n)
				}
			}
		})
	}
	group.Go(func() {
		for n := 1; wanted.Load() > 0 && errs[crashWriters] == nil; n++ {
			errs[crashWriters] = r.migrate(ctx, c, n)
			r.rounds.Add(1)
		}
	})
	group.Wait()
	return errors.Join(errors.Join(errs...), s.Close(ctx))
}

// run works until enough crashes were taken, and checks each.
func (r *migrationRun) run(seed uint64, points int) error {
	rng := rand.New(rand.NewPCG(seed, 0))
	var wanted atomic.Int64
	wanted.Store(int64(points))
	fs := crashable(vfs.NewCrashableMem(), r.snap(rng, &sync.Mutex{}, 16, &wanted))
	r.clones, r.begun = make(chan crashPoint, 4), map[uint64][crashWriters]int64{}
	var verifier sync.WaitGroup
	verifier.Go(func() {
		for p := range r.clones {
			r.verified++
			if err := r.checkMigration(p); err != nil {
				r.failures = append(r.failures, fmt.Errorf("crash %d (bounds %v): %w", r.verified, p.bounds, err))
			}
		}
	})
	err := r.work(context.Background(), fs, &wanted)
	close(r.clones)
	verifier.Wait()
	return err
}

// checkMigration opens what a crash left, compares both generations with what
// was acknowledged, and leads the migration to its end.
func (r *migrationRun) checkMigration(p crashPoint) (err error) {
	ctx := context.Background()
	o := r.options(p.mem)
	o.testing.noSync = false
	s, err := Open(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close(ctx)) }()
	d, err := s.Describe(ctx, "main")
	if errors.Is(err, ErrNotFound) {
		return nil // before its creation
	}
	if err = errors.Join(err, d.Damage); err != nil {
		return err
	}
	c, err := s.OpenCollection(ctx, "main", d.Manifest.Space)
	if err != nil {
		return err
	}
	model, err := survivors(ctx, c, p)
	if err != nil {
		return err
	}
	all := c.generations.Load()
	if err := expectGeneration(ctx, c, all.serving.number, rowOf(all.serving), model); err != nil {
		return err
	}
	if err := noStrays(c); err != nil {
		return err
	}
	if all.standby == nil {
		return nil
	}
	number := all.standby.number
	r.mu.Lock()
	begun, known := r.begun[number]
	r.mu.Unlock()
	if known && !all.served {
		// What began after the start is in both, however far the backfill got.
		docs, _, _, _, err := c.Unfilled(ctx, number, 0, 1<<20, false)
		if err != nil {
			return err
		}
		for _, d := range docs {
			id, _ := d.ID.Number()
			if w := int(id) / crashOwned; int64(model[int(id)]) > begun[w] {
				return fmt.Errorf("point %d version %d was written after operation %d, when generation %d began, and is not in it", id, model[int(id)], begun[w], number)
			}
		}
	}
	if err := fillGeneration(ctx, c, number, 7); err != nil {
		return err
	}
	for _, g := range all.each() {
		if err := expectGeneration(ctx, c, g.number, rowOf(g), model); err != nil {
			return err
		}
	}
	if err := c.SwitchTo(ctx, number, Record{}); err != nil {
		return err
	}
	if err := migrationStep(ctx, c, 0, 1); err != nil {
		return err
	}
	for id, version := range after(0, 1) {
		model[id] = version
	}
	for _, g := range all.each() {
		if err := expectGeneration(ctx, c, g.number, rowOf(g), model); err != nil {
			return err
		}
	}
	return nil
}

// noStrays finds vectors of generations that there are no more.
func noStrays(c *Collection) error {
	return scan(c.store.db, prefixKey(familyVector, c.number), nil, func(key, _ []byte) error {
		for _, g := range c.generations.Load().each() {
			if prefix := vectorPrefix(c.number, g.number); string(key[:len(prefix)]) == string(prefix) {
				return nil
			}
		}
		return fmt.Errorf("a vector is left of a retired generation: key %x", key)
	})
}

// crashMigrations takes crashes of migrations.
func crashMigrations(t *testing.T, points int, control bool) (verified int, rounds int64, failures []error) {
	seed := *crashSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-crash.seed=%d", seed)
	for round := uint64(0); verified < points; round++ {
		r := &migrationRun{crashRun: crashRun{control: control}}
		if err := r.run(seed+round, min(points-verified, crashRoundPoints)); err != nil {
			t.Fatalf("round %d: the workload failed: %v", round, err)
		}
		verified += r.verified
		rounds += r.rounds.Load()
		failures = append(failures, r.failures...)
	}
	return verified, rounds, failures
}

// An acknowledged write survives every crash of a migration in both
// generations.
func TestCrashMigration(t *testing.T) {
	verified, rounds, failures := crashMigrations(t, fewer(*crashPoints)/2, false)
	t.Logf("%d crash points in %d migrations, %d failures", verified, rounds, len(failures))
	for _, err := range failures {
		t.Error(err)
	}
}

// The control: without syncs the same test must fail.
func TestCrashMigrationControl(t *testing.T) {
	verified, _, failures := crashMigrations(t, 40, true)
	t.Logf("%d crash points without sync, %d failures", verified, len(failures))
	if len(failures) == 0 {
		t.Error("writes without sync survived every crash: the crash test does not see losses")
	}
}

package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/vecino-db/vecino/compat"
)

// The crash test of adoptions: collections of raw vectors come one after
// another, are written to, adopted, and written to again. A crash at any write
// operation leaves each in the one space or in the other, with every
// acknowledged write, and with a graph that is loaded and not built anew.

// adoptRun is one workload and the crashes that are taken of it.
type adoptRun struct {
	control  bool // acknowledge without sync
	mu       sync.Mutex
	progress []adoptProgress // by collection
	clones   chan adoptPoint
	failures []error
	verified int
	states   map[string]int
}

// adoptProgress is what has happened to a collection: points are written one a
// step, and step adoptAt is the adoption.
type adoptProgress struct{ started, acked int }

const (
	adoptSteps = 30
	adoptAt    = 15
)

// adoptPoint is the disk after a crash, and what has happened before and after.
type adoptPoint struct {
	mem          *vfs.MemFS
	least, most  []adoptProgress
	seedOfReopen uint64
}

func adoptRaw(n int) compat.Manifest {
	m := rawManifest(crashDim, compat.EngineHNSW)
	m.Space.Weights[6] = byte(n)
	return m
}

func adoptModel() compat.Manifest { return hnswManifest(crashDim) }

// adoptStep is step n, from 1, of a collection.
func adoptStep(ctx context.Context, c *Collection, raw compat.Manifest, n int) error {
	if n == adoptAt {
		a := adoption(c)
		a.Space = adoptModel().Space
		return adopt(ctx, c, a)
	}
	m := raw
	if n > adoptAt {
		m = adoptModel()
	}
	_, err := c.Put(ctx, []Document{documentOf(n%20, n)}, mustStampFor(m, vectorOf(n%20, n, crashDim)))
	return err
}

// adoptedModel is what a collection has after n steps.
func adoptedModel(n int) map[int]int {
	model := map[int]int{}
	for i := 1; i <= n; i++ {
		if i != adoptAt {
			model[i%20] = i
		}
	}
	return model
}

func (r *adoptRun) now() []adoptProgress {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]adoptProgress(nil), r.progress...)
}

func (r *adoptRun) set(at int, change func(p *adoptProgress)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.progress[at])
}

// work adopts collections until enough crashes were taken.
func (r *adoptRun) work(ctx context.Context, fs vfs.FS, wanted *atomic.Int64) error {
	o := (&crashRun{control: r.control}).options(fs)
	o.CheckpointEvery = 4
	s, err := Open(ctx, o)
	if err != nil {
		return err
	}
	for at := 0; err == nil && wanted.Load() > 0; at++ {
		raw := adoptRaw(at)
		var c *Collection
		if c, err = s.Create(ctx, fmt.Sprintf("c%d", at), raw); err != nil {
			break
		}
		r.mu.Lock()
		r.progress = append(r.progress, adoptProgress{})
		r.mu.Unlock()
		for n := 1; n <= adoptSteps && err == nil; n++ {
			r.set(at, func(p *adoptProgress) { p.started = n })
			if err = adoptStep(ctx, c, raw, n); err == nil {
				r.set(at, func(p *adoptProgress) { p.acked = n })
			}
		}
	}
	return errors.Join(err, s.Close(ctx))
}

// run works until enough crashes were taken, and checks each.
func (r *adoptRun) run(seed uint64, points int) error {
	rng := rand.New(rand.NewPCG(seed, 0))
	var wanted atomic.Int64
	wanted.Store(int64(points))
	r.clones, r.states = make(chan adoptPoint, 4), map[string]int{}
	var mu sync.Mutex
	fs := crashable(vfs.NewCrashableMem(), func(clone func(*rand.Rand) *vfs.MemFS) {
		mu.Lock()
		hit, own := rng.IntN(4) == 0, rng.Uint64()
		mu.Unlock()
		if !hit || wanted.Add(-1) < 0 {
			return
		}
		p := adoptPoint{least: r.now(), seedOfReopen: own}
		p.mem = clone(rand.New(rand.NewPCG(own, 1)))
		p.most = r.now()
		r.clones <- p
	})
	var verifier sync.WaitGroup
	verifier.Go(func() {
		for p := range r.clones {
			r.verified++
			if err := r.check(p); err != nil {
				r.failures = append(r.failures, fmt.Errorf("crash %d: %w", r.verified, err))
			}
		}
	})
	err := r.work(context.Background(), fs, &wanted)
	close(r.clones)
	verifier.Wait()
	return err
}

// check opens what a crash left and looks at every collection.
func (r *adoptRun) check(p adoptPoint) (err error) {
	ctx := context.Background()
	s, err := Open(ctx, (&crashRun{}).options(p.mem))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close(ctx)) }()
	for at := range p.least {
		d, err := s.Describe(ctx, fmt.Sprintf("c%d", at))
		if err = errors.Join(err, d.Damage); err != nil {
			return err
		}
		c, err := s.OpenCollection(ctx, d.Name, d.Manifest.Space)
		if err != nil {
			return err
		}
		if err := r.checkOne(ctx, c, at, p); err != nil {
			return fmt.Errorf("collection %d (steps %d to %d): %w", at, p.least[at].acked, p.most[at].started, err)
		}
	}
	return nil
}

func (r *adoptRun) checkOne(ctx context.Context, c *Collection, at int, p adoptPoint) error {
	least, most := p.least[at].acked, p.most[at].started
	raw := c.Manifest().Space.Raw()
	switch {
	case raw && c.Manifest().Space != adoptRaw(at).Space, !raw && c.Manifest().Space != adoptModel().Space:
		return fmt.Errorf("it is of the space %+v", c.Manifest().Space)
	case raw && least >= adoptAt:
		return errors.New("its adoption was acknowledged, and it is raw")
	case !raw && most < adoptAt:
		return errors.New("its adoption had not begun, and it is not raw")
	case c.dropped:
		return errors.New("the crash left a checkpoint that can't be used")
	case !raw && c.rebuilt:
		return errors.New("it was adopted, and its graph built anew")
	}
	if raw {
		r.states["raw"]++
	} else {
		r.states["adopted"]++
	}
	if least < adoptAt && most >= adoptAt {
		r.states["in between"]++
	}
	if err := chunksOf(c); err != nil {
		return err
	}
	var err error
	n := least
	for ; n <= most; n++ {
		if raw && n >= adoptAt || !raw && n < adoptAt {
			continue
		}
		if err = expect(c, adoptedModel(n)); err == nil {
			break
		}
	}
	if err != nil || n > most {
		return fmt.Errorf("it is the outcome of none of its steps: %w", err)
	}
	// It goes on from there, to the end.
	for n++; n <= adoptSteps; n++ {
		if n == adoptAt && !raw {
			continue
		}
		if err := adoptStep(ctx, c, adoptRaw(at), n); err != nil {
			return fmt.Errorf("step %d after the crash: %w", n, err)
		}
	}
	return errors.Join(expect(c, adoptedModel(adoptSteps)), chunksOf(c))
}

func crashAdoptions(t *testing.T, points int, control bool) (verified int, failures []error) {
	seed := *crashSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-crash.seed=%d", seed)
	states := map[string]int{}
	for round := uint64(0); verified < points; round++ {
		r := &adoptRun{control: control}
		if err := r.run(seed+round, min(points-verified, crashRoundPoints)); err != nil {
			t.Fatalf("round %d: the workload failed: %v", round, err)
		}
		verified += r.verified
		failures = append(failures, r.failures...)
		for state, n := range r.states {
			states[state] += n
		}
	}
	t.Logf("%d crash points, %d failures, collections %v", verified, len(failures), states)
	return verified, failures
}

// A crash leaves a collection in the one space or in the other, whole.
func TestCrashAdopt(t *testing.T) {
	_, failures := crashAdoptions(t, fewer(*crashPoints)/2, false)
	for _, err := range failures {
		t.Error(err)
	}
}

// The control: without syncs the same test must fail.
func TestCrashAdoptControl(t *testing.T) {
	if _, failures := crashAdoptions(t, 40, true); len(failures) == 0 {
		t.Error("adoptions without sync survived every crash: the crash test does not see losses")
	}
}

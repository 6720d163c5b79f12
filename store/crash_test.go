package store

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index/filter"
)

var (
	crashPoints = flag.Int("crash.points", 300, "crash points of TestCrash")
	crashSeed   = flag.Uint64("crash.seed", 0, "seed of the crash tests; 0: a random one")
)

// gateFS keeps the operations of MemFS that deadlock with CrashClone (Pebble's
// issue 5993) apart from it.
type gateFS struct {
	vfs.FS
	mu *sync.RWMutex
}

func (g gateFS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.FS.ReuseForWrite(oldname, newname, category)
}

func (g gateFS) Link(oldname, newname string) error {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.FS.Link(oldname, newname)
}

func (g gateFS) Lock(name string) (io.Closer, error) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.FS.Lock(name)
}

func (g gateFS) Unwrap() vfs.FS { return g.FS }

// crashable is memory that calls snap before every write operation with a
// function that clones what a crash at that moment may leave.
func crashable(mem *vfs.MemFS, snap func(clone func(rng *rand.Rand) *vfs.MemFS)) vfs.FS {
	gate := gateFS{FS: mem, mu: &sync.RWMutex{}}
	clone := func(rng *rand.Rand) *vfs.MemFS {
		gate.mu.Lock()
		defer gate.mu.Unlock()
		return mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 25 * rng.IntN(5), RNG: rng})
	}
	return errorfs.Wrap(gate, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			snap(clone)
		}
		return nil
	}))
}

// The workload: writers that own their points, and one more that makes, fills
// and drops a collection over and over. Operation n of a writer is a function
// of n, so that the state after any number of operations can be told.
const (
	crashWriters = 3
	crashOwned   = 12 // points of a writer
	crashDim     = 4
)

// progress counts the operations of a writer.
type progress struct{ started, acked atomic.Int64 }

// bounds are the numbers of operations whose outcome a crash may leave.
type bounds struct{ least, most int64 }

// operation is what writer w does in its n-th step, from 1: a put of three of
// its points, or the deletion of two.
func operation(w, n int) (ids []int, remove bool) {
	first := n * 5 % crashOwned
	count := 3
	if remove = n%4 == 0; remove {
		count = 2
	}
	for i := range count {
		ids = append(ids, w*crashOwned+(first+i)%crashOwned)
	}
	return ids, remove
}

// after is what writer w has after n operations.
func after(w, n int) map[int]int {
	model := map[int]int{}
	for i := 1; i <= n; i++ {
		ids, remove := operation(w, i)
		for _, id := range ids {
			if remove {
				delete(model, id)
			} else {
				model[id] = i
			}
		}
	}
	return model
}

// crashRun is one workload and the crashes that are taken of it.
type crashRun struct {
	control  bool // acknowledge without sync
	writers  [crashWriters + 1]progress
	clones   chan crashPoint
	failures []error
	verified int
}

// crashPoint is the disk after a crash and what must be on it.
type crashPoint struct {
	mem    *vfs.MemFS
	bounds [crashWriters + 1]bounds
	seed   uint64
}

func (r *crashRun) options(fs vfs.FS) Options {
	return Options{Dir: "data", FS: fs, Create: true, MemTableBytes: 64 << 10, CacheBytes: 1 << 20, CheckpointEvery: 30, testing: testOptions{noSync: r.control}}
}

// snap clones the disk now and then. What is acknowledged is read before and
// what has begun after the clone is taken.
func (r *crashRun) snap(rng *rand.Rand, mu *sync.Mutex, oneIn int, wanted *atomic.Int64) func(func(*rand.Rand) *vfs.MemFS) {
	return func(clone func(*rand.Rand) *vfs.MemFS) {
		mu.Lock()
		hit := rng.IntN(oneIn) == 0
		seed := rng.Uint64()
		mu.Unlock()
		if !hit || wanted.Add(-1) < 0 {
			return
		}
		p := crashPoint{seed: seed}
		for w := range r.writers {
			p.bounds[w].least = r.writers[w].acked.Load()
		}
		p.mem = clone(rand.New(rand.NewPCG(seed, 1)))
		for w := range r.writers {
			p.bounds[w].most = r.writers[w].started.Load()
		}
		r.clones <- p
	}
}

// run works until enough crashes were taken.
func (r *crashRun) run(seed uint64, points int) error {
	ctx := context.Background()
	rng := rand.New(rand.NewPCG(seed, 0))
	var wanted atomic.Int64
	wanted.Store(int64(points))
	fs := crashable(vfs.NewCrashableMem(), r.snap(rng, &sync.Mutex{}, 4, &wanted))
	r.clones = make(chan crashPoint, 4)
	var verifier sync.WaitGroup
	verifier.Add(1)
	go func() {
		defer verifier.Done()
		for p := range r.clones {
			r.verified++
			if err := r.check(p, true); err != nil {
				r.failures = append(r.failures, fmt.Errorf("crash %d (bounds %v): %w", r.verified, p.bounds, err))
			}
		}
	}()
	err := r.work(ctx, fs, &wanted)
	close(r.clones)
	verifier.Wait()
	return err
}

func (r *crashRun) work(ctx context.Context, fs vfs.FS, wanted *atomic.Int64) error {
	s, err := Open(ctx, r.options(fs))
	if err != nil {
		return err
	}
	c, err := s.Create(ctx, "main", crashManifest())
	if err != nil {
		return errors.Join(err, s.Close(ctx))
	}
	for field, t := range map[string]PayloadType{"even": PayloadBool, "version": PayloadInteger} {
		if err := c.CreatePayloadIndex(ctx, field, t, nil); err != nil {
			return errors.Join(err, s.Close(ctx))
		}
	}
	errs := make([]error, crashWriters+1)
	var writers sync.WaitGroup
	for w := range crashWriters + 1 {
		writers.Add(1)
		go func() {
			defer writers.Done()
			p := &r.writers[w]
			for n := int64(1); wanted.Load() > 0 && errs[w] == nil; n++ {
				p.started.Store(n)
				if w == crashWriters {
					errs[w] = errors.Join(togglePayloadIndex(ctx, c, int(n)), toggle(ctx, s, int(n)))
				} else {
					errs[w] = step(ctx, c, w, int(n))
				}
				if errs[w] == nil {
					p.acked.Store(n)
				}
			}
		}()
	}
	writers.Wait()
	return errors.Join(errors.Join(errs...), s.Close(ctx))
}

func crashManifest() compat.Manifest { return hnswManifest(crashDim) }

// step is operation n of writer w.
func step(ctx context.Context, c *Collection, w, n int) error {
	ids, remove := operation(w, n)
	if remove {
		var doomed []ID
		for _, id := range ids {
			doomed = append(doomed, NumID(uint64(id)))
		}
		_, _, err := c.Delete(ctx, doomed)
		return err
	}
	var docs []Document
	var rows []float32
	for _, id := range ids {
		docs = append(docs, documentOf(id, n))
		rows = append(rows, vectorOf(id, n, crashDim)...)
	}
	_, err := c.Put(ctx, docs, mustStamp(c.serving().stamper, rows))
	return err
}

// togglePayloadIndex makes and drops an index beside the writes.
func togglePayloadIndex(ctx context.Context, c *Collection, n int) error {
	if n%2 == 0 {
		_, err := c.DropPayloadIndex(ctx, "id")
		return err
	}
	return c.CreatePayloadIndex(ctx, "id", PayloadFloat, nil)
}

// checkPayloadIndexes compares the payload indexes with the documents.
func checkPayloadIndexes(ctx context.Context, c *Collection) error {
	if err := c.AwaitPayloadIndexes(ctx); err != nil {
		return err
	}
	for _, text := range []string{
		`{"must":{"key":"even","match":{"value":true}}}`,
		`{"must":{"key":"version","range":{"gt":20}},"must_not":{"key":"id","range":{"lt":5}}}`,
	} {
		f, err := filter.Parse([]byte(text))
		if err == nil {
			err = samePlans(c, f)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
	}
	for _, x := range c.payload.all() {
		if x.rebuilt {
			return fmt.Errorf("the records of %s were of no use", x.record.Field)
		}
		found := postingSum{sequence: c.current().sequence}
		err := scan(c.store.db, payloadKey(familyPosting, c.number, x.number), nil, func(key, value []byte) error {
			ordinal, _ := lastUint32(key, postingKeyLength)
			found.add(ordinal, value)
			return nil
		})
		if err != nil {
			return err
		}
		x.sum.sequence = found.sequence
		if found != x.sum || found.records != c.current().live {
			return fmt.Errorf("the records of %s are %+v, their sum %+v, of %d documents", x.record.Field, found, x.sum, c.current().live)
		}
	}
	return nil
}

// toggle makes, fills and drops a collection in turn.
func toggle(ctx context.Context, s *Store, n int) error {
	switch n % 3 {
	case 1:
		_, err := s.Create(ctx, "side", crashManifest())
		return err
	case 2:
		c, err := s.OpenCollection(ctx, "side", crashManifest().Space)
		if err != nil {
			return err
		}
		return step(ctx, c, 0, 1)
	}
	return s.Drop(ctx, "side")
}

// check opens what a crash left: everything acknowledged is there, batches are
// whole, and documents, vectors, digest and graph agree.
func (r *crashRun) check(p crashPoint, deeper bool) (err error) {
	ctx := context.Background()
	rng := rand.New(rand.NewPCG(p.seed, 2))
	var fs vfs.FS = p.mem
	recovered := func() {}
	if deeper && rng.IntN(25) == 0 {
		// Crash once more while the store recovers.
		at := rng.IntN(40)
		var mu sync.Mutex
		var second *vfs.MemFS
		fs = crashable(p.mem, func(clone func(*rand.Rand) *vfs.MemFS) {
			mu.Lock()
			defer mu.Unlock()
			if at--; at == 0 {
				second = clone(rng)
			}
		})
		recovered = func() {
			mu.Lock()
			defer mu.Unlock()
			at = 0
		}
		defer func() {
			mu.Lock()
			defer mu.Unlock()
			if second == nil || err != nil {
				return
			}
			again := crashPoint{mem: second, bounds: p.bounds, seed: p.seed}
			if again := r.check(again, false); again != nil {
				err = fmt.Errorf("after a crash while recovering: %w", again)
			}
		}()
	}
	o := r.options(fs)
	o.testing.noSync = false
	s, err := Open(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close(ctx)) }()
	if err := s.db.CheckLevels(nil); err != nil {
		return err
	}
	c, err := s.OpenCollection(ctx, "main", crashManifest().Space)
	if errors.Is(err, ErrNotFound) {
		for _, b := range p.bounds {
			if b.least > 0 {
				return fmt.Errorf("acknowledged collection: %w", err)
			}
		}
		return nil // the crash came before its creation
	}
	if err != nil {
		return err
	}
	if c.dropped {
		return errors.New("the crash left a checkpoint that can't be used")
	}
	model, err := survivors(ctx, c, p)
	if err != nil {
		return err
	}
	if err := expect(c, model); err != nil {
		return err
	}
	if err := checkSide(ctx, s, p.bounds[crashWriters]); err != nil {
		return err
	}
	if err := checkPayloadIndexes(ctx, c); err != nil {
		return err
	}
	// The store goes on from there.
	recovered()
	put(nilTB{}, c, 1<<20, 1<<20, 1<<20+1)
	model[1<<20] = 1 << 20
	return expect(c, model)
}

// nilTB lets check use helpers that take a testing.TB and can't fail there.
type nilTB struct{ testing.TB }

func (nilTB) Helper()           {}
func (nilTB) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

// survivors finds for every writer the number of operations whose outcome is
// there, within its bounds.
func survivors(ctx context.Context, c *Collection, p crashPoint) (map[int]int, error) {
	docs, _, err := c.Scroll(ctx, ScrollQuery{Limit: 1 << 20})
	if err != nil {
		return nil, err
	}
	found := [crashWriters]map[int]int{}
	for w := range found {
		found[w] = map[int]int{}
	}
	for _, d := range docs {
		number, _ := d.ID.Number()
		var id, version int
		if _, err := fmt.Sscanf(d.Text, "text %d of version %d", &id, &version); err != nil || uint64(id) != number || id/crashOwned >= crashWriters {
			return nil, fmt.Errorf("document %s has text %q", d.ID, d.Text)
		}
		found[id/crashOwned][id] = version
	}
	model := map[int]int{}
	for w := range found {
		ok := false
		for n := p.bounds[w].least; n <= p.bounds[w].most && !ok; n++ {
			ok = maps.Equal(found[w], after(w, int(n)))
		}
		if !ok {
			return nil, fmt.Errorf("writer %d: %v is the outcome of none of its operations %d..%d; the acknowledged one leaves %v",
				w, found[w], p.bounds[w].least, p.bounds[w].most, after(w, int(p.bounds[w].least)))
		}
		maps.Copy(model, found[w])
	}
	return model, nil
}

// checkSide looks at the collection that comes and goes.
func checkSide(ctx context.Context, s *Store, b bounds) error {
	c, err := s.OpenCollection(ctx, "side", crashManifest().Space)
	state := -1
	switch {
	case errors.Is(err, ErrNotFound):
		state = 0
	case err != nil:
		return err
	default:
		n, err := c.Count(ctx, nil)
		if err != nil {
			return err
		}
		if n == 0 {
			state = 1
		} else if err := expect(c, after(0, 1)); err == nil {
			state = 2
		}
	}
	for n := b.least; n <= b.most; n++ {
		if int(n%3) == state {
			return nil
		}
	}
	return fmt.Errorf("the side collection is in state %d after operations %d..%d", state, b.least, b.most)
}

// crashRoundPoints is the number of crashes taken of one workload.
const crashRoundPoints = 150

func crash(t *testing.T, points int, control bool) (verified int, failures []error) {
	seed := *crashSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-crash.seed=%d", seed)
	for round := uint64(0); verified < points; round++ {
		r := &crashRun{control: control}
		if err := r.run(seed+round, min(points-verified, crashRoundPoints)); err != nil {
			t.Fatalf("round %d: the workload failed: %v", round, err)
		}
		verified += r.verified
		failures = append(failures, r.failures...)
	}
	return verified, failures
}

// An acknowledged write survives every crash, and batches are whole.
func TestCrash(t *testing.T) {
	verified, failures := crash(t, fewer(*crashPoints), false)
	t.Logf("%d crash points, %d failures", verified, len(failures))
	for _, err := range failures {
		t.Error(err)
	}
}

// The control: without syncs the same test must fail, or it proves nothing.
func TestCrashControl(t *testing.T) {
	verified, failures := crash(t, 60, true)
	t.Logf("%d crash points without sync, %d failures", verified, len(failures))
	if len(failures) == 0 {
		t.Error("writes without sync survived every crash: the crash test does not see losses")
	}
	for _, err := range failures[:min(len(failures), 3)] {
		t.Log(err)
	}
}

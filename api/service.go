package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/store"
)

// Options of a Service.
type Options struct {
	Store   *store.Store // open; the service owns it from then on
	Models  string       // directory of local models; "" for none
	Program string       // written into manifests: "vecino 0.1.0"
	Logger  *slog.Logger // nil: nothing is logged

	Remotes []Remote               // models behind endpoints
	Queue   embed.SchedulerOptions // as EncodersOptions.Queue
	Threads int                    // as EncodersOptions.Threads
	// CacheBytes is the size of the cache of embeddings, of transformers and
	// remote models; 0: none.
	CacheBytes int64
	// ProbeEvery is the time between two comparisons of a remote model with
	// the probes of a collection. 0: 1 h.
	ProbeEvery time.Duration
	// ForgetQueries: no query is remembered for the evaluation of a migration,
	// which then asks the beginnings of documents where none are judged.
	ForgetQueries bool
}

// Validate says what is missing or out of range.
func (o Options) Validate() error {
	switch {
	case o.Store == nil:
		return errors.New("api: Options.Store is nil; open a store first")
	case o.CacheBytes < 0:
		return fmt.Errorf("a cache of %d bytes: give 0 for none, or a size", o.CacheBytes)
	case o.ProbeEvery < 0:
		return fmt.Errorf("probes every %v: give 0 for the default, or a time", o.ProbeEvery)
	}
	return nil
}

// Service is the service. It is safe for concurrent use.
type Service struct {
	store    *store.Store
	free     func() (int64, error) // bytes of the disk that writes may take
	encoders *Encoders
	program  string
	logger   *slog.Logger
	started  time.Time
	cache    *store.EmbeddingCache // nil: none

	jobs       *jobs
	migrations *migrations
	traffic    *embed.Traffic
	training   chan struct{} // held by the one training that runs: it takes memory and all cores
	rehearsing chan struct{} // held by the one plan that rehearses
	shelf      *shelf        // of snapshots

	forget     bool // as Options.ForgetQueries
	probeEvery time.Duration
	endWatch   context.CancelFunc
	watching   sync.WaitGroup

	changing sync.Mutex // held while a collection is made or dropped, before mu

	mu          sync.RWMutex
	collections map[string]*Collection
	damaged     map[string]error // collections that the store can't open
}

// New opens every collection of the store with its encoder and checks the
// encoder's probes. A collection whose encoder is missing or changed is opened
// without it, and that is logged. On error the store stays the caller's.
func New(ctx context.Context, o Options) (*Service, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Service{store: o.Store, free: o.Store.FreeBytes, program: o.Program, logger: o.Logger, started: time.Now(), traffic: &embed.Traffic{}, probeEvery: o.ProbeEvery, forget: o.ForgetQueries, training: make(chan struct{}, 1), rehearsing: make(chan struct{}, 1), collections: map[string]*Collection{}, damaged: map[string]error{}}
	if s.probeEvery == 0 {
		s.probeEvery = defaultProbeEvery
	}
	s.migrations = newMigrations(s)
	settings := EncodersOptions{Models: o.Models, Remotes: o.Remotes, Queue: o.Queue, Threads: o.Threads, Logger: o.Logger}
	settings.Queue.Traffic = s.traffic
	var err error
	if o.CacheBytes > 0 {
		if s.cache, err = o.Store.EmbeddingCache(o.CacheBytes); err != nil {
			return nil, fmt.Errorf("embedding cache: %w", err)
		}
		settings.Cache = s.cache
	}
	if s.shelf, err = newShelf(o.Store); err != nil {
		return nil, err
	}
	if s.encoders, err = NewEncoders(settings); err != nil {
		return nil, err
	}
	if s.jobs, err = openJobs(ctx, o.Store, o.Logger); err != nil {
		return nil, errors.Join(err, s.encoders.Close())
	}
	if err := s.openAll(ctx); err != nil {
		s.migrations.close()
		s.jobs.close()
		return nil, errors.Join(err, s.encoders.Close())
	}
	s.jobs.interrupt(ctx, s.found)
	watching, end := context.WithCancel(context.WithoutCancel(ctx))
	s.endWatch = end
	if len(o.Remotes) > 0 {
		s.checkEndpoints(watching)
		s.watching.Go(func() { s.watch(watching) })
	}
	return s, nil
}

// openAll opens the collections of the store.
func (s *Service) openAll(ctx context.Context) error {
	list, err := s.store.List(ctx)
	if err != nil {
		return fmt.Errorf("list collections: %w", err)
	}
	for _, d := range list {
		c, err := s.open(ctx, d.Name, d.Manifest)
		if errors.Is(err, store.ErrCorrupt) {
			s.logger.Error("collection can't be opened; the others are served", "collection", d.Name, "error", err)
			s.damaged[d.Name] = err
			continue
		}
		if err != nil {
			return fmt.Errorf("open collection %q: %w", d.Name, err)
		}
		s.collections[d.Name] = c
		if err := s.migrations.open(ctx, c); err != nil {
			return fmt.Errorf("open collection %q: %w", d.Name, err)
		}
	}
	return ctx.Err()
}

// Close checkpoints and closes the store, then the encoders. No call may be
// running or begin.
func (s *Service) Close(ctx context.Context) error {
	s.endWatch()
	s.watching.Wait()
	s.migrations.close()
	s.jobs.close()
	return errors.Join(s.store.Close(ctx), s.encoders.Close())
}

// open gives a stored collection the encoders of its generations, or the
// reasons why it has none. A remote one is compared with its probes later.
func (s *Service) open(ctx context.Context, name string, m compat.Manifest) (*Collection, error) {
	stored, err := s.store.OpenCollection(ctx, name, m.Space)
	if err != nil {
		return nil, err
	}
	serving, err := s.reopen(ctx, name, stored.Generation(), stored.Manifest())
	if err != nil {
		return nil, err
	}
	info, ok := stored.Standby()
	if !ok {
		return s.newCollection(stored, serving, nil)
	}
	standby, err := s.reopen(ctx, name, info.Generation, info.Manifest)
	if err != nil {
		return nil, err
	}
	return s.newCollection(stored, serving, standby)
}

// reopen gives a stored generation its encoder, which must be of its space and
// come through its probes, or the reason why it has none.
func (s *Service) reopen(ctx context.Context, name string, number uint64, m compat.Manifest) (*generation, error) {
	encoder, problem := s.encoderOf(ctx, m)
	if encoder != nil {
		wanted := m
		wanted.Space = encoder.Space()
		mismatch := compat.NewMismatch(name, m, wanted, compat.Facts{})
		switch {
		case mismatch.Plan.Verdict > compat.VerdictTune:
			problem = mismatch
		case encoder.endpoint != nil:
			return s.newGeneration(number, m, encoder, errUnchecked)
		default:
			problem = checkProbes(ctx, encoder.queue, m.Evidence.Probes)
			if problem == nil {
				return s.newGeneration(number, m, encoder, nil)
			}
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
		}
		encoder.release()
	}
	if problem != nil {
		s.logger.Warn("collection opened without its encoder: it answers no texts", "collection", name, "generation", number, "model", m.Provenance.Model, "reason", problem.Error())
	}
	return s.newGeneration(number, m, nil, problem)
}

// Collection finds a collection by its name or an alias; store.ErrNotFound or store.ErrName
// when there is none.
func (s *Service) Collection(name string) (*Collection, error) {
	if !ValidName(name) {
		return nil, badName(name)
	}
	target := s.store.Resolve(name)
	s.mu.RLock()
	c, damage := s.collections[target], s.damaged[target]
	s.mu.RUnlock()
	if damage != nil {
		return nil, damage
	}
	if c == nil {
		return nil, &Error{
			Kind: KindNotFound, Code: "collection_not_found", Detail: fmt.Sprintf("there is no collection %q", name),
			Remedy: "create it by PUT /collections/" + name + "; GET /collections lists those there are", Err: store.ErrNotFound,
		}
	}
	return c, nil
}

// CacheStats is what the cache of embeddings is and did; nil without one.
func (s *Service) CacheStats() *store.CacheStats {
	if s.cache == nil {
		return nil
	}
	stats := s.cache.Stats()
	return &stats
}

// Encoders is the registry of models.
func (s *Service) Encoders() *Encoders { return s.encoders }

// Started is when the service was opened.
func (s *Service) Started() time.Time { return s.started }

package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/store"
)

// Options of a Service.
type Options struct {
	Store   *store.Store // open; the service owns it from then on
	Models  string       // directory of local models; "" for none
	Program string       // written into manifests: "vecino 0.1.0"
	Logger  *slog.Logger // nil: nothing is logged
}

// Validate says what is missing.
func (o Options) Validate() error {
	if o.Store == nil {
		return errors.New("api: Options.Store is nil; open a store first")
	}
	return nil
}

// Service is the service. It is safe for concurrent use.
type Service struct {
	store    *store.Store
	encoders *Encoders
	program  string
	logger   *slog.Logger
	started  time.Time

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
	encoders, err := NewEncoders(o.Models)
	if err != nil {
		return nil, err
	}
	s := &Service{store: o.Store, encoders: encoders, program: o.Program, logger: o.Logger, started: time.Now(), collections: map[string]*Collection{}, damaged: map[string]error{}}
	list, err := o.Store.List(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("list collections: %w", err), encoders.Close())
	}
	for _, d := range list {
		c, err := s.open(ctx, d.Name, d.Manifest)
		if errors.Is(err, store.ErrCorrupt) {
			s.logger.Error("collection can't be opened; the others are served", "collection", d.Name, "error", err)
			s.damaged[d.Name] = err
			continue
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open collection %q: %w", d.Name, err), encoders.Close())
		}
		s.collections[d.Name] = c
	}
	return s, nil
}

// Close checkpoints and closes the store, then the encoders. No call may be
// running or begin.
func (s *Service) Close(ctx context.Context) error {
	return errors.Join(s.store.Close(ctx), s.encoders.Close())
}

// open gives a stored collection its encoder, or the reason why it has none.
func (s *Service) open(ctx context.Context, name string, m compat.Manifest) (*Collection, error) {
	encoder, problem := s.encoderOf(m)
	if encoder != nil {
		stored, err := s.store.OpenCollection(ctx, name, encoder.Space())
		var mismatch *compat.MismatchError
		switch {
		case err == nil:
			problem = checkProbes(ctx, encoder, m.Evidence.Probes)
			if problem == nil {
				return newCollection(stored, encoder, nil)
			}
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
		case errors.As(err, &mismatch):
			problem = mismatch
		default:
			return nil, err
		}
	}
	stored, err := s.store.OpenCollection(ctx, name, m.Space)
	if err != nil {
		return nil, err
	}
	if problem != nil {
		s.logger.Warn("collection opened without its encoder: it answers no texts", "collection", name, "model", m.Provenance.Model, "reason", problem.Error())
	}
	return newCollection(stored, nil, problem)
}

// Collection finds a collection by name; store.ErrNotFound or store.ErrName
// when there is none.
func (s *Service) Collection(name string) (*Collection, error) {
	if !ValidName(name) {
		return nil, badName(name)
	}
	s.mu.RLock()
	c, damage := s.collections[name], s.damaged[name]
	s.mu.RUnlock()
	if damage != nil {
		return nil, damage
	}
	if c == nil {
		return nil, &Error{Kind: KindNotFound, Code: "collection_not_found", Detail: fmt.Sprintf("there is no collection %q", name),
			Remedy: "create it by PUT /collections/" + name + "; GET /collections lists those there are", Err: store.ErrNotFound}
	}
	return c, nil
}

// Encoders is the registry of models.
func (s *Service) Encoders() *Encoders { return s.encoders }

// Started is when the service was opened.
func (s *Service) Started() time.Time { return s.started }

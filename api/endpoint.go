package api

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/vecino-db/vecino/compat"
)

// When endpoints are compared with the probes of their collections, after the
// start: regularly, and sooner while one has given no answer.
const (
	defaultProbeEvery = time.Hour
	retryEndpoint     = 30 * time.Second
	// endpointPatience bounds one comparison, startPatience the time that the
	// start waits for the first ones; they go on after it.
	endpointPatience = 15 * time.Second
	startPatience    = 2 * time.Second
)

// endpointWatch is what a collection of a remote model needs to be compared.
type endpointWatch struct {
	mu      sync.Mutex // held while it is compared
	encoder *served    // with the cache's part of the collection
	due     time.Time
}

// checkEndpoint compares the model behind the endpoint with the collection's
// probes. One that is another stops texts and writes; one that gives no answer
// changes nothing for a collection that was compared before.
func (s *Service) checkEndpoint(ctx context.Context, c *Collection, g *generation) {
	w := g.endpoint
	w.mu.Lock()
	defer w.mu.Unlock()
	asking, cancel := context.WithTimeout(ctx, endpointPatience)
	defer cancel()
	err := w.encoder.endpoint.Drift(asking, g.manifest.Evidence.Probes)
	if errors.Is(err, compat.ErrNoProbes) {
		err = nil
	}
	before := g.encoding.Load()
	w.due = time.Now().Add(s.probeEvery)
	log := s.logger.With("collection", c.Name(), "model", g.manifest.Provenance.Model)
	switch {
	case err == nil:
		if before.encoder == nil {
			log.Info("the model behind the endpoint is the collection's")
		}
		g.encoding.Store(&encoding{encoder: w.encoder})
	case errors.Is(err, compat.ErrProbe):
		log.Error("another model stands behind the endpoint: texts and writes are refused", "error", err)
		g.encoding.Store(&encoding{problem: err})
		if s.cache != nil && before.encoder != nil {
			// What came since the last comparison may be the other model's.
			if err := s.cache.Clear(ctx); err != nil {
				log.Error("the embedding cache could not be emptied", "error", err)
			}
		}
	default:
		w.due = time.Now().Add(min(retryEndpoint, s.probeEvery))
		if ctx.Err() == nil {
			log.Warn("the endpoint gave nothing to compare with the probes", "error", err)
		}
		if before.encoder == nil && !errors.Is(before.problem, compat.ErrProbe) {
			g.encoding.Store(&encoding{problem: err})
		}
	}
}

// swapped stops texts and writes of a generation behind whose endpoint another
// model was met, until a comparison finds the first one again.
func (c *Collection) swapped(g *generation, before *encoding, problem error) error {
	g.encoding.CompareAndSwap(before, &encoding{problem: problem})
	g.endpoint.soon()
	return c.noEncoder(g, problem)
}

// soon lets the next comparison come early. One that is under way sets the time
// itself.
func (w *endpointWatch) soon() {
	if w.mu.TryLock() {
		w.due = earlier(w.due, time.Now().Add(retryEndpoint))
		w.mu.Unlock()
	}
}

// earlier is the earlier of two times.
func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// refuseWrites stops writes into a collection behind whose endpoint another
// model stands: vectors that a client brings may be that one's, too. Vectors
// are brought for the generation that serves alone; one that stands by behind
// such an endpoint is left out of writes, and lacks them.
func (c *Collection) refuseWrites() error {
	g := c.serving()
	if problem := g.encoding.Load().problem; g.endpoint != nil && errors.Is(problem, compat.ErrProbe) {
		return c.noEncoder(g, problem)
	}
	return nil
}

// errUnchecked is the problem of a remote collection before its first
// comparison.
var errUnchecked = errors.New("the endpoint has given no answer yet")

// watch compares the endpoints of collections when they are due, until the
// context ends.
func (s *Service) watch(ctx context.Context) {
	ticker := time.NewTicker(max(min(retryEndpoint, s.probeEvery)/2, time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for _, r := range s.remoteGenerations() {
			r.g.endpoint.mu.Lock()
			due := !time.Now().Before(r.g.endpoint.due)
			r.g.endpoint.mu.Unlock()
			if due && ctx.Err() == nil {
				s.checkEndpoint(ctx, r.c, r.g)
			}
		}
	}
}

// checkEndpoints compares all endpoints at the same time and waits for the
// outcome, but not long: an endpoint that is away delays no start.
func (s *Service) checkEndpoints(ctx context.Context) {
	var group sync.WaitGroup
	for _, r := range s.remoteGenerations() {
		group.Go(func() { s.checkEndpoint(ctx, r.c, r.g) })
	}
	done := make(chan struct{})
	s.watching.Go(func() { group.Wait(); close(done) })
	select {
	case <-done:
	case <-time.After(startPatience):
	case <-ctx.Done():
	}
}

// remoteGeneration is a generation whose model is behind an endpoint.
type remoteGeneration struct {
	c *Collection
	g *generation
}

// remoteGenerations are those of all collections.
func (s *Service) remoteGenerations() []remoteGeneration {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var list []remoteGeneration
	for _, c := range s.collections {
		for _, g := range c.now().each() {
			if g.endpoint != nil {
				list = append(list, remoteGeneration{c, g})
			}
		}
	}
	return list
}

// probesFor makes the probes of a new collection. Where another collection of
// a remote model has the same, its probes are taken bit for bit, so that the
// two share what the cache has.
func (s *Service) probesFor(ctx context.Context, encoder *served) ([]compat.Probe, error) {
	probes, err := makeProbes(ctx, encoder.queue)
	if err != nil {
		return nil, encoder.explain(ctx, err)
	}
	if encoder.endpoint == nil {
		return probes, nil
	}
	for _, r := range s.remoteGenerations() {
		c, g := r.c, r.g
		stored := g.manifest.Evidence.Probes
		if !g.fingerprint().Matches(encoder.Space().Fingerprint()) || len(stored) != len(probes) {
			continue
		}
		documents, queries := make([][]float32, len(probes)), make([][]float32, len(probes))
		for i, p := range probes {
			documents[i], queries[i] = p.Document, p.Query
		}
		switch _, err := compat.CompareProbes(stored, documents, queries); {
		case err == nil:
			return stored, nil
		case errors.Is(err, compat.ErrProbe):
			s.checkEndpoint(ctx, c, g)
			return nil, &Error{
				Kind: KindConflict, Code: "encoder_changed", Err: err,
				Detail: fmt.Sprintf("another model stands behind %q than when collection %q was made, and by their names the two can't be told apart", encoder.model, c.Name()),
				Remedy: "restore the model behind the endpoint, or configure the new one under another name of the endpoint's, or delete the old collection first",
			}
		}
	}
	return probes, nil
}

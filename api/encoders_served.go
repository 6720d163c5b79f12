package api

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/embed/bert"
	"github.com/vecino-db/vecino/embed/remote"
)

// served is an encoder as the registry runs it:
//
//	cache (transformers, remote) -> guard (remote) -> queue -> encoder
//
// Probes go past the cache, which would prove nothing.
type served struct {
	embed.Encoder // what texts go through: the cache, or the queue
	model         string
	queue         *embed.Scheduler
	guard         embed.Encoder   // what the cache stands before, where that is a guard; nil: the queue
	endpoint      *remote.Encoder // nil: the model is local
	remote        Remote          // of an endpoint: as configured
	weights       int64           // bytes of memory, about; 0: none, or not known
	hold          *hold
}

// serve puts the queue, and where it pays the cache, before an encoder.
func (e *Encoders) serve(model string, encoder embed.Encoder) (*served, error) {
	o := e.options.Queue
	_, transformer := unwrap(encoder).(*bert.Encoder)
	if o.Workers == 0 && model != ModelHash {
		o.Workers = 1
	}
	queue, err := embed.NewScheduler(encoder, o)
	if err != nil {
		return nil, errors.Join(err, encoder.Close())
	}
	s := &served{Encoder: queue, model: model, queue: queue}
	if large, ok := unwrap(encoder).(interface{ Bytes() int64 }); ok {
		s.weights = large.Bytes()
	}
	if transformer && e.options.Cache != nil {
		if s.Encoder, err = embed.Cached(queue, e.options.Cache); err != nil {
			return nil, errors.Join(err, queue.Close())
		}
	}
	return s, nil
}

// cached reports whether a cache, where there is one, keeps what the encoder
// makes of texts.
func (s *served) cached() bool { return s.endpoint != nil || s.Encoder != embed.Encoder(s.queue) }

// unwrap is the encoder below a pulledEncoder.
func unwrap(encoder embed.Encoder) embed.Encoder {
	if w, ok := encoder.(interface{ Unwrap() embed.Encoder }); ok {
		return w.Unwrap()
	}
	return encoder
}

// Info implements embed.Encoder.
func (s *served) Info() embed.Info {
	info := s.Encoder.Info()
	info.Model = s.model
	if s.endpoint != nil {
		info = s.remote.info(info)
	}
	return info
}

// Encode implements embed.Encoder, with errors that say what they mean to a
// caller of the service.
func (s *served) Encode(ctx context.Context, role embed.Role, texts []string) (embed.Encoded, error) {
	encoded, err := s.Encoder.Encode(ctx, role, texts)
	return encoded, s.explain(ctx, err)
}

// explain turns what queue and endpoint refuse into errors of the service.
func (s *served) explain(ctx context.Context, err error) error {
	var full *embed.OverloadedError
	var text *embed.TextError
	switch {
	case err == nil, ctx.Err() != nil, errors.As(err, &text), errors.Is(err, compat.ErrProbe):
		return err
	case errors.As(err, &full):
		return &Error{
			Kind: KindOverloaded, Code: "overloaded", Detail: fmt.Sprintf("model %q has too much to do: %s", s.model, full.Reason),
			Remedy: "try again after the time that Retry-After names", RetryAfter: full.RetryAfter, Err: err,
		}
	case errors.Is(err, embed.ErrClosed):
		return &Error{Kind: KindNotReady, Code: "closing", Detail: "the server is stopping", Remedy: "try again when it is back", Err: err}
	case s.endpoint == nil:
		return err
	case errors.Is(err, remote.ErrDimension):
		return &Error{Kind: KindConflict, Code: "encoder_changed", Detail: fmt.Sprintf("model %q: %v", s.model, err), Err: err}
	}
	return endpointFailed(s.model, err)
}

// endpointFailed is the error of an endpoint that gave no vectors.
func endpointFailed(model string, err error) *Error {
	e := &Error{
		Kind: KindNotReady, Code: "endpoint_failed", Detail: fmt.Sprintf("model %q: %v", model, err),
		Remedy: "the operator of the server looks at the endpoint and at its configuration", Err: err,
	}
	var open *remote.OpenError
	var status *remote.StatusError
	if errors.As(err, &open) {
		e.RetryAfter = open.RetryAfter
	} else if errors.As(err, &status) {
		e.RetryAfter = status.RetryAfter
	}
	return e
}

// forProbes is the encoder of a collection whose probes are known. A model
// behind an endpoint is known by its name only, so what the cache has of it is
// kept apart by what the model was when the collection was made: its probes.
func (e *Encoders) forProbes(s *served, probes []compat.Probe) (*served, error) {
	if s.endpoint == nil {
		return s, nil
	}
	own := *s
	own.guard = &guarded{Encoder: s.queue, endpoint: s.endpoint, probes: probes}
	own.Encoder = own.guard
	if e.options.Cache == nil {
		return &own, nil
	}
	cached, err := embed.Cached(own.Encoder, salted{e.options.Cache, digestOf(probes)})
	if err != nil {
		return nil, err
	}
	own.Encoder = cached
	return &own, nil
}

// fresh is the encoder without its cache: what comes of it, the model has made
// just now.
func (s *served) fresh() *served {
	own := *s
	if own.Encoder = s.guard; s.guard == nil {
		own.Encoder = s.queue
	}
	return &own
}

// digestOf is a digest over probes, bit for bit.
func digestOf(probes []compat.Probe) [sha256.Size]byte {
	h := sha256.New()
	for _, p := range probes {
		fmt.Fprintf(h, "%q %d %d ", p.Text, len(p.Document), len(p.Query))
		for _, x := range slices.Concat(p.Document, p.Query) {
			h.Write(binary.LittleEndian.AppendUint32(nil, math.Float32bits(x)))
		}
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// salted is a part of a cache that only those who know the salt find.
type salted struct {
	cache embed.Cache
	salt  [sha256.Size]byte
}

// Get implements embed.Cache.
func (c salted) Get(ctx context.Context, stamper *compat.Stamper, query bool, keys [][32]byte) (compat.Vectors, []int, []uint64, error) {
	return c.cache.Get(ctx, stamper, query, c.keys(keys))
}

// Put implements embed.Cache.
func (c salted) Put(ctx context.Context, query bool, keys [][32]byte, v compat.Vectors, notes []uint64) error {
	return c.cache.Put(ctx, query, c.keys(keys), v, notes)
}

// keys are the keys under which the cache knows this part's.
func (c salted) keys(keys [][32]byte) [][32]byte {
	out := make([][32]byte, len(keys))
	for i, key := range keys {
		out[i] = sha256.Sum256(append(c.salt[:], key[:]...))
	}
	return out
}

// Queue is what the queue of one encoder did and has to do.
type Queue struct {
	Model       string
	Fingerprint compat.Fingerprint // tells variants of a model apart
	Metrics     embed.Metrics
}

// Queues are those of the encoders that are open, in no order.
func (e *Encoders) Queues() []Queue {
	e.mu.Lock()
	defer e.mu.Unlock()
	var list []Queue
	seen := map[*served]bool{}
	for _, slot := range e.open {
		// A slot that is being filled is told from an empty one by keep, which
		// writes under e.mu.
		if s := slot.encoder; s != nil && !seen[s] {
			seen[s] = true
			list = append(list, Queue{Model: s.model, Fingerprint: s.Space().Fingerprint(), Metrics: s.queue.Metrics()})
		}
	}
	return list
}

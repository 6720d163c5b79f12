package api

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/store"
)

// generation is one generation of a collection with its encoder. All but what
// it does with texts stays as it was made.
type generation struct {
	number   uint64
	manifest compat.Manifest
	raw      *embed.Raw             // stamps vectors that clients bring
	etag     atomic.Pointer[string] // replaced when evidence comes into the manifest
	endpoint *endpointWatch         // nil: the model is no remote one
	hold     *hold                  // keeps the encoder open; nil: there is none
	encoding atomic.Pointer[encoding]
}

// encoding is what a generation does with texts. That of a remote model
// changes with what its probes show.
type encoding struct {
	encoder *served // nil: raw vectors, or there is a problem
	problem error   // why texts can't be encoded although there is a model
}

// newGeneration puts the parts together. With a problem, which a remote model
// alone may have beside an encoder, texts wait for it to go away.
func (s *Service) newGeneration(number uint64, m compat.Manifest, encoder *served, problem error) (*generation, error) {
	raw, err := embed.NewRaw(m)
	if err != nil {
		return nil, err
	}
	g := &generation{number: number, manifest: m, raw: raw}
	tag := manifestTag(m)
	g.etag.Store(&tag)
	if encoder == nil {
		g.encoding.Store(&encoding{nil, problem})
		return g, nil
	}
	own, err := s.encoders.forProbes(encoder, m.Evidence.Probes)
	if err != nil {
		return nil, err
	}
	g.hold = encoder.hold
	if encoder.endpoint != nil {
		due := time.Now()
		if !errors.Is(problem, errUnchecked) {
			due = due.Add(s.probeEvery)
		}
		g.endpoint = &endpointWatch{encoder: own, due: due}
	}
	if problem == nil || encoder.endpoint == nil {
		g.encoding.Store(&encoding{own, problem})
	} else {
		g.encoding.Store(&encoding{nil, problem})
	}
	return g, nil
}

// cached reports whether a cache, where there is one, keeps what is made of the
// texts.
func (g *generation) cached() bool {
	encoder := g.encoding.Load().encoder
	return g.endpoint != nil || encoder != nil && encoder.cached()
}

// refused reports whether the model that was found under the generation's name is
// another than the one that made its vectors, by its space or by the probes.
func (g *generation) refused() bool {
	var mismatch *compat.MismatchError
	problem := g.encoding.Load().problem
	return errors.Is(problem, compat.ErrProbe) || errors.As(problem, &mismatch)
}

// fingerprint is the space of its vectors.
func (g *generation) fingerprint() compat.Fingerprint { return g.manifest.Space.Fingerprint() }

// places are the generations of a collection: a change of them is another
// value, so that who loads it once sees one state from beginning to end.
type places struct {
	serving *generation
	standby *generation // nil: there is none
	// derived: the store computes the standby's vectors from the serving ones.
	derived  bool
	replaced chan struct{} // closed when others have taken their place
}

// newPlaces puts them together.
func newPlaces(serving, standby *generation) (*places, error) {
	p := &places{serving: serving, standby: standby, replaced: make(chan struct{})}
	if standby == nil {
		return p, nil
	}
	d, err := compat.NewDerivation(serving.manifest, standby.manifest)
	p.derived = d != nil
	return p, err
}

// each is the generations that there are, the serving one first.
func (p *places) each() []*generation {
	if p.standby == nil {
		return []*generation{p.serving}
	}
	return []*generation{p.serving, p.standby}
}

// of is the generation of a number, or nil.
func (p *places) of(number uint64) *generation {
	for _, g := range p.each() {
		if g.number == number {
			return g
		}
	}
	return nil
}

// ofSpace is the generation of a space, the serving one first, or nil.
func (p *places) ofSpace(space compat.Fingerprint) *generation {
	for _, g := range p.each() {
		if space.Matches(g.fingerprint()) {
			return g
		}
	}
	return nil
}

// now is the generations of this moment.
func (c *Collection) now() *places { return c.places.Load() }

// serving is the generation that answers.
func (c *Collection) serving() *generation { return c.now().serving }

// arrange lets calls see other generations from now on.
func (c *Collection) arrange(serving, standby *generation) error {
	p, err := newPlaces(serving, standby)
	if err == nil {
		c.place(p)
	}
	return err
}

// place puts generations in the place of those that there are.
func (c *Collection) place(p *places) {
	if former := c.places.Swap(p); former != nil {
		close(former.replaced)
	}
}

// changeWait is how long a call that met other generations in the store waits
// until it sees them: they become visible there a sync of the disk before.
const changeWait = 5 * time.Second

// changed waits until others have taken the place of p; false: none have, and the
// call's error stands.
func (p *places) changed(ctx context.Context) bool {
	timer := time.NewTimer(changeWait)
	defer timer.Stop()
	select {
	case <-p.replaced:
		return true
	case <-ctx.Done():
	case <-timer.C:
	}
	return false
}

// newCollection puts a stored collection and its generations together.
func (s *Service) newCollection(stored *store.Collection, serving, standby *generation) (*Collection, error) {
	c := &Collection{stored: stored, traffic: s.traffic, forget: s.forget}
	return c, c.arrange(serving, standby)
}

// GenerationModel is the model of one generation.
type GenerationModel struct {
	Collection string
	Generation uint64
	Model      string
	Refused    bool // texts are refused: the model is another than the one that made the vectors
}

// GenerationModels are those of all generations that have a model, by
// collection.
func (s *Service) GenerationModels() []GenerationModel {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var list []GenerationModel
	for _, name := range slices.Sorted(maps.Keys(s.collections)) {
		for _, g := range s.collections[name].now().each() {
			if !g.manifest.Space.Raw() {
				list = append(list, GenerationModel{name, g.number, g.manifest.Provenance.Model, g.refused()})
			}
		}
	}
	return list
}

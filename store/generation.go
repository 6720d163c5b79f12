package store

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/auto"
	"github.com/vecino-db/vecino/index/coder"
	"github.com/vecino-db/vecino/index/exact"
	"github.com/vecino-db/vecino/index/hnsw"
)

// generation is one build of a collection's index under one manifest. All but
// the evidence within its manifest stays as it was made.
type generation struct {
	number    uint64
	createdAt time.Time
	filled    *roaring.Bitmap                 // ordinals that have a vector in it; guarded by Collection.mu
	manifest  atomic.Pointer[compat.Manifest] // replaced whole when evidence comes in
	stamper   *compat.Stamper
	config    index.Config
	graph     index.Index
	header    checkpointHeader // of the last committed checkpoint; guarded by Collection.checkpointMu
	saved     *index.Saved     // what the engine knows of it; nil: nothing; likewise
	improved  atomic.Bool      // the graph is another one than the checkpoint's, of the same points

	use     sync.RWMutex // held for reading while a search is under way in it
	retired bool         // guarded by use: its keys are going
}

// enter keeps the generation's keys and graph for a search; leave must follow
// when it gives true. It gives false when they are going.
func (g *generation) enter() bool {
	g.use.RLock()
	if g.retired {
		g.use.RUnlock()
		return false
	}
	return true
}

func (g *generation) leave() { g.use.RUnlock() }

// retire waits for the searches under way and lets no others begin.
func (g *generation) retire() {
	g.use.Lock()
	defer g.use.Unlock()
	g.retired = true
}

// generations are those of a collection that writes go to. A change of them is
// another value.
type generations struct {
	serving *generation // answers queries; has a vector of every document
	// standby is the target of a migration, or what served before its cut-over;
	// nil: there is none. Writes go to both.
	standby *generation
	served  bool // the standby served: it may answer what was asked of it before
	// derivation leads from the vectors of serving to those of standby; nil:
	// there is no such way, or no standby.
	derivation *compat.Derivation
}

// newGenerations puts them together.
func newGenerations(serving, standby *generation, served bool) (*generations, error) {
	all := &generations{serving: serving, standby: standby, served: served}
	if standby == nil {
		return all, nil
	}
	var err error
	all.derivation, err = compat.NewDerivation(*serving.manifest.Load(), *standby.manifest.Load())
	return all, err
}

// each is the generations that there are, the serving one first.
func (a *generations) each() []*generation {
	switch {
	case a.serving == nil:
		return nil
	case a.standby == nil:
		return []*generation{a.serving}
	}
	return []*generation{a.serving, a.standby}
}

// of is the generation of a number, or nil.
func (a *generations) of(number uint64) *generation {
	for _, g := range a.each() {
		if g.number == number {
			return g
		}
	}
	return nil
}

// answering is the generation in which a vector of a space is searched for, or
// nil: the one that serves, or the one that a cut-over has relieved since the
// vector was made.
func (a *generations) answering(space compat.Fingerprint) *generation {
	switch {
	case space.Matches(a.serving.config.Fingerprint):
		return a.serving
	case a.standby != nil && a.served && space.Matches(a.standby.config.Fingerprint):
		return a.standby
	}
	return nil
}

// newGeneration prepares a generation without its graph.
func newGeneration(number uint64, createdAt time.Time, m compat.Manifest) (*generation, error) {
	stamper, err := m.Stamper()
	if err != nil {
		return nil, err
	}
	g := &generation{
		number:    number,
		createdAt: createdAt,
		filled:    roaring.New(),
		stamper:   stamper,
		config: index.Config{
			Fingerprint: m.Space.Fingerprint(),
			Stored:      m.Space.StoredFingerprint(),
			Dimension:   m.Space.Dimension,
			Metric:      m.Metric,
			Build:       m.Index,
			Search:      m.Search,
		},
	}
	g.manifest.Store(&m)
	return g, nil
}

// newIndex makes the empty index that a configuration asks for.
func newIndex(cfg index.Config) (index.Index, error) {
	switch cfg.Build.Engine {
	case compat.EngineHNSW:
		engine, err := hnsw.New(cfg)
		return withTail(cfg, engine, err)
	case compat.EngineCoder:
		engine, err := coder.New(cfg)
		return withTail(cfg, engine, err)
	case compat.EngineExact:
		return wrapIndex(exact.New(cfg))
	case compat.EngineAuto:
		engine, err := auto.New(cfg, auto.Options{})
		return withTail(cfg, engine, err)
	}
	return nil, fmt.Errorf("index engine %q is unknown; use hnsw, coder, exact or auto", cfg.Build.Engine)
}

// loadIndex reads what the same engine saved.
func loadIndex(cfg index.Config, source index.Source) (index.Index, error) {
	switch cfg.Build.Engine {
	case compat.EngineHNSW:
		engine, err := hnsw.Load(cfg, source)
		return withTail(cfg, engine, err)
	case compat.EngineCoder:
		engine, err := coder.Load(cfg, source)
		return withTail(cfg, engine, err)
	case compat.EngineExact:
		return wrapIndex(exact.Load(cfg, source))
	case compat.EngineAuto:
		engine, err := auto.Load(cfg, source, auto.Options{})
		return withTail(cfg, engine, err)
	}
	return nil, fmt.Errorf("index engine %q is unknown; use hnsw, coder, exact or auto", cfg.Build.Engine)
}

// wrapIndex keeps a nil engine from becoming an index that is not nil.
func wrapIndex[T index.Index](engine T, err error) (index.Index, error) {
	if err != nil {
		return nil, err
	}
	return engine, nil
}

package store

import (
	"fmt"
	"sync/atomic"

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
	number   uint64
	manifest atomic.Pointer[compat.Manifest] // replaced whole when evidence comes in
	stamper  *compat.Stamper
	config   index.Config
	graph    index.Index
	header   checkpointHeader // of the last committed checkpoint; guarded by Collection.checkpointMu
	saved    *index.Saved     // what the engine knows of it; nil: nothing; likewise
}

// generations are those of a collection that writes go to. A change of them is
// another value.
type generations struct {
	serving *generation // answers queries
}

// newGeneration prepares a generation without its graph.
func newGeneration(number uint64, m compat.Manifest) (*generation, error) {
	stamper, err := m.Stamper()
	if err != nil {
		return nil, err
	}
	g := &generation{
		number:  number,
		stamper: stamper,
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

package auto

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/exact"
	"github.com/vecino-db/vecino/index/hnsw"
)

// Options of an Index. Zero fields mean their defaults.
type Options struct {
	// Threshold is the number of vectors above which a graph is built. 0: as
	// Threshold has it for the dimension.
	Threshold int
}

// What a scan of one vector takes, in nanoseconds: see the package comment.
const (
	scanBudget    = 250_000
	perVector     = 15
	perComponents = 18 // so many components take one
)

// Threshold is the number of vectors of a dimension that are scanned in a
// quarter of a millisecond.
func Threshold(dim int) int {
	return scanBudget / (perVector + max(dim, 0)/perComponents)
}

// Index is the engine: an index.Incremental, an index.Compacter and an
// index.Settler. Close ends the building of its graph.
type Index struct {
	cfg       index.Config // of the graph
	threshold int
	state     atomic.Pointer[state]

	// writers is shared by inserts and deletes; a change of state takes it alone.
	writers sync.RWMutex

	mu       sync.Mutex // guards what follows
	end      context.CancelFunc
	built    chan struct{} // closed when the building ended; nil: none was begun
	failure  error         // why there is no graph: the scan goes on
	building context.Context
}

// state is who answers, and who else is written to.
type state struct {
	scan  *exact.Index // nil: the graph answers
	graph *hnsw.Graph  // nil: there is none yet
}

var (
	_ index.Index       = (*Index)(nil)
	_ index.Incremental = (*Index)(nil)
	_ index.Compacter   = (*Index)(nil)
	_ index.Optimizer   = (*Index)(nil)
	_ index.Settler     = (*Index)(nil)
	_ io.Closer         = (*Index)(nil)
)

// New makes an empty index, whose graph will be that of hnsw.
func New(cfg index.Config, o Options) (*Index, error) {
	scan, err := exact.New(scanConfig(cfg))
	if err != nil {
		return nil, err
	}
	return begin(cfg, o, &state{scan: scan})
}

// Load reads what Save wrote for the same space; errors are those of the
// engines.
func Load(cfg index.Config, source index.Source, o Options) (*Index, error) {
	head, err := source.Head()
	if err != nil {
		return nil, fmt.Errorf("index: reading the head of a checkpoint: %w", err)
	}
	seal, _, err := index.Unseal(head)
	if err != nil {
		return nil, err
	}
	s := &state{}
	if seal.Engine == compat.EngineExact {
		s.scan, err = exact.Load(scanConfig(cfg), source)
	} else {
		s.graph, err = hnsw.Load(graphConfig(cfg), source)
	}
	if err != nil {
		return nil, err
	}
	return begin(cfg, o, s)
}

// begin makes the index of a state.
func begin(cfg index.Config, o Options, s *state) (*Index, error) {
	cfg = graphConfig(cfg).WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if o.Threshold < 0 {
		return nil, fmt.Errorf("index: a threshold of %d vectors; give 0 for the default, or more", o.Threshold)
	}
	if o.Threshold == 0 {
		o.Threshold = Threshold(cfg.Dimension)
	}
	x := &Index{cfg: cfg, threshold: o.Threshold}
	x.building, x.end = context.WithCancel(context.Background())
	x.state.Store(s)
	x.grown()
	return x, nil
}

func scanConfig(cfg index.Config) index.Config {
	cfg.Build.Engine, cfg.Build.Encoding = compat.EngineExact, compat.EncodingF32
	return cfg
}

func graphConfig(cfg index.Config) index.Config {
	cfg.Build.Engine = compat.EngineHNSW
	return cfg
}

// Insert adds the rows of v; see index.Index.
func (x *Index) Insert(ctx context.Context, ordinals []uint32, v compat.Vectors) error {
	if err := x.insert(ctx, ordinals, v); err != nil {
		return err
	}
	x.grown()
	return nil
}

func (x *Index) insert(ctx context.Context, ordinals []uint32, v compat.Vectors) error {
	x.writers.RLock()
	defer x.writers.RUnlock()
	s := x.state.Load()
	if s.scan != nil {
		if err := s.scan.Insert(ctx, ordinals, v); err != nil {
			return err
		}
		if s.graph == nil {
			return nil
		}
		// The scan has them: that the graph can't take them ends its building,
		// and not the insert.
		if err := s.graph.Insert(context.WithoutCancel(ctx), ordinals, v); err != nil {
			x.fail(err)
		}
		return nil
	}
	return s.graph.Insert(ctx, ordinals, v)
}

// Delete makes ordinals unfindable.
func (x *Index) Delete(ordinals []uint32) {
	x.writers.RLock()
	defer x.writers.RUnlock()
	s := x.state.Load()
	if s.scan != nil {
		s.scan.Delete(ordinals)
	}
	if s.graph != nil {
		s.graph.Delete(ordinals)
	}
}

// answering is the engine that answers.
func (s *state) answering() interface {
	index.Index
	index.Compacter
	Holds(ordinal uint32) bool
} {
	if s.scan != nil {
		return s.scan
	}
	return s.graph
}

// Search answers one query; see index.Index.
func (x *Index) Search(ctx context.Context, q index.Query) (index.Answer, error) {
	return x.state.Load().answering().Search(ctx, q)
}

// Holds reports whether an ordinal can be found.
func (x *Index) Holds(ordinal uint32) bool { return x.state.Load().answering().Holds(ordinal) }

// Compact asks the engine that answers; see index.Compacter.
func (x *Index) Compact(ctx context.Context) error {
	return x.state.Load().answering().Compact(ctx)
}

// Optimize improves the graph, where it answers and its engine can.
func (x *Index) Optimize(ctx context.Context, progress func(done, total int)) error {
	s := x.state.Load()
	if s.scan != nil {
		return ctx.Err()
	}
	return s.graph.Optimize(ctx, progress)
}

// CompactFrom asks the graph, where it answers; see index.Recoder.
func (x *Index) CompactFrom(ctx context.Context, given func(ordinal uint32) (compat.Vectors, bool)) error {
	s := x.state.Load()
	if s.scan != nil {
		return s.scan.Compact(ctx)
	}
	return s.graph.CompactFrom(ctx, given)
}

// Save writes the checkpoint of the engine that answers; see index.Index.
func (x *Index) Save(put func(chunk index.Chunk) error) error {
	return x.state.Load().answering().Save(put)
}

// ofScan marks the epochs of checkpoints of the scan, on which the graph's
// don't build.
const ofScan = 1 << 63

// SaveSince writes what has changed in the engine that answers; see
// index.Incremental.
func (x *Index) SaveSince(base *index.Saved, put func(number int, chunk index.Chunk) error) (*index.Saved, error) {
	s := x.state.Load()
	if s.scan == nil {
		if base != nil && base.Epoch&ofScan != 0 {
			base = nil
		}
		return s.graph.SaveSince(base, put)
	}
	if base != nil {
		base = &index.Saved{Sums: base.Sums, Epoch: base.Epoch &^ ofScan}
	}
	saved, err := s.scan.SaveSince(base, put)
	if err != nil {
		return nil, err
	}
	return &index.Saved{Sums: saved.Sums, Epoch: saved.Epoch | ofScan}, nil
}

// Loaded is the checkpoint that the index was loaded from; see
// index.Incremental.
func (x *Index) Loaded() *index.Saved {
	s := x.state.Load()
	if s.scan == nil {
		return s.graph.Loaded()
	}
	saved := s.scan.Loaded()
	if saved == nil {
		return nil
	}
	return &index.Saved{Sums: saved.Sums, Epoch: saved.Epoch | ofScan}
}

// Stats describes the engine that answers; its bytes are also those of the
// graph that is being built.
func (x *Index) Stats() index.Stats {
	s := x.state.Load()
	stats := s.answering().Stats()
	if s.scan != nil && s.graph != nil {
		stats.Bytes += s.graph.Stats().Bytes
	}
	return stats
}

// Settle waits until a graph that is being built answers.
func (x *Index) Settle(ctx context.Context) error {
	x.mu.Lock()
	built := x.built
	x.mu.Unlock()
	if built == nil {
		return ctx.Err()
	}
	select {
	case <-built:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close ends the building of the graph. The scan can be used on.
func (x *Index) Close() error {
	x.mu.Lock()
	x.end()
	built := x.built
	x.mu.Unlock()
	if built != nil {
		<-built
	}
	return nil
}

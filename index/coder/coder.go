package coder

import (
	"context"
	"fmt"
	"math"
	"math/rand"
	"slices"
	"sync"

	"github.com/coder/hnsw"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/exact"
	"github.com/vecino-db/vecino/index/internal/measure"
)

const (
	// overfetch is how many hits the graph is asked for, at least, to rank.
	overfetch = 1000
	// scanBelow vectors are not worth a graph.
	scanBelow = 256
	// layerShare of the nodes of a layer are in the one above: the library's
	// own default.
	layerShare = 0.25
	// slackDead tombstones are borne before they are compared with the living.
	slackDead = 64
)

// Index is the engine: an index.Index and an index.Compacter.
type Index struct {
	cfg     index.Config
	measure measure.Measure
	vectors *exact.Index

	// mu serialises writers, and searches of the graph.
	mu       sync.Mutex
	graph    *hnsw.Graph[uint32]
	ordinals []uint32          // by key of the graph
	keys     map[uint32]uint32 // ordinal -> its live key
	failure  error             // why the graph is not to be used; nil: it is
	query    []float32
}

var (
	_ index.Index     = (*Index)(nil)
	_ index.Compacter = (*Index)(nil)
)

// New makes an empty index.
func New(cfg index.Config) (*Index, error) {
	vectors, err := exact.New(cfg)
	if err != nil {
		return nil, err
	}
	return over(cfg.WithDefaults(), vectors), nil
}

// over is an index of vectors, whose graph is still empty.
func over(cfg index.Config, vectors *exact.Index) *Index {
	x := &Index{cfg: cfg, measure: measure.Of(cfg.Metric), vectors: vectors, query: make([]float32, cfg.Dimension)}
	x.clearLocked()
	return x
}

// clearLocked begins with an empty graph.
func (x *Index) clearLocked() {
	x.graph = &hnsw.Graph[uint32]{
		M:        x.cfg.Build.M,
		Ml:       layerShare,
		EfSearch: x.cfg.Build.EfConstruction,
		Rng:      rand.New(rand.NewSource(int64(x.cfg.Seed))),
		Distance: func(a, b []float32) float32 { return x.measure.Distance(x.measure.Raw(a, b)) },
	}
	x.ordinals = nil
	x.keys = map[uint32]uint32{}
	x.failure = nil
}

// Insert adds the rows of v; see index.Index. The batch becomes visible at once.
func (x *Index) Insert(ctx context.Context, ordinals []uint32, v compat.Vectors) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.vectors.Insert(ctx, ordinals, v); err != nil {
		return err
	}
	for _, ordinal := range ordinals {
		x.addLocked(ordinal)
	}
	return x.tidyLocked(context.Background())
}

// addLocked gives the vector of an ordinal a key of its own.
func (x *Index) addLocked(ordinal uint32) {
	vector, ok := x.vectors.Vector(ordinal)
	if !ok {
		return
	}
	key := uint32(len(x.ordinals))
	x.ordinals = append(x.ordinals, ordinal)
	x.keys[ordinal] = key
	if x.failure == nil {
		x.failure = guard("Add", func() { x.graph.Add(hnsw.MakeNode(key, vector)) })
	}
}

// guard turns a panic of the library into an error.
func guard(op string, call func()) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("coder: %s of github.com/coder/hnsw panicked: %v", op, p)
		}
	}()
	call()
	return nil
}

// Delete makes ordinals unfindable.
func (x *Index) Delete(ordinals []uint32) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.vectors.Delete(ordinals)
	for _, ordinal := range ordinals {
		delete(x.keys, ordinal)
	}
	// Without an end to its context it has no error.
	_ = x.tidyLocked(context.Background())
}

// tidyLocked builds the graph anew when most of it is dead.
func (x *Index) tidyLocked(ctx context.Context) error {
	if len(x.ordinals)-len(x.keys) <= len(x.keys)+slackDead {
		return nil
	}
	return x.rebuildLocked(ctx)
}

// rebuildLocked makes a graph of the live vectors. When the context ends before
// it is done, everything is as before.
func (x *Index) rebuildLocked(ctx context.Context) error {
	fresh := over(x.cfg, x.vectors)
	live := x.vectors.Ordinals()
	slices.Sort(live)
	for _, ordinal := range live {
		if err := ctx.Err(); err != nil {
			return err
		}
		fresh.addLocked(ordinal)
	}
	x.graph, x.ordinals, x.keys, x.failure = fresh.graph, fresh.ordinals, fresh.keys, fresh.failure
	return nil
}

// Compact builds the graph anew from the live vectors. Everything else waits.
func (x *Index) Compact(ctx context.Context) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.rebuildLocked(ctx)
}

// Failure says why the graph is not used any more and everything is scanned:
// the panic of an insert. nil: it is used.
func (x *Index) Failure() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.failure
}

// Stats describes the index. The bytes of the graph are an estimate: a node has
// a map entry for each link.
func (x *Index) Stats() index.Stats {
	x.mu.Lock()
	defer x.mu.Unlock()
	s := x.vectors.Stats()
	nodes := len(x.ordinals)
	s.Deleted = nodes - len(x.keys)
	s.Bytes += int64(nodes) * int64(100+24*x.cfg.Build.M)
	if nodes > 0 {
		s.Levels = 1 + int(math.Log(float64(nodes))/math.Log(1/layerShare))
	}
	return s
}

// Search answers one query; see index.Index and the package comment.
func (x *Index) Search(ctx context.Context, q index.Query) (index.Answer, error) {
	if err := x.cfg.CheckQuery(q); err != nil {
		return index.Answer{}, err
	}
	if err := ctx.Err(); err != nil {
		return index.Answer{}, err
	}
	if hits, ok := x.searchGraph(q); ok {
		return index.Answer{Hits: hits, Plan: index.PlanGraph}, nil
	}
	return x.vectors.Search(ctx, q)
}

// searchGraph reports false when a scan is due instead.
func (x *Index) searchGraph(q index.Query) ([]index.Hit, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	live := len(x.keys)
	if q.Exact || q.Filter != nil || q.K <= 0 || x.failure != nil || live < scanBelow || q.K > live/4 {
		return nil, false
	}
	ef := q.Ef
	if ef <= 0 {
		ef = x.cfg.Search.Ef
	}
	// As many more as there are tombstones among them.
	fetch := max(overfetch, 4*q.K, min(ef, live))
	fetch = min(fetch+fetch*(len(x.ordinals)-live)/live, len(x.ordinals))
	x.measure.Prepare(x.query, q.Vector.Row(0))

	var nodes []hnsw.Node[uint32]
	build := x.graph.EfSearch
	x.graph.EfSearch = max(ef, fetch)
	err := guard("Search", func() { nodes = x.graph.Search(x.query, fetch) })
	x.graph.EfSearch = build
	if err != nil {
		return nil, false
	}
	best := index.NewTopK(q.K, x.cfg.Metric)
	for _, node := range nodes {
		ordinal := x.ordinals[node.Key]
		if key, ok := x.keys[ordinal]; ok && key == node.Key {
			best.Offer(index.Hit{Ordinal: ordinal, Score: x.measure.Score(x.measure.Wide(x.query, node.Value))})
		}
	}
	hits := best.Take()
	return hits, len(hits) == min(q.K, live)
}

// Holds reports whether an ordinal can be found.
func (x *Index) Holds(ordinal uint32) bool { return x.vectors.Holds(ordinal) }

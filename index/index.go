// Package index finds the nearest neighbours of stamped vectors in memory.
//
// An Index holds one vector for each 32-bit ordinal that its owner (the store)
// hands out, and answers k-nearest-neighbour queries over the live ones. The
// engines live in packages of their own: hnsw (our graph, the default), coder
// (an adapter of github.com/coder/hnsw), exact (brute force, the oracle of the
// tests), auto (exact at first, hnsw later); tail lets inserts run ahead of
// them. All of them pass the conformance suite of package indextest.
package index

import (
	"context"
	"errors"

	"github.com/vecino-db/vecino/compat"
)

// Errors that callers decide on.
var (
	// ErrSpace: a batch is of another space than the index.
	ErrSpace = errors.New("vectors of another embedding space")
	// ErrCorrupt: a checkpoint can't be read; the owner rebuilds from vectors.
	ErrCorrupt = errors.New("unreadable index checkpoint")
)

// Config is what an engine needs to know of the manifest.
type Config struct {
	// Fingerprint is the space: every batch must carry it.
	Fingerprint compat.Fingerprint
	// Stored is the fingerprint of the stored side of the space (query prompt
	// left out): it is sealed into the chunks of a checkpoint.
	Stored    compat.Fingerprint
	Dimension int
	Metric    compat.Metric
	Build     compat.IndexBuild
	Search    compat.SearchDefaults
	// Seed makes level assignment repeatable; 0 picks a fixed default.
	Seed uint64
}

// Filter restricts a search to some ordinals.
type Filter interface {
	// Contains reports whether the ordinal may be returned. It is called from
	// the searching goroutine only and must be cheap.
	Contains(ordinal uint32) bool
	// Count is the number of ordinals that Contains admits (an upper bound:
	// some may be deleted). Engines choose their plan by it.
	Count() int
	// Each calls f for every admitted ordinal, ascending, until f returns false.
	Each(f func(ordinal uint32) bool)
}

// Query is one search.
type Query struct {
	Vector compat.Searchable // exactly one row
	K      int               // hits wanted; <= 0 gives none; more than Len gives all
	Ef     int               // breadth of a graph search; 0: the manifest's default
	Exact  bool              // scan everything instead of using the graph
	Filter Filter            // nil: everything
	// Spare hits beyond K may be given by an engine of codes: those that their
	// error doesn't tell from the K-th. An exact query has none.
	Spare int
}

// Hit is one neighbour.
type Hit struct {
	Ordinal uint32
	Score   float32 // cosine similarity, dot product, or Euclidean distance
}

// Plan names how a query was answered.
type Plan string

// The plans.
const (
	PlanGraph         Plan = "graph"
	PlanGraphFiltered Plan = "graph-filtered"
	PlanExact         Plan = "exact"
)

// Answer is the outcome of one query: at most K hits, nearest first, ties by
// ascending ordinal; and Spare more, where the query asks for them.
type Answer struct {
	Hits []Hit
	Plan Plan
	// Error is the standard error of a score, where vectors are codes and spare
	// hits were asked for; 0: none is known.
	Error float32
}

// Stats describe an index at a moment.
type Stats struct {
	Live    int   // ordinals that can be found
	Deleted int   // tombstones still held in memory
	Bytes   int64 // resident memory of vectors, links and tables
	Levels  int   // levels of a graph; 0 for engines without one
	// Pending ones of the live are found by a scan, until they are linked.
	Pending int
	// Drifted: vectors came that their encoding was not made for.
	Drifted bool
}

// Crowded reports whether an engine with a Compact method should be asked to
// rebuild: tombstones weigh on searches, or the encoding has drifted.
func (s Stats) Crowded() bool {
	return s.Drifted || s.Deleted >= 1024 && int64(s.Deleted)*10 > int64(s.Live+s.Deleted)*3
}

// Compacter is an engine that holds tombstones until it is asked to let go of
// them. Compact rebuilds from the live vectors; searches, inserts and deletes
// go on beside it. On an error, the context's included, nothing has changed.
type Compacter interface {
	Compact(ctx context.Context) error
}

// Optimizer is an engine that can make its searches better once it is settled,
// at the cost of about another build. Searches, inserts and deletes go on beside
// it, and find what they would have found. Optimize calls progress, if it is not
// nil, now and then, from one goroutine at a time, with growing numbers; on the
// context's error it stops early, and what it has done stays.
type Optimizer interface {
	Optimize(ctx context.Context, progress func(done, total int)) error
}

// Recoder is a Compacter whose vectors lose a little in their codes. CompactFrom
// is Compact that asks for vectors as they were given where it chooses codes
// anew; ok is false for those that are not there any more. given is called by
// several goroutines.
type Recoder interface {
	CompactFrom(ctx context.Context, given func(ordinal uint32) (v compat.Vectors, ok bool)) error
}

// Settler is an engine that answers for vectors before it has linked them.
// Settle waits until all that was inserted before it is linked. It stops early
// with the context's error.
type Settler interface {
	Settle(ctx context.Context) error
}

// Wrapper is an index around another one.
type Wrapper interface {
	Unwrap() Index
}

// As finds what can do more in an index or in what it wraps.
func As[T any](x Index) (found T, ok bool) {
	for x != nil {
		if found, ok = x.(T); ok {
			return found, true
		}
		w, wraps := x.(Wrapper)
		if !wraps {
			break
		}
		x = w.Unwrap()
	}
	return found, false
}

// Index is one engine's state. It is safe for concurrent use: searches run
// beside inserts and deletes and see each of them whole or not at all; which of
// them beside it an answer has is open, so that there may be hits of two times.
type Index interface {
	// Insert adds row i of v under ordinals[i]; an ordinal that is there
	// already is replaced. It refuses vectors of another space (ErrSpace)
	// before it changes anything. Concurrent calls must not name the same
	// ordinal.
	Insert(ctx context.Context, ordinals []uint32, v compat.Vectors) error
	// Delete makes ordinals unfindable; unknown ones are ignored.
	Delete(ordinals []uint32)
	// Search answers one query; it stops early with the context's error.
	Search(ctx context.Context, q Query) (Answer, error)
	// Save hands the sealed chunks of a checkpoint to put, in order, the head
	// last, and stops at its first error. Inserts and deletes that finished
	// before Save began are in it; those that run beside it may be.
	Save(put func(chunk Chunk) error) error
	// Stats describes the index.
	Stats() Stats
}

// Package coder is the engine that runs on github.com/coder/hnsw.
//
// Of v0.6.1 the following was measured, and is what this adapter works around:
//   - deleting a key, or adding one again, leaves layers that name nodes they
//     do not hold; later calls panic. So every insert is a new key, deletes are
//     tombstones kept here, and when they outnumber the living the graph is
//     built anew from the vectors;
//   - the breadth of a search hardly matters: its heap evicts whatever lies in
//     the last slot, not the farthest. Recall@10 on 20,000 x 384 was 0.10, and
//     0.37 when 1,000 were asked for and ranked again. So answers are
//     over-fetched, and ranked here by true scores;
//   - nothing in it is safe for concurrent use: one lock serialises all calls;
//   - it panics where it is surprised. A panic of a search is answered by a
//     scan; after a panic of an insert everything is, until the graph is built
//     anew (Compact).
//
// Vectors stand in an exact index beside the graph, which shares their memory.
// It answers what the graph can't: filtered queries, Query.Exact, small sets,
// and queries for which the graph found too little. Results are always live,
// scored right and as many as match; what is left to chance is whether they are
// the nearest: index.MeasureRecall says.
//
// A checkpoint holds the vectors alone, and Load builds the graph again: the
// library's own Import follows every number it reads, unchecked, so a damaged
// file could panic or exhaust memory.
//
// Graphs that other programs saved with the library are read by ReadSaved, for
// their vectors.
package coder

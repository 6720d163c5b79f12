// Package hnsw is our own hierarchical navigable small world graph (Malkov and
// Yashunin, "Efficient and robust approximate nearest neighbor search using
// hierarchical navigable small world graphs", 2016), laid out flat.
//
// # Layout
//
// A node is a number from 0. What belongs to it stands in arrays, at fixed
// strides, in one region of memory that grows in place (package arena):
//
//	vectors   n x dimension float32, row-major; normalized under cosine
//	base      n x 2M links of level 0
//	upper     blocks of M links; the levels of a node, from 1, are neighbours
//	upperAt   where a node's blocks begin
//	levels    the highest level of a node, or that it is a twin
//	ordinals  the owner's number of the vector
//	twins     the next node with the very same vector
//
// A link is a node's number plus one; a block ends at its first zero.
//
// # Twins
//
// Thousands of identical vectors would fill each other's blocks and cut
// themselves off. So a vector that is in the graph already, bit by bit, gets no
// links: it is hung onto its equal, and found whenever that one is.
//
// # Liveness
//
// A table maps ordinals to nodes. A node is live when the table says so; one
// Swap inserts, replaces or deletes. A node that is no longer live is a
// tombstone: searches go on to pass through it (the entry point may be one),
// and never return it. Compact builds a graph without them, which writers write
// to as well while it is made.
//
// # Concurrency
//
// Searches take no lock. What they rely on:
//   - everything of a node but its links is written before the first link to it
//     is stored, and never changes after (twins: only from its equal on);
//   - links are single atomic words. A writer holds the lock of the block's node
//     while it rewrites the block; a reader beside it may see old and new links
//     mixed, each of which leads to a complete node of that level;
//   - a node's own blocks are all written before anything links to it, so no
//     search is stranded on it;
//   - arrays are replaced only when their capacity is outgrown, under the
//     writers' lock; the old ones stay as they were for who still reads them.
//
// Inserts and deletes share the writers' lock; growing, the snapshot of Save,
// the beginning of Compact and the swap at its end have it alone.
//
// # Metrics
//
// Cosine works on normalized copies, L2 on squared distances. Under dot the
// graph is built by inner product, which is no metric: long vectors become hubs
// and recall depends on how much lengths differ. It is good where lengths are
// alike; measure it where they are not, or search with Exact.
//
// # Plans
//
// Small sets are scanned. So is what a filter leaves when that is cheaper than
// a walk that must pass 1/selectivity nodes for each hit. A walk that finds too
// few hits is followed by a scan: k hits come back whenever k match.
package hnsw

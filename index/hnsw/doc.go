// Package hnsw is our own hierarchical navigable small world graph (Malkov and
// Yashunin, "Efficient and robust approximate nearest neighbor search using
// hierarchical navigable small world graphs", 2016), laid out flat.
//
// # Layout
//
// A node is a number from 0. What belongs to it stands in arrays, at fixed
// strides, in one region of memory that grows in place (package arena):
//
//	vectors   n x dimension float32, row-major; normalized under cosine. Or, in
//	          an encoding of fewer bits, the three slabs of package quant
//	base      n x 2M links of level 0
//	upper     blocks of M links; the levels of a node, from 1, are neighbours
//	upperAt   where a node's blocks begin
//	levels    the highest level of a node, or that it is a twin
//	settled   how many of a node's first links of level 0 don't cover each other
//	ordinals  the owner's number of the vector
//	twins     the next node with the very same vector
//
// A link is a node's number plus one; a block ends at its first zero.
//
// # Encodings
//
// f32 keeps vectors as they are. int8 and lvq4x8 keep them as codes of 8 or 4
// bits, by which walks go, and a residual of 8 bits, by which the nearest are
// scored again: k + max(k/2, 5) of int8, k + max(3k/2, 15) of lvq4x8, times the
// oversampling of the manifest. Neighbours are chosen by 8-bit codes in both.
// No float32 vectors are held: scores carry the error of the residual, about
// 1e-5 of the norms under int8 and 1e-4 under lvq4x8, and two vectors whose codes
// and residuals are equal are the same vector. A query that asks for spare hits is
// told that error, and has those that it leaves in doubt (doubt.go).
//
// Scale and mean come from the first 1,024 vectors, which are float32 until
// then and are encoded at once. Stats.Drifted says when later ones are of another
// size; Compact then takes new ones, from what the codes stand for.
//
// A walk over codes expands four nodes at once, so that it waits for memory
// once. One that ends among nodes which the coarse layer can't tell from its best
// is done again by both layers (blind.go). After an admitting walk hits that lie
// no further apart than the noise of the codes are no answer: it is followed by a
// scan.
//
// # Where a walk begins
//
// Where the upper levels lead. As a graph grows, at 1,024 nodes and whenever half
// as many more have come, some of its nodes are searched for so, one with each
// insert; when one is lost,
// walks of level 0 begin at seeds from then on, all of which are compared with the
// query at once: nodes of a sample that lie as far apart as can be, and some taken
// by chance. A checkpoint says whether there are any, and Load chooses them anew;
// Optimize looks again. 768 nodes are searched for, so the loss of a group that is
// less than a thousandth of the graph may go unnoticed. See seeds.go for why.
//
// # Choice of neighbours
//
// Of the links of a full block the diverse ones stay, seven eighths of it at
// most, so that it isn't full again at once. They don't cover each other, which
// settled remembers: the next choice compares newcomers alone, and gives the very
// links that comparing all pairs would. Rows of lvq4x8 are decoded to 8 bits for
// that, each once an insert.
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
// # Optimize
//
// Optimize chooses the neighbours of every node on level 0 anew, among those that
// a search for the node finds and those that it has, and links what nothing
// leads to. It exchanges blocks where they stand, as inserts do.
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
// Small sets are scanned, and so is what a filter leaves when it is little. For
// more a walk begins that passes through everything and counts what is
// admitted; it goes on as long as what it meets promises that it ends before a
// scan of the admitted would, which depends on where they lie (filtered.go). A
// walk that finds too few hits is followed by a scan: k hits come back whenever
// k match. A scan that is not asked to be exact looks at the codes of all, and
// at the residuals of those that the noise of the codes leaves in doubt.
package hnsw

// Package bridge carries queries from one embedding space into another, for
// collections whose own encoder can no longer be run: its weights are lost, or
// its provider has retired it. While the texts are embedded anew by another
// encoder, queries of that encoder, carried over, search what is stored.
//
// # What is fitted
//
// From pairs (x, y) of vectors of the same stored texts, x by the encoder that
// can be run ("from") and y as it is stored ("to"), a map
//
//	y' = (x - mean x) W + mean y,   scaled to length 1 where "to" is normalized
//
// with W of p x q, where p and q are the dimensions of the two spaces. W is one
// of two:
//
//	orthogonal  W = s R, where R has orthonormal rows (p <= q) or columns (p > q)
//	            and is nearest to the pairs in the sense of Procrustes: the polar
//	            factor of X'Y (Schönemann 1966, "A generalized solution of the
//	            orthogonal Procrustes problem"; for p != q that of the narrower
//	            side padded with zeros), and s is the scale of least squares. It
//	            turns the space and keeps all angles. The polar factor is computed
//	            by Newton and Schulz's iteration (Higham 2008, "Functions of
//	            Matrices", 8.3), which needs products alone
//	linear      W = (X'X + k I)^-1 X'Y, least squares with a ridge (Hoerl and
//	            Kennard 1970) of k = trace(X'X) / p / 1000
//
// Both are fitted, and the one that finds more is kept. Measured on sentences of
// Cranfield (TestSpaces with -bridge.all), recall@10 of the check below:
//
//	from, to                    pairs  orthogonal  linear  the kept one, stated  queries of people
//	hash 512, hash 1024         3,600        .795    .773                  .786               .830
//	hash 1024, hash 512         3,600        .817    .987                  .986               .989
//	TinyBERT f32, its int8      5,400        .812    .856                  .862               .865
//	TinyBERT int8, its f32      5,400        .814    .865                  .870               .862
//	Model2Vec, hash 512         1,800        .148    .170               refused
//	hash 512, Model2Vec         5,400        .070    .171               refused
//	TinyBERT f32, hash 512      5,400        .025    .082               refused
//	hash 512, TinyBERT f32      5,400        .005    .029               refused
//
// So a bridge joins spaces that see the same in texts, and no others; and only a
// measurement tells. In the last column the lost encoder was there to say what it
// would have found for Cranfield's own queries.
//
// # What is checked
//
// A tenth of the pairs, 2,000 at most, takes no part in the fit. For each, the
// ten nearest vectors of y among the stored ones of all pairs (itself left out),
// by exact search, are what the lost encoder would have found; the share of them
// that y' finds is the recall. One half of these pairs decides which W is kept,
// the other says its recall. Below Options.MinRecall there is no bridge, but a
// *RecallError with the figures. The pairs are documents, and the vectors to
// find are as many as there are pairs: of greater collections a bridge finds
// less, and queries that are unlike documents may find less too.
//
// Encode the texts of the pairs in the role of queries: those are what the
// bridge will carry.
//
// # What it gives
//
// Apply takes vectors stamped for "from" and gives compat.Bridged stamped for
// "to": queries that know both spaces, that can be searched with and never be
// stored. A Bridge is bound to the fingerprints of both.
//
// # Format
//
//	"vecino bridge 1\n"     16 bytes
//	u32                     bytes of the header, little-endian
//	header                  JSON: fingerprints, dimensions, method, check
//	W'                      q x p floats, IEEE 754 binary32, little-endian
//	shift                   q floats: mean y - mean x W
//	SHA-256                 of all before it, 32 bytes
package bridge

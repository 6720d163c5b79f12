// Package auto is the engine that begins without a graph: it scans, and builds
// the graph when the collection has outgrown that.
//
// A scan needs no building, is exact, and costs each query a time that grows
// with the collection; a graph costs about 0.1 to 0.4 ms a vector to build. Which
// of them answers faster is decided early: walks (M 16, ef 100) overtook a scan
// between 1,500 and 3,000 vectors, at 128 to 768 dimensions alike. How many
// queries must come until the building has paid is some 5,000, whatever the
// size. So what decides is how long a query may take: Threshold is the number
// of vectors that a scan passes in a quarter of a millisecond.
//
// Measured on one core of a server with 32 MiB of last-level cache, k 10
// (BenchmarkThreshold; walks over manifold data, f32 | lvq4x8):
//
//	vectors x dim    scan      walk              build
//	 4,000 x 128     62 us    21 us |  17 us    0.5 s
//	16,000 x 128    293 us    75 us |  48 us    2.9 s
//	32,000 x 128    788 us   101 us |  24 us   11.2 s
//	 4,000 x 384    210 us    32 us |  19 us    0.5 s
//	 8,000 x 384    288 us    42 us |  29 us    1.3 s
//	32,000 x 384   2.11 ms   137 us |  57 us   13.6 s
//	 4,000 x 768    160 us    44 us |  22 us    0.7 s
//	 8,000 x 768    438 us    75 us |  25 us    1.2 s
//	32,000 x 768   2.76 ms   245 us |  60 us   15.7 s
//
// # The change
//
// When an insert passes the threshold a graph is begun in the background, on
// half of the processors. Searches go on scanning; writers write to both, so
// what is to be copied is fixed, and each ordinal's newest vector is in both
// when the last one is copied. Then writers wait for the exchange of a pointer,
// and the graph answers. There is no way back: a graph of few vectors scans them
// by itself.
//
// # Checkpoints
//
// A checkpoint is that of the engine that answers, under its own name: "exact"
// or "hnsw". A scan that is loaded above its threshold builds its graph again.
package auto

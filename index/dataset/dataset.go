// Package dataset reads, makes and writes sets of vectors, and the true
// neighbours of queries in them, for measuring indexes and for imports.
//
// # Files
//
// What a file is says its name; ".gz" behind it means that it is compressed.
//
//	.f32     row-major float32, little-endian, no header: the dimension must be given
//	.fvecs   each row: int32 dimension, then float32 components (little-endian)
//	.bvecs   each row: int32 dimension, then bytes, which become 0..255
//	.npy     NumPy's array of two axes in C order: f2 f4 f8 i1 i2 i4 i8 u1 u2 u4
//	-idxN-   the format of MNIST, .idx too: big-endian; axes behind the first are joined
//	.i32     neighbours: row-major int32, little-endian, as many rows as queries
//	.ivecs   neighbours: each row int32 length, then int32 numbers
//
// The layout of .fvecs, .bvecs and .ivecs is that of the TEXMEX corpus, .npy is
// described in NumPy's NEP 1, idx on the page of MNIST.
//
// # Hostile files
//
// Nothing that a header claims is believed: memory grows with the bytes that
// are there, rows of different lengths, files that end early and files that go
// on are refused, as are dimensions over compat.MaxDimension and more than
// MaxRows rows. Every error names the file and what is wrong in it.
//
// A Set is bare numbers of no space: an index takes them only after a
// compat.Stamper has stamped them. Sets and Neighbours are safe for concurrent
// reading.
package dataset

import "errors"

// MaxRows bounds the rows of a file: they are numbered by 31 bits.
const MaxRows = 1<<31 - 1

// ErrFormat is the error of a file that is not what its name says.
var ErrFormat = errors.New("unreadable vector file")

// Set is n vectors of one dimension.
type Set struct {
	Dim  int
	Data []float32 // row-major, n x Dim
}

// Len is the number of vectors.
func (s Set) Len() int {
	if s.Dim == 0 {
		return 0
	}
	return len(s.Data) / s.Dim
}

// Row is the i-th vector; it shares memory with the set.
func (s Set) Row(i int) []float32 { return s.Data[i*s.Dim : (i+1)*s.Dim : (i+1)*s.Dim] }

// Slice is the vectors from..to-1; it shares memory with the set.
func (s Set) Slice(from, to int) Set {
	return Set{Dim: s.Dim, Data: s.Data[from*s.Dim : to*s.Dim : to*s.Dim]}
}

// Neighbours are the true k nearest of each of n queries: rows of a set,
// nearest first.
type Neighbours struct {
	K   int
	IDs []uint32 // row-major, n x K
}

// Len is the number of queries.
func (n Neighbours) Len() int {
	if n.K == 0 {
		return 0
	}
	return len(n.IDs) / n.K
}

// Row is the neighbours of query i.
func (n Neighbours) Row(i int) []uint32 { return n.IDs[i*n.K : (i+1)*n.K : (i+1)*n.K] }

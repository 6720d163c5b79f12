// Package postings indexes the payloads of documents in memory, so that filters
// are answered by bitmaps of ordinals instead of by reading documents.
//
// # What an Index holds
//
// An Index is of one path and one kind (package filter). It is told a
// filter.Summary for every document, and keeps
//
//   - the ordinals of all documents, and of those that are filled, hold a null,
//     hold something of another kind, hold something of the kind, or several
//     of them;
//   - for each number of elements the ordinals that have it;
//   - for keywords, booleans and words of texts the ordinals of each term; few
//     in a sorted slice, more in a roaring bitmap;
//   - for numbers and times blocks of (key, ordinal) in the order of keys, each
//     with the bitmap of its ordinals: a range takes whole blocks by their
//     bitmaps and looks into two.
//
// # What an answer is worth
//
// A Set is two bounds: documents that surely match, and documents that possibly
// do. Whatever an index can't tell lies between: payload values of another kind
// than the index's, words that may stand in different strings of an array,
// whole numbers from 2^53 on that share the nearest float64, conditions on a
// path without an index. Bounds are carried through every clause, negation
// included, so what lies between them at the end is all that is left to look
// up, and where nothing does the answer is exactly that of filter.Match.
//
// Nothing here is safe for concurrent use but calls that read.
package postings

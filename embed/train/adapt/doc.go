// Package adapt makes a static model better on one collection: it goes on
// training a table (package train) on pairs cut out of the collection's own
// documents (package passages), without a label.
//
// One document in ten is held out, by the digest of its text, with all pairs
// made of it. A first training sees none of these; it decides how long to train,
// and whether the result is accepted: the held-out pairs must be found better
// than by the table it began with, by more than chance explains (see better).
// An accepted model is then trained once more, as long, on all documents.
//
// A model that is adapted to one collection forgets elsewhere, so it belongs to
// that collection: a space of its own, reached by a migration.
//
// The same documents, in any order, and Options give the same model on one kind
// of processor.
package adapt

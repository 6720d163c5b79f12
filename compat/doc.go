// Package compat decides what may be compared with what: the manifest of an
// index, the fingerprint of its embedding space, and what each change of a
// manifest means. It is pure logic: no I/O, no clock, no randomness, and
// nothing of the other packages. Everything in it is safe for concurrent use
// as long as nobody writes to a value that another reads.
//
// # Space and fingerprint
//
// A Space is everything that decides which floats a text becomes: algorithm,
// weights, tokenizer, pooling, prompts, truncation, normalization, precision
// and dimension. Names and addresses of a model are labels and not part of it:
// digests of file bytes are. The Fingerprint of a space is
//
//	SHA-256("vecino space 1\n" + record of the space)
//
// with the record drawn below. Vectors may be compared only when their
// fingerprints are equal. The zero Fingerprint, which the zero Space has,
// matches nothing, not even itself. StoredFingerprint is
//
//	SHA-256("vecino stored space 1\n" + record without query_prompt)
//
// and identifies what stored vectors depend on: it seals graphs, caches and
// snapshots, which a new query prompt leaves true.
//
// Raw vectors, which clients bring, are a space too ("raw/1"). Where no model
// is declared, Weights is a random value of the collection, so that an equal
// dimension never passes for an equal space.
//
// # Vectors
//
// Vectors is a batch of rows that a Stamper has checked: of the space's
// dimension, finite, at most 1e16 in magnitude, of length 1 where the space is
// normalized, and not zero under cosine. Only a Stamper makes them (Slice,
// Select and Concat rearrange stamped rows of one space), so holding Vectors is
// the proof, and the fingerprint in them says of which space.
//
// Searchable is what a search takes: Vectors, or Bridged, which are queries that
// a fitted map has carried over from another space (package embed/bridge). Bridged
// carry both fingerprints and are no Vectors, so that no code that stores or
// indexes can be given them.
//
// # Verdicts
//
// Diff lists the leaf fields in which two manifests differ, each with a
// verdict; Worst is the greatest of them, in this order:
//
//	verdict  fields                                        what happens
//	same     evidence.*, provenance.*, an older schema     opens
//	tune     search.ef, search.oversampling                opens with the new value
//	recheck  space.query_prompt                            opens after the probes
//	rebuild  metric, index.engine, index.m,                new index from stored vectors
//	         index.ef_construction
//	derive   index.encoding; space.dimension when only     new vectors from stored ones
//	         a Matryoshka cut shrinks; space.normalization
//	         from none to l2
//	reembed  the other fields of the space; a dimension    every text through the encoder
//	         that grows; normalization from l2 to none
//	refuse   reembed into raw vectors; a newer schema;     nothing changes
//	         a field without a rule
//
// MakePlan turns changes into a Plan and refuses a reembed for which texts are
// missing. MismatchError carries both to whoever asked for the wrong thing.
//
// # Canonical encoding
//
// Each manifest has exactly one encoding. Integers are little-endian; u32 is
// unsigned, 32 bits. A manifest is
//
//	"vecino manifest\n"                             16 bytes
//	record                                          to the end
//
// and a record is its fields, all of them, in the order of the tables in
// fields.go, which is that of the Go structs:
//
//	+----------+------+------+----------+-------+
//	| u32 len  | name | kind | u32 len  | value |
//	| of name  |      | 1 B  | of value |       |
//	+----------+------+------+----------+-------+
//
// Names are the paths of the JSON form ("space.dimension"; within the record
// of a space that is hashed, "dimension"). Kinds and values:
//
//	't'  text      the bytes
//	'i'  integer   int64, two's complement                       8 bytes
//	'f'  float     IEEE 754 binary64                             8 bytes
//	'b'  bool      00 or 01                                      1 byte
//	'd'  digest                                                 32 bytes
//	'z'  time      int64 seconds since 1970-01-01 UTC,
//	               u32 nanoseconds below 1e9; years 0 to 9999   12 bytes
//	'v'  vector    IEEE 754 binary32, one after another
//	'm'  labels    u32 len, key, u32 len, value, repeated;
//	               keys strictly ascending by their bytes
//	'l'  list      u32 len, record, repeated; an optional
//	               record is a list of none or one
//
// One field is left out where it has no value, because it came after manifests
// had been written without it: evidence.adoption. A program that is older than
// it refuses a manifest that has it (ErrUnknownField), and reads all others.
//
// So the field metric = "dot" of a manifest is these 18 bytes:
//
//	06 00 00 00  6d 65 74 72 69 63  74  03 00 00 00  64 6f 74
//	             m  e  t  r  i  c   't'              d  o  t
//
// (4 + 6 + 1 + 4 + 3). The first 16 bytes and the first field, "schema", are
// the same in every schema, so that any program can say that a manifest is
// newer than itself. Reading is strict: a field that is missing, doubled, out
// of order or of another kind, a value of the wrong size, and bytes after the
// last field are ErrCorrupt; a name that is in no table is ErrUnknownField; a
// newer schema is ErrSchema. What is accepted encodes back to the same bytes.
package compat

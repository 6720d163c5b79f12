// Package store keeps collections: documents, their vectors and the index over
// them, durable in one Pebble per data directory. It is the only package that
// knows Pebble.
//
// # What it promises
//
//   - A write is acknowledged when the disk has it. A crash or a kill at any
//     moment leaves every acknowledged batch, and every batch whole or not at
//     all. An error of the disk is never acknowledged; after one, nothing more
//     is written until the store is opened again (ErrFailed), or the process
//     ends, because Pebble is crash-only (see engineLogger).
//
//   - No vector enters or answers a query unless it is of the collection's
//     space: only gate.go gives a *Collection away, after comparing manifests,
//     and every Put and Search compares the fingerprint of its batch.
//
//   - Damage is not silent. Blocks are checksummed by Pebble. What checksums
//     can't see (a lost file, a manifest or log that ends early) shows when a
//     collection is opened: each batch commits the count and an
//     order-independent digest of the collection, Open compares them with the
//     documents, and the documents with the ordinal table, the vectors and the
//     log; and a high-water file outside Pebble says how far the store had got
//     when it was last known to be on the disk. Writes that were lost from the
//     end of the log since that file was written can't be told from writes
//     that never happened.
//
//   - The index can always be had back: it is loaded from its last checkpoint
//     plus the log behind it, or built anew from the stored vectors when the
//     checkpoint can't be read.
//
//   - A snapshot (snapshot.go) is one collection in one sealed file, and is
//     restored whole or refused.
//
// # The life of a write
//
// Put locks its points, reads what it replaces, and then under the
// collection's mutex takes a sequence number and ordinals and hands one batch
// to Pebble in that order, without waiting for the disk. It waits outside of
// the mutex, so concurrent writers share syncs. When the disk has the batch the
// vectors go into the index, and the points are unlocked. Searches in between
// find what is replaced or deleted as it was: a snapshot from before the batch
// is kept for them (past.go). An ordinal names one
// vector for ever: a point that gets a new vector gets a new ordinal, and a
// point that is put again with the same vector keeps its own.
//
// # Generations
//
// A collection has one generation, its vectors and graph under one manifest,
// or during a migration two, over the same documents and ordinals: one serves
// and the other stands by. Every write goes to both in its one batch, so either
// can serve at any moment once the second has been filled (standby.go).
//
// A generation of raw vectors becomes one of a model's space in place, when
// that model has been proved to have made them (adopt.go).
//
// # The data directory
//
//	DIR/high-water   what was known to be durable, two lines (marks.go)
//	DIR/db/          Pebble, comparer "vecino.v1", format pinned (engine.go)
//	DIR/snapshots/   files of WriteSnapshot, if the service that owns the store
//	                 keeps some; nothing here looks at them
//
// # Keys
//
// Every key begins with a byte that names its family. Numbers in keys are
// big-endian: c the collection's number (4 bytes), g the generation (8), o an
// ordinal (4), s a sequence number (8), n a checkpoint's number (8), i a
// chunk's (4). An id is 00 and 8 bytes for a number, 01 and its bytes for a
// string, so numbers come first.
//
//	01 'f'           format: "vecino store\n" and the format number
//	01 'c'           catalog: changes, next collection number (JSON)
//	01 'a'           the collections that aliases mean (JSON)
//	02 name          collection: number, generations, creation (JSON)
//	03 c             a dropped collection's name and time (JSON)
//	04 c g           generation: creation and manifest (canonical encoding)
//	05 c             state: sequence, next ordinal, live count, digest
//	06 c id          document
//	07 c o           the id that the ordinal's vector belongs to
//	08 c g o         vector: 4 bytes a component, little-endian float32
//	09 c s           log: what batch s did to the index
//	0a c g           header of the last checkpoint
//	0b c g n i       chunk i (see index.Seal), as checkpoint n wrote it
//	0c f r h         cached embedding: f the fingerprint of its space (32), r its
//	                 role (0 document, 1 query), h the hash of its content (32)
//	0d n             segment n (8) of the embedding cache: what one Put brought
//	0e c m           migration m (8): the caller's record
//	0f c g           a retired generation, whose keys are going (JSON)
//	10 c f           payload index f (4): path, type, whether it is complete (JSON)
//	11 c f o         what the payload of ordinal o holds at that path
//	12 c f           number and sum of these records, as of a batch
//	14 n             job n (8): the caller's record and the XXH64 of key and record
//	15 c m           what carries queries over during migration m
//
// # Payload indexes
//
// The postings are in memory (package index/postings). What is on the disk is
// one small record for each document and index, in the batch of the document:
// the terms, keys and counts that the postings are made of. A change of a
// document writes as many keys as there are indexes, however many words a text
// has, and a start reads the records in the order of ordinals, without parsing
// payloads or cutting texts into words.
//
// An index is built in the background, and answers filters when every document
// has its record; it begins anew after a crash before that. At a start it is
// read in the background, and compared with its number and sum and with the
// sequence of the collection; one that differs is built anew from the
// documents. While an index is not ready, filters look at the documents.
//
// # Records
//
// A record begins with a version byte; its numbers are little-endian.
//
//	document    version 1 | sequence 8 | ordinal 4 | SHA-256 of the rest 32 |
//	            flags 1 (1 text, 2 payload) | [uvarint length, text] | [payload]
//	state       version 1 | sequence 8 | next 8 | live 8 | digest 16
//	            with a standby: version 2 | as before | generation 8 |
//	            filled 8 | digest 16
//	log         version 1 | for each change: kind 1 (0 inserted, 1 removed) ordinal 4
//	            of a fill: version 2 | generation 8 | ordinals 4 each
//	checkpoint  version 2 | number 8 | sequence 8 | for each chunk, the head
//	            last: uvarint, how many checkpoints ago it was written
//	generation  version 1 | nanoseconds since 1970 8 | manifest
//	posting     flags 1 (1 filled, 2 null, 4 other, 8 several, 16 one count of 1,
//	            32 no count) | [uvarint number, uvarint counts] |
//	            uvarint number, keys 8 each | terms: uvarint length, bytes
//	sum         version 1 | sequence 8 | records 8 | sum modulo 2^64 8
//	cached      version 1 | fingerprint 32 | note 8 | dimension 4 | float32s |
//	            XXH64 of the key and all before 8
//	segment     version 1 | bytes written before it 8 | its bytes 8 |
//	            fingerprint 32 | role 1 | content hashes 32 each |
//	            XXH64 of the key and all before 8
//
// The note of a cached embedding is the caller's: tokens and truncation. The
// bytes of a segment are those of its records and its own, keys included.
//
// The sum of postings is over XXH64 of each record, mixed with its ordinal.
//
// The digest is the sum modulo 2^128, over the live documents, of the first 16
// bytes of SHA-256(sequence 8 | ordinal 4 | SHA-256 32 | id). That of a standby
// is the same sum, over the ordinals that it has, of SHA-256(ordinal 4 | id).
package store

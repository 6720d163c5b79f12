// Package builtin is the encoders that are in the program, with nothing to
// download: what a text is about, and that beside the words it is made of.
//
//	builtin:static  256 dimensions, or the first 128 or 64: a table of 30,000
//	                token vectors, averaged (package static)
//	builtin:blend   768 dimensions: builtin:hash (512) with a share of .4 beside
//	                builtin:static (package blend)
//
// Both are names of one version for ever: their vectors don't change, and a
// better table gets another name. Space.Weights has the digest of the table, so
// no other one could pass for it. They are English first: the table knows words
// of a-z and 0-9. Of a text in another script builtin:static knows next to
// nothing (it refuses one without any token, with embed.ErrNoTokens), and
// builtin:blend what its lexical half knows.
//
// The table was trained by package train on pairs of texts out of openly
// licensed documentation, books and a dictionary; Card has the sources, their
// licences and commits, and the figures. The files are compressed with
// Zstandard and unpacked when an encoder is opened for the first time; rows are
// then held as float32, 31 MB, shared by all encoders of the process.
package builtin

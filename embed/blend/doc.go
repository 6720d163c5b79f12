// Package blend puts two encoders beside each other: one that knows words
// (package hash) and one that knows what they are about (package static). Each
// finds what the other misses, and the lexical one serves every language.
//
// # Specification of blend/1
//
// With h the lexical vector of a text and s the semantic one, both of length 1,
// and w the lexical share, 0 < w < 1, the vector is
//
//	[ sqrt(w) h, sqrt(1-w) s ]
//
// whose cosine with another is w times the lexical cosine plus 1-w times the
// semantic one. A text in which the semantic encoder finds no token (another
// script) is [ h, 0 ]: its cosine with a text that has both is sqrt(w) times the
// lexical one. A text that the lexical encoder refuses is refused with its error,
// which is embed.ErrNoTokens for one without any character. Each float is
// rounded once.
//
// Both roles go to both encoders as they are. Tokens, as Encoded and CountTokens
// have them, are the greater of the two counts. Truncated is that of either.
//
// The space's weights are the SHA-256 over the version, the fingerprints of both
// spaces and w, so that a change of either encoder changes the fingerprint. Its
// tokenizer, pooling and limit are the semantic encoder's.
package blend

// Package hash is the encoder "builtin:hash": lexical feature hashing. It needs
// no model file and no download, works for any language, and gives the same
// floats on every machine. It is lexical: good for words that match, blind to
// synonyms.
//
// # Specification of hash/1
//
// Everything below is exact; two programs that follow it give equal bits.
// A text becomes a vector of D floats, 64 <= D <= 4096, in five steps. Both
// roles are encoded alike.
//
// 1. Folding. Each maximal run of invalid UTF-8 becomes one U+FFFD. The text is
// brought into Unicode's form NFKD; every character U+0300..U+036F (accents)
// and every U+00AD (soft hyphen) is dropped, U+2019 becomes U+0027 (apostrophe),
// then full default case folding, then form NFC.
//
// 2. Words. The folded text is cut at the word boundaries of UAX #29. A piece
// that has a character of the general categories L or N is a word; other pieces
// are dropped. A word is unspaced when its first character is of the script Han,
// Hiragana, Thai, Lao, Khmer or Myanmar.
//
// 3. Terms. An unspaced word gives the term 'u' + word; two of them without
// anything between give, besides, the term 'p' + first + second. Any other word
// that stands in the list of stop words (StopWords) gives nothing. The rest give
// the term 'w' + stem. The stem of a word of 3 to 32 bytes, all of them a-z or
// apostrophe, is that of the Snowball algorithm "english" (Porter2, as
// github.com/kljensen/snowball v0.10.0 has it, stop words stemmed too); any
// other word is its own stem.
//
// If there are words but no terms, stop words are let in: they become
// terms as other words do. If there are no words, the characters of the text
// before folding that are no white space are the terms, as 's' + character, and
// each two of them without anything between, as 's' + first + second. If there
// are none of those either, the text is refused (embed.ErrNoTokens).
//
// 4. Features. The hash H of a byte string is its 64-bit FNV-1a, finished by
// MurmurHash3's fmix64. Terms with equal H are one term. A term that occurs f
// times, 2^k <= f < 2^(k+1), has the integer weight
//
//	W = 1024 + 710 k + floor(710 (f - 2^k) / 2^k)
//
// which is 1024 (1 + ln f), drawn straight between the powers of two. W is
// halved, rounding down, for terms 'u' and for terms 'w' whose stem is the stem
// of a word in the list of common words (CommonWords). A term adds W under its
// own H, and a term 'w' adds floor(W/4) under the H of each of its
// n-grams: of the character string '<' + the first 64 characters of the stem +
// '>', every n neighbours, with the byte 'c' before them; n is 2 when the stem's
// first character is of the script Hangul or Katakana, otherwise 4. To add under
// H is to add the weight to component floor(H D / 2^64), or to subtract it there
// when H is odd. Components are integers, so no order matters.
//
// If every component is zero, W is added once more under the first term alone.
//
// 5. Normalization. The squares of the components, as IEEE 754 doubles, are
// summed from the first to the last, each square and each sum rounded; every
// component is divided by the square root of the sum, as doubles, and rounded
// to a single.
//
// Tokens, as Encoded and CountTokens have them, are the words of step 2, stop
// words included; in a text without words, its characters that are no white
// space. No text is truncated.
//
// The tables of Unicode are those of golang.org/x/text, of uax29 and of Go's
// unicode package. Unicode's stability policy keeps steps 1 and 2 the same for
// characters that are assigned; a character newer than the tables may change.
//
// Space.Weights is the SHA-256 over the constants and lists of this
// specification, so a change of any of them changes the fingerprint.
package hash

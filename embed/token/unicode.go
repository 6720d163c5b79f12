package token

import (
	"unicode"
	"unicode/utf8"
)

// isPunctuation is what BERT splits at: all ASCII characters that are neither
// letters nor digits nor space nor control, and Unicode's category P.
func isPunctuation(r rune) bool {
	if r < utf8.RuneSelf {
		return '!' <= r && r <= '/' || ':' <= r && r <= '@' || '[' <= r && r <= '`' || '{' <= r && r <= '~'
	}
	return unicode.IsPunct(r) && !isSince8(r)
}

// isControl is what BERT's cleaning removes: categories Cc, Cf and Co, but for
// three characters that count as white space.
func isControl(r rune) bool {
	switch r {
	case '\t', '\n', '\r':
		return false
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co) && !isSince8(r)
}

// isNonSpacing is category Mn.
func isNonSpacing(r rune) bool {
	return unicode.Is(unicode.Mn, r) && !isSince8(r)
}

// isWord is a regular expression's \w: letters, marks, decimal digits, letter
// numbers, connector punctuation and joiners.
func isWord(r rune) bool {
	if r < utf8.RuneSelf {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_'
	}
	return unicode.In(r, unicode.L, unicode.M, unicode.Nd, unicode.Nl, unicode.Pc, unicode.Other_Alphabetic) || r == '\u200c' || r == '\u200d'
}

// isCJK is BERT's "Chinese character", with the reference's ranges (in which
// Extension E starts late, at U+2B920).
func isCJK(r rune) bool {
	return 0x4E00 <= r && r <= 0x9FFF || 0x3400 <= r && r <= 0x4DBF ||
		0x20000 <= r && r <= 0x2A6DF || 0x2A700 <= r && r <= 0x2B73F ||
		0x2B740 <= r && r <= 0x2B81F || 0x2B920 <= r && r <= 0x2CEAF ||
		0xF900 <= r && r <= 0xFAFF || 0x2F800 <= r && r <= 0x2FA1F
}

// appendLower appends the lower case of one character out of context: final
// sigma is not known, and U+0130 becomes two characters (SpecialCasing.txt).
func appendLower(to []byte, r rune) []byte {
	if r == 'İ' {
		return append(to, "i̇"...)
	}
	return utf8.AppendRune(to, unicode.ToLower(r))
}

// classes is a table of what a function says of each character, for speed.
type classes struct {
	low  [tabled]uint8
	rest func(rune) uint8
}

// tabled is the first character beyond the tables: they hold the alphabets,
// and not the ideographs.
const tabled = 0x3400

func newClasses(of func(rune) uint8) *classes {
	c := &classes{rest: of}
	for r := range rune(tabled) {
		c.low[r] = of(r)
	}
	return c
}

// next is the class and length of the character at b[i].
func (c *classes) next(b []byte, i int) (class uint8, n int) {
	if b[i] < utf8.RuneSelf {
		return c.low[b[i]], 1
	}
	r, n := utf8.DecodeRune(b[i:])
	if r < tabled {
		return c.low[r], n
	}
	return c.rest(r), n
}

package token

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// bertNormalizer is BERT's cleaning. Its four steps (remove control characters
// and turn white space into spaces; put spaces around ideographs; decompose and
// remove non-spacing marks; lower the case) each look at one character, so they
// run as one mapping. Canonical ordering, the one thing in a decomposition that
// looks further, moves only marks that are removed.
type bertNormalizer struct {
	clean, spaceCJK, strip, lower bool
}

func newBertNormalizer(f *fields) (normalizer, error) {
	n := bertNormalizer{
		clean:    f.flag("clean_text", true),
		spaceCJK: f.flag("handle_chinese_chars", true),
		lower:    f.flag("lowercase", true),
	}
	// strip_accents null means: as lowercase.
	n.strip = f.flag("strip_accents", n.lower)
	if err := f.fail(); err != nil {
		return nil, err
	}
	return newMapping(n.append), nil
}

// append appends what r becomes.
func (n bertNormalizer) append(to []byte, r rune) []byte {
	if n.clean {
		if r == 0 || r == utf8.RuneError || isControl(r) {
			return to
		}
		if unicode.IsSpace(r) {
			r = ' '
		}
	}
	spaced := n.spaceCJK && isCJK(r)
	if spaced {
		to = append(to, ' ')
	}
	to = n.fold(to, r)
	if spaced {
		to = append(to, ' ')
	}
	return to
}

// fold decomposes, strips and lowers.
func (n bertNormalizer) fold(to []byte, r rune) []byte {
	if !n.strip {
		return n.appendCase(to, r)
	}
	if 0x3400 <= r && r <= 0x9FFF {
		return utf8.AppendRune(to, r) // ideographs: nothing to decompose or to lower
	}
	if hangulFirst <= r && r < hangulFirst+hangulCount {
		return appendJamo(to, r)
	}
	var character, decomposed [32]byte
	size := utf8.EncodeRune(character[:], r)
	for whole := norm.NFD.Append(decomposed[:0], character[:size]...); len(whole) > 0; {
		d, size := utf8.DecodeRune(whole)
		whole = whole[size:]
		if !isNonSpacing(d) {
			to = n.appendCase(to, d)
		}
	}
	return to
}

// Hangul syllables decompose by arithmetic (The Unicode Standard, 3.12).
const (
	hangulFirst    = 0xAC00
	hangulCount    = 11172
	hangulVowels   = 21
	hangulTrailing = 28
)

func appendJamo(to []byte, r rune) []byte {
	i := r - hangulFirst
	to = utf8.AppendRune(to, 0x1100+i/(hangulVowels*hangulTrailing))
	to = utf8.AppendRune(to, 0x1161+i/hangulTrailing%hangulVowels)
	if trailing := i % hangulTrailing; trailing > 0 {
		to = utf8.AppendRune(to, 0x11A7+trailing)
	}
	return to
}

func (n bertNormalizer) appendCase(to []byte, r rune) []byte {
	if n.lower {
		return appendLower(to, r)
	}
	return utf8.AppendRune(to, r)
}

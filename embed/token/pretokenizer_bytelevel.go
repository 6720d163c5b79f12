package token

import (
	"unicode"
	"unicode/utf8"
)

// byteAlphabet writes each byte as one visible character, as GPT-2 does:
// printable Latin-1 stands for itself, the others follow from U+0100 on.
func byteAlphabet() *[256]string {
	var alphabet [256]string
	next := rune(0x100)
	for b := range alphabet {
		r := rune(b)
		if !('!' <= r && r <= '~' || 0xA1 <= r && r <= 0xAC || 0xAE <= r) {
			r = next
			next++
		}
		alphabet[b] = string(r)
	}
	return &alphabet
}

// byteLevel cuts by GPT-2's pattern and writes the pieces in the byte alphabet.
type byteLevel struct {
	prefixSpace bool
	pattern     *gptPattern // nil: no cutting
	alphabet    *[256]string
}

func newByteLevel(f *fields) (preTokenizer, error) {
	b := byteLevel{prefixSpace: f.flag("add_prefix_space", true), alphabet: byteAlphabet()}
	if f.flag("use_regex", true) {
		b.pattern = newGPTPattern()
	}
	return b, f.fail()
}

func (l byteLevel) preTokenize(p *pieces) {
	if l.prefixSpace {
		p.rewrite(func(from piece) {
			if p.b[from.from] != ' ' {
				p.put(from.from, from.from, " ")
			}
			p.keep(from.from, from.to)
		})
	}
	if l.pattern != nil {
		p.recut(func(to []piece, from piece) []piece {
			for i := from.from; i < from.to; {
				end := l.pattern.match(p.b[:from.to], i)
				to = append(to, piece{i, end})
				i = end
			}
			return to
		})
	}
	p.rewrite(func(from piece) { putBytes(&p.text, l.alphabet, from.from, from.to) })
}

// putBytes writes b[i:j] in the alphabet.
func putBytes(t *text, alphabet *[256]string, i, j int) {
	for ; i < j; i++ {
		t.put(i, i+1, alphabet[t.b[i]])
	}
}

// byteLevelNormalizer is the rewriting alone, as a normalizer.
type byteLevelNormalizer struct{ alphabet *[256]string }

func newByteLevelNormalizer() normalizer { return byteLevelNormalizer{byteAlphabet()} }

func (n byteLevelNormalizer) normalize(t *text) {
	t.begin()
	putBytes(t, n.alphabet, 0, len(t.b))
	t.commit()
}

// gptPattern is GPT-2's pattern by hand, because it looks ahead:
//
//	's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
type gptPattern struct{ *classes }

// Classes of gptPattern.
const (
	gptOther uint8 = iota
	gptLetter
	gptNumber
	gptSpace
)

func newGPTPattern() *gptPattern {
	return &gptPattern{newClasses(func(r rune) uint8 {
		switch {
		case unicode.IsLetter(r):
			return gptLetter
		case unicode.IsNumber(r):
			return gptNumber
		case unicode.IsSpace(r):
			return gptSpace
		default:
			return gptOther
		}
	})}
}

// match is where the match that starts at i ends. Every text matches.
func (g *gptPattern) match(b []byte, i int) int {
	if b[i] == '\'' && i+1 < len(b) {
		switch b[i+1] {
		case 's', 't', 'm', 'd':
			return i + 2
		case 'r', 'v':
			if i+2 < len(b) && b[i+2] == 'e' {
				return i + 3
			}
		case 'l':
			if i+2 < len(b) && b[i+2] == 'l' {
				return i + 3
			}
		}
	}
	start := i
	if b[i] == ' ' && i+1 < len(b) {
		i++
	}
	if class, _ := g.next(b, i); class != gptSpace {
		end, _ := g.run(b, i, class)
		return end
	}
	end, last := g.run(b, start, gptSpace)
	if end == len(b) || last == start {
		return end
	}
	return last // the last space goes with the word that follows
}

// run is where a run of a class ends, and where its last character starts.
func (g *gptPattern) run(b []byte, i int, class uint8) (end, last int) {
	for last = i; i < len(b); {
		c, n := g.next(b, i)
		if c != class {
			break
		}
		last = i
		i += n
	}
	return i, last
}

// spaceRune reports whether a character of the byte alphabet is white space.
func spaceRune(r rune) bool { return r == 'Ġ' || unicode.IsSpace(r) }

// spacesAround counts the characters of white space at the ends of a token in
// the byte alphabet.
func spacesAround(token string) (leading, trailing int) {
	for _, r := range token {
		if !spaceRune(r) {
			break
		}
		leading++
	}
	for len(token) > 0 {
		r, n := utf8.DecodeLastRuneInString(token)
		if !spaceRune(r) {
			break
		}
		token = token[:len(token)-n]
		trailing++
	}
	return leading, trailing
}

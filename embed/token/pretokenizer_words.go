package token

import "unicode"

// Classes of characters for the pre-tokenizers of this file.
const (
	inWord uint8 = iota
	isSpace
	isPunct
)

// bertPreTokenizer removes white space and makes each punctuation character a
// piece of its own.
type bertPreTokenizer struct{ *classes }

func newBertPreTokenizer() preTokenizer {
	return bertPreTokenizer{newClasses(func(r rune) uint8 {
		switch {
		case unicode.IsSpace(r):
			return isSpace
		case isPunctuation(r):
			return isPunct
		default:
			return inWord
		}
	})}
}

func (c bertPreTokenizer) preTokenize(p *pieces) {
	p.recut(func(to []piece, from piece) []piece {
		start := from.from
		for i := from.from; i < from.to; {
			class, n := c.next(p.b, i)
			if class != inWord {
				if i > start {
					to = append(to, piece{start, i})
				}
				if class == isPunct {
					to = append(to, piece{i, i + n})
				}
				start = i + n
			}
			i += n
		}
		if from.to > start {
			to = append(to, piece{start, from.to})
		}
		return to
	})
}

// newSpaceSplit removes white space and leaves the rest in one.
func newSpaceSplit() preTokenizer {
	return bertPreTokenizer{newClasses(func(r rune) uint8 {
		if unicode.IsSpace(r) {
			return isSpace
		}
		return inWord
	})}
}

// words is the pattern \w+|[^\w\s]+: runs of word characters and runs of what
// is neither word nor space.
type words struct{ *classes }

func wordClass(r rune) uint8 {
	switch {
	case isWord(r):
		return inWord
	case unicode.IsSpace(r):
		return isSpace
	default:
		return isPunct
	}
}

func (w words) preTokenize(p *pieces) {
	p.recut(func(to []piece, from piece) []piece {
		start, running := from.from, isSpace
		for i := from.from; i < from.to; {
			class, n := w.next(p.b, i)
			if class != running {
				if running != isSpace {
					to = append(to, piece{start, i})
				}
				start, running = i, class
			}
			i += n
		}
		if running != isSpace {
			to = append(to, piece{start, from.to})
		}
		return to
	})
}

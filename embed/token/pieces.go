package token

import "unicode/utf8"

// piece is a range of a text that the model sees as one word: from < to.
type piece struct{ from, to int }

// pieces is a normalized text under pre-tokenization: ascending, disjoint,
// non-empty ranges of it, which a pre-tokenizer cuts further.
type pieces struct {
	text
	list, last []piece // last is the memory of the list before
	joined     []mark  // memory for matches and the gaps between
	first      int     // where the piece that starts the whole text starts; -1: it isn't here
}

// mark is a stretch of a piece that a pattern matched, or a gap between two.
type mark struct {
	from, to int
	match    bool
}

// whole makes all of the text one piece; starts: it starts the whole text.
func (p *pieces) whole(starts bool) {
	p.list, p.first = p.list[:0], -1
	if len(p.b) > 0 {
		p.list = append(p.list, piece{0, len(p.b)})
	}
	if starts {
		p.first = 0
	}
}

// recut replaces the list by what cut appends for each of its pieces.
func (p *pieces) recut(cut func(to []piece, from piece) []piece) {
	out := p.last[:0]
	for _, each := range p.list {
		out = cut(out, each)
	}
	p.list, p.last = out, p.list
}

// rewrite makes a new text of what write puts for each piece; each becomes one
// piece of it again.
func (p *pieces) rewrite(write func(from piece)) {
	p.begin()
	first := -1
	for i, each := range p.list {
		start := len(p.out)
		if each.from == p.first {
			first = start
		}
		write(each)
		p.list[i] = piece{start, len(p.out)}
	}
	p.commit()
	p.first = first
}

// behavior says what becomes of the matches of a splitting pattern.
type behavior string

// The behaviors, as tokenizer.json names them.
const (
	removed            behavior = "Removed"
	isolated           behavior = "Isolated"
	mergedWithPrevious behavior = "MergedWithPrevious"
	mergedWithNext     behavior = "MergedWithNext"
	contiguous         behavior = "Contiguous"
)

func (b behavior) known() bool {
	switch b {
	case removed, isolated, mergedWithPrevious, mergedWithNext, contiguous:
		return true
	}
	return false
}

// finder appends the non-empty matches in b, ascending and disjoint.
type finder func(to []mark, b []byte) []mark

// split cuts every piece at the matches of find; with invert, what doesn't
// match is the delimiter.
func (p *pieces) split(find finder, how behavior, invert bool) {
	p.recut(func(to []piece, from piece) []piece {
		p.marks = find(p.marks[:0], p.b[from.from:from.to])
		marks, at := p.joined[:0], from.from
		for _, m := range p.marks {
			if f := from.from + m.from; f > at {
				marks = append(marks, mark{at, f, invert})
			}
			at = from.from + m.to
			marks = append(marks, mark{from.from + m.from, at, !invert})
		}
		if at < from.to {
			marks = append(marks, mark{at, from.to, invert})
		}
		p.joined = marks
		return fold(to, marks, how)
	})
}

// fold turns marks into pieces.
func fold(to []piece, marks []mark, how behavior) []piece {
	start := len(to)
	previous := false // whether the mark before was a match
	switch how {
	case removed:
		for _, m := range marks {
			if !m.match {
				to = append(to, piece{m.from, m.to})
			}
		}
	case mergedWithNext: // a match joins what follows, unless that is a match
		for _, m := range marks {
			if !m.match && len(to) > start { // what comes before is a match
				to[len(to)-1].to = m.to
			} else {
				to = append(to, piece{m.from, m.to})
			}
		}
	default:
		for _, m := range marks {
			join := (how == contiguous && m.match == previous) || (how == mergedWithPrevious && m.match && !previous)
			if join && len(to) > start {
				to[len(to)-1].to = m.to
			} else {
				to = append(to, piece{m.from, m.to})
			}
			previous = m.match
		}
	}
	return to
}

// runes makes a finder that matches each character for which is holds.
func runes(is func(rune) bool) finder {
	return func(to []mark, b []byte) []mark {
		for i := 0; i < len(b); {
			r, n := rune(b[i]), 1
			if r >= utf8.RuneSelf {
				r, n = utf8.DecodeRune(b[i:])
			}
			if is(r) {
				to = append(to, mark{i, i + n, true})
			}
			i += n
		}
		return to
	}
}

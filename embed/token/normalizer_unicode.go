package token

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// form is one of Unicode's normalization forms (UAX #15).
type form struct{ norm.Form }

func newForm(name string) form {
	switch name {
	case "NFC":
		return form{norm.NFC}
	case "NFD":
		return form{norm.NFD}
	case "NFKC":
		return form{norm.NFKC}
	default:
		return form{norm.NFKD}
	}
}

// normalize goes by segments that normalize on their own: a base and its marks.
func (f form) normalize(t *text) {
	done := f.QuickSpan(t.b)
	if done == len(t.b) {
		return
	}
	t.begin()
	t.keep(0, done)
	var it norm.Iter
	it.Init(f.Form, t.b[done:])
	for at := done; !it.Done(); {
		segment := it.Next()
		next := done + it.Pos()
		f.put(t, at, next, segment)
		at = next
	}
	t.commit()
}

// put writes a segment, for offsets character by character where the characters
// of b[i:j] normalize on their own to what they do together.
func (f form) put(t *text, i, j int, segment []byte) {
	if t.tracked {
		var apart []byte
		for k := i; k < j; {
			_, n := utf8.DecodeRune(t.b[k:j])
			apart = append(apart, f.Bytes(t.b[k:k+n])...)
			k += n
		}
		if string(apart) != string(segment) {
			t.put(i, j, string(segment))
			return
		}
		for i < j {
			_, n := utf8.DecodeRune(t.b[i:j])
			t.put(i, i+n, f.String(string(t.b[i:i+n])))
			i += n
		}
		return
	}
	t.put(i, j, string(segment))
}

// lowercase lowers every character out of context.
type lowercase struct{}

func (lowercase) normalize(t *text) {
	t.begin()
	var buffer [2 * utf8.UTFMax]byte
	for i := 0; i < len(t.b); {
		r, n := utf8.DecodeRune(t.b[i:])
		t.put(i, i+n, string(appendLower(buffer[:0], r)))
		i += n
	}
	t.commit()
}

// newStripAccents removes combining marks (category M).
func newStripAccents() normalizer {
	return newMapping(func(to []byte, r rune) []byte {
		if unicode.Is(unicode.M, r) {
			return to
		}
		return utf8.AppendRune(to, r)
	})
}

// newNmt is sentencepiece's cleaning for translation models.
func newNmt() normalizer {
	return newMapping(func(to []byte, r rune) []byte {
		switch {
		case 0x01 <= r && r <= 0x08, r == 0x0B, 0x0E <= r && r <= 0x1F, r == 0x7F, r == 0x8F, r == 0x9F:
			return to
		case r == '\t', r == '\n', r == '\f', r == '\r', r == 0x1680, 0x200B <= r && r <= 0x200F,
			r == 0x2028, r == 0x2029, r == 0x2581, r == 0xFEFF, r == 0xFFFD:
			return append(to, ' ')
		}
		return utf8.AppendRune(to, r)
	})
}

// strip removes white space at the ends.
type strip struct{ left, right bool }

func (s strip) normalize(t *text) {
	from, to := 0, len(t.b)
	for s.left && from < to {
		r, n := utf8.DecodeRune(t.b[from:to])
		if !unicode.IsSpace(r) {
			break
		}
		from += n
	}
	for s.right && to > from {
		r, n := utf8.DecodeLastRune(t.b[from:to])
		if !unicode.IsSpace(r) {
			break
		}
		to -= n
	}
	if from == 0 && to == len(t.b) {
		return
	}
	t.begin()
	t.keep(from, to)
	t.commit()
}

// prepend puts a text before every text that isn't empty.
type prepend string

func newPrepend(f *fields) (normalizer, error) {
	var s string
	f.need("prepend", &s)
	return prepend(s), f.fail()
}

func (p prepend) normalize(t *text) {
	if len(t.b) == 0 {
		return
	}
	t.begin()
	t.put(0, 0, string(p))
	t.keep(0, len(t.b))
	t.commit()
}

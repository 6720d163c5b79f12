package token

import (
	"unicode/utf8"
	"unsafe"
)

// span is a byte range of the original text.
type span struct{ from, to int }

// text is a text under normalization. A pass over it calls begin, then keep
// and put over all of b from left to right (bytes that neither mentions are
// removed), then commit. b may be the caller's string and is never written.
type text struct {
	b    []byte
	src  []span // for each byte of b, where it comes from; nil unless tracked
	base int    // offset of b's original in the whole text

	limit   int // the longest that normalizers may make the text
	tracked bool
	owned   bool // b is a buffer of ours, not the caller's string

	out      []byte
	outSrc   []span
	marks    []mark // memory for what a pattern found
	spare    [2][]byte
	spareSrc [2][]span
}

// maxGrowth and maxGrown bound what normalizers make of a text, so that a file
// of replacements that double each other can't take all memory. The most that
// any of Unicode's forms does is 18 times.
const (
	maxGrowth = 64
	maxGrown  = 1 << 20 // bytes
)

// reset starts with s, which lies at base in the whole text.
func (t *text) reset(s string, base int, tracked bool) {
	if t.owned {
		t.give(t.b)
	}
	t.b, t.owned = unsafe.Slice(unsafe.StringData(s), len(s)), false
	t.base, t.tracked, t.limit = base, tracked, maxGrowth*len(s)+maxGrown
	if !tracked {
		return
	}
	src := t.takeSrc()
	for i := 0; i < len(s); {
		_, n := utf8.DecodeRuneInString(s[i:])
		for range n {
			src = append(src, span{base + i, base + i + n})
		}
		i += n
	}
	t.src = src
}

func (t *text) give(b []byte) {
	for i := range t.spare {
		if cap(t.spare[i]) < cap(b) {
			t.spare[i], b = b, t.spare[i]
		}
	}
}

// takeSrc recycles the alignment of the last text.
func (t *text) takeSrc() []span {
	if t.src != nil {
		t.spareSrc[0] = t.src
		t.src = nil
	}
	return t.spareSrc[0][:0]
}

// begin starts a pass.
func (t *text) begin() {
	t.out, t.spare[0], t.spare[1] = t.spare[0][:0], t.spare[1], nil
	if t.tracked {
		t.outSrc = t.spareSrc[1][:0]
	}
}

// keep takes b[i:j] over as it is.
func (t *text) keep(i, j int) {
	t.out = append(t.out, t.b[i:j]...)
	if t.tracked {
		t.outSrc = append(t.outSrc, t.src[i:j]...)
	}
}

// put writes s in the place of b[i:j]; with i == j it is inserted. Beyond the
// text's limit it writes nothing.
func (t *text) put(i, j int, s string) {
	if len(t.out)+len(s) > t.limit {
		return
	}
	t.out = append(t.out, s...)
	if t.tracked {
		from := t.at(i, j)
		for range len(s) {
			t.outSrc = append(t.outSrc, from)
		}
	}
}

// at is where b[i:j] comes from. What is inserted shares the range of what
// follows it.
func (t *text) at(i, j int) span {
	switch {
	case i < j:
		return span{t.src[i].from, t.src[j-1].to}
	case i < len(t.src):
		return t.src[i]
	case i > 0:
		return t.src[i-1]
	default:
		return span{t.base, t.base}
	}
}

// commit ends a pass.
func (t *text) commit() {
	if t.owned {
		t.give(t.b)
	}
	t.b, t.out, t.owned = t.out, nil, true
	if t.tracked {
		t.src, t.outSrc, t.spareSrc[1] = t.outSrc, nil, t.src
	}
}

// mend puts U+FFFD in the place of every byte that is not UTF-8.
func (t *text) mend() {
	t.begin()
	at := 0
	for i := 0; i < len(t.b); {
		r, n := utf8.DecodeRune(t.b[i:])
		if r == utf8.RuneError && n == 1 {
			t.keep(at, i)
			t.put(i, i+1, "\uFFFD")
			at = i + 1
		}
		i += n
	}
	t.keep(at, len(t.b))
	t.commit()
}

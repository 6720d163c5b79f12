package token

import "unicode/utf8"

// mapping is a normalizer that rewrites each character on its own. It holds
// the answers for ASCII and the alphabets in tables.
type mapping struct {
	ascii [utf8.RuneSelf]uint8 // the character's one byte; removes: it goes; wide: see low
	low   []string             // by character from U+0080
	to    func(to []byte, r rune) []byte
}

// Values of mapping.ascii that are no ASCII.
const (
	removes = 0x80
	wide    = 0x81
)

// newMapping makes the normalizer of a function that appends what a character
// becomes.
func newMapping(to func(to []byte, r rune) []byte) *mapping {
	m := &mapping{to: to, low: make([]string, tabled)}
	var all []byte
	ends := make([]int, tabled)
	for r := range rune(tabled) {
		all = to(all, r)
		ends[r] = len(all)
	}
	text, start := string(all), 0 // one string, of which the table has slices
	for r, end := range ends {
		m.low[r] = text[start:end]
		start = end
	}
	for c := range m.ascii {
		switch s := m.low[c]; {
		case s == "":
			m.ascii[c] = removes
		case len(s) == 1 && s[0] < utf8.RuneSelf:
			m.ascii[c] = s[0]
		default:
			m.ascii[c] = wide
		}
	}
	return m
}

func (m *mapping) normalize(t *text) {
	t.begin()
	if t.tracked {
		m.each(t, 0)
	} else {
		m.fast(t)
	}
	t.commit()
}

// fast is normalize for texts without offsets. Both give the same bytes.
func (m *mapping) fast(t *text) {
	out := t.out
	if cap(out) < len(t.b)+len(t.b)/8 {
		out = make([]byte, 0, len(t.b)+len(t.b)/4)
	}
	b := t.b
	for i := 0; i < len(b); {
		if c := b[i]; c < utf8.RuneSelf {
			i++
			if to := m.ascii[c]; to < utf8.RuneSelf {
				out = append(out, to)
			} else if to == wide {
				out = append(out, m.low[c]...)
			}
			continue
		}
		r, n := utf8.DecodeRune(b[i:])
		i += n
		if r < tabled {
			out = append(out, m.low[r]...)
		} else {
			out = m.to(out, r)
		}
	}
	t.out = out
}

// each is normalize by put, from b[i] on.
func (m *mapping) each(t *text, i int) {
	var buffer []byte
	for i < len(t.b) {
		r, n := utf8.DecodeRune(t.b[i:])
		if r < tabled {
			t.put(i, i+n, m.low[r])
		} else {
			buffer = m.to(buffer[:0], r)
			t.put(i, i+n, string(buffer))
		}
		i += n
	}
}

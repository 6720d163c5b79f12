package token

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// replace writes one content in the place of every match.
type replace struct {
	find    finder
	content string
	char    string // the pattern, where it is one ASCII character
}

func newReplace(f *fields) (normalizer, error) {
	var n replace
	f.need("content", &n.content)
	var p struct{ String, Regex string }
	if json.Unmarshal(f.members["pattern"], &p) == nil && p.String == "" && p.Regex == CamelBoundary {
		n.find = camelBoundaries
		return n, f.fail()
	}
	var err error
	if n.find, err = f.pattern("pattern"); err != nil {
		return nil, err
	}
	if json.Unmarshal(f.members["pattern"], &p) == nil && len(p.String) == 1 && p.String[0] < utf8.RuneSelf {
		n.char = p.String
	}
	return n, f.fail()
}

// CamelBoundary is the one pattern of nothing but look-around that a Replace
// normalizer may have: the place where a capital follows a small letter or a
// digit. With a space for content it takes identifiers apart.
const CamelBoundary = `(?<=[a-z0-9])(?=[A-Z])`

// camelBoundaries marks the places of CamelBoundary.
func camelBoundaries(to []mark, b []byte) []mark {
	for i := 1; i < len(b); i++ {
		if c := b[i]; 'A' <= c && c <= 'Z' {
			if p := b[i-1]; 'a' <= p && p <= 'z' || '0' <= p && p <= '9' {
				to = append(to, mark{i, i, true})
			}
		}
	}
	return to
}

func (n replace) normalize(t *text) {
	t.marks = n.find(t.marks[:0], t.b)
	if len(t.marks) == 0 {
		return
	}
	t.begin()
	at := 0
	for _, m := range t.marks {
		if m.from == m.to { // a boundary
			t.keep(at, m.from)
			t.put(m.from, m.from, n.content)
			at = m.to
			continue
		}
		if m.to-m.from == 1 && len(n.content) == 1 && t.b[m.from] == n.content[0] {
			continue // it is there already
		}
		t.keep(at, m.from)
		t.put(m.to-1, m.to, n.content) // aligned to the last character of the match
		at = m.to
	}
	t.keep(at, len(t.b))
	t.commit()
}

// pattern reads {"String": s} or {"Regex": s} (or a bare string, as older
// files have it).
func (f *fields) pattern(name string) (finder, error) {
	at := f.at + "." + name
	if !f.has(name) {
		return nil, bad(at, "it is missing")
	}
	var plain string
	if json.Unmarshal(f.members[name], &plain) == nil {
		return findString(at, plain)
	}
	p, err := object(at, f.depth+1, f.members[name])
	if err != nil {
		return nil, err
	}
	switch {
	case p.has("String"):
		p.read("String", &plain)
		if p.err != nil {
			return nil, p.err
		}
		return findString(at, plain)
	case p.has("Regex"):
		p.read("Regex", &plain)
		if p.err != nil {
			return nil, p.err
		}
		return findRegex(at, plain)
	default:
		return nil, bad(at, "it is neither a String nor a Regex")
	}
}

// findString matches s wherever it stands.
func findString(at, s string) (finder, error) {
	if s == "" {
		return nil, bad(at, "the pattern is empty")
	}
	pattern := []byte(s)
	return func(to []mark, b []byte) []mark {
		for i := 0; ; {
			j := bytes.Index(b[i:], pattern)
			if j < 0 {
				return to
			}
			i += j + len(pattern)
			to = append(to, mark{i - len(pattern), i, true})
		}
	}, nil
}

// replaces is a run of replacements of single ASCII characters, done in one
// pass. They must be such that none makes what a later one replaces.
type replaces struct {
	hit [256]bool
	by  [256]string
}

func (n *replaces) normalize(t *text) {
	at := 0
	for i, c := range t.b {
		if !n.hit[c] {
			continue
		}
		if at == 0 {
			t.begin()
		}
		t.keep(at, i)
		t.put(i, i+1, n.by[c])
		at = i + 1
	}
	if at > 0 {
		t.keep(at, len(t.b))
		t.commit()
	}
}

// joinReplaces puts replacements of single characters that follow each other
// together.
func joinReplaces(s normalizerSequence) normalizerSequence {
	var out normalizerSequence
	var run *replaces
	for _, n := range s {
		one, ok := n.(replace)
		if !ok || len(one.char) != 1 {
			run = nil
			out = append(out, n)
			continue
		}
		c := one.char[0]
		if run == nil || run.makes(c) {
			run = new(replaces)
			out = append(out, run)
		}
		run.hit[c], run.by[c] = true, one.content
	}
	return out
}

// makes reports whether c is replaced already, or stands in a replacement.
func (n *replaces) makes(c byte) bool {
	for k, by := range n.by {
		if n.hit[k] && strings.IndexByte(by, c) >= 0 {
			return true
		}
	}
	return n.hit[c]
}

package token

import (
	"bytes"
	"unicode/utf8"
)

// metaspace writes spaces as a visible character (sentencepiece's U+2581), puts
// one before the text, and cuts before each.
type metaspace struct {
	mark  []byte
	where prependScheme
	split bool
}

// prependScheme says which pieces get a mark in front.
type prependScheme string

const (
	prependAlways prependScheme = "always"
	prependFirst  prependScheme = "first" // only what starts the whole text
	prependNever  prependScheme = "never"
)

func newMetaspace(f *fields) (preTokenizer, error) {
	m := metaspace{where: prependAlways, split: f.flag("split", true)}
	mark := f.text("replacement", "▁")
	f.read("prepend_scheme", &m.where)
	if !f.flag("add_prefix_space", true) {
		if f.has("prepend_scheme") && m.where != prependNever {
			return nil, bad(f.at, "add_prefix_space is false, but prepend_scheme is %q", cut(string(m.where)))
		}
		m.where = prependNever
	}
	switch {
	case f.err != nil:
		return nil, f.err
	case m.where != prependAlways && m.where != prependFirst && m.where != prependNever:
		return nil, bad(f.at+".prepend_scheme", "unknown scheme %q", cut(string(m.where)))
	case utf8.RuneCountInString(mark) != 1:
		return nil, bad(f.at+".replacement", "%q is not one character", cut(mark))
	}
	m.mark = []byte(mark)
	return m, nil
}

func (m metaspace) preTokenize(p *pieces) {
	mark := string(m.mark)
	p.rewrite(func(from piece) {
		word := p.b[from.from:from.to]
		prefixed := word[0] == ' ' || bytes.HasPrefix(word, m.mark)
		if !prefixed && (m.where == prependAlways || m.where == prependFirst && from.from == p.first) {
			p.put(from.from, from.from, mark)
		}
		for at := from.from; at < from.to; {
			n := bytes.IndexByte(p.b[at:from.to], ' ')
			if n < 0 {
				p.keep(at, from.to)
				break
			}
			p.keep(at, at+n)
			p.put(at+n, at+n+1, mark)
			at += n + 1
		}
	})
	if !m.split {
		return
	}
	p.recut(func(to []piece, from piece) []piece {
		// Every mark starts a piece: it joins what follows, unless that is a mark.
		for start := from.from; start < from.to; {
			end := from.to
			if n := bytes.Index(p.b[start+1:from.to], m.mark); n >= 0 {
				end = start + 1 + n
			}
			to = append(to, piece{start, end})
			start = end
		}
		return to
	})
}

package token

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// addedToken is a token that is cut out of a text before the model sees it.
type addedToken struct {
	id                  uint32
	content             string
	word, left, right   bool // single_word, lstrip, rstrip
	normalized, special bool
}

// addedSet finds added tokens, leftmost and then longest.
type addedSet struct {
	tokens []addedToken
	trie   *trie // to indexes of tokens
	first  [256]bool
	only   int // the one byte that all tokens start with; -1: there are several
}

// newAddedSet makes the set of tokens by their patterns; nil for none.
func newAddedSet(tokens []addedToken, patterns []string) *addedSet {
	if len(tokens) == 0 {
		return nil
	}
	s := &addedSet{tokens: tokens, only: int(patterns[0][0])}
	list := make([]entry, len(tokens))
	for i, p := range patterns {
		list[i] = entry{p, uint32(i)}
		s.first[p[0]] = true
		if int(p[0]) != s.only {
			s.only = -1
		}
	}
	s.trie = newTrie(list)
	return s
}

// next finds the next match in b from i on.
func (s *addedSet) next(b []byte, i int) (token *addedToken, from, to int) {
	for ; i < len(b); i++ {
		if s.only >= 0 {
			n := bytes.IndexByte(b[i:], byte(s.only))
			if n < 0 {
				break
			}
			i += n
		} else if !s.first[b[i]] {
			continue
		}
		node := root
		for j := i; j < len(b); {
			if node = s.trie.step(node, b[j]); node == none {
				break
			}
			j++
			if v := s.trie.units[node].value; v >= 0 {
				token, from, to = &s.tokens[v], i, j
			}
		}
		if token != nil {
			return token, from, to
		}
	}
	return nil, len(b), len(b)
}

// in reports whether a token stands in b.
func (s *addedSet) in(b []byte) bool {
	t, _, _ := s.next(b, 0)
	return t != nil
}

// each calls gap for what lies between added tokens and found for these, in
// order.
func (s *addedSet) each(b []byte, gap func(from, to int) bool, found func(t *addedToken, from, to int) bool) {
	done, at := 0, 0
	for at < len(b) {
		t, from, to := s.next(b, at)
		if t == nil {
			break
		}
		at = to
		if t.word && (endsWithWord(b[:from]) || startsWithWord(b[to:])) || from < done {
			continue
		}
		if t.left {
			from = max(len(bytes.TrimRightFunc(b[:from], unicode.IsSpace)), done)
		}
		if t.right {
			to = len(b) - len(bytes.TrimLeftFunc(b[to:], unicode.IsSpace))
		}
		if done < from && !gap(done, from) || !found(t, from, to) {
			return
		}
		done = to
	}
	if done < len(b) {
		gap(done, len(b))
	}
}

func endsWithWord(b []byte) bool {
	r, n := utf8.DecodeLastRune(b)
	return n > 0 && isWord(r)
}

func startsWithWord(b []byte) bool {
	r, n := utf8.DecodeRune(b)
	return n > 0 && isWord(r)
}

// readAdded reads the file's list. A token that the vocabulary has gets its id
// there; another one the id that the file says, or the next free one where that
// is taken.
func readAdded(at string, raw json.RawMessage, v *vocab) ([]addedToken, error) {
	if isNull(raw) {
		return nil, nil
	}
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, bad(at, "it is no list: %v", err)
	}
	taken := make(map[uint32]string, len(list))
	next := uint32(v.size())
	var tokens []addedToken
	for i, item := range list {
		f, err := object(fmt.Sprintf("%s[%d]", at, i), 0, item)
		if err != nil {
			return nil, err
		}
		if f == nil {
			return nil, bad(fmt.Sprintf("%s[%d]", at, i), "it is null")
		}
		var t addedToken
		f.need("content", &t.content)
		f.need("id", &t.id)
		t.word, t.left, t.right = f.flag("single_word", false), f.flag("lstrip", false), f.flag("rstrip", false)
		t.special = f.flag("special", false)
		t.normalized = f.flag("normalized", !t.special)
		if f.err != nil {
			return nil, f.err
		}
		if t.content == "" {
			continue // as the reference does
		}
		if id, ok := v.id(t.content); ok {
			t.id = id
		} else if _, ok := v.token(t.id); ok || (taken[t.id] != "" && taken[t.id] != t.content) {
			for taken[next] != "" {
				next++
			}
			t.id = next
		}
		if t.id > 1<<31-1 {
			return nil, bad(f.at+".id", "%d is beyond 31 bits", t.id)
		}
		taken[t.id] = t.content
		tokens = append(tokens, t)
	}
	return tokens, nil
}

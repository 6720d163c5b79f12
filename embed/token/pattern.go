package token

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Patterns of tokenizer files are in the syntax of Oniguruma; package regexp
// has another one, matches by the same leftmost-first rule, and runs in linear
// time. The differences are translated: \s, \d and \w know Unicode, groups
// don't capture, and the one look-ahead in use, `\s+(?!\S)` before `|\s+`, which
// leaves the last space of several to the word that follows. What can't be
// expressed is refused. (A Replace normalizer has one pattern more:
// CamelBoundary.)

// unicodeSpace is Unicode's White_Space as the inside of a class.
const unicodeSpace = `\t-\r \x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}`

const unicodeWord = `\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}`

// lookahead is the one form that is known; what follows it must match a
// single space.
const (
	lookahead  = `\s+(?!\S)`
	afterwards = `|\s+`
)

// findRegex compiles a pattern.
func findRegex(at, pattern string) (finder, error) {
	switch pattern {
	case `\s+`:
		return spaceRuns(1, unicode.IsSpace), nil
	case ` {2,}`:
		return spaceRuns(2, func(r rune) bool { return r == ' ' }), nil
	}
	const longest = 10_000
	if len(pattern) > longest || !utf8.ValidString(pattern) {
		return nil, bad(at, "the pattern is longer than %d bytes or not UTF-8", longest)
	}
	translated, yields, err := translate(pattern)
	if err != nil {
		return nil, bad(at, "the pattern %q is not supported: %v", cut(pattern), err)
	}
	re, err := regexp.Compile(translated)
	if err != nil {
		return nil, bad(at, "the pattern %q is not supported: %v", cut(pattern), err)
	}
	if re.MatchString("") {
		return nil, bad(at, "the pattern %q is not supported: it matches the empty text", cut(pattern))
	}
	if yields {
		return findYielding(re), nil
	}
	return func(to []mark, b []byte) []mark {
		for _, m := range re.FindAllIndex(b, -1) {
			if m[0] < m[1] {
				to = append(to, mark{m[0], m[1], true})
			}
		}
		return to
	}, nil
}

// spaceRuns finds runs of at least a number of characters, for the patterns
// that normalizers have most: regular expressions are slow.
func spaceRuns(least int, is func(rune) bool) finder {
	return func(to []mark, b []byte) []mark {
		for i := 0; i < len(b); {
			r, n := rune(b[i]), 1
			if r > ' ' && r < utf8.RuneSelf {
				i++
				continue
			}
			from, count := i, 0
			for i < len(b) {
				if r, n = rune(b[i]), 1; r >= utf8.RuneSelf {
					r, n = utf8.DecodeRune(b[i:])
				}
				if !is(r) {
					break
				}
				i += n
				count++
			}
			if count >= least {
				to = append(to, mark{from, i, true})
			} else if count == 0 {
				i += n
			}
		}
		return to
	}
}

// findYielding is for patterns whose one group is a run of spaces that leaves
// its last one to what follows.
func findYielding(re *regexp.Regexp) finder {
	return func(to []mark, b []byte) []mark {
		for at := 0; at < len(b); {
			m := re.FindSubmatchIndex(b[at:])
			if m == nil {
				break
			}
			from, end := at+m[0], at+m[1]
			if m[2] >= 0 && end < len(b) {
				_, n := utf8.DecodeLastRune(b[from:end])
				if from < end-n {
					end -= n
				}
			}
			if from < end {
				to = append(to, mark{from, end, true})
			}
			at = max(end, at+1)
		}
		return to
	}
}

// translator goes through a pattern.
type translator struct {
	in      string
	i       int
	out     strings.Builder
	class   bool // inside of [...]
	yields  bool
	anchors bool
}

func translate(pattern string) (translated string, yields bool, err error) {
	t := translator{in: pattern}
	for t.i < len(t.in) {
		if err := t.next(); err != nil {
			return "", false, err
		}
	}
	if t.yields && t.anchors {
		return "", false, fmt.Errorf("a look-ahead together with an anchor")
	}
	return t.out.String(), t.yields, nil
}

func (t *translator) next() error {
	rest := t.in[t.i:]
	c := rest[0]
	switch {
	case c == '\\':
		if !t.class && strings.HasPrefix(rest, lookahead) {
			return t.lookahead(rest)
		}
		return t.escape(rest)
	case t.class:
		return t.inClass(rest)
	case c == '[':
		t.class = true
		n := 1
		if strings.HasPrefix(rest, "[^") {
			n = 2
		}
		if strings.HasPrefix(rest[n:], "]") {
			return fmt.Errorf("a class that starts with ]")
		}
		t.copy(n)
	case c == '(':
		return t.group(rest)
	case c == '^' || c == '$':
		t.anchors = true
		t.copy(1)
	case c == '*' || c == '+' || c == '?' || c == '}':
		if strings.HasPrefix(rest[1:], "+") {
			return fmt.Errorf("a possessive quantifier")
		}
		t.copy(1)
	default:
		t.copy(1)
	}
	return nil
}

func (t *translator) copy(n int) {
	t.out.WriteString(t.in[t.i : t.i+n])
	t.i += n
}

func (t *translator) write(n int, s string) {
	t.out.WriteString(s)
	t.i += n
}

func (t *translator) lookahead(rest string) error {
	if t.yields || !strings.HasPrefix(rest[len(lookahead):], afterwards) {
		return fmt.Errorf("a look-ahead other than %s%s", lookahead, afterwards)
	}
	t.yields = true
	t.write(len(lookahead), "(["+unicodeSpace+"]+)")
	return nil
}

func (t *translator) inClass(rest string) error {
	switch {
	case rest[0] == '[' || strings.HasPrefix(rest, "&&"):
		return fmt.Errorf("a class in a class")
	case rest[0] == ']':
		t.class = false
	}
	t.copy(1)
	return nil
}

func (t *translator) group(rest string) error {
	switch {
	case strings.HasPrefix(rest, "(?:"), strings.HasPrefix(rest, "(?i:"):
		t.copy(strings.IndexByte(rest, ':') + 1)
	case strings.HasPrefix(rest, "(?"):
		return fmt.Errorf("a look-around or another group %s", cut(rest))
	default:
		t.write(1, "(?:")
	}
	return nil
}

func (t *translator) escape(rest string) error {
	if len(rest) < 2 {
		return fmt.Errorf("a backslash at the end")
	}
	set := func(inside string, negated bool) error {
		switch {
		case t.class && negated:
			return fmt.Errorf("a negated %s in a class", rest[:2])
		case t.class:
			t.write(2, inside)
		case negated:
			t.write(2, "[^"+inside+"]")
		default:
			t.write(2, "["+inside+"]")
		}
		return nil
	}
	switch c := rest[1]; {
	case c == 's' || c == 'S':
		return set(unicodeSpace, c == 'S')
	case c == 'w' || c == 'W':
		return set(unicodeWord, c == 'W')
	case c == 'd':
		t.write(2, `\p{Nd}`)
	case c == 'D':
		t.write(2, `\P{Nd}`)
	case c == 'p' || c == 'P':
		end := strings.IndexByte(rest, '}')
		if end < 0 {
			return fmt.Errorf("%s without braces", rest[:2])
		}
		t.copy(end + 1)
	case c == 'u' && len(rest) >= 6:
		t.write(6, `\x{`+rest[2:6]+`}`)
	case c == 'n' || c == 'r' || c == 't' || c == 'f' || c == 'v' || c == 'x':
		t.copy(2)
	case c < utf8.RuneSelf && !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'):
		t.copy(2)
	default:
		return fmt.Errorf("the escape %s", rest[:2])
	}
	return nil
}

package embed

import (
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

// Card is what a model card (README.md) says of its model, for people.
type Card struct {
	Licence string // as the front matter names it; empty: not stated
	Summary string // the first paragraph of prose, cut to about 300 bytes
}

// ReadCard reads the card at path as far as there is one. A card is never an
// error: one that is missing, unreadable or no text is the zero Card. Not more
// than 64 KB are read.
func ReadCard(path string) Card {
	file, err := os.Open(path)
	if err != nil {
		return Card{}
	}
	defer file.Close()
	const enough = 64 << 10
	content, err := io.ReadAll(io.LimitReader(file, enough))
	if err != nil || !utf8.Valid(content) {
		return Card{}
	}
	return parseCard(string(content))
}

// parseCard takes the licence from the front matter and the first paragraph of
// prose from the rest.
func parseCard(text string) Card {
	var c Card
	text = strings.ReplaceAll(text, "\r\n", "\n")
	if front, rest, ok := strings.Cut(strings.TrimPrefix(text, "---\n"), "\n---\n"); ok && strings.HasPrefix(text, "---\n") {
		for _, line := range strings.Split(front, "\n") {
			if licence, ok := strings.CutPrefix(line, "license:"); ok {
				c.Licence = cutText(strings.Trim(strings.TrimSpace(licence), `"'`), 100)
			}
		}
		text = rest
	}
	for _, paragraph := range strings.Split(text, "\n\n") {
		paragraph = strings.Join(strings.Fields(paragraph), " ")
		if paragraph == "" || strings.ContainsAny(paragraph[:1], "#<![|`-*") {
			continue // a heading, a badge, a table, code
		}
		c.Summary = cutText(paragraph, 300)
		break
	}
	return c
}

// cutText cuts at a character, near the end of a sentence where it can.
func cutText(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	s = s[:most]
	if end := strings.LastIndex(s, ". "); end > most/3 {
		return s[:end+1]
	}
	return s + "..."
}

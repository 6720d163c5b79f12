package static

import (
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

// card is what a model card (README.md) says of its model.
type card struct {
	licence string
	summary string // its first paragraph
}

// readCard reads the card as far as there is one. A card is never an error.
func readCard(path string) card {
	file, err := os.Open(path)
	if err != nil {
		return card{}
	}
	defer file.Close()
	const enough = 64 << 10
	content, err := io.ReadAll(io.LimitReader(file, enough))
	if err != nil || !utf8.Valid(content) {
		return card{}
	}
	return parseCard(string(content))
}

// parseCard takes the licence from the front matter and the first paragraph of
// prose from the rest.
func parseCard(text string) card {
	var c card
	text = strings.ReplaceAll(text, "\r\n", "\n")
	if front, rest, ok := strings.Cut(strings.TrimPrefix(text, "---\n"), "\n---\n"); ok && strings.HasPrefix(text, "---\n") {
		for _, line := range strings.Split(front, "\n") {
			if licence, ok := strings.CutPrefix(line, "license:"); ok {
				c.licence = cutText(strings.Trim(strings.TrimSpace(licence), `"'`), 100)
			}
		}
		text = rest
	}
	for _, paragraph := range strings.Split(text, "\n\n") {
		paragraph = strings.Join(strings.Fields(paragraph), " ")
		if paragraph == "" || strings.ContainsAny(paragraph[:1], "#<![|`-*") {
			continue // a heading, a badge, a table, code
		}
		c.summary = cutText(paragraph, 300)
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

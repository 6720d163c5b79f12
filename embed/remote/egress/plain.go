package egress

import (
	"strings"
	"unicode"
)

// Plain is a text of another server on one line: white space folded, control
// and formatting characters and invalid UTF-8 left out, cut to at most limit
// bytes. A terminal shows it without obeying it.
func Plain(text string, limit int) string {
	var b strings.Builder
	space := false
	for _, r := range strings.ToValidUTF8(text, "") {
		if unicode.IsSpace(r) {
			space = b.Len() > 0
			continue
		}
		if !isPlain(r) {
			continue
		}
		piece := string(r)
		if space {
			piece = " " + piece
		}
		if b.Len()+len(piece) > limit {
			return b.String() + "..."
		}
		b.WriteString(piece)
		space = false
	}
	return b.String()
}

// isPlain refuses controls, formatting (which reorders what a terminal shows)
// and what is no character.
func isPlain(r rune) bool {
	return r != unicode.ReplacementChar && !unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs)
}

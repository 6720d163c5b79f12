package passages

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// abbreviations don't end a sentence. English, as the models are.
const abbreviations = " e.g. i.e. etc. vs. cf. fig. eq. no. dr. mr. mrs. ms. st. approx. al. vol. ref. sec. ch. "

// Sentences cuts a text into its sentences, white space made plain. The pieces
// together have every word of the text, in order.
func Sentences(text string) []string {
	words := strings.Fields(text)
	var out []string
	from := 0
	for i, w := range words {
		if i+1 == len(words) || ends(w, words[i+1]) {
			out = append(out, strings.Join(words[from:i+1], " "))
			from = i + 1
		}
	}
	return out
}

// ends reports whether a sentence ends with the word w, before the word next.
func ends(w, next string) bool {
	end := strings.TrimRight(w, `"')]”’`)
	if end == "." { // a text whose words and marks stand apart
		return true
	}
	if end == "" || !strings.ContainsAny(end[len(end)-1:], ".!?") {
		return false
	}
	if end[len(end)-1] == '.' {
		if len(end) <= 2 || strings.Contains(abbreviations, " "+strings.ToLower(strings.TrimLeft(end, `("'[`))+" ") {
			return false
		}
	}
	r, _ := utf8.DecodeRuneInString(strings.TrimLeft(next, `"'([“‘`))
	// Texts that are all in lower case have no other sign of a beginning.
	return unicode.IsLetter(r) || unicode.IsDigit(r)
}

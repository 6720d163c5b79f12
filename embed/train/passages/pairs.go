package passages

import "strings"

// Pair is two texts that mean about the same. Query is the shorter one, as a
// rule: a title, a heading, a sentence.
type Pair struct {
	Query, Document string
}

// Section is a part of a document below a path of headings.
type Section struct {
	Path       string   // the headings from the document's title down, one after the other
	Paragraphs []string // running text, in order
}

// Document is a text with what is known of its structure; every field may be empty.
type Document struct {
	Title       string
	Description string
	Sections    []Section
}

// Limits bound the sides of a pair, in words of white space; a longer one is cut.
type Limits struct {
	Query, Document int
	// Least is the fewest words of a document's side, and of a sentence or
	// paragraph that is a query.
	Least int
}

// Standard are the limits of the general table's training.
func Standard() Limits { return Limits{Query: 40, Document: 80, Least: 6} }

// Pairs are the pairs of a document with structure.
func (d Document) Pairs(l Limits) []Pair {
	var out []Pair
	add := func(query, document string, least int) {
		query, document = cut(query, l.Query), cut(document, l.Document)
		if wordCount(query) >= least && wordCount(document) >= l.Least && query != document {
			out = append(out, Pair{query, document})
		}
	}
	add(d.Title, d.Description, 1)
	var lead string
	for _, s := range d.Sections {
		body := strings.Join(s.Paragraphs, " ")
		if lead == "" {
			lead = body
		}
		add(s.Path, body, 1)
		sentences := Sentences(cut(body, 4*l.Document))
		if len(sentences) > 1 {
			add(sentences[0], strings.Join(sentences[1:], " "), l.Least)
		}
		if middle := len(sentences) / 2; len(sentences) > 4 {
			add(sentences[middle], sentences[middle-1]+" "+sentences[middle+1], l.Least)
		}
		for i := 0; i+1 < len(s.Paragraphs); i++ {
			add(s.Paragraphs[i], s.Paragraphs[i+1], l.Least)
		}
	}
	if d.Description != "" {
		add(d.Description, lead, l.Least)
	}
	return out
}

// Plain are the pairs of a text that is a title, which may be empty, and a body:
// title and body, each sentence and the rest of the body, and two halves of a
// body with one sentence.
func Plain(title, body string, l Limits) []Pair {
	var out []Pair
	add := func(query, document string, least int) {
		query, document = cut(query, l.Query), cut(document, l.Document)
		if wordCount(query) >= least && wordCount(document) >= 3 && query != document {
			out = append(out, Pair{query, document})
		}
	}
	if title != "" {
		add(title, body, 1)
	}
	sentences := Sentences(cut(body, 8*l.Document))
	switch {
	case len(sentences) > 1:
		for i, s := range sentences {
			// The rest begins after the sentence, so that pairs of one body differ
			// where it is longer than the limit.
			rest := append(append([]string{}, sentences[i+1:]...), sentences[:i]...)
			add(s, strings.Join(rest, " "), 2)
		}
	default:
		words := strings.Fields(body)
		half := len(words) / 2
		add(strings.Join(words[:half], " "), strings.Join(words[half:], " "), 2)
	}
	return out
}

// cut keeps the first words of a text, with single spaces between them.
func cut(text string, words int) string {
	fields := strings.Fields(text)
	if len(fields) > words {
		fields = fields[:words]
	}
	return strings.Join(fields, " ")
}

func wordCount(s string) int {
	if s == "" {
		return 0
	}
	return strings.Count(s, " ") + 1
}

package main

import (
	"encoding/json"
	"regexp"
	"strings"

	"github.com/vecino-db/vecino/embed/train/passages"
)

// builder collects a document while its lines go by.
type builder struct {
	doc       passages.Document
	headings  []heading
	paragraph []string
	section   passages.Section
}

type heading struct {
	level int
	text  string
}

// title begins a section below a heading.
func (b *builder) title(level int, text string) {
	b.endSection()
	for len(b.headings) > 0 && b.headings[len(b.headings)-1].level >= level {
		b.headings = b.headings[:len(b.headings)-1]
	}
	b.headings = append(b.headings, heading{level, text})
	if b.doc.Title == "" {
		b.doc.Title = text
	}
}

func (b *builder) line(text string) {
	if text = strings.TrimSpace(text); text != "" {
		b.paragraph = append(b.paragraph, text)
	}
}

func (b *builder) endParagraph() {
	if text := strings.Join(b.paragraph, " "); text != "" {
		b.section.Paragraphs = append(b.section.Paragraphs, text)
	}
	b.paragraph = b.paragraph[:0]
}

func (b *builder) endSection() {
	b.endParagraph()
	if len(b.section.Paragraphs) > 0 {
		var path []string
		if b.doc.Title != "" && (len(b.headings) == 0 || b.headings[0].text != b.doc.Title) {
			path = append(path, b.doc.Title)
		}
		for _, h := range b.headings {
			path = append(path, h.text)
		}
		b.section.Path = strings.Join(path, " ")
		b.doc.Sections = append(b.doc.Sections, b.section)
	}
	b.section = passages.Section{}
}

func (b *builder) end() passages.Document {
	b.endSection()
	return b.doc
}

var (
	image     = regexp.MustCompile(`!\[[^\]]*\]\([^)]*\)`)
	link      = regexp.MustCompile(`\[([^\]]*)\](\([^)]*\)|\[[^\]]*\])`)
	comment   = regexp.MustCompile(`(?s)<!--.*?-->`)
	tag       = regexp.MustCompile(`</?[a-zA-Z][^>]*>`)
	callout   = regexp.MustCompile(`^\[![A-Za-z]+\b[^\]]*\]`)
	listItem  = regexp.MustCompile(`^([-*+]|\d+[.)])\s+`)
	shortcode = regexp.MustCompile(`\{\{[<%].*?[>%]\}\}|\{%.*?%\}|:::[^:]*(:::)?`)
	frontLine = regexp.MustCompile(`(?m)^(title|description|Description|summary):\s*(.*)$`)
	address   = regexp.MustCompile(`https?://\S+`)
	entities  = strings.NewReplacer("&nbsp;", " ", "&lt;", "<", "&gt;", ">", "&amp;", "&", "&quot;", `"`, "&#39;", "'", "\u00a0", " ", `\_`, "_", `\[`, "[", `\]`, "]", `\*`, "*")
)

// prose makes one line of Markdown plain.
func prose(s string) string {
	s = image.ReplaceAllString(s, " ")
	s = link.ReplaceAllString(s, "$1")
	s = tag.ReplaceAllString(s, " ")
	s = shortcode.ReplaceAllString(s, " ")
	s = address.ReplaceAllString(s, " ")
	s = entities.Replace(s)
	s = strings.NewReplacer("**", "", "__", "", "`", "", "~~", "").Replace(s)
	return strings.Join(strings.Fields(s), " ")
}

// markdown reads a page.
func markdown(text string) passages.Document {
	var b builder
	text = strings.ReplaceAll(strings.TrimPrefix(text, "\ufeff"), "\r\n", "\n")
	for _, fence := range []string{"---", "+++"} {
		if front, rest, ok := strings.Cut(strings.TrimPrefix(text, fence+"\n"), "\n"+fence+"\n"); ok && strings.HasPrefix(text, fence+"\n") {
			for _, m := range frontLine.FindAllStringSubmatch(front, -1) {
				value := prose(strings.Trim(strings.TrimSpace(m[2]), `"'`))
				if strings.HasPrefix(value, "|") || strings.HasPrefix(value, ">") {
					continue
				}
				if strings.EqualFold(m[1], "title") {
					b.doc.Title = value
				} else if len(value) > len(b.doc.Description) {
					b.doc.Description = value
				}
			}
			text = rest
			break
		}
	}
	text = comment.ReplaceAllString(text, " ")
	fenced := ""
	for _, line := range strings.Split(text, "\n") {
		plain := strings.TrimSpace(line)
		for strings.HasPrefix(plain, ">") {
			plain = strings.TrimSpace(plain[1:])
		}
		switch {
		case fenced != "":
			if strings.HasPrefix(plain, fenced) {
				fenced = ""
			}
			continue
		case strings.HasPrefix(plain, "```"), strings.HasPrefix(plain, "~~~"):
			fenced = plain[:3]
			b.endParagraph()
		case plain == "":
			b.endParagraph()
		case strings.HasPrefix(line, "    "), strings.HasPrefix(line, "\t"):
			if len(b.paragraph) > 0 {
				b.line(prose(plain))
			}
		case strings.HasPrefix(plain, "#"):
			level := len(plain) - len(strings.TrimLeft(plain, "#"))
			if text := prose(strings.Trim(plain, "# ")); text != "" {
				b.title(level, text)
			}
		case strings.HasPrefix(plain, "|"), strings.HasPrefix(plain, "---"), strings.HasPrefix(plain, "==="), strings.HasPrefix(plain, "import "), strings.HasPrefix(plain, "[]: "):
			b.endParagraph()
		case callout.MatchString(plain):
			b.endParagraph()
			b.line(prose(callout.ReplaceAllString(plain, "")))
		case listItem.MatchString(plain):
			b.line(prose(listItem.ReplaceAllString(plain, "")))
		default:
			b.line(prose(plain))
		}
	}
	return b.end()
}

// tldr reads a page of commands: a name, what it does, and examples.
func tldr(text string) (pairs []passages.Pair) {
	var name, about string
	var examples []string
	for _, line := range strings.Split(text, "\n") {
		switch {
		case strings.HasPrefix(line, "# "):
			name = prose(line[2:])
		case strings.HasPrefix(line, "> ") && !strings.HasPrefix(line, "> More information") && !strings.HasPrefix(line, "> See also"):
			about += " " + prose(line[2:])
		case strings.HasPrefix(line, "- "):
			examples = append(examples, prose(strings.NewReplacer("[", "", "]", "").Replace(strings.TrimSuffix(line[2:], ":"))))
		}
	}
	about = strings.TrimSpace(about)
	pairs = append(pairs, passages.Pair{Query: name, Document: about})
	if len(examples) > 0 {
		pairs = append(pairs, passages.Pair{Query: name + " " + about, Document: strings.Join(examples, ". ")})
	}
	for _, e := range examples {
		pairs = append(pairs, passages.Pair{Query: e, Document: name + " " + about})
	}
	return pairs
}

// notebook is the prose of a Jupyter notebook.
func notebook(text string) string {
	var book struct {
		Cells []struct {
			Type   string          `json:"cell_type"`
			Source json.RawMessage `json:"source"`
		} `json:"cells"`
	}
	if json.Unmarshal([]byte(text), &book) != nil {
		return ""
	}
	var out strings.Builder
	for _, c := range book.Cells {
		var lines []string
		if c.Type != "markdown" {
			continue
		}
		if json.Unmarshal(c.Source, &lines) != nil {
			var one string
			if json.Unmarshal(c.Source, &one) != nil {
				continue
			}
			lines = []string{one}
		}
		out.WriteString(strings.Join(lines, "") + "\n\n")
	}
	return out.String()
}

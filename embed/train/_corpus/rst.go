package main

import (
	"regexp"
	"strings"

	"github.com/vecino-db/vecino/embed/train/passages"
)

var (
	role      = regexp.MustCompile(":[a-zA-Z:+]+:`~?([^`<]*?)\\s*(<[^>]*>)?`")
	reference = regexp.MustCompile("`([^`<]*?)\\s*<[^>]*>`__?")
	underline = regexp.MustCompile(`^([=\-~^"'*+#:.]){3,}$`)
	fieldLine = regexp.MustCompile(`^:?[A-Za-z-]+:( |$)`)
)

// rstProse makes one line of reStructuredText plain.
func rstProse(s string) string {
	s = role.ReplaceAllString(s, "$1")
	s = reference.ReplaceAllString(s, "$1")
	return prose(strings.NewReplacer("``", "", "`_", "", "`", "").Replace(s))
}

// rst reads a page of reStructuredText. Directives and literal blocks are left
// out with what is indented below them.
func rst(text string) passages.Document {
	var b builder
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	levels := map[byte]int{}
	skip, header := false, true
	for i, line := range lines {
		plain := strings.TrimSpace(line)
		indented := line != "" && (line[0] == ' ' || line[0] == '\t')
		if skip && (indented || plain == "") {
			continue
		}
		skip = false
		next := ""
		if i+1 < len(lines) {
			next = strings.TrimSpace(lines[i+1])
		}
		switch {
		case plain == "":
			b.endParagraph()
			header = false
		case underline.MatchString(plain):
			// The heading was the line before it.
		case underline.MatchString(next) && len(next) >= len(plain)-1 && strings.Trim(next, next[:1]) == "":
			if _, ok := levels[next[0]]; !ok {
				levels[next[0]] = len(levels) + 1
			}
			b.title(levels[next[0]], rstProse(plain))
		case header && strings.HasPrefix(line, "Title: "):
			b.doc.Title = rstProse(line[len("Title: "):])
		case header && fieldLine.MatchString(line):
		case strings.HasPrefix(plain, ".. "), strings.HasPrefix(plain, ".."):
			b.endParagraph()
			skip = true
		case strings.HasPrefix(plain, ">>>"), strings.HasPrefix(plain, "... "), strings.HasPrefix(plain, ":"), strings.HasPrefix(plain, "+--"), strings.HasPrefix(plain, "|"):
			b.endParagraph()
		default:
			if literal := strings.HasSuffix(plain, "::"); literal {
				plain, skip = strings.TrimSuffix(plain, ":"), true
			}
			b.line(rstProse(listItem.ReplaceAllString(plain, "")))
			if skip {
				b.endParagraph()
			}
		}
	}
	return b.end()
}

var definition = regexp.MustCompile(`(?m)^[ \t]*(?:def|class)\s+(\w+)[^\n]*(?:\n[^\n"]*){0,8}?\n[ \t]+r?"""((?s:.*?))"""`)

var (
	numpydoc = regexp.MustCompile(`(?m)^[ \t]*(Parameters|Returns|Attributes|Methods|See Also|Examples|References|Raises|Yields|Warns|Other Parameters|Arguments|Explanation|Notes|Warnings)[ \t]*\n[ \t]*[-=]{3,}[ \t]*\n`)
	mathRole = regexp.MustCompile(":math:`[^`]*`")
)

// python reads the documentation of functions and classes: name and first
// paragraph are the query's side.
func python(text string) (pairs []passages.Pair) {
	l := passages.Standard()
	for _, m := range definition.FindAllStringSubmatch(text, -1) {
		name := strings.ReplaceAll(m[1], "_", " ")
		if strings.HasPrefix(m[1], "_") {
			continue
		}
		var d passages.Document
		d.Title = name
		parts := numpydoc.Split(m[2], -1)
		heads := numpydoc.FindAllStringSubmatch(m[2], -1)
		for i, part := range parts {
			path := name
			if i > 0 {
				head := heads[i-1][1]
				if head != "Notes" && head != "Explanation" && head != "Parameters" && head != "Returns" {
					continue
				}
				path += " " + head
			}
			s := passages.Section{Path: path}
			for _, paragraph := range strings.Split(strings.ReplaceAll(part, "\r\n", "\n"), "\n\n") {
				paragraph = strings.TrimSpace(paragraph)
				if paragraph == "" || strings.HasPrefix(paragraph, ">>>") || strings.HasPrefix(paragraph, "..") {
					continue
				}
				s.Paragraphs = append(s.Paragraphs, rstProse(strings.ReplaceAll(mathRole.ReplaceAllString(paragraph, " "), "\n", " ")))
			}
			if i == 0 && len(s.Paragraphs) > 0 {
				d.Description = s.Paragraphs[0]
			}
			d.Sections = append(d.Sections, s)
		}
		pairs = append(pairs, d.Pairs(l)...)
	}
	return pairs
}

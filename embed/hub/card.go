package hub

import (
	"bufio"
	"bytes"
	"regexp"
	"strings"

	"github.com/vecino-db/vecino/embed/remote/egress"
)

// Card is what is read of a model card: README.md, with a front matter in YAML
// between two lines of three hyphens.
type Card struct {
	Licence string // "apache-2.0", or "other: NAME", or several; "" when it states none
	Summary string // the first paragraph of prose, on one line; "" when there is none
}

const (
	maxFrontMatter = 64 << 10 // bytes of a front matter that are looked at
	maxLicence     = 200
	maxSummary     = 500
)

var cardKey = regexp.MustCompile(`^(license|license_name)[ \t]*:(.*)$`)

// ParseCard reads a model card. Of the YAML it knows what a licence is written
// in: a scalar, plain or quoted, or a list of them in brackets or on lines of
// their own. Nothing of the rest is interpreted, so no card can make it grow.
func ParseCard(text []byte) Card {
	front, body := splitCard(text)
	values := map[string][]string{}
	key := ""
	lines := bufio.NewScanner(bytes.NewReader(front))
	lines.Buffer(nil, maxFrontMatter+1)
	for lines.Scan() {
		line := strings.TrimRight(lines.Text(), " \t\r")
		item := strings.TrimLeft(line, " \t")
		switch match := cardKey.FindStringSubmatch(line); {
		case match != nil:
			key = match[1]
			values[key] = scalars(match[2])
		case key != "" && strings.HasPrefix(item, "- ") && len(values[key]) < 16:
			values[key] = append(values[key], scalars(item[2:])...)
		case item != "":
			key = ""
		}
	}
	licence := strings.Join(values["license"], ", ")
	if name := strings.Join(values["license_name"], ", "); name != "" {
		licence = strings.TrimPrefix(licence+": "+name, ": ")
	}
	return Card{Licence: egress.Plain(licence, maxLicence), Summary: egress.Plain(firstParagraph(body), maxSummary)}
}

// splitCard parts the front matter from the body.
func splitCard(text []byte) (front, body []byte) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	first, rest, _ := bytes.Cut(text, []byte("\n"))
	if strings.TrimRight(string(first[:min(len(first), 16)]), " \t\r") != "---" {
		return nil, text
	}
	head := rest[:min(len(rest), maxFrontMatter)]
	for from := 0; from < len(head); {
		line, _, found := bytes.Cut(head[from:], []byte("\n"))
		if string(bytes.TrimRight(line, " \t\r")) == "---" {
			return head[:from], rest[from+len(line):]
		}
		if !found {
			break
		}
		from += len(line) + 1
	}
	return nil, nil // a front matter without end
}

// scalars reads a plain or quoted scalar, or a list in brackets.
func scalars(text string) []string {
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") {
		var all []string
		for _, part := range strings.SplitN(text[1:len(text)-1], ",", 16) {
			all = append(all, scalars(strings.Trim(part, "[]"))...)
		}
		return all
	}
	if len(text) >= 2 && (text[0] == '"' || text[0] == '\'') {
		if end := strings.IndexByte(text[1:], text[0]); end >= 0 {
			text = text[1 : 1+end]
		}
	} else if plain, _, comment := strings.Cut(text, " #"); comment {
		text = strings.TrimSpace(plain)
	}
	if text == "" || text == "~" || text == "null" || strings.HasPrefix(text, "#") {
		return nil
	}
	return []string{text}
}

var (
	markup = regexp.MustCompile(`^(?:#|[-*+] |\d+\. |[|<>!{\[]|:?---|===|~~~)`)
	links  = regexp.MustCompile(`\[([^\[\]]*)\]\([^()\s]*\)`)
)

// firstParagraph is the first run of lines that are prose: no heading, list,
// table, quotation, picture, HTML or code.
func firstParagraph(body []byte) string {
	const enough = 64 << 10
	var paragraph strings.Builder
	code := false
	for line := range strings.Lines(string(body[:min(len(body), enough)])) {
		line = strings.TrimSpace(line)
		fence := strings.HasPrefix(line, "```")
		if fence {
			code = !code
		}
		if prose := line != "" && !fence && !code && !markup.MatchString(line); prose {
			paragraph.WriteString(line)
			paragraph.WriteByte(' ')
		} else if paragraph.Len() > 0 {
			break
		}
	}
	return strings.NewReplacer("**", "", "`", "").Replace(links.ReplaceAllString(paragraph.String(), "$1"))
}

package main

import (
	"encoding/xml"
	"io"
	"strings"

	"github.com/vecino-db/vecino/embed/train/passages"
)

// cnxml reads a module of a book: sections, paragraphs, and the glossary, whose
// terms and meanings are pairs of their own.
func cnxml(text string) (doc passages.Document, glossary []passages.Pair) {
	var b builder
	d := xml.NewDecoder(strings.NewReader(text))
	d.Strict = false
	var (
		depth        int
		mute         int // elements open whose text is no prose
		titles       int // titles open
		item         strings.Builder
		term         strings.Builder
		inTerm       bool
		inDefinition bool
	)
	muted := func(name string) bool {
		switch name {
		case "metadata", "math", "table", "exercise", "equation", "media", "figure", "code", "footnote", "link":
			return true
		}
		return false
	}
	for {
		token, err := d.Token()
		if err != nil {
			if err != io.EOF {
				return passages.Document{}, nil
			}
			break
		}
		switch t := token.(type) {
		case xml.StartElement:
			switch name := t.Name.Local; {
			case muted(name) || mute > 0:
				mute++
			case name == "section" || name == "example" || name == "note":
				depth++
			case name == "title":
				titles++
				item.Reset()
			case name == "definition":
				inDefinition = true
				term.Reset()
				item.Reset()
			case name == "term" && inDefinition && item.Len() == 0:
				inTerm = true
			case name == "para" || name == "item" || name == "meaning":
				if !inDefinition || name == "meaning" {
					item.Reset()
				}
			}
		case xml.EndElement:
			switch name := t.Name.Local; {
			case mute > 0:
				mute--
				if mute == 0 {
					item.WriteByte(' ')
				}
			case name == "section" || name == "example" || name == "note":
				depth--
				b.endParagraph()
			case name == "title":
				titles--
				if text := strings.Join(strings.Fields(item.String()), " "); text != "" {
					b.title(depth+1, text)
				}
				item.Reset()
			case name == "term":
				inTerm = false
			case name == "definition":
				inDefinition = false
				glossary = append(glossary, passages.Pair{Query: prose(term.String()), Document: prose(item.String())})
				item.Reset()
			case !inDefinition && (name == "para" || name == "item"):
				b.line(prose(item.String()))
				if name == "para" {
					b.endParagraph()
				}
				item.Reset()
			}
		case xml.CharData:
			switch {
			case mute > 0:
			case inTerm:
				term.Write(t)
			default:
				item.Write(t)
			}
		}
	}
	return b.end(), glossary
}

// synset is one meaning of the dictionary.
type synset struct {
	definitions, examples, members, hypernyms []string
}

// synsets reads one file of the dictionary. Its YAML is of one plain shape: a
// key a synset, below it keys, below those lists.
func synsets(text string) map[string]*synset {
	all := map[string]*synset{}
	var now *synset
	var key string
	value := func(to *[]string, s string, more bool) {
		s = strings.Trim(s, `'"`)
		if more && len(*to) > 0 {
			(*to)[len(*to)-1] += " " + s
			return
		}
		*to = append(*to, s)
	}
	for _, line := range strings.Split(text, "\n") {
		plain := strings.TrimSpace(line)
		switch {
		case plain == "":
		case line[0] != ' ':
			now = &synset{}
			all[strings.TrimSuffix(plain, ":")] = now
		case now == nil:
		case strings.HasPrefix(line, "  ") && line[2] != ' ' && line[2] != '-':
			key, _, _ = strings.Cut(plain, ":")
		default:
			more := !strings.HasPrefix(line, "  - ")
			plain = strings.TrimPrefix(plain, "- ")
			plain = strings.TrimPrefix(plain, "text: ")
			if strings.HasPrefix(plain, "source:") {
				continue
			}
			switch key {
			case "definition":
				value(&now.definitions, plain, more)
			case "example":
				value(&now.examples, plain, more)
			case "members":
				value(&now.members, plain, more)
			case "hypernym", "similar":
				value(&now.hypernyms, plain, more)
			}
		}
	}
	return all
}

// wordnet makes pairs of the dictionary: word and gloss, gloss and examples,
// meanings and the wider meaning above them.
func wordnet(all map[string]*synset, ids []string) (pairs []passages.Pair) {
	join := func(list []string) string { return strings.Join(list, " ") }
	for _, id := range ids {
		s := all[id]
		gloss := join(s.definitions)
		for _, m := range s.members {
			pairs = append(pairs, passages.Pair{Query: m, Document: gloss})
		}
		if len(s.members) > 1 {
			pairs = append(pairs, passages.Pair{Query: s.members[0], Document: join(s.members[1:])})
		}
		for _, e := range s.examples {
			pairs = append(pairs, passages.Pair{Query: e, Document: join(s.members) + " " + gloss})
		}
		for _, h := range s.hypernyms {
			if up, ok := all[h]; ok {
				pairs = append(pairs, passages.Pair{Query: join(s.members) + " " + gloss, Document: join(up.members) + " " + join(up.definitions)})
				break
			}
		}
	}
	return pairs
}

package main

import (
	"io/fs"
	"path"
	"strings"

	project "github.com/vecino-db/vecino"
)

// handbookCollection is the collection of quickstart --adapt without --from.
const handbookCollection = "handbook"

// handbookWords are the fewest words of a passage.
const handbookWords = 12

// handbook is the project's own documentation, cut into passages: paragraphs,
// list items and rows of tables, each under the heading that it stands below.
func handbook() ([]guidePoint, error) {
	h := &handbookReader{}
	err := fs.WalkDir(project.Documents, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(project.Documents, name)
		if err != nil {
			return err
		}
		if strings.HasSuffix(name, ".go") {
			h.comment(path.Dir(name), string(text))
		} else {
			h.markdown(name, string(text))
		}
		return nil
	})
	return h.points, err
}

// handbookReader collects passages.
type handbookReader struct {
	points []guidePoint
	title  string
	source string
	lines  []string // of the passage that is being read
}

// end closes a passage.
func (h *handbookReader) end() {
	words := strings.Fields(strings.Join(h.lines, " "))
	h.lines = h.lines[:0]
	if len(words) < handbookWords {
		return
	}
	text := h.title + ". " + strings.Join(words, " ")
	h.points = append(h.points, guidePoint{
		ID: uint64(len(h.points) + 1), Text: text, Payload: guideEntryInfo{Title: h.title, Topic: h.source},
	})
}

// markdown reads a document; what stands between fences is left out.
func (h *handbookReader) markdown(name, text string) {
	h.title, h.source = name, name
	fenced := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "```"):
			fenced = !fenced
		case fenced:
		case strings.HasPrefix(line, "#"):
			h.end()
			h.title = strings.TrimLeft(line, "# ")
		case strings.HasPrefix(line, "|"):
			h.end()
			h.lines = append(h.lines, strings.ReplaceAll(line, "|", " "))
			h.end()
		case line == "":
			h.end()
		default:
			h.item(line)
		}
	}
	h.end()
}

// comment reads the comment that a Go file opens with; what is indented by a
// tab, drawings and examples, is left out.
func (h *handbookReader) comment(dir, text string) {
	h.title, h.source = "package "+dir, dir+"/doc.go"
	for line := range strings.Lines(text) {
		line, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), "//")
		switch {
		case !ok:
			h.end()
			return
		case strings.HasPrefix(line, "\t"):
		case strings.TrimSpace(line) == "", strings.HasPrefix(line, " # "):
			h.end()
		default:
			h.item(line)
		}
	}
	h.end()
}

// item takes a line, which begins a passage of its own when it is an item of a
// list.
func (h *handbookReader) item(line string) {
	if text, ok := strings.CutPrefix(strings.TrimSpace(line), "- "); ok {
		h.end()
		line = text
	}
	h.lines = append(h.lines, line)
}

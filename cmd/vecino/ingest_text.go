package main

import (
	"fmt"
	"strings"
)

// paragraphs cuts plain text at its empty lines.
func paragraphs(text string) []piece {
	var pieces []piece
	var lines []string
	first := 1
	flush := func() {
		if body := strings.TrimSpace(strings.Join(lines, "\n")); body != "" {
			n := len(pieces) + 1
			pieces = append(pieces, piece{key: fmt.Sprint(n), text: body, payload: map[string]any{"paragraph": n}, line: first, bytes: len(body)})
		}
		lines = lines[:0]
	}
	for i, line := range strings.Split(text, "\n") {
		if strings.TrimSpace(line) == "" {
			flush()
			first = i + 2
			continue
		}
		lines = append(lines, line)
	}
	flush()
	return pieces
}

// section is where a piece of Markdown stands.
type section struct {
	levels [6]string // the heading of each level in force
	level  int       // of the last heading; 0: before the first one
}

// path is the headings from the outermost to the innermost.
func (s section) path() string {
	var names []string
	for _, name := range s.levels[:s.level] {
		if name != "" {
			names = append(names, name)
		}
	}
	return strings.Join(names, " > ")
}

// markdownSections cuts Markdown at its headings (ATX headings, CommonMark
// 4.2). The heading is part of the text, because it often says what the text
// is about. Headings in fenced code (CommonMark 4.5) are none.
func markdownSections(text string) []piece {
	var pieces []piece
	var body []string
	var at section
	first, fence := 1, ""
	seen := map[string]int{}
	flush := func() {
		joined := strings.TrimSpace(strings.Join(body, "\n"))
		body = body[:0]
		if joined == "" {
			return
		}
		heading := at.path()
		key := heading
		if seen[heading]++; seen[heading] > 1 {
			key = fmt.Sprintf("%s (%d)", heading, seen[heading])
		}
		piece := piece{key: key, text: joined, payload: map[string]any{"heading": heading}, line: first, bytes: len(joined)}
		if at.level > 0 {
			piece.text = at.levels[at.level-1] + "\n\n" + joined
		}
		pieces = append(pieces, piece)
	}
	for i, line := range strings.Split(text, "\n") {
		if mark := fenceMark(line); mark != "" {
			switch {
			case fence == "":
				fence = mark
			case strings.HasPrefix(mark, fence) && strings.Trim(strings.TrimSpace(line), mark[:1]) == "":
				fence = ""
			}
		} else if level, title := atxHeading(line); fence == "" && level > 0 {
			flush()
			first = i + 1
			at.level = level
			at.levels[level-1] = title
			clear(at.levels[level:])
			continue
		}
		body = append(body, line)
	}
	flush()
	return pieces
}

// fenceMark is the run of backticks or tildes that opens a line, "" when it is
// no fence.
func fenceMark(line string) string {
	trimmed := strings.TrimLeft(line, " ")
	if len(line)-len(trimmed) > 3 {
		return ""
	}
	for _, c := range []string{"`", "~"} {
		if run := len(trimmed) - len(strings.TrimLeft(trimmed, c)); run >= 3 {
			return trimmed[:run]
		}
	}
	return ""
}

// atxHeading reads "## Title ##"; level 0 is no heading.
func atxHeading(line string) (level int, title string) {
	trimmed := strings.TrimLeft(line, " ")
	if len(line)-len(trimmed) > 3 {
		return 0, ""
	}
	rest := strings.TrimLeft(trimmed, "#")
	level = len(trimmed) - len(rest)
	if level < 1 || level > 6 || rest != "" && rest[0] != ' ' && rest[0] != '\t' {
		return 0, ""
	}
	title = strings.TrimSpace(rest)
	if closed := strings.TrimRight(title, "#"); closed == "" || strings.HasSuffix(closed, " ") {
		title = strings.TrimSpace(closed)
	}
	return level, title
}

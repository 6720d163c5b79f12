package main

import (
	"encoding/json"
	"io"
	"os"
	"slices"
	"strings"
	"unicode"

	"github.com/jedib0t/go-pretty/v6/table"
	"golang.org/x/term"
)

// output is where commands write: results as a Writer, everything else to
// errors.
type output struct {
	io.Writer
	errors io.Writer
	input  io.Reader
}

// JSON writes a value, indented.
func (o *output) JSON(value any) error {
	e := json.NewEncoder(o)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(value)
}

// Table writes rows under a header, or without one where all its cells are
// empty.
func (o *output) Table(header table.Row, rows []table.Row) {
	t := table.NewWriter()
	t.SetOutputMirror(o)
	t.SetStyle(table.StyleLight)
	t.Style().Options.SeparateRows = false
	if slices.ContainsFunc(header, func(cell any) bool { return cell != "" }) {
		t.AppendHeader(header)
	}
	t.AppendRows(rows)
	t.Render()
}

// terminal reports whether progress can be drawn.
func (o *output) terminal() bool {
	f, ok := o.errors.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// line is a text on one line of at most width characters. Control characters
// go: what was stored by others must not steer the terminal.
func line(text string, width int) string {
	clean := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)
	runes := []rune(strings.Join(strings.Fields(clean), " "))
	if len(runes) > width {
		return string(runes[:width-1]) + "…"
	}
	return string(runes)
}

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

// printer writes the tour: with colours on a terminal, plain otherwise. The
// first error of the writer is kept in err and ends all output.
type printer struct {
	w      io.Writer
	colour bool
	err    error
}

// newPrinter looks at w: colours are for terminals, and for nobody who set
// NO_COLOR.
func newPrinter(w io.Writer) *printer {
	if o, ok := w.(*output); ok {
		w = o.Writer
	}
	f, ok := w.(*os.File)
	return &printer{w: w, colour: ok && term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// Styles are parameters of the terminal's "select graphic rendition".
const (
	styleBold = "1"
	styleDim  = "2"
	styleRed  = "31"
	styleGood = "32"
	styleAsk  = "36"
)

// styled is text in a style, or as it is where there are no colours.
func (p *printer) styled(style, text string) string {
	if !p.colour {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

func (p *printer) print(text string) {
	if p.err == nil {
		_, p.err = io.WriteString(p.w, strings.TrimRight(text, " ")+"\n")
	}
}

func (p *printer) title(text string) { p.print(p.styled(styleBold, text)) }

func (p *printer) step(n int, text string) {
	p.print("\n" + p.styled(styleBold, fmt.Sprintf("%d. %s", n, text)))
}

func (p *printer) line(text string) { p.print("   " + text) }

func (p *printer) bad(text string) { p.print("   " + p.styled(styleRed, text)) }

func (p *printer) command(text string) { p.print("   " + p.styled(styleAsk, text)) }

// fact is a name and what it is.
func (p *printer) fact(name, what string) {
	width := 13
	if strings.Contains(name, "/") { // a call, not a word
		width = 38
	}
	p.print("   " + p.styled(styleDim, pad(name, width)) + what)
}

func (p *printer) query(text, where, took string) {
	p.print("\n   " + p.styled(styleAsk, "? "+text) + where + "  " + p.styled(styleDim, took))
}

// barWidth is the length in cells of a bar of score 1.
const barWidth = 20

// hit is one line of an answer: score, a bar as long as it, title and topic.
func (p *printer) hit(first bool, score float64, title, topic string) {
	cells := min(max(int(score*barWidth+0.5), 0), barWidth)
	bar := strings.Repeat("█", cells) + strings.Repeat("·", barWidth-cells)
	name := pad(title, 36) // a topic, where there is one, stands in a column
	if first {
		bar, name = p.styled(styleGood, bar), p.styled(styleBold, name)
	}
	p.print(fmt.Sprintf("     %.3f  %s  %s%s", score, bar, name, p.styled(styleDim, topic)))
}

// json is a JSON text, indented, otherwise as it came.
func (p *printer) json(text []byte) {
	var b bytes.Buffer
	if json.Indent(&b, bytes.TrimSpace(text), "   ", "  ") != nil {
		b.Reset()
		b.Write(text)
	}
	p.line(b.String())
}

// pad fills text with blanks to a number of characters.
func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(width-utf8.RuneCountInString(text), 1))
}

// milliseconds is a duration as people read it.
func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

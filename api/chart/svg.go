package chart

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
	"strings"
	"unicode"
)

// The picture, in pixels of its own.
const (
	width, height           = 860, 520
	left, right, top, below = 84, 24, 64, 64
	legendRow               = 22
	perRow                  = 3 // entries of the legend
)

// style makes the file readable on both grounds. The colours are Okabe and
// Ito's, which those who see colours otherwise tell apart; on dark ground they
// are lighter.
const style = `
svg{background:#fff;color:#1b1f24;font-family:system-ui,-apple-system,"Segoe UI",sans-serif;font-size:13px}
text{fill:currentColor}
.title{font-size:17px;font-weight:600}
.grid{stroke:currentColor;stroke-opacity:.14}
.axis{stroke:currentColor;stroke-opacity:.6;fill:none}
.line{fill:none;stroke-width:2;stroke-linejoin:round}
.c0{--c:#0072b2}.c1{--c:#d55e00}.c2{--c:#009e73}.c3{--c:#a3528b}.c4{--c:#8a6d00}.c5{--c:#3f6fd8}
.line,.mark{stroke:var(--c)}.mark{fill:var(--c);stroke-width:1.5}.hollow{fill:none}
@media (prefers-color-scheme:dark){
svg{background:#14171c;color:#e3e6ea}
.c0{--c:#56b4e9}.c1{--c:#ff9e5e}.c2{--c:#3fcf9f}.c3{--c:#e59acb}.c4{--c:#e6c44d}.c5{--c:#9db7ff}
}
`

const colours = 6

// dashes follow the colours, when these are used up.
var dashes = []string{"", "7 4", "2 3", "9 3 2 3"}

// SVG draws the chart; what can't be drawn is an error of Validate's.
func (c Chart) SVG() ([]byte, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	p := &picture{chart: c, legendRows: (len(c.Series) + perRow - 1) / perRow}
	p.fit()
	total := height + p.legendRows*legendRow
	p.printf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-labelledby="chart-title chart-desc">`, width, total, width, total)
	p.printf("\n<title id=\"chart-title\">%s</title>\n<desc id=\"chart-desc\">%s</desc>\n<style>%s</style>\n", escaped(c.Title), escaped(c.Description), style)
	p.printf("<text class=\"title\" x=\"%d\" y=\"30\">%s</text>\n", left, escaped(c.Title))
	p.axes()
	for i, s := range c.Series {
		p.series(i, s)
	}
	p.legend()
	p.printf("</svg>\n")
	return p.out.Bytes(), nil
}

// picture is a drawing on its way.
type picture struct {
	chart      Chart
	x, y       scale
	legendRows int
	out        bytes.Buffer
}

func (p *picture) printf(format string, args ...any) { fmt.Fprintf(&p.out, format, args...) }

// fit makes the scales.
func (p *picture) fit() {
	lowX, highX, lowY, highY := math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)
	for _, s := range p.chart.Series {
		for _, q := range s.Points {
			lowX, highX = math.Min(lowX, q.X), math.Max(highX, q.X)
			lowY, highY = math.Min(lowY, q.Y), math.Max(highY, q.Y)
		}
	}
	p.x = newScale(p.chart.X.Log, lowX, highX, 8)
	p.y = newScale(p.chart.Y.Log, lowY, highY, 7)
}

// place is where a point lies in the picture.
func (p *picture) place(q Point) (x, y float64) {
	return left + p.x.at(q.X)*(width-left-right), height - below - p.y.at(q.Y)*(height-top-below)
}

// axes draws grid, ticks and labels.
func (p *picture) axes() {
	bottom := height - below
	for _, t := range p.x.ticks {
		x := left + p.x.at(t)*(width-left-right)
		p.printf("<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/><text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", x, x, top, bottom, x, bottom+20, number(t))
	}
	for _, t := range p.y.ticks {
		y := height - below - p.y.at(t)*(height-top-below)
		p.printf("<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n", left, width-right, y, y, left-8, y+4, number(t))
	}
	p.printf("<path class=\"axis\" d=\"M%d %dV%dH%d\"/>\n", left, top, bottom, width-right)
	p.printf("<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", (left+width-right)/2, bottom+44, escaped(p.chart.X.Label))
	p.printf("<text transform=\"translate(22 %d) rotate(-90)\" text-anchor=\"middle\">%s</text>\n", (top+bottom)/2, escaped(p.chart.Y.Label))
}

// series draws a line and its marks, each with its values in words.
func (p *picture) series(i int, s Series) {
	p.printf("<g class=\"c%d\">\n", i%colours)
	if !s.Bare && len(s.Points) > 1 {
		p.printf(`<polyline class="line"%s points="`, dash(i))
		for j, q := range s.Points {
			x, y := p.place(q)
			p.printf("%s%.1f,%.1f", strings.Repeat(" ", min(j, 1)), x, y)
		}
		p.printf("\"/>\n")
	}
	for _, q := range s.Points {
		x, y := p.place(q)
		p.printf("<g>%s<title>%s: %s, %s</title></g>\n", mark(i, x, y), escaped(s.Name), number(rounded6(q.X)), number(rounded6(q.Y)))
	}
	p.printf("</g>\n")
}

// legend names the series below the picture.
func (p *picture) legend() {
	column := (width - left - right) / perRow
	for i, s := range p.chart.Series {
		x, y := left+i%perRow*column, height+i/perRow*legendRow
		p.printf("<g class=\"c%d\">", i%colours)
		if !s.Bare {
			p.printf("<line class=\"line\"%s x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\"/>", dash(i), x, x+28, y, y)
		}
		p.printf("%s</g><text x=\"%d\" y=\"%d\">%s</text>\n", mark(i, float64(x+14), float64(y)), x+36, y+4, escaped(s.Name))
	}
}

func dash(i int) string {
	if d := dashes[i/colours%len(dashes)]; d != "" {
		return ` stroke-dasharray="` + d + `"`
	}
	return ""
}

// mark is the sign of a series at a place.
func mark(i int, x, y float64) string {
	class := "mark"
	if i/4%2 == 1 {
		class = "mark hollow"
	}
	switch i % 4 {
	case 0:
		return fmt.Sprintf(`<circle class="%s" cx="%.1f" cy="%.1f" r="4"/>`, class, x, y)
	case 1:
		return fmt.Sprintf(`<rect class="%s" x="%.1f" y="%.1f" width="7" height="7"/>`, class, x-3.5, y-3.5)
	case 2:
		return fmt.Sprintf(`<path class="%s" d="M%.1f %.1fl4.5 8h-9z"/>`, class, x, y-5)
	default:
		return fmt.Sprintf(`<path class="%s" d="M%.1f %.1fl4.8 4.8l-4.8 4.8l-4.8 -4.8z"/>`, class, x, y-4.8)
	}
}

// rounded6 keeps what a reader of a value wants.
func rounded6(v float64) float64 {
	if v == 0 {
		return 0
	}
	unit := math.Pow(10, math.Floor(math.Log10(math.Abs(v)))-5)
	return math.Round(v/unit) * unit
}

// escaped is a text inside an element. What XML has no way to write, and what
// turns the direction of writing, goes.
func escaped(text string) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(clean)) // a buffer takes all
	return b.String()
}

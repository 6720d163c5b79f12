package chart_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/vecino-db/vecino/api/chart"
)

// drawing is what a reader of an SVG file finds.
type drawing struct {
	width, height float64
	texts         []string // of text elements, in their order
	titles, desc  []string
	lines         [][]string // points of polylines
	marks         int        // titled groups
	styles        string
	elements      map[string]int
}

// parse reads well-formed XML, and fails on anything else.
func parse(t *testing.T, data []byte) drawing {
	t.Helper()
	d := drawing{elements: map[string]int{}}
	decoder := xml.NewDecoder(bytes.NewReader(data))
	var open []string
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return d
		}
		if err != nil {
			t.Fatalf("no XML: %v\n%s", err, data)
		}
		switch e := token.(type) {
		case xml.StartElement:
			open = append(open, e.Name.Local)
			d.elements[e.Name.Local]++
			for _, a := range e.Attr {
				switch {
				case a.Name.Local == "points":
					d.lines = append(d.lines, strings.Fields(a.Value))
				case e.Name.Local == "svg" && a.Name.Local == "viewBox":
					fmt.Sscanf(a.Value, "0 0 %f %f", &d.width, &d.height)
				case strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf"):
					t.Errorf("%s has %s=%q", e.Name.Local, a.Name.Local, a.Value)
				}
			}
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			if len(open) == 0 {
				continue
			}
			switch open[len(open)-1] {
			case "text":
				d.texts = append(d.texts, string(e))
			case "title":
				if d.titles = append(d.titles, string(e)); len(open) > 2 {
					d.marks++
				}
			case "desc":
				d.desc = append(d.desc, string(e))
			case "style":
				d.styles += string(e)
			}
		}
	}
}

// coordinates are those of a polyline.
func coordinates(t *testing.T, line []string) (xs, ys []float64) {
	t.Helper()
	for _, pair := range line {
		x, y, _ := strings.Cut(pair, ",")
		fx, err1 := strconv.ParseFloat(x, 64)
		fy, err2 := strconv.ParseFloat(y, 64)
		if err1 != nil || err2 != nil {
			t.Fatalf("%q is no place", pair)
		}
		xs, ys = append(xs, fx), append(ys, fy)
	}
	return xs, ys
}

func TestChart(t *testing.T) {
	c := chart.Chart{
		Title: "Recall & speed", Description: "Higher is <better>", X: chart.Axis{Label: "recall@10"}, Y: chart.Axis{Label: "queries/s", Log: true},
		Series: []chart.Series{
			{Name: "f32", Points: []chart.Point{{0.80, 10000}, {0.90, 1000}, {1.00, 100}}},
			{Name: "peer", Points: []chart.Point{{0.85, 5000}}, Bare: true},
		},
	}
	svg, err := c.SVG()
	if err != nil {
		t.Fatal(err)
	}
	d := parse(t, svg)
	if d.titles[0] != "Recall & speed" || !slices.Equal(d.desc, []string{"Higher is <better>"}) {
		t.Errorf("title %q, description %q", d.titles[0], d.desc)
	}
	for _, want := range []string{"Recall & speed", "recall@10", "queries/s", "f32", "peer", "0.8", "0.9", "1", "100", "1000", "10k"} {
		if !slices.Contains(d.texts, want) {
			t.Errorf("no text %q in %q", want, d.texts)
		}
	}
	if len(d.lines) != 1 || d.marks != 4 || !strings.Contains(d.styles, "prefers-color-scheme:dark") || d.elements["script"] != 0 {
		t.Errorf("%d lines, %d marks", len(d.lines), d.marks)
	}
	// Equal steps in recall, and equal ratios in queries/s, are equal ways.
	xs, ys := coordinates(t, d.lines[0])
	if math.Abs(xs[2]-2*xs[1]+xs[0]) > 0.21 || math.Abs(ys[2]-2*ys[1]+ys[0]) > 0.21 || xs[0] >= xs[2] || ys[0] >= ys[2] {
		t.Errorf("the line goes %v", d.lines[0])
	}
	// Every mark lies in the picture.
	for i := range xs {
		if xs[i] < 0 || xs[i] > d.width || ys[i] < 0 || ys[i] > d.height {
			t.Errorf("%v lies outside of %v x %v", d.lines[0][i], d.width, d.height)
		}
	}
	if again, _ := c.SVG(); !bytes.Equal(svg, again) {
		t.Error("the same chart is drawn otherwise")
	}
}

// TestRanges draws charts of all orders of magnitude: a readable number of
// ticks, nothing outside, nothing that is no number.
func TestRanges(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 2000 {
		draw := func(log bool) (values [3]float64) {
			base := math.Pow(10, rng.Float64()*200-100)
			if rng.IntN(2) == 0 {
				base = math.Pow(10, rng.Float64()*8-4)
			}
			spread := math.Pow(10, rng.Float64()*12-10)
			for i := range values {
				if values[i] = base * (1 + spread*rng.Float64()); !log && rng.IntN(2) == 0 {
					values[i] = -values[i]
				}
			}
			return values
		}
		c := chart.Chart{Title: "x", X: chart.Axis{Log: rng.IntN(2) == 0}, Y: chart.Axis{Log: rng.IntN(2) == 0}}
		xs, ys := draw(c.X.Log), draw(c.Y.Log)
		c.Series = []chart.Series{{Points: []chart.Point{{xs[0], ys[0]}, {xs[1], ys[1]}, {xs[2], ys[2]}}}}
		svg, err := c.SVG()
		if err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
		d := parse(t, svg)
		if ticks := len(d.texts); ticks < 5 || ticks > 45 {
			t.Fatalf("%+v: %d ticks %q", c, ticks, d.texts)
		}
		px, py := coordinates(t, d.lines[0])
		for i := range px {
			if px[i] < 80 || px[i] > d.width || py[i] < 60 || py[i] > d.height-60 {
				t.Fatalf("%+v: %v lies outside", c, d.lines[0][i])
			}
		}
	}
}

// TestForeignTexts: whatever stands in a name stays a name.
func TestForeignTexts(t *testing.T) {
	name := "</text><script>alert(1)</script>&\"'\x00\x1b\u202e\xff]]>"
	c := chart.Chart{Title: name, Description: name, X: chart.Axis{Label: name}, Series: []chart.Series{{Name: name, Points: []chart.Point{{1, 1}}}}}
	svg, err := c.SVG()
	if err != nil {
		t.Fatal(err)
	}
	if d := parse(t, svg); d.elements["script"] != 0 || strings.ContainsAny(strings.Join(d.texts, ""), "\x1b\u202e") {
		t.Errorf("a name became more than that:\n%s", svg)
	}
}

func TestRefused(t *testing.T) {
	one := []chart.Series{{Name: "a", Points: []chart.Point{{1, 1}}}}
	for _, c := range []chart.Chart{
		{Series: one},
		{Title: "x"},
		{Title: "x", Series: []chart.Series{{Name: "none"}}},
		{Title: "x", Series: slices.Repeat(one, 25)},
		{Title: "x", Series: []chart.Series{{Points: []chart.Point{{math.NaN(), 1}}}}},
		{Title: "x", Series: []chart.Series{{Points: []chart.Point{{1, math.Inf(1)}}}}},
		{Title: "x", Y: chart.Axis{Log: true}, Series: []chart.Series{{Points: []chart.Point{{1, 0}}}}},
		{Title: "x", X: chart.Axis{Log: true}, Series: []chart.Series{{Points: []chart.Point{{-1, 1}}}}},
	} {
		if _, err := c.SVG(); err == nil {
			t.Errorf("%+v is drawn", c)
		}
	}
}

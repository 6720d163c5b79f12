// Package chart draws lines and points over two axes as an SVG file that stands
// alone.
//
// A chart has a title, a description for those who can't see it, labelled axes
// (linear or logarithmic, with ticks at 1, 2 and 5 times powers of ten), a
// legend, and series that differ in colour, in the dash of their line and in
// the shape of their marks, so that colour is not needed to tell them apart. It
// is readable on light and on dark ground: the file asks the viewer which it
// is. It loads nothing and runs nothing; texts are escaped, so they may be
// anybody's.
//
// Values that can't be drawn (not finite, or not positive on a logarithmic
// axis) are an error: a chart that leaves out what was measured misleads.
package chart

import (
	"errors"
	"fmt"
	"math"
)

// Point is one value.
type Point struct{ X, Y float64 }

// Series is a row of points that belong together, in the order of their line.
type Series struct {
	Name   string
	Points []Point
	// Bare leaves out the line: points alone.
	Bare bool
}

// Axis is one of the two.
type Axis struct {
	Label string
	Log   bool
}

// Chart is what is drawn.
type Chart struct {
	Title string
	// Description says in words what the chart shows.
	Description string
	X, Y        Axis
	Series      []Series
}

const (
	// maxSeries is how many can be told apart.
	maxSeries = 24
	maxPoints = 100_000
)

// Validate says what can't be drawn.
func (c Chart) Validate() error {
	points := 0
	for _, s := range c.Series {
		points += len(s.Points)
		for _, p := range s.Points {
			if err := errors.Join(c.X.drawable(p.X), c.Y.drawable(p.Y)); err != nil {
				return fmt.Errorf("chart: series %q: %w", s.Name, err)
			}
		}
	}
	switch {
	case c.Title == "":
		return errors.New("chart: it has no title; say what it shows")
	case len(c.Series) > maxSeries:
		return fmt.Errorf("chart: %d series; %d can be told apart", len(c.Series), maxSeries)
	case points == 0 || points > maxPoints:
		return fmt.Errorf("chart: %d points; give 1 to %d", points, maxPoints)
	}
	return nil
}

// maxValue leaves room for arithmetic on the values.
const maxValue = 1e150

func (a Axis) drawable(v float64) error {
	switch {
	case math.IsNaN(v) || math.Abs(v) > maxValue:
		return fmt.Errorf("%v on the axis %q is no number that can be drawn", v, a.Label)
	case a.Log && v < 1/maxValue:
		return fmt.Errorf("%v on the logarithmic axis %q is not above zero", v, a.Label)
	}
	return nil
}

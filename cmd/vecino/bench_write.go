package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/vecino-db/vecino/api/chart"
	"github.com/vecino-db/vecino/index/bench"
)

// write writes the files that were asked for, as far as there is something to
// write.
func (r *benchRun) write() error {
	if len(r.report.Points) == 0 {
		return nil
	}
	var err error
	if r.CSV != "" {
		err = writeFile(r.CSV, func(f *os.File) error { return bench.WriteCSV(f, r.report.Builds, r.report.Points) })
	}
	if r.SVG != "" {
		err = errors.Join(err, writeFile(r.SVG, func(f *os.File) error {
			svg, err := r.chart().SVG()
			if err == nil {
				_, err = f.Write(svg)
			}
			return err
		}))
	}
	return err
}

// writeFile makes a file, and says so when it can't.
func writeFile(path string, content func(f *os.File) error) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := content(f); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// chart is the picture of what was measured.
func (r *benchRun) chart() chart.Chart {
	curves := bench.Curves(r.report.Builds, r.report.Points)
	if len(r.Sizes) > 0 {
		return growthChart(curves, r.report.Source)
	}
	for _, path := range r.Peer {
		if theirs, err := readCurves(path); err == nil {
			curves = append(curves, theirs...)
		}
	}
	c := chart.Chart{
		Title:       "Queries a second at a recall",
		Description: fmt.Sprintf("Recall at %d against queries a second of one core, by processor time, for each ef; higher and further right is better. %s, %s.", r.K, r.report.Source, r.Metric),
		X:           chart.Axis{Label: fmt.Sprintf("recall@%d", r.K)},
		Y:           chart.Axis{Label: "queries/s of one core", Log: true},
	}
	for _, curve := range curves {
		s := chart.Series{Name: curve.Name}
		for _, p := range curve.Points {
			s.Points = append(s.Points, chart.Point{X: p.Recall, Y: p.QPS})
		}
		c.Series = append(c.Series, s)
	}
	return c
}

// growthRecall is the recall at which sizes are compared.
const growthRecall = 0.95

// growthChart is how the time of a query and of an insert grows.
func growthChart(curves []bench.Curve, source string) chart.Chart {
	c := chart.Chart{
		Title:       "Costs by the number of vectors",
		Description: fmt.Sprintf("Microseconds of processor time for a query at recall %.2f (of engines without a graph: at their own), and for building, a vector. %s.", growthRecall, source),
		X:           chart.Axis{Label: "vectors", Log: true},
		Y:           chart.Axis{Label: "microseconds of one core", Log: true},
	}
	add := func(name string, p chart.Point) {
		for i := range c.Series {
			if c.Series[i].Name == name {
				c.Series[i].Points = append(c.Series[i].Points, p)
				return
			}
		}
		c.Series = append(c.Series, chart.Series{Name: name, Points: []chart.Point{p}})
	}
	for _, curve := range curves {
		qps, _ := curve.Rate(growthRecall)
		if len(curve.Points) == 1 {
			qps = curve.Points[0].QPS
		}
		if qps > 0 {
			add(curve.Name+" query", chart.Point{X: float64(curve.Vectors), Y: 1e6 / qps})
		}
		if curve.PerSecond > 0 {
			add(curve.Name+" build, a vector", chart.Point{X: float64(curve.Vectors), Y: 1e6 / curve.PerSecond})
		}
	}
	return c
}

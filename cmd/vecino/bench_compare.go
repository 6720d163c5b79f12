package main

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/vecino-db/vecino/index/bench"
)

// benchRatio is ours against another program's, in one thing.
type benchRatio struct {
	Name   string  `json:"name"`
	Peer   string  `json:"peer"`
	What   string  `json:"what"` // "queries/s at recall 0.95", "build vectors/s", "bytes a vector"
	Ours   float64 `json:"ours"`
	Theirs float64 `json:"theirs"`
	Ratio  float64 `json:"ratio"` // the median of the pairs'
	Low    float64 `json:"low"`   // and the least and the most of them
	High   float64 `json:"high"`
	Pairs  int     `json:"pairs"`
}

// readCurves reads one file.
func readCurves(path string) ([]bench.Curve, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	curves, err := bench.ReadCurves(f)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return curves, nil
}

// comparePairs compares files, pair by pair.
func (c *benchCmd) comparePairs(out *output) error {
	var pairs [][2][]bench.Curve
	for i := range c.Ours {
		ours, err := readCurves(c.Ours[i])
		theirs, err2 := readCurves(c.Peer[i])
		if err := errors.Join(err, err2); err != nil {
			return err
		}
		pairs = append(pairs, [2][]bench.Curve{ours, theirs})
	}
	ratios := compareCurves(pairs, c.Recall)
	if c.JSON {
		return out.JSON(ratios)
	}
	printRatios(out, ratios)
	return nil
}

// compare holds what was just measured against each file of the peer's.
func (r *benchRun) compare() ([]benchRatio, error) {
	ours := bench.Curves(r.report.Builds, r.report.Points)
	var pairs [][2][]bench.Curve
	for _, path := range r.Peer {
		theirs, err := readCurves(path)
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, [2][]bench.Curve{ours, theirs})
	}
	return compareCurves(pairs, r.Recall), nil
}

// compareCurves compares each curve of ours with each of the peer's of as many
// vectors, in every pair of files, and joins the pairs by their medians.
func compareCurves(pairs [][2][]bench.Curve, levels []float64) []benchRatio {
	type sample struct{ ours, theirs []float64 }
	var out []benchRatio
	samples := map[benchRatio]*sample{}
	note := func(name, peer, what string, ours, theirs float64) {
		if ours == 0 || theirs == 0 {
			return
		}
		key := benchRatio{Name: name, Peer: peer, What: what}
		if samples[key] == nil {
			samples[key] = &sample{}
			out = append(out, key)
		}
		samples[key].ours, samples[key].theirs = append(samples[key].ours, ours), append(samples[key].theirs, theirs)
	}
	for _, pair := range pairs {
		for _, ours := range pair[0] {
			for _, theirs := range pair[1] {
				if ours.Vectors != theirs.Vectors || len(ours.Points) < 2 {
					continue
				}
				for _, recall := range levels {
					a, beyondA := ours.Rate(recall)
					b, beyondB := theirs.Rate(recall)
					if beyondA || beyondB {
						continue // of a rate that is only known to be at least so much there is no ratio
					}
					note(ours.Name, theirs.Name, fmt.Sprintf("queries/s at recall %v", recall), a, b)
				}
				note(ours.Name, theirs.Name, "build vectors/s", ours.PerSecond, theirs.PerSecond)
				note(ours.Name, theirs.Name, "resident bytes a vector", ours.BytesPer, theirs.BytesPer)
			}
		}
	}
	for i := range out {
		s := samples[out[i]]
		ratios := make([]float64, len(s.ours))
		for j := range ratios {
			ratios[j] = s.ours[j] / s.theirs[j]
		}
		out[i].Pairs, out[i].Low, out[i].High = len(ratios), slices.Min(ratios), slices.Max(ratios)
		out[i].Ratio, out[i].Ours, out[i].Theirs = bench.Median(ratios), bench.Median(s.ours), bench.Median(s.theirs)
	}
	return out
}

// printRatios writes them.
func printRatios(out *output, ratios []benchRatio) {
	var rows []table.Row
	for _, r := range ratios {
		spread := ""
		if r.Pairs > 1 {
			spread = fmt.Sprintf("%.2f..%.2f of %d", r.Low, r.High, r.Pairs)
		}
		rows = append(rows, table.Row{r.Name, r.Peer, r.What, fmt.Sprintf("%.0f", r.Ours), fmt.Sprintf("%.0f", r.Theirs), fmt.Sprintf("%.2f", r.Ratio), spread})
	}
	benchTable(out, "Beside another program", table.Row{"name", "peer", "what", "ours", "theirs", "ratio", "pairs"}, rows)
}

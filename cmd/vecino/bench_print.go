package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/vecino-db/vecino/index/bench"
)

// benchRate is the rate of one engine at one recall.
type benchRate struct {
	Name    string  `json:"name"`
	Vectors int     `json:"vectors"`
	Recall  float64 `json:"recall"`
	QPS     float64 `json:"queries_per_second"` // 0: not reached
	AtLeast bool    `json:"at_least,omitempty"` // the least ef has more recall
}

// ratesOf reads rates off curves; engines without a curve have none.
func ratesOf(curves []bench.Curve, levels []float64) []benchRate {
	var out []benchRate
	for _, c := range curves {
		if len(c.Points) < 2 {
			continue
		}
		for _, recall := range levels {
			qps, beyond := c.Rate(recall)
			out = append(out, benchRate{Name: c.Name, Vectors: c.Vectors, Recall: recall, QPS: qps, AtLeast: beyond})
		}
	}
	return out
}

// text is a rate as a reader wants it.
func (r benchRate) text() string {
	switch {
	case r.QPS == 0:
		return "not reached"
	case r.AtLeast:
		return fmt.Sprintf(">%.0f", r.QPS)
	}
	return fmt.Sprintf("%.0f", r.QPS)
}

// print writes tables of what there is.
func (r *benchReport) print(out *output) {
	by := "processor time"
	if !r.Environment.ProcessorTime {
		by = "time on the wall"
	}
	fmt.Fprintf(out, "vecino %s, %s, %d processors, rates by %s\n%s, %s, %d queries\n", r.Version, r.Environment.System, r.Environment.Processors, by, r.Source, r.Metric, r.Queries)
	r.printBuilds(out)
	r.printPoints(out)
	r.printRates(out)
	if r.ReadBandwidth > 0 {
		fmt.Fprintf(out, "\nOne core reads %.1f GB/s from memory", r.ReadBandwidth/1e9)
		for _, p := range r.Points {
			for _, b := range r.Builds {
				if p.Name == "exact" && b.Name == p.Name && b.Vectors == p.Vectors {
					fmt.Fprintf(out, "; exact compares %.1f GB/s of vectors", p.QPS*float64(p.Vectors*b.Dim*4)/1e9)
				}
			}
		}
		fmt.Fprintln(out, ".")
	}
	r.printMore(out)
	printRatios(out, r.Compared)
}

// benchTable writes a table under a heading, where it has rows.
func benchTable(out *output, heading string, header table.Row, rows []table.Row) {
	if len(rows) == 0 {
		return
	}
	fmt.Fprintf(out, "\n%s\n", heading)
	out.Table(header, rows)
}

func (r *benchReport) printBuilds(out *output) {
	var rows []table.Row
	for _, b := range r.Builds {
		rate, resident, optimize := fmt.Sprintf("%.0f", b.PerSecond), "not known", ""
		if b.OptimizeSeconds > 0 {
			optimize = fmt.Sprintf("%.1f", b.OptimizeSeconds)
		}
		if b.Loaded {
			rate = "opened"
		}
		if b.ResidentPer > 0 {
			resident = fmt.Sprintf("%.0f", b.ResidentPer)
		}
		rows = append(rows, table.Row{b.Name, b.Vectors, b.M, b.EfConstruction, b.Threads, fmt.Sprintf("%.1f", b.Seconds), rate, fmt.Sprintf("%.1f", b.WallSeconds), fmt.Sprintf("%.0f", b.BytesPer), resident, optimize})
	}
	benchTable(out, "Build", table.Row{"name", "n", "M", "efc", "threads", "build s", "vec/s", "wall s", "bytes/vec", "rss/vec", "optimize s"}, rows)
}

func (r *benchReport) printPoints(out *output) {
	var rows []table.Row
	k := 10
	for _, p := range r.Points {
		k = p.K
		ef := fmt.Sprint(p.Ef)
		if p.Ef == 0 {
			ef = "-"
		}
		rows = append(rows, table.Row{
			p.Name, p.Vectors, ef, fmt.Sprintf("%.4f", p.Recall), fmt.Sprintf("%.0f", p.QPS), fmt.Sprintf("%.1f", p.Micros),
			fmt.Sprintf("%.0f", p.WallQPS), fmt.Sprintf("%.0f", p.P50), fmt.Sprintf("%.0f", p.P99), p.Fewer, p.Plan,
		})
	}
	benchTable(out, "Search", table.Row{"name", "n", "ef", fmt.Sprintf("recall@%d", k), "qps", "us", "wall qps", "p50 us", "p99 us", "fewer than k", "plan"}, rows)
}

func (r *benchReport) printRates(out *output) {
	header := table.Row{"name", "n"}
	var rows []table.Row
	for i, rate := range r.Rates {
		if i == 0 || r.Rates[i-1].Name != rate.Name || r.Rates[i-1].Vectors != rate.Vectors {
			rows = append(rows, table.Row{rate.Name, rate.Vectors})
		}
		rows[len(rows)-1] = append(rows[len(rows)-1], rate.text())
		if len(rows) == 1 {
			header = append(header, fmt.Sprint(rate.Recall))
		}
	}
	benchTable(out, "Queries/s at a recall, between the neighbouring ef", header, rows)
}

// printMore writes what was measured beside the sweep.
func (r *benchReport) printMore(out *output) {
	var rows []table.Row
	for _, f := range r.Filtered {
		plans := slices.Sorted(maps.Keys(f.Plans))
		rows = append(rows, table.Row{
			f.Name, string(f.Correlation), fmt.Sprintf("%g %%", 100*f.Share), f.Matches, f.Ef, fmt.Sprintf("%.4f", f.Recall), fmt.Sprintf("%.0f", f.QPS), fmt.Sprintf("%.0f", f.P99),
			fmt.Sprintf("%.4f", f.ExactRecall), fmt.Sprintf("%.0f", f.ExactQPS), fmt.Sprintf("%.2f", f.QPS/f.ExactQPS), strings.Join(plans, " "),
		})
	}
	benchTable(out, "With filters, beside a scan of what matches", table.Row{"name", "matches are", "share", "matches", "ef", "recall", "qps", "p99 us", "scan recall", "scan qps", "ratio", "plan"}, rows)
	rows = nil
	for _, b := range r.Beside {
		rows = append(rows, table.Row{b.Name, b.Ef, b.Vectors, b.Inserted, fmt.Sprintf("%.0f", b.InsertsPerSecond), fmt.Sprintf("%.0f", b.AloneQPS), fmt.Sprintf("%.0f", b.BesideQPS), fmt.Sprintf("%.2f", b.Ratio), fmt.Sprintf("%.2f", b.WallRatio)})
	}
	benchTable(out, "Beside inserts on another core", table.Row{"name", "ef", "n", "inserted", "inserts/s", "qps alone", "qps beside", "ratio", "wall ratio"}, rows)
	rows = nil
	for _, c := range r.Churn {
		row := table.Row{
			c.Name, fmt.Sprintf("%g %%", 100*c.Share), c.Vectors, c.Ef, fmt.Sprintf("%.4f", c.FreshRecall), fmt.Sprintf("%.0f", c.FreshQPS),
			fmt.Sprintf("%.4f", c.Recall), fmt.Sprintf("%.0f", c.QPS), c.Tombstones,
		}
		if c.CompactSeconds > 0 {
			row = append(row, fmt.Sprintf("%.4f", c.CompactedRecall), fmt.Sprintf("%.0f", c.CompactedQPS), fmt.Sprintf("%.1f", c.CompactSeconds))
		}
		rows = append(rows, row)
	}
	benchTable(out, "After deletes and as many inserts, beside a fresh build", table.Row{"name", "share", "n", "ef", "fresh recall", "fresh qps", "recall", "qps", "tombstones", "compacted recall", "compacted qps", "compact s"}, rows)
	rows = nil
	for _, o := range r.Reopened {
		ratio := "not built here"
		if o.BuildSeconds > 0 {
			ratio = fmt.Sprintf("%.0f", o.Ratio)
		}
		rows = append(rows, table.Row{o.Name, o.Vectors, fmt.Sprintf("%.1f", float64(o.Bytes)/1e6), fmt.Sprintf("%.2f", o.SaveSeconds), fmt.Sprintf("%.3f", o.OpenSeconds), fmt.Sprintf("%.1f", o.BuildSeconds), ratio})
	}
	benchTable(out, "Opened from a checkpoint, on the wall", table.Row{"name", "n", "MB", "save s", "open s", "build s", "ratio"}, rows)
}

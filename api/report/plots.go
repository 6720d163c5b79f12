package report

import (
	"fmt"
	"slices"

	"github.com/vecino-db/vecino/api/chart"
)

// plot is one picture, and which part it belongs to.
type plot struct {
	part, file, title string
	svg               []byte
}

// plots draws what was measured.
func (r Report) plots() ([]plot, error) {
	var out []plot
	for _, p := range []struct {
		part, file string
		chart      *chart.Chart
	}{
		{"thresholds", "scores.svg", r.scores()},
		{"judgement", "queries.svg", r.queries()},
		{"agreement", "overlap.svg", r.overlap()},
	} {
		if p.chart == nil {
			continue
		}
		svg, err := p.chart.SVG()
		if err != nil {
			return nil, fmt.Errorf("report: %s: %w", p.file, err)
		}
		out = append(out, plot{p.part, p.file, p.chart.Title, svg})
	}
	return out, nil
}

// scores draws the quantiles of both score distributions.
func (r Report) scores() *chart.Chart {
	if r.Thresholds == nil {
		return nil
	}
	c := &chart.Chart{
		Title:       "Scores of hits, old and new",
		Description: fmt.Sprintf("The score that a share of the first %d hits of %d queries reaches, in the old and in the new space.", r.Thresholds.Depth(), r.Thresholds.Queries()),
		X:           chart.Axis{Label: "share of hits that reach the score, %"},
		Y:           chart.Axis{Label: "score"},
		Series:      []chart.Series{{Name: "old: " + label(r.Old.Model)}, {Name: "new: " + label(r.New.Model)}},
	}
	for _, q := range r.Thresholds.Quantiles() {
		c.Series[0].Points = append(c.Series[0].Points, chart.Point{X: 100 * q.Share, Y: q.Old})
		c.Series[1].Points = append(c.Series[1].Points, chart.Point{X: 100 * q.Share, Y: q.New})
	}
	return c
}

// maxPlotted bounds the queries of a plot; of more, every n-th is drawn.
const maxPlotted = 2000

// queries draws the difference of each query's nDCG.
func (r Report) queries() *chart.Chart {
	if r.Judgement == nil || len(r.Judgement.PerQuery) == 0 {
		return nil
	}
	differences := make([]float64, 0, len(r.Judgement.PerQuery))
	for _, q := range r.Judgement.PerQuery {
		differences = append(differences, q.New.NDCG10-q.Old.NDCG10)
	}
	slices.Sort(differences)
	d := r.Judgement.Difference.NDCG10
	c := &chart.Chart{
		Title:       "nDCG@10 of each query, new minus old",
		Description: fmt.Sprintf("%d judged queries, from the one that loses most to the one that gains most: %d lose, %d gain.", len(differences), d.Worse, d.Better),
		X:           chart.Axis{Label: "queries, sorted"},
		Y:           chart.Axis{Label: "difference of nDCG@10"},
		Series:      []chart.Series{{Name: "difference"}, {Name: "no difference"}},
	}
	step := (len(differences) + maxPlotted - 1) / maxPlotted
	for i := 0; i < len(differences); i += step {
		c.Series[0].Points = append(c.Series[0].Points, chart.Point{X: float64(i + 1), Y: differences[i]})
	}
	c.Series[1].Points = []chart.Point{{X: 1}, {X: float64(len(differences))}}
	return c
}

// overlap draws the histogram of shared hits.
func (r Report) overlap() *chart.Chart {
	if r.Agreement == nil || len(r.Agreement.Histogram) == 0 {
		return nil
	}
	a := r.Agreement
	c := &chart.Chart{
		Title:       fmt.Sprintf("Hits that both generations have among their first %d", a.K),
		Description: fmt.Sprintf("Of %d queries, how many share how many of their first %d hits.", a.Queries, a.K),
		X:           chart.Axis{Label: "shared hits"},
		Y:           chart.Axis{Label: "queries"},
		Series:      []chart.Series{{Name: "queries"}},
	}
	for shared, n := range a.Histogram {
		c.Series[0].Points = append(c.Series[0].Points, chart.Point{X: float64(shared), Y: float64(n)})
	}
	return c
}

// label is a model's, or what stands for none.
func label(model string) string {
	if model == "" {
		return "raw vectors"
	}
	return model
}

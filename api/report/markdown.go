package report

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed/evaluate"
	"github.com/vecino-db/vecino/embed/evaluate/compare"
)

// markdown writes the report, with links to plots that lie beside it.
func (r Report) markdown(plots []plot) string {
	w := &writer{}
	w.line("# Migration of %s", plain(r.Collection))
	w.line("")
	w.line("%s, measured %s by vecino %s.", code(r.Migration), r.At.UTC().Format(time.RFC3339), plain(r.Program))
	w.line("")
	switch {
	case len(r.Gates) == 0:
		w.line("No gate was measured: nothing says that the new generation may serve.")
	case r.Passed():
		w.line("All gates passed.")
	default:
		w.line("**Not all gates passed.** The new generation must not serve.")
	}
	w.generations(r)
	w.changes(r)
	w.gates(r)
	for _, section := range []struct {
		part  string
		write func(Report)
	}{
		{"recall", w.recall},
		{"latency", w.latency},
		{"judgement", w.judgement},
		{"agreement", w.agreement},
		{"thresholds", w.thresholds},
		{"bridge", w.bridge},
	} {
		for _, p := range r.parts() {
			if p.name != section.part || p.absent {
				continue
			}
			w.heading(p.title)
			section.write(r)
			for _, picture := range plots {
				if picture.part == p.name {
					w.line("")
					w.line("![%s](%s)", plain(picture.title), picture.file)
				}
			}
		}
	}
	w.absent(r)
	return w.b.String()
}

// writer writes Markdown.
type writer struct{ b strings.Builder }

func (w *writer) line(format string, args ...any) { fmt.Fprintf(&w.b, format+"\n", args...) }

func (w *writer) heading(title string) { w.line("\n## %s\n", title) }

// table writes rows in aligned columns, the first row being titles. Cells are
// escaped already.
func (w *writer) table(rows ...[]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell), 3)
		}
	}
	write := func(row []string) {
		for i, cell := range row {
			w.b.WriteString("| " + cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)) + " ")
		}
		w.b.WriteString("|\n")
	}
	write(rows[0])
	for _, width := range widths {
		w.b.WriteString("|" + strings.Repeat("-", width+2))
	}
	w.b.WriteString("|\n")
	for _, row := range rows[1:] {
		write(row)
	}
}

func (w *writer) generations(r Report) {
	w.heading("Generations")
	rows := [][]string{{"", "serving", "new"}}
	add := func(name string, of func(Generation) string) {
		rows = append(rows, []string{name, of(r.Old), of(r.New)})
	}
	add("generation", func(g Generation) string { return strconv.Itoa(g.Number) })
	add("model", func(g Generation) string { return plain(label(g.Model)) })
	add("dimension", func(g Generation) string { return strconv.Itoa(g.Dimension) })
	add("metric", func(g Generation) string { return string(g.Metric) })
	add("index", func(g Generation) string { return string(g.Engine) + ", " + string(g.Encoding) })
	add("points", func(g Generation) string { return strconv.Itoa(g.Points) })
	add("fingerprint", func(g Generation) string { return g.Fingerprint.String()[:12] })
	if r.Old.Card != "" || r.New.Card != "" {
		add("model card", func(g Generation) string {
			if g.Card == "" {
				return "none"
			}
			return plain(evaluate.Snippet(g.Card, 80))
		})
	}
	w.table(rows...)
}

func (w *writer) changes(r Report) {
	if len(r.Changes) == 0 {
		return
	}
	w.heading("Changes: " + r.Verdict.String())
	rows := [][]string{{"field", "serving", "new", "verdict"}}
	for _, c := range r.Changes {
		if c.Verdict > compat.VerdictSame {
			rows = append(rows, []string{plain(c.Field), plain(evaluate.Snippet(c.Have, 40)), plain(evaluate.Snippet(c.Want, 40)), c.Verdict.String()})
		}
	}
	if len(rows) == 1 {
		w.line("Labels only.")
		return
	}
	w.table(rows...)
}

func (w *writer) gates(r Report) {
	if len(r.Gates) == 0 {
		return
	}
	w.heading("Gates")
	rows := [][]string{{"gate", "measured", "wanted", ""}}
	for _, g := range r.Gates {
		outcome := "passed"
		switch {
		case !g.Decides:
			outcome = "reported"
		case !g.Passed:
			outcome = "**failed**"
		}
		rows = append(rows, []string{plain(g.Name), plain(g.Measured), plain(g.Wanted), outcome})
	}
	w.table(rows...)
}

func (w *writer) recall(r Report) {
	w.line("recall@%d at ef %d against exact search, %d queries: %.4f.", r.Recall.K, r.Recall.Ef, r.Recall.Queries, r.Recall.New)
	if r.Recall.Old != nil {
		w.line("The serving index: %.4f.", *r.Recall.Old)
	}
}

func (w *writer) latency(r Report) {
	l := r.Latency
	w.table(
		[]string{"", "serving", "new"},
		[]string{"p50", fmt.Sprintf("%.2f ms", l.OldP50), fmt.Sprintf("%.2f ms", l.NewP50)},
		[]string{"p99", fmt.Sprintf("%.2f ms", l.OldP99), fmt.Sprintf("%.2f ms", l.NewP99)},
	)
	w.line("\n%d queries of each.", l.Queries)
}

func (w *writer) judgement(r Report) {
	j := r.Judgement
	row := func(name string, before, after evaluate.Interval, d evaluate.Difference) []string {
		decided := "not decided"
		switch {
		case d.Low > 0:
			decided = "better"
		case d.High < 0:
			decided = "worse"
		}
		return []string{
			name, interval("%.4f", before), interval("%.4f", after), interval("%+.4f", d.Interval),
			fmt.Sprintf("%.4f", d.P), fmt.Sprintf("%d / %d", d.Better, d.Worse), decided,
		}
	}
	w.table(
		[]string{"", "serving", "new", "difference", "p", "queries better / worse", ""},
		row("nDCG@10", j.Old.NDCG10, j.New.NDCG10, j.Difference.NDCG10),
		row("recall@100", j.Old.Recall100, j.New.Recall100, j.Difference.Recall100),
		row("MRR@10", j.Old.MRR10, j.New.MRR10, j.Difference.MRR10),
	)
	w.line("\n%d judged queries. In brackets the bootstrap interval of level %g, of the difference in pairs; p by the randomisation test.", j.Queries, j.Difference.NDCG10.Level)
	if len(j.Warnings) == 0 {
		w.line("No warning about the judgements.")
		return
	}
	w.line("\nWarnings about the judgements:\n")
	for _, warning := range j.Warnings {
		examples := ""
		if len(warning.Examples) > 0 {
			examples = " (for example " + plain(strings.Join(warning.Examples, ", ")) + ")"
		}
		w.line("- %s%s.", plain(warning.Text), examples)
	}
}

func (w *writer) agreement(r Report) {
	a := r.Agreement
	tau := "none: no query shares two hits"
	if a.Tau != nil {
		tau = fmt.Sprintf("%.4f (of the ids that both have; %d queries)", *a.Tau, a.TauQueries)
	}
	w.table(
		[]string{"measure", "mean over queries"},
		[]string{fmt.Sprintf("overlap@%d", a.K), fmt.Sprintf("%.4f", a.Overlap)},
		[]string{"rank-biased overlap", fmt.Sprintf("%.4f (persistence %g)", a.RBO, a.Persistence)},
		[]string{"Kendall's tau", tau},
		[]string{"same first hit", fmt.Sprintf("%d of %d queries", a.SameFirst, a.Queries)},
	)
	w.line("\n%d queries%s. Two models may differ and both be right: this is reported, and no gate.", a.Queries, of(r.Sample))
	if len(a.MostChanged) == 0 {
		return
	}
	w.line("\n### The most changed queries")
	for _, c := range a.MostChanged {
		if c.Text == "" {
			c.Text = "its text is not kept"
		}
		w.line("\nQuery %s: %s (overlap %.2f, rank-biased overlap %.2f)\n", code(c.ID), plain(c.Text), c.Overlap, c.RBO)
		w.sides(c)
	}
}

// sides writes two rankings side by side.
func (w *writer) sides(c compare.Changed) {
	rows := [][]string{{"", "serving", "new"}}
	for i := range max(len(c.Old), len(c.New)) {
		cell := func(hits []compare.Hit) string {
			if i >= len(hits) {
				return ""
			}
			h := hits[i]
			text := plain(evaluate.Snippet(h.Text, 60))
			if text != "" {
				text = " " + text
			}
			return fmt.Sprintf("%s %.4f%s", code(h.ID), h.Score, text)
		}
		rows = append(rows, []string{strconv.Itoa(i + 1), cell(c.Old), cell(c.New)})
	}
	w.table(rows...)
}

func (w *writer) thresholds(r Report) {
	m := r.Thresholds
	before, after := m.Metrics()
	w.line("A `score_threshold` of the serving generation (%s), and the one of the new generation (%s) that lets pass the same share of the first %d hits of %d queries%s:\n",
		before, after, m.Depth(), m.Queries(), of(r.Sample))
	rows := [][]string{{"share of hits", "serving", "new"}}
	next := 0.0
	for _, q := range m.Quantiles() {
		if q.Share+1e-9 < next {
			continue
		}
		rows = append(rows, []string{fmt.Sprintf("%.0f %%", 100*q.Share), fmt.Sprintf("%.4f", q.Old), fmt.Sprintf("%.4f", q.New)})
		for next <= q.Share+1e-9 {
			next += 0.1
		}
	}
	w.table(rows...)
	if k := r.Kept; k != nil {
		if k.Whole > 0 {
			w.line("\nOn other queries of this kind expect the worst of nine thresholds to be off by %.1f %% of the hits.", 100*k.Whole)
		}
		w.line("\nA map made of one half of these queries was off by %.1f %% of the hits on the other half (the worst of nine thresholds, mean of %d random halves; %.1f %% at worst).", 100*k.Worst, k.Splits, 100*k.Greatest)
	}
}

func (w *writer) bridge(r Report) {
	b := r.Bridge
	what := "Until the cut-over, queries of the new encoder are carried into the serving space"
	if b.Refused {
		what = "Refused: until the cut-over no text is answered"
	}
	w.line("%s: recall@%d %.3f on %d held-out pairs among %d points, fitted on %d; at least %.2f was wanted.", what, b.K, b.Recall, b.HeldOut, b.Pool, b.Pairs, b.Wanted)
	for _, t := range b.Tried {
		w.line("- %s: %.3f", plain(string(t.Method)), t.Recall)
	}
}

func (w *writer) absent(r Report) {
	var lines []string
	for _, p := range r.parts() {
		switch reason := r.Reasons[p.name]; {
		case !p.absent:
		case reason != "":
			lines = append(lines, fmt.Sprintf("- %s: %s", p.title, plain(reason)))
		default:
			lines = append(lines, "- "+p.title)
		}
	}
	if len(lines) > 0 {
		w.heading("Not measured")
		w.line("%s", strings.Join(lines, "\n"))
	}
}

// interval writes a mean with its interval.
func interval(format string, i evaluate.Interval) string {
	return fmt.Sprintf(format+" ["+format+", "+format+"]", i.Mean, i.Low, i.High)
}

// of says where queries come from.
func of(sample string) string {
	if sample == "" {
		return ""
	}
	return " (" + plain(sample) + ")"
}

// plain makes text of anybody's harmless in Markdown and in a table: one line,
// no markup, no control characters.
func plain(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return -1
		}
		return r
	}, text)
	var b strings.Builder
	runes := []rune(text)
	inside := func(i int) bool {
		return i >= 0 && i < len(runes) && (unicode.IsLetter(runes[i]) || unicode.IsDigit(runes[i]))
	}
	for i, r := range runes {
		// An underscore within a word is no markup.
		if strings.ContainsRune("\\|`*[]<&~", r) || r == '_' && !(inside(i-1) && inside(i+1)) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// code writes an id as code.
func code(id string) string {
	id = strings.Map(func(r rune) rune {
		if r == '`' || r == '|' || !unicode.IsPrint(r) || r == utf8.RuneError {
			return '?'
		}
		return r
	}, evaluate.Snippet(id, 60))
	return "`" + id + "`"
}

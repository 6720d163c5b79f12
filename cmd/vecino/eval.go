package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/vecino-db/vecino/embed/evaluate"
)

// evalCmd measures models on a judged collection.
type evalCmd struct {
	Corpus   string   `arg:"" help:"Directory of a judged collection: BEIR's files, or SMART's as Cranfield has them." placeholder:"DIR"`
	Model    []string `arg:"" optional:"" help:"Directories, local:NAME or builtin:NAME, with options as ?precision=int8. builtin:hash, builtin:static and builtin:blend when left out." placeholder:"MODEL"`
	Models   string   `help:"Directory of local models." placeholder:"DIR"`
	Training []string `help:"Files of texts that a model was trained on, one a line or several with tabs between: says which texts of the collection stand there." placeholder:"FILE"`
	Fuse     bool     `help:"Also measure the models' rankings fused: by reciprocal ranks, and by z-scores."`
	Threads  int      `help:"Threads of a transformer. 0: one a core." default:"0"`
	Seed     uint64   `help:"Seed of the intervals." default:"1"`
	JSON     bool     `help:"Print JSON."`
}

// Help teaches.
func (evalCmd) Help() string {
	return `Examples:
  vecino eval ./cranfield
  vecino eval ./scifact builtin:blend local:docs-adapted
  vecino eval ./cranfield local:mine --training mine.tsv
  vecino eval ./cranfield builtin:hash builtin:static --fuse

nDCG@10, recall@100 and MRR@10 by exact search, each with the interval that holds
the true mean in 95 of 100 such experiments. Of every model after the first the
difference to the first is shown with its own interval, over the same queries in
pairs: one that leaves 0 out is more than the luck of these queries.`
}

// evaluated is what is found of one model.
type evaluated struct {
	Model       string           `json:"model"`
	Dimension   int              `json:"dimension"`
	Fingerprint string           `json:"fingerprint"`
	Unusable    int              `json:"texts_without_tokens"`
	Quality     evaluate.Quality `json:"quality"`
	Gain        *evaluate.Gain   `json:"gain,omitempty"` // over the first model
	scores      []evaluate.Scores
	ranked      [][]evaluate.Ranked
}

// evaluation is the whole.
type evaluation struct {
	Documents int                  `json:"documents"`
	Queries   int                  `json:"queries"`
	Missing   int                  `json:"judgements_of_missing_documents"`
	Models    []evaluated          `json:"models"`
	Warnings  []evaluate.Warning   `json:"warnings"`
	Leakage   *evaluate.LeakReport `json:"leakage,omitempty"`
}

// Run evaluates.
func (c *evalCmd) Run(ctx context.Context, out *output) error {
	if len(c.Model) == 0 {
		c.Model = []string{"builtin:hash", "builtin:static", "builtin:blend"}
	}
	refs := make([]modelRef, len(c.Model))
	for i, text := range c.Model {
		var err error
		if refs[i], err = parseModelRef(text); err != nil {
			return err
		}
	}
	collection, err := evaluate.Open(c.Corpus)
	if err != nil {
		return err
	}
	found := evaluation{Documents: len(collection.Documents), Queries: len(collection.Queries), Missing: collection.Missing, Warnings: warningsOf(collection)}
	if len(c.Training) > 0 {
		if found.Leakage, err = leakageOf(collection, c.Training); err != nil {
			return err
		}
	}
	for _, ref := range refs {
		fmt.Fprintf(out.errors, "measuring %s\n", ref.text)
		e, err := c.measure(ctx, ref, collection)
		if err != nil {
			return fmt.Errorf("%s: %w", ref.text, err)
		}
		if len(found.Models) > 0 {
			gain, err := evaluate.Bootstrap{Seed: c.Seed}.Gain(found.Models[0].scores, e.scores)
			if err != nil {
				return err
			}
			e.Gain = &gain
		}
		found.Models = append(found.Models, e)
	}
	if c.Fuse && len(found.Models) > 1 {
		if err := c.fuse(&found, collection); err != nil {
			return err
		}
	}
	if c.JSON {
		return out.JSON(found)
	}
	found.print(out)
	return nil
}

// fuse adds the fusions of all models, as if each were one.
func (c *evalCmd) fuse(found *evaluation, collection evaluate.Collection) (err error) {
	var runs [][][]evaluate.Ranked
	for _, m := range found.Models {
		runs = append(runs, m.ranked)
	}
	for _, how := range []evaluate.Fusion{evaluate.FusionRRF, evaluate.FusionZScore} {
		e := evaluated{Model: fmt.Sprintf("all %d by %s", len(runs), how), scores: evaluate.Fuse(collection, how, runs...)}
		if e.Quality, err = (evaluate.Bootstrap{Seed: c.Seed}).Quality(e.scores); err != nil {
			return err
		}
		gain, err := evaluate.Bootstrap{Seed: c.Seed}.Gain(found.Models[0].scores, e.scores)
		if err != nil {
			return err
		}
		e.Gain = &gain
		found.Models = append(found.Models, e)
	}
	return nil
}

// measure runs one model over the collection.
func (c *evalCmd) measure(ctx context.Context, ref modelRef, collection evaluate.Collection) (e evaluated, err error) {
	encoder, err := ref.open(ctx, c.Models, c.Threads)
	if err != nil {
		return e, err
	}
	defer encoder.Close()
	r, err := evaluate.Retrieve(ctx, encoder, collection)
	if err != nil {
		return e, err
	}
	space := encoder.Space()
	e = evaluated{Model: ref.text, Dimension: space.Dimension, Fingerprint: space.Fingerprint().String(), Unusable: r.Unusable, scores: r.Scores, ranked: r.Ranked}
	e.Quality, err = evaluate.Bootstrap{Seed: c.Seed}.Quality(r.Scores)
	return e, err
}

// warningsOf looks at the judgements themselves.
func warningsOf(c evaluate.Collection) []evaluate.Warning {
	judged := make([]evaluate.Judged, len(c.Queries))
	for i, q := range c.Queries {
		judged[i] = evaluate.Judged{ID: strconv.Itoa(i + 1), Text: q, Gains: c.Gains[i]}
	}
	check := evaluate.NewCheck(judged)
	for i, id := range c.IDs {
		check.Document(id, c.Documents[i])
	}
	return check.Warnings()
}

// leakageOf looks for the collection's texts in files of training texts.
func leakageOf(c evaluate.Collection, paths []string) (*evaluate.LeakReport, error) {
	leakage := evaluate.NewLeakage(c)
	for _, path := range paths {
		if err := trainingTexts(path, leakage.Training); err != nil {
			return nil, err
		}
	}
	report := leakage.Report()
	return &report, nil
}

// trainingTexts calls f for every text of a file.
func trainingTexts(path string, f func(text string)) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, maxEmbedLine)
	for lines.Scan() {
		for _, text := range strings.Split(lines.Text(), "\t") {
			if strings.TrimSpace(text) != "" {
				f(text)
			}
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// print writes the outcome for people.
func (e evaluation) print(out *output) {
	interval := func(i evaluate.Interval) string { return fmt.Sprintf("%.4f [%.4f, %.4f]", i.Mean, i.Low, i.High) }
	rows := make([]table.Row, 0, len(e.Models))
	for _, m := range e.Models {
		rows = append(rows, table.Row{line(m.Model, 60), m.Dimension, interval(m.Quality.NDCG10), interval(m.Quality.Recall100), interval(m.Quality.MRR10), m.Unusable})
	}
	out.Table(table.Row{"model", "dimensions", "nDCG@10", "recall@100", "MRR@10", "texts without tokens"}, rows)
	if len(e.Models) > 1 {
		difference := func(d evaluate.Difference) string {
			return fmt.Sprintf("%+.4f [%+.4f, %+.4f], p %.4f", d.Mean, d.Low, d.High, d.P)
		}
		rows = rows[:0]
		for _, m := range e.Models[1:] {
			rows = append(rows, table.Row{line(m.Model, 60), difference(m.Gain.NDCG10), difference(m.Gain.Recall100), difference(m.Gain.MRR10)})
		}
		out.Table(table.Row{"over " + line(e.Models[0].Model, 60), "nDCG@10", "recall@100", "MRR@10"}, rows)
	}
	fmt.Fprintf(out, "%d documents, %d queries\n", e.Documents, e.Queries)
	if e.Missing > 0 {
		fmt.Fprintf(out, "warning: %d judgements are of documents that are not there; they were left out\n", e.Missing)
	}
	for _, w := range e.Warnings {
		fmt.Fprintf(out, "warning: %s\n", line(w.Text, 300))
	}
	if e.Leakage == nil {
		return
	}
	if e.Leakage.Clean() {
		fmt.Fprintf(out, "no text of the collection is among the %d training texts\n", e.Leakage.TrainingTexts)
		return
	}
	fmt.Fprintf(out, "warning: %s\n", e.Leakage.String())
	const few = 3
	for _, leak := range e.Leakage.Examples[:min(few, len(e.Leakage.Examples))] {
		fmt.Fprintf(out, "  %q stands there as %q\n", line(leak.Test, 80), line(leak.Training, 80))
	}
}

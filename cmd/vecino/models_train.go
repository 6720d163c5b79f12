package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/schollz/progressbar/v3"

	"github.com/vecino-db/vecino/api"
	"github.com/vecino-db/vecino/embed/train"
	"github.com/vecino-db/vecino/embed/train/adapt"
	"github.com/vecino-db/vecino/embed/train/passages"
)

// modelsTrainCmd adapts a model to a collection.
type modelsTrainCmd struct {
	connection
	Collection string `short:"c" required:"" help:"Collection whose documents are trained on." placeholder:"NAME"`
	Base       string `help:"Model to begin with: builtin:blend, builtin:static, or a static local:NAME." default:"builtin:blend"`
	Pairs      string `help:"File of pairs of your own: a question, a tab, the text that answers it, a line." placeholder:"FILE.tsv"`
	Name       string `help:"Name of the model, local:NAME. The collection's with -adapted when left out." placeholder:"NAME"`
	Title      string `help:"Payload field with a document's title. The first line of the text when left out." placeholder:"FIELD"`
	Seed       uint64 `help:"Seed of the order of the pairs." default:"1"`
	Threads    int    `help:"Threads. 0: one a core." default:"0"`
	Migrate    bool   `help:"Train, evaluate, plan and migrate in one job of the server, cutting over when the gates have passed."`
	Qrels      string `help:"With --migrate: file of judged queries, ${judged}. They refuse a worse model and gate the migration." placeholder:"PATH"`
	JSON       bool   `help:"Print JSON."`
}

// Help teaches.
func (modelsTrainCmd) Help() string {
	return `Examples:
  vecino models train -c docs
  vecino models train -c docs --title title --pairs questions.tsv --name docs-2
  vecino models train -c docs --data ./vecino-data --models ./vecino-models
  vecino models train -c docs --migrate --qrels judged.jsonl

Goes on training the base on pairs of texts cut out of the collection's stored
documents: title and body, a sentence and the rest, two halves. A tenth of the
documents is held out, and the model is installed only when it finds the pairs of
these better than the base does; otherwise the figures are printed and the exit
status is 1. The collection keeps its model: the command that plans the migration
to the new one is printed.

The model is written to --models of this machine (./vecino-models when left out):
for a server on another one, copy the directory there. With --migrate the server
trains and installs it in its own --models, and takes the collection to it; the
commit, or the rollback, is left to you.`
}

// trained is what is printed.
type trained struct {
	Model      string       `json:"model"`
	Directory  string       `json:"directory"`
	Base       string       `json:"base"`
	Documents  int          `json:"documents"`
	Held       int          `json:"held_out_documents"`
	Pairs      int          `json:"pairs"`
	Report     train.Report `json:"report"`
	Seconds    float64      `json:"seconds"`
	NextSteps  string       `json:"next"`
	Collection string       `json:"collection"`
}

// modelName is what may follow "local:".
var modelName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// Run trains.
func (c *modelsTrainCmd) Run(ctx context.Context, out *output) error {
	name := c.Name
	if name == "" {
		name = c.Collection + "-adapted"
	}
	if !modelName.MatchString(name) {
		return usageError{fmt.Errorf("the name %q is none for a model; give letters, digits, '.', '_' and '-' by --name", name)}
	}
	switch {
	case c.Migrate:
		return c.job(ctx, out, name)
	case c.Qrels != "":
		return usageError{errors.New("--qrels goes with --migrate; without it, measure by: vecino eval")}
	}
	models := modelsDir(c.Models)
	if models == "" {
		models = defaultModels
	}
	if err := os.MkdirAll(models, 0o755); err != nil {
		return fmt.Errorf("directory of models: %w; name another one by --models", err)
	}
	dir := filepath.Join(models, name)
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is a model local:%s already, in %s; give the new one another --name, because the vectors of a name never change", name, dir)
	}
	encoders, err := api.NewEncoders(api.EncodersOptions{Models: models})
	if err != nil {
		return err
	}
	defer encoders.Close()
	base, err := encoders.TrainingBase(ctx, c.Base)
	var refused *api.Error
	switch {
	case errors.As(err, &refused) && refused.Kind == api.KindInvalid:
		return usageError{fmt.Errorf("--base %s: %w", c.Base, err)}
	case err != nil:
		return fmt.Errorf("--base %s: %w", c.Base, err)
	}
	defer base.Close()
	pairs, err := readTrainingPairs(c.Pairs)
	if err != nil {
		return err
	}
	var documents []adapt.Document
	if err := c.with(ctx, func(r *remote) (err error) { documents, err = readDocuments(ctx, r, c.Collection, c.Title); return err }); err != nil {
		return err
	}
	start := time.Now()
	shown := &trainProgress{out: out}
	result, err := base.Train(ctx, documents, adapt.Options{Seed: c.Seed, Threads: c.Threads, Pairs: pairs, Progress: shown.advance})
	shown.finish()
	if err != nil {
		return err
	}
	files, err := base.Pack(name, c.Collection, version(), c.Seed, result)
	if err != nil {
		return err
	}
	if err := files.Write(dir); err != nil {
		return err
	}
	t := trained{
		Model: "local:" + name, Directory: dir, Base: c.Base, Documents: result.Documents, Held: result.Held, Pairs: result.Pairs,
		Report: result.Report, Seconds: time.Since(start).Seconds(), Collection: c.Collection,
		NextSteps: fmt.Sprintf("vecino migrate plan -c %s --model local:%s", c.Collection, name),
	}
	if c.JSON {
		return out.JSON(t)
	}
	t.print(out)
	return nil
}

// print writes the outcome for people.
func (t trained) print(out *output) {
	percent := func(x float64) string { return fmt.Sprintf("%.1f %%", 100*x) }
	before, after := t.Report.Before, t.Report.After
	out.Table(table.Row{"", "base", "adapted"}, []table.Row{
		{"found first", percent(before.First), percent(after.First)},
		{"among the first ten", percent(before.Ten), percent(after.Ten)},
		{"mean of 1/rank", fmt.Sprintf("%.3f", before.Reciprocal), fmt.Sprintf("%.3f", after.Reciprocal)},
	})
	fmt.Fprintf(out, "%d held-out pairs of %d documents that the first training did not see; %d documents and %d pairs in all, %.1f s.\n",
		after.Pairs, t.Held, t.Documents, t.Pairs, t.Seconds)
	fmt.Fprintf(out, "%s is installed in %s. The collection %s keeps its model until a migration:\n\n  %s\n", t.Model, t.Directory, line(t.Collection, 100), t.NextSteps)
}

// readDocuments reads a collection's texts.
func readDocuments(ctx context.Context, r *remote, name, title string) ([]adapt.Document, error) {
	_, documents, err := readStored(ctx, r, name, title)
	return documents, err
}

// readTrainingPairs reads pairs of the user's.
func readTrainingPairs(path string) ([]passages.Pair, error) {
	if path == "" {
		return nil, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var pairs []passages.Pair
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, maxEmbedLine)
	for n := 1; lines.Scan(); n++ {
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		query, document, ok := strings.Cut(lines.Text(), "\t")
		if !ok || strings.TrimSpace(query) == "" || strings.TrimSpace(document) == "" {
			return nil, usageError{fmt.Errorf("%s, line %d: it is no question, tab, and text", path, n)}
		}
		pairs = append(pairs, passages.Pair{Query: query, Document: document})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return pairs, nil
}

// trainProgress draws how far a training is.
type trainProgress struct {
	out    *output
	bar    *progressbar.ProgressBar
	second bool
	last   time.Time
}

func (p *trainProgress) advance(at train.Progress, second bool) {
	if !p.out.terminal() {
		if time.Since(p.last) >= lineEvery {
			p.last = time.Now()
			fmt.Fprintf(p.out.errors, "training: step %d of %d\n", at.Step, at.Steps)
		}
		return
	}
	if p.bar == nil || p.second != second {
		p.finish()
		name := "train, a tenth held out"
		if second {
			name = "train on all"
		}
		p.bar = progressbar.NewOptions(at.Steps, progressbar.OptionSetWriter(p.out.errors), progressbar.OptionSetDescription(name),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
		p.second = second
	}
	_ = p.bar.Set(at.Step) // a bar that can't be drawn is no reason to stop
}

func (p *trainProgress) finish() {
	if p.bar != nil {
		_ = p.bar.Finish()
		p.bar = nil
	}
}

package adapt

import (
	"fmt"
	"strings"

	"github.com/vecino-db/vecino/embed/train"
)

// Card is what a model card says of an adapted model.
type Card struct {
	Name       string // "local:NAME"
	Base       string // the model that it began with
	Collection string
	Program    string // vecino's version
	Seed       uint64
}

// Markdown is the card.
func (c Card) Markdown(r Result) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	percent := func(x float64) string { return fmt.Sprintf("%.1f %%", 100*x) }
	row := func(what string, of func(train.Accuracy) float64) {
		line("| %s | %s | %s |", what, percent(of(r.Report.Before)), percent(of(r.Report.After)))
	}
	line("---\nlibrary_name: model2vec\ntags: [static-embeddings, vecino]\nbase_model: %q\n---\n# %s\n", c.Base, c.Name)
	line("%s, adapted to the collection %q on pairs of texts cut out of its own documents.\n", c.Base, c.Collection)
	line("It is for that collection: elsewhere it does worse than %s. What the documents' licence allows of it is for their owner to say.\n", c.Base)
	line("| | |\n|---|---|")
	line("| documents | %d, of which %d were held out |", r.Documents, r.Held)
	line("| pairs | %d |", r.Pairs)
	line("| seed | %d |", c.Seed)
	line("| program | vecino %s |\n", c.Program)
	line("%d held-out pairs, each query searched among the %d held-out documents' texts, by a training that saw none of them (the model itself was then trained on all):\n", r.Report.After.Pairs, r.Report.After.Candidates)
	line("| | base | adapted |\n|---|---|---|")
	row("found first", func(a train.Accuracy) float64 { return a.First })
	row("among the first ten", func(a train.Accuracy) float64 { return a.Ten })
	row("mean of 1/rank", func(a train.Accuracy) float64 { return a.Reciprocal })
	return b.String()
}

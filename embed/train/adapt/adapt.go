package adapt

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/vecino-db/vecino/embed/static"
	"github.com/vecino-db/vecino/embed/token"
	"github.com/vecino-db/vecino/embed/train"
	"github.com/vecino-db/vecino/embed/train/passages"
)

// Document is one text of the collection. Title may be empty: then the first
// line of Body is it, where it is short and not all there is.
type Document struct {
	Title, Body string
}

// Options of Run. The zero value is what was measured to do well on
// collections of a thousand documents.
type Options struct {
	Epochs  int     // over the pairs, at most; 0: 20, and fewer for more than 150,000 pairs
	Rate    float64 // 0: .003
	Batch   int     // 0: 256
	Seed    uint64
	Threads int
	// Pairs of the user's: a question and the text that answers it. One in ten
	// is held out.
	Pairs []passages.Pair
	// Progress is called after every step; second says that it is of the second
	// training. nil: not.
	Progress func(p train.Progress, second bool)
}

// Limits of what is trained on.
const (
	heldOne         = 10 // one document in so many is held out
	leastHeld       = 30 // held-out pairs, below which nothing can be decided
	pairsOfDocument = 24 // most pairs of one document, evenly spread
	mostPairs       = 1 << 20
	fullPairs       = 3_000_000 // pairs times epochs, beyond which there are fewer epochs
	queryTokens     = 48
	documentTokens  = 96
)

// ErrTooFew is returned for a collection that is too small to tell whether a
// model got better.
var ErrTooFew = errors.New("too few documents with enough text")

// NotBetterError is the refusal of a model that finds the held-out pairs no
// better than the one it began with.
type NotBetterError struct {
	Before, After train.Accuracy
}

// Error has the figures.
func (e *NotBetterError) Error() string {
	return fmt.Sprintf("the trained model is no better than its base on the %d held-out pairs: found first %.1f %%, before %.1f %%; among the first ten %.1f %%, before %.1f %%; nothing was installed. Add documents or pairs, or keep the base",
		e.After.Pairs, 100*e.After.First, 100*e.Before.First, 100*e.After.Ten, 100*e.Before.Ten)
}

// Result is an accepted model.
type Result struct {
	Model     *train.Model
	Documents int // that gave pairs
	Held      int // of these, held out of the first training
	Pairs     int // trained on in the second training
	HeldPairs int
	Report    train.Report // of the first training
}

// Run adapts a model, whose tokenizer's file is tokenizer. Errors are
// ErrTooFew, *NotBetterError and ctx's.
func Run(ctx context.Context, base *static.Encoder, tokenizer []byte, documents []Document, o Options) (Result, error) {
	t, err := token.Parse(tokenizer)
	if err != nil {
		return Result{}, err
	}
	sets := newSets(t)
	sets.add(documents, o.Pairs)
	r := Result{Documents: sets.documents, Held: sets.heldDocuments, Pairs: sets.all.Len(), HeldPairs: sets.held.Len()}
	if r.HeldPairs < leastHeld || sets.first.Len() < leastHeld {
		return r, fmt.Errorf("%w: %d documents gave %d pairs of texts, of which %d were held out, and %d are needed: add documents, or pairs of your own", ErrTooFew, r.Documents, r.Pairs, r.HeldPairs, leastHeld)
	}
	rows, dimension := base.Rows()
	options := o.training(r.Pairs, base)
	options.Held, options.Patience = sets.held, 3
	options.Progress = o.progress(false)
	model := &train.Model{Tokenizer: t, Dimension: dimension, Rows: slices.Clone(rows)}
	if r.Report, err = train.Run(ctx, model, sets.first, options); err != nil {
		return r, err
	}
	before := train.Ranks(&train.Model{Tokenizer: t, Dimension: dimension, Rows: rows}, sets.held, options.Threads)
	if !better(before, train.Ranks(model, sets.held, options.Threads)) {
		return r, &NotBetterError{Before: r.Report.Before, After: r.Report.After}
	}
	// As many epochs over all documents as were best over most of them.
	options.Epochs = (r.Report.BestStep + r.Report.PerEpoch - 1) / r.Report.PerEpoch
	options.Held, options.Patience = nil, 0
	options.Progress = o.progress(true)
	r.Model = &train.Model{Tokenizer: t, Dimension: dimension, Rows: rows}
	_, err = train.Run(ctx, r.Model, sets.all, options)
	return r, err
}

// better decides by the held-out pairs' ranks: not fewer are found first, nor
// among the first ten, and the mean of 1/rank has risen by more than twice its
// standard error, pair by pair, so that no accident passes for a gain.
func better(before, after []int) bool {
	b, a := train.AccuracyOf(before), train.AccuracyOf(after)
	var sum, squares float64
	for i := range before {
		d := 1/float64(after[i]) - 1/float64(before[i])
		sum += d
		squares += d * d
	}
	n := float64(len(before))
	mean := sum / n
	deviation := math.Sqrt(max(0, squares/n-mean*mean) / n)
	return a.First >= b.First && a.Ten >= b.Ten && mean > 2*deviation
}

// training are the options of both trainings.
func (o Options) training(pairs int, base *static.Encoder) train.Options {
	t := train.Options{
		Epochs: o.Epochs, Rate: cmp.Or(o.Rate, 0.003), Batch: cmp.Or(o.Batch, 256), Seed: o.Seed, Threads: o.Threads,
		Nested: base.Info().Matryoshka,
	}
	if t.Epochs == 0 {
		t.Epochs = min(20, max(2, fullPairs/max(1, pairs)))
	}
	return t
}

func (o Options) progress(second bool) func(train.Progress) {
	if o.Progress == nil {
		return nil
	}
	return func(p train.Progress) { o.Progress(p, second) }
}

// sets are the pairs: all, those of the first training, and those held out.
type sets struct {
	all, first, held         *train.Set
	documents, heldDocuments int
}

func newSets(t *token.Tokenizer) *sets {
	set := func() *train.Set { return train.NewSet(t, queryTokens, documentTokens) }
	return &sets{all: set(), first: set(), held: set()}
}

// add takes the documents and pairs, in the order of their digests: so the
// order in which they came makes no difference.
func (s *sets) add(documents []Document, pairs []passages.Pair) {
	type keyed struct {
		digest [sha256.Size]byte
		pairs  []passages.Pair
		source string
	}
	var all []keyed
	for _, d := range documents {
		all = append(all, keyed{sha256.Sum256([]byte(d.Title + "\n" + d.Body)), d.pairs(), "documents"})
	}
	for _, p := range pairs {
		all = append(all, keyed{sha256.Sum256([]byte(p.Query + "\n" + p.Document)), []passages.Pair{p}, "pairs"})
	}
	slices.SortFunc(all, func(a, b keyed) int {
		return cmp.Or(cmp.Compare(a.source, b.source), bytes.Compare(a.digest[:], b.digest[:]))
	})
	// Equal documents are one.
	all = slices.CompactFunc(all, func(a, b keyed) bool { return a.source == b.source && a.digest == b.digest })
	for _, k := range all {
		to, held := s.first, k.digest[0]%heldOne == 0
		if held {
			to = s.held
		}
		if s.all.Len() >= mostPairs {
			break
		}
		added := s.all.AddDocument(k.source, k.pairs) > 0
		to.AddDocument(k.source, k.pairs)
		if added && k.source == "documents" {
			s.documents++
			if held {
				s.heldDocuments++
			}
		}
	}
}

// longestTitle is the words of a first line that is taken for a title.
const longestTitle = 20

// pairs are those of a document.
func (d Document) pairs() []passages.Pair {
	title, body := strings.TrimSpace(d.Title), strings.TrimSpace(d.Body)
	if title == "" {
		if first, rest, ok := strings.Cut(body, "\n"); ok && len(strings.Fields(first)) <= longestTitle && strings.TrimSpace(rest) != "" {
			title, body = strings.TrimSpace(strings.TrimLeft(first, "# ")), strings.TrimSpace(rest)
		}
	}
	all := passages.Plain(title, body, passages.Standard())
	if len(all) <= pairsOfDocument {
		return all
	}
	some := make([]passages.Pair, pairsOfDocument)
	for i := range some {
		some[i] = all[i*len(all)/pairsOfDocument]
	}
	return some
}

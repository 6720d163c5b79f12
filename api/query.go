package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/index"
	"github.com/vecino-db/vecino/index/filter"
	"github.com/vecino-db/vecino/store"
)

// Query asks for the points nearest to one thing: exactly one of Text, Vector
// and ID is set.
type Query struct {
	Text   *string
	Model  string // "" or the model the text is meant for, which must be the collection's
	Vector []float32
	// Space is as that of a Point.
	Space compat.Fingerprint
	ID    *store.ID // a stored point, which is never among its own neighbours

	Limit, Offset  int
	Ef             int // breadth of the graph search; 0: the manifest's default
	Exact          bool
	Rescoring      store.Rescoring
	Filter         *filter.Filter
	ScoreThreshold *float32
	// ScoreSpace is the space on whose scale the threshold is given; zero: the
	// one that answers.
	ScoreSpace compat.Fingerprint
	WithVector bool
	// Serving: the generation that serves answers, and no canary: the caller
	// knows its space.
	Serving bool
	// Sticky decides in place of Text whether a canary takes the query, for
	// those that are to be answered by one generation; "": Text does.
	Sticky string
	// Pointer is where the query stands in the request, for errors.
	Pointer string
}

// Answer is the outcome of a Query.
type Answer struct {
	Hits   []store.Hit // nearest first
	Plan   index.Plan
	Tokens int // that were encoded
	// Generation answered, all of it; Fingerprint is its space, and ETag the
	// entity tag of its manifest.
	Generation  uint64
	Fingerprint compat.Fingerprint
	ETag        string
	// Bridge is the space that the query was encoded in, where a bridge has
	// carried it over to Fingerprint; zero: in that one itself.
	Bridge compat.Fingerprint
	// Threshold says how the query's was translated; nil: it was taken as it is.
	Threshold *Translated
	// Canary: the target of a migration answered before the cut-over.
	Canary bool

	vector compat.Searchable // that was searched with
}

// generationChanges bounds how often a call begins again because the
// generations of the collection changed in the middle of it.
const generationChanges = 8

// Query answers one query. The generation that serves decides which encoder
// the query goes through, and answers it, also where another one comes to
// serve meanwhile. A canary lets the target of a migration answer a share of the
// queries: the encoder is the target's then, and so is all of the answer.
func (c *Collection) Query(ctx context.Context, q Query) (a Answer, err error) {
	defer c.noteAsked(q)()
	if a, ok := c.canary(ctx, q); ok {
		c.shadow(q, a)
		return a, nil
	}
	began := time.Now()
	for range generationChanges {
		p := c.now()
		a, err = c.queryIn(ctx, p, p.serving, q)
		if !errors.Is(err, index.ErrSpace) || !p.changed(ctx) {
			break
		}
	}
	if err == nil {
		c.beside(q, began)
		c.shadow(q, a)
	}
	return a, err
}

// noteAsked notes that somebody asks, and may remember what; end notes that the
// answer is there.
func (c *Collection) noteAsked(q Query) (end func()) {
	end = c.traffic.Begin(embed.PriorityQuery)
	if q.Text != nil {
		c.remember(*q.Text)
	}
	return end
}

// queryIn answers one query in a generation.
func (c *Collection) queryIn(ctx context.Context, p *places, g *generation, q Query) (Answer, error) {
	var a Answer
	vector, tokens, err := c.queryVector(ctx, g, q)
	if err != nil {
		return a, err
	}
	threshold, translated, err := c.threshold(ctx, q, vector.Fingerprint())
	if err != nil {
		return a, err
	}
	search := store.SearchQuery{
		Limit: q.Limit, Offset: q.Offset, Ef: q.Ef, Exact: q.Exact, Filter: q.Filter,
		ScoreThreshold: threshold, Rescoring: q.Rescoring, WithVector: q.WithVector,
	}
	if q.ID != nil {
		search.Exclude = []store.ID{*q.ID}
	}
	if g != p.serving {
		search.Generation = g.number
	}
	found, err := c.stored.Search(ctx, vector, search)
	if err != nil {
		return a, err
	}
	a = Answer{Hits: found.Hits, Plan: found.Plan, Tokens: tokens, Generation: found.Generation, Fingerprint: found.Fingerprint, ETag: *g.etag.Load(), Bridge: vector.Bridge(), Threshold: translated, vector: vector}
	if other := p.of(found.Generation); other != nil {
		a.ETag = *other.etag.Load()
	}
	return a, nil
}

// queryVector is what is searched with. A vector that says of which space it is
// is of that one, whatever g is.
func (c *Collection) queryVector(ctx context.Context, g *generation, q Query) (v compat.Searchable, tokens int, err error) {
	switch {
	case q.Text != nil:
		if err := c.CheckModel(q.Model, q.Pointer+"/model"); err != nil {
			return nil, 0, err
		}
		v, tokens, err = c.queryText(ctx, g, *q.Text)
		return v, tokens, textError(err, func(int) string { return q.Pointer + "/text" })
	case q.ID != nil:
		v, err = c.stored.Vector(ctx, *q.ID)
		return v, 0, err
	}
	if !q.Space.IsZero() {
		p := c.now()
		if g = p.ofSpace(q.Space); g == nil {
			return nil, 0, c.otherSpace(p.serving, q.Space, q.Pointer)
		}
	}
	v, err = g.raw.Stamp([][]float32{q.Vector})
	if err != nil {
		err = vectorErrors(err, []string{q.Pointer})
	}
	return v, 0, err
}

// CheckModel refuses a text that is meant for another model than the
// collection's: its caller expects other vectors than it would get.
func (c *Collection) CheckModel(model, pointer string) error {
	g := c.serving()
	have := g.manifest.Provenance.Model
	if model == "" || model == have {
		return nil
	}
	if have == "" {
		return c.noEncoder(g, nil)
	}
	reason := fmt.Sprintf("the text is meant for %q, and collection %q encodes by %q", model, c.Name(), have)
	return &Error{
		Kind: KindConflict, Code: "another_model", Detail: reason,
		Remedy: fmt.Sprintf("leave the model out, or create a collection for %q", model), Fields: []Field{{Pointer: pointer, Reason: reason}},
	}
}

package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/store"
)

// compared is one text and its two vectors.
type compared struct {
	id     store.ID
	text   string
	stored []float32
	anew   bool // the model gives a vector for it
	like   compat.Likeness
}

// fails reports whether the stored vector is not the model's.
func (x compared) fails() bool { return !x.anew || !x.like.Direction() || !x.like.Length() }

// cosine is that of both vectors; ok is false where there is none.
func (x compared) cosine() (cosine float64, ok bool) {
	return x.like.Cosine, x.anew && !math.IsNaN(x.like.Cosine)
}

// point describes it.
func (x compared) point() AdoptPoint {
	p := AdoptPoint{ID: x.id}
	cosine, ok := x.cosine()
	switch {
	case !x.anew:
		p.Reason = "the model has no tokens for its text"
	case !ok:
		p.Reason = "its stored vector has no direction"
	case x.like.Direction() && !x.like.Length():
		p.Reason = fmt.Sprintf("its stored vector is %.4g long, and the model's %.4g", x.like.Stored, x.like.Anew)
	}
	if ok {
		p.Cosine = &cosine
	}
	return p
}

// proof is what was compared so far.
type proof struct {
	model, collection string
	space             compat.Space // claimed
	have              compat.Manifest
	points, withText  int
	first, different  int // texts that were drawn of all, and how many of them differ
	// What is written from next on was not drawn, and from fitted on not held
	// against the space.
	next, fitted store.Position
	compared     []compared
	tokens       int

	asked, fit  int // texts that were embedded as queries, and came out as stored
	queryCosine float64
}

// wanted is how many different texts prove something.
func (p *proof) wanted() int { return min(MinAdoptSample, (p.points+1)/2) }

// proofBatch is how many texts are embedded together.
const proofBatch = 64

// take embeds the texts that were drawn as documents and compares.
func (p *proof) take(ctx context.Context, encoder embed.Encoder, d store.Drawn) error {
	for from := 0; from < len(d.Docs); from += proofBatch {
		to := min(from+proofBatch, len(d.Docs))
		rows, tokens, err := embedded(ctx, encoder, embed.RoleDocument, d.Texts[from:to])
		if err != nil {
			return err
		}
		p.tokens += tokens
		for i, row := range rows {
			doc := d.Docs[from+i]
			x := compared{id: doc.ID, text: d.Texts[from+i], stored: doc.Vector, anew: row != nil}
			if x.anew {
				x.like = compat.Compare(doc.Vector, row)
			}
			p.compared = append(p.compared, x)
		}
	}
	return nil
}

// embedded is the rows of texts; one that the encoder can't embed has none.
func embedded(ctx context.Context, encoder embed.Encoder, role embed.Role, texts []string) (rows [][]float32, tokens int, err error) {
	rows = make([][]float32, len(texts))
	encoded, err := encoder.Encode(ctx, role, texts)
	var refused *embed.TextError
	switch {
	case err == nil:
		for i := range rows {
			rows[i] = encoded.Vectors.Row(i)
		}
		for _, n := range encoded.Tokens {
			tokens += n
		}
		return rows, tokens, nil
	case !errors.As(err, &refused):
		return nil, 0, err
	case len(texts) == 1:
		return rows, 0, nil
	}
	for i, text := range texts {
		one, n, err := embedded(ctx, encoder, role, []string{text})
		if err != nil {
			return nil, 0, err
		}
		rows[i], tokens = one[0], tokens+n
	}
	return rows, tokens, nil
}

// failed counts those whose stored vectors are not the model's.
func (p *proof) failed() (n int) {
	for _, x := range p.compared {
		if x.fails() {
			n++
		}
	}
	return n
}

// triedQueries bounds how many texts that failed are embedded as queries.
const triedQueries = 32

// tryQueries embeds texts that failed as queries: a common mistake.
func (p *proof) tryQueries(ctx context.Context, encoder embed.Encoder) error {
	var texts []string
	var stored [][]float32
	for _, x := range p.compared {
		if x.anew && !x.like.Direction() && len(texts) < triedQueries {
			texts, stored = append(texts, x.text), append(stored, x.stored)
		}
	}
	if len(texts) == 0 {
		return nil
	}
	rows, tokens, err := embedded(ctx, encoder, embed.RoleQuery, texts)
	if err != nil {
		return err
	}
	p.tokens += tokens
	for i, row := range rows {
		x := compared{anew: row != nil}
		if x.anew {
			x.like = compat.Compare(stored[i], row)
		}
		cosine, ok := x.cosine()
		if !ok {
			continue
		}
		p.asked++
		p.queryCosine += (cosine - p.queryCosine) / float64(p.asked)
		if x.like.Direction() {
			p.fit++
		}
	}
	return nil
}

// cosines are the least and the mean; ok is false where there is none.
func (p *proof) cosines() (least, mean float64, ok bool) {
	n := 0
	least = 1
	for _, x := range p.compared {
		if cosine, ok := x.cosine(); ok {
			n++
			least, mean = min(least, cosine), mean+(cosine-mean)/float64(n)
		}
	}
	return least, min(max(mean, least), 1), n > 0 // a rounding puts the mean nowhere else
}

// evidence is what the manifest keeps of a proof, of a collection of so many
// points.
func (p *proof) evidence(points int, at time.Time) *compat.Adoption {
	least, mean, _ := p.cosines()
	return &compat.Adoption{
		From: p.have.Space.Fingerprint(), Points: max(points, len(p.compared)), Texts: len(p.compared), LeastCosine: least, MeanCosine: mean, At: at,
	}
}

// worst are those that are least like, the ones that fail first.
func (p *proof) worst(n int) []compared {
	order := func(x compared) float64 {
		cosine, ok := x.cosine()
		switch {
		case !ok:
			cosine = -2
		case !x.fails():
			cosine += 4
		}
		return cosine
	}
	worst := slices.Clone(p.compared)
	slices.SortStableFunc(worst, func(a, b compared) int { return cmp.Compare(order(a), order(b)) })
	return worst[:min(len(worst), n)]
}

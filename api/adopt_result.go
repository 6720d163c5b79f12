package api

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/store"
)

// AdoptVerdict is what a comparison came to.
type AdoptVerdict string

// The verdicts.
const (
	AdoptProved   AdoptVerdict = "proved"   // every text came out as its vector is stored
	AdoptRefused  AdoptVerdict = "refused"  // some did not: the vectors are others
	AdoptUnproved AdoptVerdict = "unproved" // there are too few texts to tell
)

// AdoptPoint is one point that was compared.
type AdoptPoint struct {
	ID     store.ID `json:"id"`
	Cosine *float64 `json:"cosine"` // of the stored vector and the new one; nil: there is none
	Reason string   `json:"reason,omitempty"`
}

// AdoptResult is the outcome of an adoption, or of its dry run.
type AdoptResult struct {
	Verdict     AdoptVerdict       `json:"verdict"`
	Adopted     bool               `json:"adopted"` // the collection is of the model's space now
	Model       string             `json:"model"`
	Role        string             `json:"role"` // that the texts were embedded in
	From        compat.Fingerprint `json:"from"`
	To          compat.Fingerprint `json:"to"`
	Points      int                `json:"points"`
	WithText    int                `json:"with_text"`
	WithoutText int                `json:"without_text"` // they prove nothing, and no migration can embed them again
	Sampled     int                `json:"sampled"`
	Different   int                `json:"different"` // texts among those that were drawn first
	Failed      int                `json:"failed"`    // of the sampled
	LeastCosine *float64           `json:"least_cosine"`
	MeanCosine  *float64           `json:"mean_cosine"`
	// QueryCosine is the mean of some that failed, embedded as queries; nil: that
	// was not tried.
	QueryCosine *float64 `json:"query_cosine,omitempty"`
	// WrongShare is what the share of other vectors among those with a text lies
	// below, with 95 % confidence; 0: each was compared; nil: it is not proved.
	WrongShare *float64     `json:"wrong_share_below"`
	Worst      []AdoptPoint `json:"worst"`            // the least like, the worst first
	Reason     string       `json:"reason,omitempty"` // why it is not proved
	Hint       string       `json:"hint,omitempty"`   // what is likely different, and what to do
	Tokens     int          `json:"tokens"`
	Seconds    float64      `json:"seconds"`

	collection string
}

// AdoptError carries the figures of an adoption that was refused.
type AdoptError struct{ Result AdoptResult }

// Error is the reason.
func (e *AdoptError) Error() string { return e.Result.Reason }

// refusal is the error of a result that is not proved.
func (r AdoptResult) refusal() error {
	code := "adoption_refused"
	if r.Verdict == AdoptUnproved {
		code = "adoption_unproved"
	}
	return &Error{Kind: KindConflict, Code: code, Detail: fmt.Sprintf("collection %q stays unverified: %s", r.collection, r.Reason), Remedy: r.Hint, Err: &AdoptError{r}}
}

// maxWorst bounds AdoptResult.Worst.
const maxWorst = 10

// start is a result without a verdict's reasons.
func (p *proof) start(verdict AdoptVerdict) AdoptResult {
	return AdoptResult{
		Verdict: verdict, Model: p.model, Role: embed.RoleDocument.String(), From: p.have.Space.Fingerprint(), To: p.space.Fingerprint(),
		Points: p.points, WithText: p.withText, WithoutText: p.points - p.withText, Different: p.different, Sampled: len(p.compared), Failed: p.failed(),
		Worst: []AdoptPoint{}, Tokens: p.tokens, collection: p.collection,
	}
}

// result says what the comparison came to.
func (p *proof) result() AdoptResult {
	r := p.start(AdoptProved)
	if least, mean, ok := p.cosines(); ok {
		r.LeastCosine, r.MeanCosine = &least, &mean
	}
	if p.asked > 0 {
		r.QueryCosine = &p.queryCosine
	}
	for _, x := range p.worst(maxWorst) {
		r.Worst = append(r.Worst, x.point())
	}
	if r.Failed > 0 {
		r.Verdict, r.Reason, r.Hint = AdoptRefused, p.reason(r), p.hint(r.Failed)
		return r
	}
	share := 0.0
	if p.first < r.WithText {
		share = 1 - math.Pow(0.05, 1/float64(p.first))
	}
	r.WrongShare = &share
	return r
}

// reason is the figures in a sentence.
func (p *proof) reason(r AdoptResult) string {
	text := fmt.Sprintf("of %d sampled texts %d don't come out of %s as they are stored", r.Sampled, r.Failed, p.model)
	if r.LeastCosine != nil {
		text += fmt.Sprintf(" (cosine at least %.6f, on average %.6f; wanted is %g of every text)", *r.LeastCosine, *r.MeanCosine, compat.MinProbeCosine)
	}
	var worst []string
	for _, w := range r.Worst[:min(r.Failed, 3)] {
		if w.Reason != "" {
			worst = append(worst, fmt.Sprintf("%s (%s)", w.ID, w.Reason))
		} else {
			worst = append(worst, fmt.Sprintf("%s (%.6f)", w.ID, *w.Cosine))
		}
	}
	return text + "; the worst are the points " + strings.Join(worst, ", ")
}

// nearCosine is beyond what the vectors of two models have in common by chance.
const nearCosine = 0.9

// hint is which difference is likely, and what to do about it.
func (p *proof) hint(failed int) string {
	unknown, lengths, near := 0, 0, 0
	for _, x := range p.compared {
		switch {
		case !x.anew:
			unknown++
		case x.fails() && x.like.Direction():
			lengths++
		case x.fails() && x.like.Cosine >= nearCosine:
			near++
		}
	}
	const another = "name the model, revision and settings that made the vectors, or embed the texts by this one in a new collection"
	switch {
	case failed*10 <= len(p.compared):
		return fmt.Sprintf("%d of %d are the model's: the text of the others was changed without its vector, or another model wrote them; write or delete those points, and adopt again", len(p.compared)-failed, len(p.compared))
	case p.asked > 0 && p.fit*10 >= p.asked*9:
		return fmt.Sprintf(`the vectors were made as those of queries: adopt with "document_prompt": %q (--document-prompt), the model's query prompt`, p.space.QueryPrompt)
	case lengths*2 > failed && p.space.Normalization == compat.NormalizeL2:
		return `the directions are the model's and the lengths are not, because the vectors were not normalized: adopt with "normalize": false (--no-normalize), if the model takes it`
	case lengths*2 > failed:
		return `the directions are the model's and the lengths are not: if the vectors were brought to length 1, adopt with "normalize": true (--normalize)`
	case unknown*2 > failed:
		return "the model has no tokens for most of the texts, so it can't have made their vectors: " + another
	case near*2 > failed && p.space.DocumentPrompt != "":
		return fmt.Sprintf(`the vectors are near the model's: if they were made without its document prompt %q, adopt with "document_prompt": "" (--document-prompt ""); another precision or truncation looks alike`, p.space.DocumentPrompt)
	case near*2 > failed:
		return "the vectors are near the model's, as those of another precision, truncation, prompt or revision are: " + another
	case p.space.DocumentPrompt != "":
		return fmt.Sprintf(`another model made the vectors, or this one without its document prompt %q, which "document_prompt": "" (--document-prompt "") leaves out: %s`, p.space.DocumentPrompt, another)
	}
	return "another model made the vectors: " + another
}

// unproved is the result where too few texts are there.
func (p *proof) unproved(field string) AdoptResult {
	r := p.start(AdoptUnproved)
	r.Reason = fmt.Sprintf("%d of its %d points have a text, and %d different ones were drawn, which is too few to tell for all (wanted is a text for half of the points, and %d different ones); a point without its text can be neither compared nor embedded again by a migration", p.withText, p.points, p.different, p.wanted())
	switch {
	case p.points == 0:
		r.Reason = "it has no points, so there is nothing to compare"
		r.Hint = fmt.Sprintf(`delete it, and create it with {"embedding": {"model": %q}}`, p.model)
	case 2*p.withText >= p.points && p.first < p.withText:
		r.Hint = fmt.Sprintf("ask for a larger sample (--sample): %d of %d texts were drawn; where most of all are the same, write points with their own texts, or name the text_field (--text-field) that has them", p.first, p.withText)
	case 2*p.withText >= p.points && p.withText > 0:
		r.Hint = "most texts are the same: write points with their own texts, or name the text_field (--text-field) that has them"
	case field == "":
		r.Hint = `say in which field of the payload the texts lie, "text_field" (--text-field), or write the points again with their texts`
	default:
		r.Hint = fmt.Sprintf("the texts were looked for in the field %q of the payloads: name another text_field (--text-field), or write the points again with their texts", field)
	}
	return r
}

// otherDimension is the result where no text needs to be looked at. cuts are the
// dimensions that the model can be cut to.
func (p *proof) otherDimension(cuts []int) AdoptResult {
	r := p.start(AdoptRefused)
	r.WithoutText = 0
	r.Reason = fmt.Sprintf("its vectors have %d dimensions, and those of %s have %d", p.have.Space.Dimension, p.model, p.space.Dimension)
	r.Hint = "name the model that made the vectors"
	if slices.Contains(cuts, p.have.Space.Dimension) {
		r.Hint = fmt.Sprintf(`if they were cut, adopt with "dimensions": %d (--dimensions)`, p.have.Space.Dimension)
	}
	return r
}

// unfit is the result where the texts come out right, and vectors that were not
// drawn can't be the model's.
func (p *proof) unfit(e *store.UnfitError) AdoptResult {
	r := p.result()
	r.Verdict, r.WrongShare = AdoptRefused, nil
	ids := make([]string, len(e.IDs))
	for i, id := range e.IDs {
		ids[i] = id.String()
	}
	r.Reason = fmt.Sprintf("%d of %d stored vectors can't be the model's, although the %d sampled texts come out right: the points %s (%v)", e.Count, e.Of, r.Sampled, strings.Join(ids, ", "), e.Err)
	r.Hint = "write those points again by the model, or delete them, and adopt again"
	return r
}

package api

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/store"
)

// A collection of raw vectors is adopted when its texts, embedded again by the
// model that is claimed to have made the vectors, come out as they are stored.
// From then on the collection is of that model's space; no vector changes.
//
// What is proved is about the vectors that are drawn, each as likely as another.
// Texts and vectors that are written meanwhile are drawn, too: those of the time
// until the change while writes wait for it.

// Limits of an adoption.
const (
	// MinAdoptSample different texts prove something, so a smaller sample never
	// does; of fewer than 20 points, texts of half of them do. Half of the points
	// have to have a text in any case: nothing tells which model made the vectors of
	// the others.
	MinAdoptSample     = 10
	DefaultAdoptSample = 300
	MaxAdoptSample     = 10_000

	// adoptRounds bounds how often what was written meanwhile is compared before
	// writes wait, and adoptHeld texts are few enough to let them wait at once.
	adoptRounds = 4
	adoptHeld   = 16
	// adoptPatience bounds how long writes wait for a comparison.
	adoptPatience = 20 * time.Second
)

// AdoptWish asks for an adoption.
type AdoptWish struct {
	Embedding EmbeddingWish // the claim: as at creation
	Sample    int           // texts that are embedded again, all where there are fewer; 0: DefaultAdoptSample
	DryRun    bool          // compare, and change nothing
}

// Validate says what is out of range.
func (w AdoptWish) Validate() error {
	switch {
	case w.Embedding.Model == "":
		return invalid("no_model", "/embedding/model", "an adoption names the model that is said to have made the vectors")
	case w.Sample != 0 && (w.Sample < MinAdoptSample || w.Sample > MaxAdoptSample):
		return invalid("bad_sample", "/sample", "a sample of %d texts: allowed is %d..%d", w.Sample, MinAdoptSample, MaxAdoptSample)
	}
	return nil
}

// adoption is one under way.
type adoption struct {
	s       *Service
	c       *Collection
	wish    AdoptWish
	have    compat.Manifest
	encoder *served
	probes  []compat.Probe // none: nothing is compared yet
	proof   proof
	began   time.Time
}

// Adopt compares the vectors of a collection with what a model makes of its
// texts, and where they are the same gives the collection that model's space.
// What speaks against it is an *Error with an *AdoptError in it; of a dry run it
// is in the result alone. Other errors: those of the encoder; KindConflict where
// the collection has a model already, or a migration is under way.
func (s *Service) Adopt(ctx context.Context, c *Collection, w AdoptWish) (AdoptResult, error) {
	if err := w.Validate(); err != nil {
		return AdoptResult{}, err
	}
	if w.Sample == 0 {
		w.Sample = DefaultAdoptSample
	}
	have := c.Manifest()
	if err := s.adoptable(c, have); err != nil {
		return AdoptResult{}, err
	}
	encoder, err := s.encoders.get(ctx, w.Embedding.Model, w.Embedding.options())
	if err != nil {
		return AdoptResult{}, err
	}
	a := &adoption{s: s, c: c, wish: w, have: have, encoder: encoder, began: time.Now()}
	a.proof = proof{model: w.Embedding.Model, collection: c.Name(), space: encoder.Space(), have: have}
	kept := false
	defer func() {
		if !kept {
			encoder.release()
		}
	}()
	result, err := a.compare(ctx)
	if err != nil || w.DryRun {
		return result, err
	}
	if result.Verdict != AdoptProved {
		return result, result.refusal()
	}
	kept, err = a.adopt(ctx, &result)
	return result, err
}

// adoptable refuses what is no collection of raw vectors, or is one no longer.
func (s *Service) adoptable(c *Collection, have compat.Manifest) error {
	if m := s.migrations.of(c); m != nil {
		record := m.get()
		return &Error{
			Kind: KindConflict, Code: "migration_under_way", Detail: fmt.Sprintf("migration %d of %q is %s", record.ID, c.Name(), record.State),
			Remedy: fmt.Sprintf("finish it (commit) or abort it first: POST /collections/%s/migrations/%d/abort", c.Name(), record.ID),
		}
	}
	if !have.Space.Raw() {
		return &Error{
			Kind: KindConflict, Code: "already_verified",
			Detail: fmt.Sprintf("the vectors of collection %q are of %s already, in the embedding space %.12s", c.Name(), have.Provenance.Model, have.Space.Fingerprint()),
			Remedy: fmt.Sprintf("there is nothing to adopt; for another model: vecino migrate plan -c %s --model MODEL", c.Name()),
		}
	}
	return nil
}

// textField is where in the payload texts lie.
func (a *adoption) textField() string {
	if f := a.wish.Embedding.TextField; f != "" {
		return f
	}
	return a.have.Provenance.TextField
}

// text is what a document is embedded as: its own text, or else that of the
// field. One without any letter proves nothing.
func (a *adoption) text(d *store.Document) (string, bool) {
	text, ok := d.Text, d.HasText
	if !ok {
		text, ok = textIn(a.textField(), d.Payload)
	}
	return text, ok && strings.TrimSpace(text) != ""
}

// draw is what is drawn next.
func (a *adoption) draw(from store.Position) store.DrawQuery {
	return store.DrawQuery{From: from, N: a.wish.Sample, Seed: rand.Uint64(), Text: a.text}
}

// compare draws texts of the whole collection and compares them.
func (a *adoption) compare(ctx context.Context) (AdoptResult, error) {
	p := &a.proof
	if p.space.Dimension != a.have.Space.Dimension {
		points, err := a.c.Count(ctx, nil)
		p.points = points
		return a.told(p.otherDimension(a.encoder.Info().Matryoshka)), err
	}
	err := a.c.each(ctx, func(d store.Stored) {
		p.points++
		if _, ok := a.text(&d.Document); ok {
			p.withText++
		}
	})
	if err != nil {
		return AdoptResult{}, err
	}
	drawn, err := a.c.stored.Draw(ctx, a.draw(0))
	if err != nil {
		return AdoptResult{}, err
	}
	p.next, p.first = drawn.Next, len(drawn.Docs)
	different := map[string]struct{}{}
	for _, text := range drawn.Texts {
		different[text] = struct{}{}
	}
	p.different = len(different)
	if p.different < p.wanted() || p.different == 0 || 2*p.withText < p.points {
		return a.told(p.unproved(a.textField())), nil
	}
	if a.probes, err = a.s.probesFor(ctx, a.encoder); err != nil {
		return AdoptResult{}, err
	}
	if err := a.take(ctx, drawn); err != nil {
		return AdoptResult{}, err
	}
	if p.failed() > 0 {
		if err := p.tryQueries(ctx, a.prover()); err != nil {
			return AdoptResult{}, a.explain(ctx, err)
		}
		return a.told(p.result()), nil
	}
	p.fitted, err = a.c.stored.Fit(ctx, p.space)
	var unfit *store.UnfitError
	if errors.As(err, &unfit) {
		return a.told(p.unfit(unfit)), nil
	}
	return a.told(p.result()), err
}

// told is a result with what only the adoption knows.
func (a *adoption) told(r AdoptResult) AdoptResult {
	r.Seconds = time.Since(a.began).Seconds()
	return r
}

// prover is the encoder past the cache, which would prove nothing. A model
// behind an endpoint is held to the probes that the collection will have.
func (a *adoption) prover() embed.Encoder {
	if a.encoder.endpoint == nil {
		return a.encoder.queue
	}
	return &guarded{Encoder: a.encoder.queue, endpoint: a.encoder.endpoint, probes: a.probes}
}

// take embeds what was drawn and adds it to the proof.
func (a *adoption) take(ctx context.Context, d store.Drawn) error {
	return a.explain(ctx, a.proof.take(ctx, a.prover(), d))
}

// explain is what an encoder's error means.
func (a *adoption) explain(ctx context.Context, err error) error {
	if errors.Is(err, compat.ErrProbe) {
		return &Error{Kind: KindConflict, Code: "encoder_changed", Detail: fmt.Sprintf("model %q: %v", a.proof.model, err), Err: err}
	}
	return a.encoder.explain(ctx, err)
}

// adopt changes the collection. kept says that it has the encoder from now on.
func (a *adoption) adopt(ctx context.Context, result *AdoptResult) (kept bool, err error) {
	c, p := a.c, &a.proof
	// The texts that a migration will want; they are the same as raw ones.
	sequence := c.stored.Sequence()
	written, err := a.keepTexts(ctx)
	if err != nil {
		return false, err
	}
	for range adoptRounds {
		fresh, err := c.stored.Draw(ctx, a.draw(p.next))
		if err != nil {
			return false, err
		}
		if len(fresh.Docs) <= adoptHeld {
			break
		}
		if err := a.take(ctx, fresh); err != nil {
			return false, err
		}
		p.next = fresh.Next
		if p.failed() > 0 {
			return false, a.refused(result)
		}
	}
	a.s.changing.Lock()
	defer a.s.changing.Unlock()
	if err := a.s.adoptable(c, c.Manifest()); err != nil {
		return false, err
	}
	provenance := a.have.Provenance
	provenance.Model, provenance.Source, provenance.Program = p.model, a.encoder.Info().Source, a.s.program
	provenance.Verified, provenance.TextField = true, a.textField()
	end, err := c.stored.Adopt(ctx, store.Adoption{
		From: a.have.Space.Fingerprint(), Space: p.space, Provenance: provenance, Fitted: p.fitted, Draw: a.draw(p.next),
		Prove: func(ctx context.Context, fresh store.Drawn) (compat.Evidence, error) {
			return a.prove(ctx, fresh, result)
		},
	})
	var unfit *store.UnfitError
	switch {
	case errors.As(err, &unfit):
		*result = a.told(p.unfit(unfit))
		return false, result.refusal()
	case errors.Is(err, store.ErrAdopted), errors.Is(err, store.ErrMigrating):
		return false, errors.Join(a.s.adoptable(c, c.Manifest()), err)
	case err != nil:
		return false, err
	}
	*result = a.told(p.result())
	result.Adopted = true
	former := c.serving()
	g, err := a.s.newGeneration(former.number, c.stored.Manifest(), a.encoder, nil)
	if err == nil {
		err = c.arrange(g, nil)
	}
	if err = errors.Join(err, end()); err != nil {
		return false, err
	}
	former.hold.release()
	a.s.logger.Info("collection adopted", "collection", c.Name(), "model", p.model, "texts", result.Sampled, "least_cosine", *result.LeastCosine, "fingerprint", g.fingerprint().String())
	if c.stored.Sequence() != sequence+written { // others wrote, without a text_field
		if _, err := a.keepTexts(context.WithoutCancel(ctx)); err != nil {
			return true, fmt.Errorf("collection %q is adopted, but not every text of its payloads was kept, so a migration will name some points as blocked: %w", c.Name(), err)
		}
	}
	return true, nil
}

// prove compares what was written until writes had to wait, and gives the
// evidence of the adopted generation.
func (a *adoption) prove(ctx context.Context, fresh store.Drawn, result *AdoptResult) (compat.Evidence, error) {
	if len(fresh.Docs) > 0 {
		asked, cancel := context.WithTimeout(embed.WithPriority(ctx, embed.PriorityQuery), adoptPatience)
		defer cancel()
		err := a.take(asked, fresh)
		if err != nil && asked.Err() != nil && ctx.Err() == nil {
			return compat.Evidence{}, &Error{
				Kind: KindOverloaded, Code: "points_changed", Detail: fmt.Sprintf("%d vectors were written during the adoption, more than could be compared while writes wait; nothing was changed", fresh.Of),
				Remedy: "send the request again when fewer are written", RetryAfter: adoptPatience, Err: err,
			}
		}
		if err != nil {
			return compat.Evidence{}, err
		}
	}
	if a.proof.failed() > 0 {
		return compat.Evidence{}, a.refused(result)
	}
	// Of this moment: the recall may have been measured since.
	e := a.c.stored.Manifest().Evidence
	e.Probes, e.ModelCard = a.probes, cardOf(a.encoder)
	e.Adoption = a.proof.evidence(fresh.Live, time.Now().UTC().Truncate(time.Second))
	return e, nil
}

// refused is the error of a proof that has failed since it was first made.
func (a *adoption) refused(result *AdoptResult) error {
	*result = a.told(a.proof.result())
	return result.refusal()
}

// adoptPage is how many texts are kept together.
const adoptPage = 256

// keepTexts gives documents without a text of their own the one that lies in
// their payload, as a point that comes with its vector gets it at a collection
// that has a text_field. Vectors stay. It gives the number of writes.
func (a *adoption) keepTexts(ctx context.Context) (writes uint64, err error) {
	field := a.textField()
	if field == "" {
		return 0, nil
	}
	var ids []store.ID
	var failed error
	keep := func() {
		_, _, err := a.c.stored.Edit(ctx, ids, compat.Vectors{}, func(d *store.Document) (int, error) {
			if text, ok := textIn(field, d.Payload); ok && !d.HasText {
				d.Text, d.HasText = text, true
			}
			return -1, nil
		})
		failed = errors.Join(failed, err)
		ids, writes = ids[:0], writes+1
	}
	err = a.c.each(ctx, func(d store.Stored) {
		if _, ok := textIn(field, d.Payload); !ok || d.HasText || failed != nil {
			return
		}
		if ids = append(ids, d.ID); len(ids) == adoptPage {
			keep()
		}
	})
	if err == nil && failed == nil && len(ids) > 0 {
		keep()
	}
	return writes, errors.Join(err, failed)
}

package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/store"
)

// Collection is a collection opened with its encoder. It is safe for
// concurrent use; after the collection was dropped its calls fail with
// store.ErrNotFound.
type Collection struct {
	stored  *store.Collection
	places  atomic.Pointer[places]
	traffic *embed.Traffic          // what is under way in the service
	bridge  atomic.Pointer[carrier] // of the migration under way; nil: none was asked for
	scales  scales
	recent  recent                // of the queries by text
	forget  bool                  // remember none
	trial   atomic.Pointer[trial] // of the migration under way; nil: both generations are asked nothing
}

// manifestTag is a strong entity tag: another manifest has another one.
func manifestTag(m compat.Manifest) string {
	data, err := json.Marshal(m)
	if err != nil {
		data = fmt.Appendf(nil, "%+v", m)
	}
	sum := sha256.Sum256(data)
	return `"` + hex.EncodeToString(sum[:16]) + `"`
}

// Name is the collection's name.
func (c *Collection) Name() string { return c.stored.Name() }

// Manifest is the manifest of the serving generation.
func (c *Collection) Manifest() compat.Manifest { return c.stored.Manifest() }

// Fingerprint is the space of the serving generation.
func (c *Collection) Fingerprint() compat.Fingerprint { return c.serving().fingerprint() }

// ETag is the entity tag of the manifest, quotation marks included.
func (c *Collection) ETag() string { return *c.serving().etag.Load() }

// Problem is why texts can't be encoded although the collection has a model,
// as a query by text would say it; nil when all is well.
func (c *Collection) Problem() error {
	g := c.serving()
	problem := g.encoding.Load().problem
	if problem == nil {
		return nil
	}
	return c.noEncoder(g, problem)
}

// encode turns texts into vectors of a generation's space.
func (c *Collection) encode(ctx context.Context, g *generation, role embed.Role, texts []string) (embed.Encoded, error) {
	now := g.encoding.Load()
	if now.encoder == nil {
		return embed.Encoded{}, c.noEncoder(g, now.problem)
	}
	encoded, err := now.encoder.Encode(ctx, role, texts)
	if g.endpoint != nil && errors.Is(err, compat.ErrProbe) {
		return encoded, c.swapped(g, now, err)
	}
	return encoded, err
}

// TakesTexts says why the collection can encode no texts, and never will; nil
// when it can, or will again.
func (c *Collection) TakesTexts() error {
	g := c.serving()
	if now := g.encoding.Load(); now.encoder == nil && now.problem == nil {
		return c.noEncoder(g, nil)
	}
	return nil
}

// noEncoder says why texts can't be encoded.
func (c *Collection) noEncoder(g *generation, problem error) error {
	var mismatch *compat.MismatchError
	model := g.manifest.Provenance.Model
	switch {
	case errors.As(problem, &mismatch):
		return mismatch
	case errors.Is(problem, compat.ErrProbe):
		return &Error{Kind: KindConflict, Code: "encoder_changed", Detail: fmt.Sprintf("collection %q: %v", c.Name(), problem), Err: problem}
	case problem != nil && g.endpoint != nil:
		return &Error{
			Kind: KindNotReady, Code: "endpoint_failed",
			Detail: fmt.Sprintf("collection %q was made with %s, which could not be compared with its probes yet: %v", c.Name(), model, problem),
			Remedy: "try again: the endpoint is asked every " + retryEndpoint.String() + "; until it answers query by vector or by id. Where it is gone for good, migrate to another model with a bridge (" + bridgeCall(c.Name()) + ")", RetryAfter: retryEndpoint, Err: problem,
		}
	case problem != nil:
		return &Error{
			Kind: KindNotReady, Code: "encoder_missing",
			Detail: fmt.Sprintf("collection %q was made with %s, which can't be opened: %v", c.Name(), model, problem),
			Remedy: "put the model back and restart the server; until then query by vector or by id. Where it is gone for good, migrate to another model with a bridge (" + bridgeCall(c.Name()) + ")", Err: problem,
		}
	}
	return &Error{
		Kind: KindInvalid, Code: "no_encoder", Detail: fmt.Sprintf("collection %q holds raw vectors and has no encoder, so it takes no texts", c.Name()),
		Remedy: `send vectors; or prove which model made those that are there: POST /collections/` + c.Name() + `/manifest/adopt; or create a collection with {"embedding":{"model":"builtin:blend"}} for texts`,
	}
}

// bridgeCall is the call that leads a collection away from a lost model.
func bridgeCall(collection string) string {
	return fmt.Sprintf(`POST /collections/%s/migrations {"embedding": {"model": ...}, "bridge": {}}`, collection)
}

// Create makes a collection. One that is there already is a conflict, whether
// or not it is what the wish asks for: the error says which, with the changes.
func (s *Service) Create(ctx context.Context, name string, w Wish) (c *Collection, err error) {
	if !ValidName(name) {
		return nil, badName(name)
	}
	if have, err := s.Collection(name); err == nil {
		return nil, s.exists(ctx, have, w)
	}
	m, encoder, err := s.manifest(ctx, w)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			encoder.release()
		}
	}()
	if encoder != nil {
		if m.Evidence.Probes, err = s.probesFor(ctx, encoder); err != nil {
			return nil, err
		}
		m.Evidence.ModelCard = cardOf(encoder)
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	stored, err := s.store.Create(ctx, name, m)
	if errors.Is(err, store.ErrExists) { // made by another request since
		have, err := s.Collection(name)
		if err != nil {
			return nil, err
		}
		return nil, s.exists(ctx, have, w)
	}
	if err != nil {
		return nil, err
	}
	if c, err = s.created(stored, encoder); err != nil {
		return nil, err
	}
	s.publish(name, c, nil)
	s.logger.Info("collection created", "collection", name, "model", m.Provenance.Model, "dimension", m.Space.Dimension, "fingerprint", c.Fingerprint().String())
	return c, nil
}

// created is a collection that was just made.
func (s *Service) created(stored *store.Collection, encoder *served) (*Collection, error) {
	g, err := s.newGeneration(stored.Generation(), stored.Manifest(), encoder, nil)
	if err != nil {
		return nil, err
	}
	return s.newCollection(stored, g, nil)
}

// exists tells a wish for what is there already from a wish for something
// else. A wish that nobody could fulfil fails as it would at creation: it must
// not pass for what is there.
func (s *Service) exists(ctx context.Context, have *Collection, w Wish) error {
	want, err := s.wanted(ctx, have.Manifest(), w)
	if err != nil {
		return err
	}
	mismatch := compat.NewMismatch(have.Name(), have.Manifest(), want, compat.Facts{Asked: w.asked()})
	if mismatch.Plan.Verdict > compat.VerdictSame {
		e := alreadyExists(have.Name(), mismatch)
		e.Detail = mismatch.Summary()
		return e
	}
	return alreadyExists(have.Name(), store.ErrExists)
}

// alreadyExists is the conflict of a name.
func alreadyExists(name string, cause error) *Error {
	return &Error{
		Kind: KindConflict, Code: "collection_exists", Detail: fmt.Sprintf("collection %q already exists", name),
		Remedy: "use it, choose another name, or delete it first", Err: cause,
	}
}

// Drop deletes a collection and everything in it, a damaged one too;
// store.ErrNotFound when there is none. No call finds it from the beginning
// on; those that found it before are waited for, and only other creations and
// deletions wait with it. On an error it is there again.
func (s *Service) Drop(ctx context.Context, name string) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	if target := s.store.Resolve(name); target != name {
		return &Error{
			Kind: KindConflict, Code: "is_alias", Detail: fmt.Sprintf("%q is an alias of collection %q", name, target),
			Remedy: fmt.Sprintf("delete collection %q by its own name, or remove the alias by POST /collections/aliases", target),
		}
	}
	s.mu.Lock()
	c, damage := s.collections[name], s.damaged[name]
	delete(s.collections, name)
	delete(s.damaged, name)
	s.mu.Unlock()
	goOn, err := s.migrations.forget(ctx, name)
	if err == nil {
		err = s.store.Drop(ctx, name)
	}
	if err != nil {
		goOn()
		s.publish(name, c, damage)
		return err
	}
	if c != nil {
		for _, g := range c.now().each() {
			g.hold.release()
		}
	}
	s.logger.Info("collection deleted", "collection", name)
	return nil
}

// publish lets calls find a collection, or why it can't be opened.
func (s *Service) publish(name string, c *Collection, damage error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c != nil {
		s.collections[name] = c
	}
	if damage != nil {
		s.damaged[name] = damage
	}
}

// List describes every collection, by name.
func (s *Service) List(ctx context.Context) ([]store.Description, error) { return s.store.List(ctx) }

// Describe counts what is in a collection.
func (s *Service) Describe(ctx context.Context, c *Collection) (store.Description, error) {
	return s.store.Describe(ctx, c.Name())
}

// Diff compares a collection with what is wanted of it and plans the way, and
// changes nothing.
func (s *Service) Diff(ctx context.Context, c *Collection, w Wish) (*compat.MismatchError, error) {
	want, err := s.wanted(ctx, c.Manifest(), w)
	if err != nil {
		return nil, err
	}
	checked := want
	checked.Evidence = compat.Evidence{} // it was observed of the manifest there is
	if err := checked.Validate(); err != nil {
		return nil, err
	}
	facts, err := c.facts(ctx)
	if err != nil {
		return nil, err
	}
	facts.Asked = w.asked()
	return compat.NewMismatch(c.Name(), c.Manifest(), want, facts), nil
}

// factsPage is how many documents are looked at together.
const factsPage = 1000

// facts counts the documents whose text was kept.
func (c *Collection) facts(ctx context.Context) (compat.Facts, error) {
	var f compat.Facts
	q := store.ScrollQuery{Limit: factsPage}
	for {
		page, next, err := c.stored.Scroll(ctx, q)
		if err != nil {
			return f, err
		}
		for _, d := range page {
			f.Documents++
			if d.HasText {
				f.WithText++
			} else if len(f.BlockedIDs) < compat.MaxBlockedIDs {
				f.BlockedIDs = append(f.BlockedIDs, d.ID.String())
			}
		}
		if next == nil {
			return f, nil
		}
		q.From, q.HasFrom = *next, true
	}
}

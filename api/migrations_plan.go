package api

import (
	"context"
	"crypto/sha256"
	"math/rand/v2"

	"github.com/vecino-db/vecino/compat"
	"github.com/vecino-db/vecino/embed"
	"github.com/vecino-db/vecino/store"
)

// Estimate is what a migration would take, before anything runs.
type Estimate struct {
	Documents int `json:"documents"`
	// Tokens that would be encoded, by the target's own tokenizer; 0 where no
	// text is. Exact is false where the model's server alone could say it.
	Tokens int  `json:"tokens"`
	Exact  bool `json:"exact"`
	// Truncated texts are longer than the target takes.
	Truncated int `json:"truncated"`
	// Cached texts need no encoding.
	Cached          int     `json:"cached"`
	TokensPerSecond float64 `json:"tokens_per_second"` // measured on a sample; 0: no text is encoded
	// Seconds until the target has all documents, as measured on a sample beside
	// what else goes on, and between what its quartiles say; then it is evaluated.
	Seconds           float64 `json:"seconds"`
	SecondsLow        float64 `json:"seconds_low"`
	SecondsHigh       float64 `json:"seconds_high"`
	EvaluationSeconds float64 `json:"evaluation_seconds"`
	// DiskBytes and MemoryBytes come to what there is, until the commit: vectors,
	// graph and what the embedding cache will take; graph and the weights of an
	// encoder that no collection has. FreeBytes is the room of the disk beside
	// what other migrations will still take.
	DiskBytes   int64    `json:"disk_bytes"`
	FreeBytes   int64    `json:"free_bytes"`
	MemoryBytes int64    `json:"memory_bytes"`
	Price       *float64 `json:"price"` // by the price of a million tokens; null: none was given
}

// Estimate counts and measures what a migration to a wish would take, and
// changes nothing. price is that of a million tokens; 0: not known. Documents
// without text are left out where texts are encoded.
func (s *Service) Estimate(ctx context.Context, c *Collection, w Wish, price float64) (Estimate, error) {
	want, err := s.target(ctx, c, w)
	if err != nil {
		return Estimate{}, err
	}
	n, err := c.stored.Count(ctx, nil)
	if err != nil {
		return Estimate{}, err
	}
	verdict := compat.Worst(compat.Diff(c.Manifest(), want))
	want.Evidence = compat.Evidence{} // of the manifest there is
	e := Estimate{Documents: n, Exact: true}
	free, cache, err := s.room()
	if err == nil { // a file system that can't say has 0
		e.FreeBytes = free
	}
	if verdict.Opens() || verdict == compat.VerdictRefuse {
		return e, nil
	}
	e.DiskBytes = diskNeed(want, n)
	ctx = embed.WithPriority(ctx, embed.PriorityMigration)
	r := rehearsal{c: c, effort: newEffort(s.traffic, unlimited), want: want}
	counted := counted{estimate: &e, draw: newDraw(n, rehearsedOf(want, false))}
	encoder, problem := s.encoderOf(ctx, want)
	defer encoder.release()
	e.MemoryBytes = memoryNeed(want, encoder, n)
	if verdict == compat.VerdictReembed {
		if encoder == nil {
			return e, problem
		}
		r.encoder = encoder
		counted.draw.most = rehearsedOf(want, encoder.endpoint != nil)
		if err := s.countTokens(ctx, c, encoder, &counted); err != nil {
			return e, err
		}
		if encoder.cached() {
			e.DiskBytes += min(cache, cacheNeed(want, n-e.Cached))
		}
	} else {
		if err := c.each(ctx, func(d store.Stored) { counted.draw.add(d.ID) }); err != nil {
			return e, err
		}
	}
	select { // one at a time: it takes memory, and two would slow each other
	case s.rehearsing <- struct{}{}:
		defer func() { <-s.rehearsing }()
	case <-ctx.Done():
		return e, ctx.Err()
	}
	if err := r.run(ctx, s.store, counted.draw.shuffled()); err != nil {
		return e, err
	}
	e.TokensPerSecond = r.tokensPerSecond()
	e.Seconds, e.SecondsLow, e.SecondsHigh = r.backfill(e.Documents, e.Tokens-counted.cached)
	if e.EvaluationSeconds, err = r.evaluation(ctx, counted.draw.ids, e.Documents); err != nil {
		return e, err
	}
	if price > 0 {
		cost := price * float64(e.Tokens) / 1e6
		e.Price = &cost
	}
	return e, nil
}

// draw is a random sample of a stream, in which all have the same chance
// (Vitter's algorithm R: "Random sampling with a reservoir", 1985).
type draw struct {
	most int
	seen int
	ids  []store.ID
	rand *rand.Rand
}

func newDraw(seed, most int) *draw {
	return &draw{most: most, rand: rand.New(rand.NewPCG(1, uint64(seed)))}
}

func (d *draw) add(id store.ID) {
	if d.seen++; len(d.ids) < d.most {
		d.ids = append(d.ids, id)
	} else if i := d.rand.IntN(d.seen); i < d.most {
		d.ids[i] = id
	}
}

// shuffled is the sample in random order.
func (d *draw) shuffled() []store.ID {
	d.rand.Shuffle(len(d.ids), func(i, j int) { d.ids[i], d.ids[j] = d.ids[j], d.ids[i] })
	return d.ids
}

// counted is what a look at all texts gives.
type counted struct {
	estimate *Estimate
	cached   int // tokens of the texts that are in the cache
	draw     *draw
}

// countTokens counts all texts and draws some.
func (s *Service) countTokens(ctx context.Context, c *Collection, encoder *served, all *counted) error {
	stamper, err := embed.NewStamper(encoder.Space())
	if err != nil {
		return err
	}
	e := all.estimate
	cached := s.cache != nil && encoder.endpoint == nil && encoder.cached()
	e.Exact = encoder.endpoint == nil
	limit := encoder.Space().MaxTokens
	var texts []string
	count := func() error {
		tokens := encoder.CountTokens(embed.RoleDocument, texts)
		for i, n := range tokens {
			if limit > 0 && n > limit {
				e.Truncated++
				tokens[i] = limit
			}
			e.Tokens += tokens[i]
		}
		if cached {
			keys := make([][32]byte, len(texts))
			for i, text := range texts {
				keys[i] = sha256.Sum256([]byte(text))
			}
			_, rows, _, err := s.cache.Get(ctx, stamper, false, keys)
			if err != nil {
				return err
			}
			for i, row := range rows {
				if row >= 0 {
					e.Cached++
					all.cached += tokens[i]
				}
			}
		}
		texts = texts[:0]
		return ctx.Err()
	}
	var failed error
	err = c.each(ctx, func(d store.Stored) {
		if !d.HasText || failed != nil {
			return
		}
		all.draw.add(d.ID)
		if texts = append(texts, d.Text); len(texts) == factsPage {
			failed = count()
		}
	})
	if err == nil {
		err = failed
	}
	if err == nil && len(texts) > 0 {
		err = count()
	}
	return err
}
